/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Python's own objects tell about a thread that waits: which lock, queue or thread it waits for and who holds
 * that, and which locks the `with` statements of a thread hold. Everything is read from objects and frames; nothing is
 * guessed from names alone.
 */
#ifndef EXUVIA_WAITS_PYTHON_WAITS_H
#define EXUVIA_WAITS_PYTHON_WAITS_H

#include "python/frame/frames.h"
#include "python/reader.h"
#include "waits/python_wait.h"

/*
 * What a thread waits for. `frames` are its Python frames, innermost first (of all its thread states), `registers`
 * those of its thread of the operating system. False only without memory.
 */
bool exu_py_wait(struct exu_py *py, const struct exu_py_frame *frames, size_t count,
                 const struct exu_registers *registers, struct exu_py_wait *wait);

/*
 * A lock that a thread took and is to release, because it is inside of a `with` statement for it; or a Future that has
 * its result when the function that the thread runs has returned.
 */
struct exu_py_held {
  uint64_t object;            /* the lock, RLock, Condition's lock, Future ...: as exu_py_wait.object or .lock */
  size_t thread;              /* the caller's number for the thread */
  const char *by;             /* "`with`", "acquire()", "ExitStack"; NULL: a Future */
  bool kept;                  /* the thread itself has run nothing since that could have released it */
  bool by_name;               /* acquire() of a global or an attribute, which may have been another lock then */
  struct exu_string evidence; /* "`with` in f (x.py:12)" */
};

struct exu_py_held_list {
  EXU_VECTOR(struct exu_py_held) items;
};

/*
 * Append the locks that the `with` statements of a thread took: a `with` whose __enter__ has not returned yet (it waits
 * for the lock itself) does not count, nor one inside of which `release` is called, of whatever it may be, by a
 * function that has not returned. One that has returned may have released any of them. What an ExitStack is to leave
 * counts, and what a generator is inside of that is suspended as a @contextmanager. False only without memory.
 */
bool exu_py_held(struct exu_py *py, const struct exu_py_frame *frames, size_t count, size_t thread,
                 struct exu_py_held_list *held);

#endif
