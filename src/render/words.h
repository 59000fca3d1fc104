/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentences about waits, made of the facts of a report. Text and JSON have the same ones. They are written as they are
 * to be shown: what names have that a terminal would act upon is escaped, and very long names are shortened.
 */
#ifndef EXUVIA_RENDER_WORDS_H
#define EXUVIA_RENDER_WORDS_H

#include "exuvia/exuvia.h"
#include "render/output.h"

/* What a thread waits for, a sentence without its subject; nothing when nothing is known. wait_words.c */
void exu_words_wait(struct exu_output *out, const struct exu_report *report, size_t thread);

/* The same of a wait that is none of the report's, and without what only its thread and the report tell. */
void exu_words_wait_elsewhere(struct exu_output *out, const struct exu_wait *wait);

/* The same for the inside of a sentence, as if the process was not stopped. */
void exu_words_wait_inside(struct exu_output *out, const struct exu_report *report, size_t thread);

/* "waits for the RLock 0x7f12 held by NAME": what the thread waits for, and that the other one has it. wait_words.c */
void exu_words_edge(struct exu_output *out, const struct exu_report *report, size_t thread, size_t owner);

/* `"worker-2" (22345)`, "thread 22345" when it has no name. wait_words.c */
void exu_words_thread(struct exu_output *out, struct exu_string name, int64_t tid);

/* "the ThreadPoolExecutor "resize"". wait_words.c */
void exu_words_pool(struct exu_output *out, const struct exu_pool *pool);

/* "reads from fd 5 (read)": what a thread of process `self` does in its system call. call_words.c */
void exu_words_call(struct exu_output *out, const struct exu_wait *wait, int64_t self);

/* What was seen of a wait, or of its owner; where a taker took it. evidence_words.c */
void exu_words_evidence(struct exu_output *out, const struct exu_wait *wait, const struct exu_evidence *evidence);
void exu_words_taken(struct exu_output *out, const struct exu_taker *taker);
const char *exu_words_taken_by(enum exu_taken_by by);

/* "f (x.py:12)". evidence_words.c */
void exu_words_place(struct exu_output *out, const struct exu_place *place);

/* Whole sentences. hang_words.c */
void exu_words_deadlock(struct exu_output *out, const struct exu_report *report, const struct exu_deadlock *deadlock);
void exu_words_hang(struct exu_output *out, const struct exu_report *report, const struct exu_hang *hang);

#endif
