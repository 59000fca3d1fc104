/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the work on a report ends before it is finished: at a time, or because the caller says so. Whoever does
 * something that may take long asks now and then, and leaves what it has; that it was ended is said once, at the end.
 */
#ifndef EXUVIA_BASE_LIMITS_H
#define EXUVIA_BASE_LIMITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum exu_limit { EXU_LIMIT_NONE, EXU_LIMIT_TIME, EXU_LIMIT_CANCELLED };

/* Zero-initialised: no limit. All of these may be called in several threads at the same time. */
struct exu_limits {
  atomic_int reached;       /* enum exu_limit: the first that was, for good */
  _Atomic int64_t deadline; /* nanoseconds of CLOCK_MONOTONIC; 0: none */
  int64_t asked_ms;         /* how long servers were asked for files: only of who asks them */
};

/* From now on there are that many milliseconds; 0: no limit. */
void exu_limits_start(struct exu_limits *limits, uint64_t milliseconds);

/* Async-signal-safe. */
void exu_limits_cancel(struct exu_limits *limits);

/* Look at the clock. */
enum exu_limit exu_limits_look(struct exu_limits *limits);

/* Is it time to end? NULL: never. The clock is read only where there is a deadline. */
static inline bool exu_limits_reached(struct exu_limits *limits) {
  if (!limits) return false;
  if (atomic_load_explicit(&limits->reached, memory_order_relaxed) != EXU_LIMIT_NONE) return true;
  return atomic_load_explicit(&limits->deadline, memory_order_relaxed) != 0 &&
         exu_limits_look(limits) != EXU_LIMIT_NONE;
}

#endif
