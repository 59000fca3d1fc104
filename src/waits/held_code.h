/* SPDX-License-Identifier: Apache-2.0 */
/* What the instructions of a frame tell of the locks that it took. */
#ifndef EXUVIA_WAITS_HELD_CODE_H
#define EXUVIA_WAITS_HELD_CODE_H

#include "python/frame/frames.h"
#include "python/reader.h"

/*
 * The innermost frame of a thread that sleeps: is it taking a lock, and has it come there straight from the entry of
 * its innermost `with`? Then its thread has run nothing since that could have released what that `with` took. `depth`
 * is how many values the handler of that `with` leaves on the stack.
 */
bool exu_py_just_entered(struct exu_py *py, const struct exu_py_frame *frame, uint32_t depth);

/* Is the frame of a generator, which does not run, suspended at a `yield`? */
bool exu_py_at_yield(struct exu_py *py, const struct exu_py_frame *frame);

/*
 * Locks that the frame took with `x.acquire()` right in front of a `try` that it is in, whose `finally` calls
 * `x.release()`. `by_name`: x is no local variable that keeps its value, but a global, an attribute, a closure's: it
 * may have been another object then. Returns how many there are.
 */
struct exu_py_acquired {
  uint64_t object;
  bool by_name;
};
enum { EXU_PY_ACQUIRED_MAX = 8 };
size_t exu_py_acquired(struct exu_py *py, const struct exu_py_frame *frame,
                       struct exu_py_acquired acquired[EXU_PY_ACQUIRED_MAX]);

#endif
