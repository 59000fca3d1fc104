/* SPDX-License-Identifier: Apache-2.0 */
/* The lock object that a thread sleeps on, among the objects that its innermost frames refer to. */
#ifndef EXUVIA_WAITS_PYTHON_LOCK_H
#define EXUVIA_WAITS_PYTHON_LOCK_H

#include "python/frame/frames.h"
#include "waits/locks.h"

struct exu_py_found_lock {
  enum exu_py_lock_type type;
  uint64_t object;
  uint64_t wrapper; /* EXU_PY_SEMLOCK: the object of multiprocessing that it is inside of; 0 unknown */
  const struct exu_evidence *evidence;
};

/* EXU_PY_NO_LOCK in found->type: there is none. */
void exu_py_find_lock(struct exu_py *py, const struct exu_py_frame *frames, size_t count,
                      const struct exu_py_sleep *sleep, struct exu_py_found_lock *found);

/* What runs in a frame whose code is known, and which line of it. */
struct exu_place exu_py_place(const struct exu_py_frame *frame);

#endif
