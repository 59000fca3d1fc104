/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlocks: threads that wait for each other in a circle. A pure function of who waits for whom. */
#ifndef EXUVIA_WAITS_DEADLOCK_H
#define EXUVIA_WAITS_DEADLOCK_H

#include "base/arena.h"
#include "exuvia/exuvia.h"

/* What one thread waits for. */
struct exu_edge {
  int64_t owner;        /* index of the thread that could let it go on; -1: none, or unknown */
  enum exu_proof proof; /* that the owner has what is waited for */
  size_t group;         /* any thread of this group could let it go on, counted from 1; 0: it is the work of none */
  bool timed;           /* it waits with a time limit */
};

/* Threads any of which can do a piece of work that waits in their queue. */
struct exu_group {
  const struct exu_pool *pool;
  const size_t *threads;
  size_t thread_count;
  bool complete; /* there are no more threads of it, and there will be none */
};

/* Who waits for whom. */
struct exu_waiting {
  const struct exu_edge *edges; /* of every thread */
  size_t count;
  const struct exu_group *groups;
  size_t group_count;
  /* No thread of the process can run, so that a lock that is waited for is released by none, whoever has it. */
  bool asleep;
};

/*
 * The circles of owners, each once, beginning with its first thread. A thread that waits for one of a circle is not of
 * it; one that waits for what it holds itself is a circle of one. An owner outside of [-1, count) is none. Then the
 * groups all of whose threads wait for work that only the group could do, or for threads that do. False without memory.
 */
bool exu_deadlocks_find(struct exu_arena *arena, const struct exu_waiting *waiting,
                        const struct exu_deadlock **deadlocks, size_t *deadlock_count);

#endif
