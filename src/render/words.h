/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentences, made of the facts of a report. Text and JSON have the same ones. They are written as they are
 * to be shown: what names have that a terminal would act upon is escaped, and very long names are shortened.
 */
#ifndef EXUVIA_RENDER_WORDS_H
#define EXUVIA_RENDER_WORDS_H

#include "exuvia/exuvia.h"
#include "render/output.h"

/* How a verb is said. */
enum exu_form {
  EXU_FORM_TITLE,      /* "Waiting for ...": a line of its own */
  EXU_FORM_PARTICIPLE, /* "waiting for ..." */
  EXU_FORM_FINITE,     /* "waits for ...", behind its subject */
};
void exu_words_verb(struct exu_output *out, enum exu_form form, const char *finite, const char *participle);

/* What a thread waits for, without its subject; nothing when nothing is known. wait_words.c */
void exu_words_wait(struct exu_output *out, const struct exu_report *report, size_t thread, enum exu_form form);

/* The same of a wait that is none of the report's, and without what only its thread and the report tell. */
void exu_words_wait_elsewhere(struct exu_output *out, const struct exu_wait *wait, enum exu_form form);

/* The same for the inside of a sentence, behind its subject, as if the process was not stopped. */
void exu_words_wait_inside(struct exu_output *out, const struct exu_report *report, size_t thread);

/* "waits for RLock 0x7f12 held by NAME": what the thread waits for, and that the other one has it. wait_words.c */
void exu_words_edge(struct exu_output *out, const struct exu_report *report, size_t thread, size_t owner);

/* `"worker-2" (22345)`, "thread 22345" when it has no name. wait_words.c */
void exu_words_thread(struct exu_output *out, struct exu_string name, int64_t tid);

/* "ThreadPoolExecutor "resize"". wait_words.c */
void exu_words_pool(struct exu_output *out, const struct exu_pool *pool);

/* "Reading from fd 5 (read)": what a thread of process `self` does in its system call. call_words.c */
void exu_words_call(struct exu_output *out, const struct exu_wait *wait, int64_t self, enum exu_form form);

/*
 * "pipe, other end: pid 12 (cat)". Names are as they are in there, neither escaped nor shortened: who shows it to people
 * does so. descriptor_words.c
 */
void exu_words_descriptor(struct exu_output *out, const struct exu_descriptor *descriptor);

/* What was seen of a wait, or of its owner; where a taker took it. evidence_words.c */
void exu_words_evidence(struct exu_output *out, const struct exu_wait *wait, const struct exu_evidence *evidence);
void exu_words_taken(struct exu_output *out, const struct exu_taker *taker);
const char *exu_words_taken_by(enum exu_taken_by by);

/* "f (x.py:12)". evidence_words.c */
void exu_words_place(struct exu_output *out, const struct exu_place *place);

/* What a gap between the frames of a thread says. gap_words.c */
void exu_words_gap(struct exu_output *out, const struct exu_thread *thread, enum exu_gap gap);

/* What the process died of: report->crash is there. crash_words.c */
void exu_words_crash(struct exu_output *out, const struct exu_report *report);

/* "the stack of thread 1234", "/usr/lib/libc.so.6 (r-x)"; its kind is known. crash_words.c */
void exu_words_crash_place(struct exu_output *out, const struct exu_crash_place *place);

/* Whole sentences. hang_words.c */
void exu_words_deadlock(struct exu_output *out, const struct exu_report *report, const struct exu_deadlock *deadlock);
void exu_words_hang(struct exu_output *out, const struct exu_report *report, const struct exu_hang *hang);

#endif
