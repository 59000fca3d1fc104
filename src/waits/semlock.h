/* SPDX-License-Identifier: Apache-2.0 */
/* _multiprocessing.SemLock: a POSIX semaphore that processes share, inside of every lock of multiprocessing. */
#ifndef EXUVIA_WAITS_SEMLOCK_H
#define EXUVIA_WAITS_SEMLOCK_H

#include "python/reader.h"

struct exu_py_semlock {
  uint64_t semaphore; /* address of the sem_t */
  bool recursive;     /* that of an RLock: only the thread that took it can release it */
  int32_t limit;      /* how many can hold it: 1 for a Lock, an RLock and a BoundedSemaphore(1) */
  /* The ident of who holds an RLock, as this process counts, and its copies; 0: none of this process, or unknown. */
  uint64_t owner_ident;
  bool elsewhere; /* the RLock is taken, and by none of this process, as this process counts */
};

/* False: its words cannot be read, or are not what they have to be. */
bool exu_py_semlock_read(struct exu_py *py, uint64_t object, struct exu_py_semlock *semlock);

#endif
