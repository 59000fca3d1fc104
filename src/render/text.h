/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the text writer share. */
#ifndef EXUVIA_RENDER_TEXT_H
#define EXUVIA_RENDER_TEXT_H

#include "exuvia/exuvia.h"
#include "render/escape.h"
#include "render/output.h"
#include "render/source.h"

/* Escape sequences; all empty without colour. */
struct exu_style {
  const char *crash;
  const char *heading;
  const char *place; /* file, line, function: what CPython 3.13 colours in a traceback */
  const char *marker;
  const char *dim;
  const char *reset;
};

struct exu_text {
  struct exu_output out;
  const struct exu_report *report;
  const struct exu_text_options *options;
  const struct exu_style *style;
  struct exu_sources *sources; /* NULL: no source lines */
  bool addresses;              /* show where frames are in the process */
};

/* What died, of what; the process, its Python, the GIL. text_header.c */
void exu_text_header(struct exu_text *text);

/* Who waits for whom in a circle, a line for each. text_waits.c */
void exu_text_deadlocks(struct exu_text *text);

/*
 * Is there something to say about what a thread waits for, and is it the same of two? The line that says it, of
 * one thread or, `each`, of all of a group. Threads by their index. text_waits.c
 */
bool exu_text_has_wait(const struct exu_thread *thread);
bool exu_text_same_wait(const struct exu_report *report, size_t a, size_t b);
void exu_text_wait(struct exu_text *text, size_t index, bool each);

/* Every thread's stack, the crashed thread first, then those in a deadlock. text_threads.c */
void exu_text_threads(struct exu_text *text);

/* `1234 "worker"`, `1234 [python3]` when only the kernel has a name for it. text_threads.c */
void exu_text_label(struct exu_text *text, const struct exu_thread *thread);

/* What is special about a thread, in parentheses. text_threads.c */
enum exu_text_place { EXU_TEXT_THREAD, EXU_TEXT_GROUP, EXU_TEXT_SUMMARY };
void exu_text_remarks(struct exu_text *text, const struct exu_thread *thread, enum exu_text_place place);

/*
 * The threads for which `summarized`, by index, is true: a line for all that do the same in the same function.
 * text_summary.c
 */
void exu_text_summary(struct exu_text *text, const bool *summarized);

/* The frames of one thread, most recent call last. text_frames.c */
void exu_text_frames(struct exu_text *text, const struct exu_thread *thread);

/* Frames of a thread that say no more together than one line does. text_fold.c */
struct exu_text_folds {
  bool off;
  size_t start;   /* so many of the outermost start the thread */
  size_t waiting; /* so many of the innermost only wait for what the thread is said to wait for */
};
struct exu_text_folds exu_text_find_folds(const struct exu_text *text, const struct exu_thread *thread);

/* How many frames from frames[left - 1] on, towards the most recent call, share a line; 0: that one has its own. */
size_t exu_text_fold(const struct exu_text_folds *folds, const struct exu_thread *thread, size_t left);

/* Is frames[left - 1] the wrapper that Cython made for the function that it calls, which comes next? */
bool exu_text_is_wrapper(const struct exu_text_folds *folds, const struct exu_thread *thread, size_t left);

void exu_text_folded(struct exu_text *text, const struct exu_text_folds *folds, const struct exu_thread *thread,
                     size_t left, size_t count);

/* True when text shows the two frames as the same line. text_frames.c */
bool exu_text_same_line(const struct exu_frame *a, const struct exu_frame *b);

#endif
