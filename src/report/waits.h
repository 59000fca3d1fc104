/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every thread waits for, and who waits for whom. In two steps, because a live target is stopped only during the
 * first: exu_waits_look reads the target, exu_waits_finish puts together what it saw, the names of native functions and
 * the other threads.
 */
#ifndef EXUVIA_REPORT_WAITS_H
#define EXUVIA_REPORT_WAITS_H

#include "base/diagnostics.h"
#include "exuvia/exuvia.h"
#include "python/waits.h"
#include "target/target.h"

struct exu_waits; /* what was seen of all threads */

/* `py` may be NULL. NULL without memory. */
struct exu_waits *exu_waits_create(const struct exu_target *target, struct exu_py *py, struct exu_arena *arena,
                                   struct exu_diagnostics *diagnostics);
void exu_waits_destroy(struct exu_waits *waits); /* NULL is allowed */

/*
 * Look at one thread: `thread` is its index in the report, `os` its thread of the operating system (NULL: none),
 * `interpreter` the address of the interpreter of its thread state (0: none) and `gil` what it has to do with the GIL
 * of that, `ident` its thread state's ident (0: none), `frames` its Python frames, innermost first, which must live
 * until exu_waits_look_again. False only without memory.
 */
struct exu_wait_subject {
  size_t thread;
  const struct exu_os_thread *os;
  uint64_t interpreter;
  enum exu_gil gil;
  uint64_t ident;
  const struct exu_py_frame *frames;
  size_t frame_count;
};
bool exu_waits_look(struct exu_waits *waits, const struct exu_wait_subject *subject);

/*
 * After the last thread: look for the holders of locks that do not record their owner. Only then is the target let go.
 */
bool exu_waits_look_again(struct exu_waits *waits);

/*
 * Fill in the `wait` of the report's threads (`threads`, which are those of the report while they may be written),
 * whose names and frames are there, and its deadlocks. False only without memory.
 */
bool exu_waits_finish(struct exu_waits *waits, struct exu_report *report, struct exu_thread *threads);

#endif
