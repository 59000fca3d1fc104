/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the waits share: what was seen of every thread while the target could be read. */
#ifndef EXUVIA_REPORT_WAITS_PRIVATE_H
#define EXUVIA_REPORT_WAITS_PRIVATE_H

#include "report/waits.h"
#include "target/descriptors.h"
#include "target/mutex.h"

/* Descriptors of poll(2) and select(2) that are named. */
enum { EXU_WAIT_FDS = 4 };

/* One thread. */
struct exu_seen {
  struct exu_wait_subject subject;
  struct exu_call call;
  int64_t timeout_us; /* -1: none, or unknown */
  bool in_futex;
  struct exu_futex futex;
  struct exu_around around;
  struct exu_string path; /* of open(2); unknown: it is another call, or was not readable */
  int32_t fds[EXU_WAIT_FDS];
  size_t fd_count; /* of all, also of those that `fds` has no room for */
  struct exu_py_wait py;

  int64_t tid;             /* as the process itself numbers it */
  struct exu_string label; /* "\"worker-1\"", "thread 12" */
  struct exu_string what;  /* what it waits for that has an owner: "the RLock 0x7f12" */
  const char *relation;    /* what the owner has to do with that; NULL: it holds it */
  struct exu_wait *wait;   /* in the report */
};

struct exu_waits {
  const struct exu_target *target;
  struct exu_py *py;
  struct exu_arena *arena;
  struct exu_diagnostics *diagnostics;
  EXU_VECTOR(struct exu_seen) seen;
  struct exu_py_held_list held; /* exu_py_held.thread is an index into `seen` */
  struct exu_descriptors descriptors;
};

/*
 * What the thread does in its system call, as a summary, and the call's own fields of `wait`: the kind, the descriptor
 * and what it is, the child. waits_words.c
 */
void exu_wait_in_call(struct exu_waits *waits, const struct exu_seen *seen, struct exu_wait *wait);

/* "the RLock 0x7f12", "a Lock" when its address is unknown. waits_words.c */
struct exu_string exu_wait_what(struct exu_waits *waits, const struct exu_wait *wait);

#endif
