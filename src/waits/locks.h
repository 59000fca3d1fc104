/* SPDX-License-Identifier: Apache-2.0 */
/* Lock objects, and how a thread that sleeps leads to the one that it waits for. */
#ifndef EXUVIA_WAITS_LOCKS_H
#define EXUVIA_WAITS_LOCKS_H

#include "python/reader.h"

/* A thread that is asleep in futex(2). */
struct exu_py_sleep {
  uint64_t futex;
  /*
   * Since 3.13: the address that it is parked on (Python/parking_lot.c), a PyMutex or what else threads wait for; 0: it
   * is not parked. A parked thread sleeps on a semaphore in a struct wait_entry on its own stack.
   */
  uint64_t parked;
};

/* False when the thread is in no futex(2) call that waits. `registers` may be NULL. */
bool exu_py_sleep(const struct exu_py *py, const struct exu_registers *registers, struct exu_py_sleep *sleep);

enum exu_py_lock_type {
  EXU_PY_NO_LOCK,
  EXU_PY_LOCK,         /* _thread.lock */
  EXU_PY_RLOCK,        /* _thread.RLock; not the one that is written in Python, which 2.7 has */
  EXU_PY_SIMPLE_QUEUE, /* _queue.SimpleQueue */
  EXU_PY_SEMLOCK,      /* _multiprocessing.SemLock */
  EXU_PY_BUFFERED,     /* _io.BufferedReader, BufferedWriter, BufferedRandom: the lock inside */
};
/* Of an object, which may be an instance of a subclass. */
enum exu_py_lock_type exu_py_lock_type(struct exu_py *py, uint64_t object);

/* Is that the lock that the thread sleeps on? By its address, never by its name. */
bool exu_py_lock_is(struct exu_py *py, uint64_t object, enum exu_py_lock_type type, const struct exu_py_sleep *sleep);

/* The lock or RLock whose PyMutex is at `address`; EXU_PY_NO_LOCK: what is there is none. */
enum exu_py_lock_type exu_py_lock_of_mutex(struct exu_py *py, uint64_t address, uint64_t *object);

/* Is the value of the sem_t at `address` zero? */
enum exu_tristate exu_py_semaphore_taken(struct exu_py *py, uint64_t address);

/* The ident of the thread that holds an RLock (one that is written in C), 0: nobody, or unknown. */
uint64_t exu_py_rlock_owner(struct exu_py *py, uint64_t object);

/* The ident of the thread that holds the lock of an EXU_PY_BUFFERED, 0: nobody, or unknown. */
uint64_t exu_py_buffered_owner(struct exu_py *py, uint64_t object);

/* Is the lock or RLock taken? Unknown for the others. */
enum exu_tristate exu_py_lock_taken(struct exu_py *py, uint64_t object, enum exu_py_lock_type type);

#endif
