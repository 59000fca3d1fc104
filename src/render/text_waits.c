/* SPDX-License-Identifier: Apache-2.0 */
/* What threads wait for, and who waits for whom. */
#include "base/str.h"
#include "render/text.h"
#include "render/words.h"

static void put_evidence(struct exu_text *text, const char *label, const struct exu_wait *wait,
                         const struct exu_evidence *evidence) {
  if (!evidence) return;
  exu_out(&text->out, text->style->dim);
  exu_out(&text->out, label);
  exu_words_evidence(&text->out, wait, evidence);
  exu_out(&text->out, text->style->reset);
  exu_out_char(&text->out, '\n');
}

void exu_text_deadlocks(struct exu_text *text) {
  const struct exu_report *report = text->report;
  for (size_t i = 0; i < report->deadlock_count; i++) {
    exu_out(&text->out, text->style->crash);
    exu_words_deadlock(&text->out, report, &report->deadlocks[i]);
    exu_out(&text->out, text->style->reset);
    exu_out_char(&text->out, '\n');
  }
  for (size_t i = 0; i < report->hang_count; i++) {
    exu_out(&text->out, text->style->crash);
    exu_words_hang(&text->out, report, &report->hangs[i]);
    exu_out(&text->out, text->style->reset);
    exu_out_char(&text->out, '\n');
    if (text->options->verbose) put_evidence(text, "  Evidence: ", NULL, report->hangs[i].evidence);
  }
  if (report->deadlock_count > 0 || report->hang_count > 0) exu_out_char(&text->out, '\n');
}

/* A thread that crashed was running, of course. */
bool exu_text_has_wait(const struct exu_thread *thread) {
  const struct exu_wait *wait = thread->wait;
  if (!wait || wait->kind == EXU_WAIT_UNKNOWN) return false;
  return !(thread->crashed && wait->kind == EXU_WAIT_RUNNING);
}

bool exu_text_same_wait(const struct exu_report *report, size_t a, size_t b) {
  const struct exu_thread *one = &report->threads[a], *other = &report->threads[b];
  struct exu_output first, second;
  if (exu_text_has_wait(one) != exu_text_has_wait(other)) return false;
  if (!exu_text_has_wait(one)) return true;
  exu_output_init_text(&first);
  exu_output_init_text(&second);
  exu_words_wait(&first, report, a, EXU_FORM_TITLE);
  exu_words_wait(&second, report, b, EXU_FORM_TITLE);
  const bool same = exu_string_equal(exu_output_text(&first), exu_output_text(&second));
  exu_output_deinit_text(&first);
  exu_output_deinit_text(&second);
  return same;
}

void exu_text_wait(struct exu_text *text, size_t index, bool each) {
  const struct exu_thread *thread = &text->report->threads[index];
  const struct exu_wait *wait = thread->wait;
  if (!exu_text_has_wait(thread)) return;
  exu_out(&text->out, "  ");
  exu_words_wait(&text->out, text->report, index, EXU_FORM_TITLE);
  exu_out_char(&text->out, '\n');
  if (!text->options->verbose || each) return;
  put_evidence(text, "    Evidence: ", wait, wait->evidence);
  put_evidence(text, "    Evidence of its owner: ", wait, wait->owner_evidence);
  for (size_t i = 0; i < wait->taker_count; i++) {
    exu_out(&text->out, text->style->dim);
    exu_out(&text->out, "    Taken: ");
    exu_words_taken(&text->out, &wait->takers[i]);
    exu_out(&text->out, text->style->reset);
    exu_out_char(&text->out, '\n');
  }
}
