/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hangs: threads that nobody can let go on, although they do not wait for each other in a circle. A pure function of
 * what each thread waits for.
 */
#ifndef EXUVIA_WAITS_HANG_H
#define EXUVIA_WAITS_HANG_H

#include "base/arena.h"
#include "exuvia/exuvia.h"

/* One thread. */
struct exu_stand {
  bool is_thread; /* false: a thread state without one, which can do nothing */
  bool python;
  bool asleep;                      /* it sleeps until another thread of the process wakes it, without a time limit */
  bool lost;                        /* what it waits for is held by one that is not in the process, for certain */
  int64_t owner;                    /* index of the one thread that could let it go on; -1: unknown */
  enum exu_wait_kind kind;          /* of its wait; the rest is for who sleeps only */
  uint64_t address;                 /* of what it waits for; 0: none, or unknown */
  const struct exu_evidence *proof; /* of a lost owner */
};

/* Can anything but the threads let the process go on? */
enum exu_outside {
  EXU_OUTSIDE_UNKNOWN, /* a handler of a signal, if there is one */
  EXU_OUTSIDE_NOTHING,
  EXU_OUTSIDE_SIGNAL, /* a handler of a signal; or not all threads were seen */
};

/*
 * `deadlocks` are those that are known already: certain ones without a time limit let nobody go on who waits for one of
 * their threads. False without memory.
 */
bool exu_hangs_find(struct exu_arena *arena, const struct exu_stand *stands, size_t count, enum exu_outside outside,
                    const struct exu_deadlock *deadlocks, size_t deadlock_count, const struct exu_hang **hangs,
                    size_t *hang_count);

#endif
