/* SPDX-License-Identifier: Apache-2.0 */
/* What threads wait for, and who waits for whom. */
#include "render/text.h"

static void put_evidence(struct exu_text *text, const char *label, struct exu_string evidence) {
  if (!evidence.data) return;
  exu_out(&text->out, text->style->dim);
  exu_out(&text->out, label);
  exu_out_escaped(&text->out, evidence, 0, EXU_MESSAGE_SHOWN);
  exu_out(&text->out, text->style->reset);
  exu_out_char(&text->out, '\n');
}

void exu_text_deadlocks(struct exu_text *text) {
  const struct exu_report *report = text->report;
  for (size_t i = 0; i < report->deadlock_count; i++) {
    exu_out(&text->out, text->style->crash);
    exu_out_escaped(&text->out, report->deadlocks[i].sentence, 0, EXU_MESSAGE_SHOWN);
    exu_out(&text->out, text->style->reset);
    exu_out_char(&text->out, '\n');
  }
  for (size_t i = 0; i < report->hang_count; i++) {
    exu_out(&text->out, text->style->crash);
    exu_out_escaped(&text->out, report->hangs[i].sentence, 0, EXU_MESSAGE_SHOWN);
    exu_out(&text->out, text->style->reset);
    exu_out_char(&text->out, '\n');
    if (text->options->verbose) put_evidence(text, "  Seen: ", report->hangs[i].evidence);
  }
  if (report->deadlock_count > 0 || report->hang_count > 0) exu_out_char(&text->out, '\n');
}

/* A thread that crashed was running, of course. */
bool exu_text_has_wait(const struct exu_thread *thread) {
  const struct exu_wait *wait = thread->wait;
  if (!wait || wait->kind == EXU_WAIT_UNKNOWN || !wait->summary.data) return false;
  return !(thread->crashed && wait->kind == EXU_WAIT_RUNNING);
}

void exu_text_wait(struct exu_text *text, const struct exu_thread *thread, bool each) {
  if (!exu_text_has_wait(thread)) return;
  exu_out(&text->out, each ? "  Each " : "  It ");
  exu_out_escaped(&text->out, thread->wait->summary, 0, EXU_MESSAGE_SHOWN);
  exu_out_char(&text->out, '\n');
  if (!text->options->verbose || each) return;
  put_evidence(text, "    Seen: ", thread->wait->evidence);
  put_evidence(text, "    Owner: ", thread->wait->owner_evidence);
  for (size_t i = 0; i < thread->wait->taker_count; i++) {
    put_evidence(text, "    Taken: ", thread->wait->takers[i].evidence);
  }
}
