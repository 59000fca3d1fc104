/* SPDX-License-Identifier: Apache-2.0 */
/* futex(2): the word that a thread sleeps on. */
#ifndef EXUVIA_PROCESS_FUTEX_H
#define EXUVIA_PROCESS_FUTEX_H

#include "process/system_calls.h"

struct exu_futex {
  uint64_t address;
  uint32_t expected; /* it sleeps while the word is this; 0 for priority inheritance, where the word names the owner */
  bool inherits;     /* FUTEX_LOCK_PI */
  bool shared;       /* another process could wake it, too */
  bool timed;        /* it will go on after a while, whatever happens */
};

/* False when the call does not wait on a futex: it is another one, or wakes. */
bool exu_futex_of(const struct exu_call *call, struct exu_futex *futex);

#endif
