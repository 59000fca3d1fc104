/* SPDX-License-Identifier: Apache-2.0 */
/* What Python's own objects tell of one wait. */
#ifndef EXUVIA_WAITS_PYTHON_WAIT_H
#define EXUVIA_WAITS_PYTHON_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "exuvia/exuvia.h"

struct exu_py_wait {
  enum exu_wait_kind kind;    /* EXU_WAIT_UNKNOWN: nothing in Python explains it */
  uint64_t object;            /* what the thread waits for: the Queue, the Condition, the RLock; 0 unknown */
  struct exu_string type;     /* its type's name */
  uint64_t lock;              /* the lock object that it sleeps on, which may be inside of `object`; 0 unknown */
  struct exu_string evidence; /* in the arena */
  const char *state;          /* what that says of the object: "it is empty"; NULL: nothing */
  int64_t child;              /* EXU_WAIT_CHILD: the process id of what has to end; 0 unknown */
  struct exu_string name;     /* likewise: what the program calls it; unknown when it has no name */

  /* Who holds it (for EXU_WAIT_JOIN: who has to end). By pthread_self() or by the kernel's id; 0 unknown. */
  uint64_t owner_ident;
  int64_t owner_tid;
  struct exu_string owner_evidence;
  /* A lock that processes share. One that fork(2) copied takes it for its own, too: no proof for the main thread. */
  bool shared;
};

#endif
