/* SPDX-License-Identifier: Apache-2.0 */
#include "sentences.h"

#include <stdlib.h>

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
