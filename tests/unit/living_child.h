/* SPDX-License-Identifier: Apache-2.0 */
/* A child whose threads count all the time. Everything here asserts that it worked. */
#ifndef EXUVIA_TESTS_LIVING_CHILD_H
#define EXUVIA_TESTS_LIVING_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PAGE = 4096, CHILD_THREADS = 5 };

struct child_shared {
  atomic_int ready;
  atomic_ulong counts[CHILD_THREADS];
  atomic_ulong signals; /* SIGRTMIN that have come */
  _Atomic uint64_t number;
};

/* Of the child that start_child() has started last, and of this process. */
extern struct child_shared *shared;

struct child {
  pid_t pid;
  int tasks; /* a descriptor of /proc/PID/task */
};

struct child start_child(void);
void end_child(struct child *child);

/* What the child's main thread runs. */
void run_child(void);

/* Of all threads' counts. */
unsigned long total(void);

/* Does every thread go on within a second? */
bool all_run(void);

void sleep_ms(long milliseconds);

#endif
