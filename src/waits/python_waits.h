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

/* Nothing is known of a wait: initialises a struct exu_wait. */
#define EXU_WAIT_NOTHING                                                                                               \
  { .owner = -1, .owner_tid = -1, .owner_pid = -1, .system_call = -1, .timeout_us = -1, .fd = -1, .child = -1 }

/*
 * What a thread waits for, as far as Python tells: its kind, detail, evidence, address (of the object), type, lock,
 * child and shared; the owner's ident, number and evidence. *wait is as EXU_WAIT_NOTHING before, and its kind unknown
 * when nothing in Python explains it. `frames` are its Python frames, innermost first (of all its thread states), `registers`
 * those of its thread of the operating system. False only without memory.
 */
bool exu_py_wait(struct exu_py *py, const struct exu_py_frame *frames, size_t count,
                 const struct exu_registers *registers, struct exu_wait *wait);

/*
 * A lock that a thread took and is to release, because it is inside of a `with` statement for it; or a Future that has
 * its result when the function that the thread runs has returned.
 */
struct exu_py_held {
  uint64_t object;        /* the lock, RLock, Condition's lock, Future ...: as exu_wait.address or .lock */
  size_t thread;          /* the caller's number for the thread */
  bool is_result;         /* a Future */
  enum exu_taken_by by;   /* else: how it was taken */
  bool kept;              /* the thread itself has run nothing since that could have released it */
  bool by_name;           /* acquire() of a global or an attribute, which may have been another lock then */
  struct exu_place place; /* where */
  size_t next;            /* 1 + the index of the next one of the same object; 0: none. Set by the second step */
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
