/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"

#include <time.h>

/* What a signal handler may touch (C11 7.14.1.1). */
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "an int is always lock-free");

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void reach(struct exu_limits *limits, enum exu_limit limit) {
  int none = EXU_LIMIT_NONE;
  atomic_compare_exchange_strong(&limits->reached, &none, limit);
}

void exu_limits_start(struct exu_limits *limits, uint64_t milliseconds) {
  int64_t span, deadline;
  bool endless = milliseconds == 0 || __builtin_mul_overflow(milliseconds, INT64_C(1000000), &span) ||
                 __builtin_add_overflow(now(), span, &deadline);
  atomic_store(&limits->deadline, endless ? 0 : deadline);
}

void exu_limits_cancel(struct exu_limits *limits) { reach(limits, EXU_LIMIT_CANCELLED); }

enum exu_limit exu_limits_look(struct exu_limits *limits) {
  const int64_t deadline = atomic_load(&limits->deadline);
  if (deadline != 0 && now() >= deadline) reach(limits, EXU_LIMIT_TIME);
  return (enum exu_limit)atomic_load(&limits->reached);
}
