/* SPDX-License-Identifier: Apache-2.0 */
#include "sentences.h"

#include <stdlib.h>
#include <string.h>

#include "render/words.h"

static const char *sentence(bool (*write)(const struct exu_report *, size_t, FILE *), const struct exu_report *report,
                            size_t index) {
  static char *text;
  size_t size;
  free(text);
  FILE *out = open_memstream(&text, &size);
  if (!out || !write(report, index, out)) abort();
  fclose(out);
  return text;
}

const char *wait_sentence(const struct exu_report *report, size_t thread) {
  return sentence(exu_write_wait, report, thread);
}

const char *deadlock_sentence(const struct exu_report *report, size_t index) {
  return sentence(exu_write_deadlock, report, index);
}

const char *hang_sentence(const struct exu_report *report, size_t index) {
  return sentence(exu_write_hang, report, index);
}

static bool write_crash(const struct exu_report *report, size_t index, FILE *out) {
  return index == 0 && exu_write_crash(report, out);
}

const char *crash_sentence(struct exu_crash *crash, int64_t pid) {
  const struct exu_report report = {.pid = pid, .crash = crash};
  return sentence(write_crash, &report, 0);
}

/* What was put into `out`, which is done with. */
static const char *take_words(struct exu_output *out) {
  static char words[8192];
  const struct exu_string text = exu_output_text(out);
  if (text.size >= sizeof words) abort();
  memcpy(words, text.data, text.size);
  words[text.size] = '\0';
  exu_output_deinit_text(out);
  return words;
}

const char *crash_place_words(const struct exu_crash_place *place) {
  struct exu_output out;
  exu_output_init_text(&out);
  exu_words_crash_place(&out, place);
  return take_words(&out);
}

const char *descriptor_words(const struct exu_descriptor *descriptor) {
  struct exu_output out;
  if (!descriptor) return NULL;
  exu_output_init_text(&out);
  exu_words_descriptor(&out, descriptor);
  return take_words(&out);
}
