/* SPDX-License-Identifier: Apache-2.0 */
/* Single sentences for who makes an output of its own. */
#include <errno.h>

#include "render/words.h"

static bool is_wrong(bool right) {
  if (!right) errno = EINVAL;
  return !right;
}

bool exu_write_wait(const struct exu_report *report, size_t thread, FILE *file) {
  struct exu_output out;
  if (is_wrong(report && file && thread < report->thread_count)) return false;
  exu_output_init(&out, file);
  exu_words_wait(&out, report, thread, EXU_FORM_TITLE);
  return exu_output_finish(&out);
}

bool exu_write_deadlock(const struct exu_report *report, size_t index, FILE *file) {
  struct exu_output out;
  if (is_wrong(report && file && index < report->deadlock_count)) return false;
  exu_output_init(&out, file);
  exu_words_deadlock(&out, report, &report->deadlocks[index]);
  return exu_output_finish(&out);
}

bool exu_write_hang(const struct exu_report *report, size_t index, FILE *file) {
  struct exu_output out;
  if (is_wrong(report && file && index < report->hang_count)) return false;
  exu_output_init(&out, file);
  exu_words_hang(&out, report, &report->hangs[index]);
  return exu_output_finish(&out);
}

bool exu_write_crash(const struct exu_report *report, FILE *file) {
  struct exu_output out;
  if (is_wrong(report && file && report->crash)) return false;
  exu_output_init(&out, file);
  exu_words_crash(&out, report);
  return exu_output_finish(&out);
}
