/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the waits share: what was seen of every thread while the process could be read. */
#ifndef EXUVIA_WAITS_WAITS_PRIVATE_H
#define EXUVIA_WAITS_WAITS_PRIVATE_H

#include "base/map.h"
#include "process/descriptors.h"
#include "waits/deadlock.h"
#include "waits/executors.h"
#include "waits/mutex.h"
#include "waits/waits.h"

/* Descriptors of poll(2) and select(2) that are named. */
enum { EXU_WAIT_FDS = 4 };

/* Bytes of a name in a sentence. */
enum { EXU_WAIT_NAME_SHOWN = 200 };

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
  size_t py_part;   /* of the subject, which told that */
  size_t works_for; /* the pool whose thread it is, counted from 1; 0: none */
  size_t queued_in; /* likewise: the pool in whose queue the result that it waits for has to be worked on yet */

  int64_t tid;             /* as the process itself numbers it */
  struct exu_string label; /* "\"worker-1\" (12)", "thread 12" */
  struct exu_string what;  /* what it waits for that has an owner: "the RLock 0x7f12" */
  const char *relation;    /* what the owner has to do with that; NULL: it holds it */
  bool lost;               /* what holds it is not in this process, which has been looked for */
  struct exu_string other; /* an owner in another process: "process 12 (python3)"; unknown: it is none */
  struct exu_wait *wait;   /* in the report */
};

/* A pool of threads. */
struct exu_wait_pool {
  struct exu_py *py;
  struct exu_py_pool of;
  size_t workers; /* threads that were seen */
};

struct exu_waits {
  const struct exu_process *process;
  struct exu_arena *arena;
  struct exu_diagnostics *diagnostics;
  EXU_VECTOR(struct exu_seen) seen;
  struct exu_py_held_list held; /* exu_py_held.thread is an index into `seen` */
  EXU_VECTOR(struct exu_wait_pool) pools;
  struct exu_descriptors descriptors;
  size_t tasks_asked; /* threads of which the kernel was asked where in it they sleep */
};

/* The second step: what was seen, put together. */
struct exu_finishing {
  struct exu_waits *waits;
  const struct exu_report *report;
  struct exu_thread *threads;
  struct exu_map by_tid;   /* as the process numbers them -> struct exu_seen */
  struct exu_map by_ident; /* pthread_self() -> struct exu_seen */
  bool gil_is_lost;        /* what holds the GIL is not in this process */
};

/* ---- waits_finish.c: threads ------------------------------------------------------------------------------------- */

/* The thread of a key in one of the maps; NULL: none, and for key 0. */
struct exu_seen *exu_wait_find(const struct exu_map *map, uint64_t key);

/* What to call a thread of the report: "\"worker-1\"". Unknown for one that was not looked at. */
struct exu_string exu_wait_label(const struct exu_finishing *finishing, size_t thread);

/* exu_is_thread of a struct exu_finishing: is there a thread of that number, shown or not? */
bool exu_wait_is_thread(const void *context, int64_t tid);

/* ---- waits_reasons.c: what Python tells, and words for what has an owner ----------------------------------------- */

/* `before`, then both texts, of which either may be unknown. */
struct exu_string exu_wait_concat(struct exu_arena *arena, const char *before, struct exu_string a,
                                  struct exu_string b);
struct exu_string exu_wait_word(const char *text);

/* `owner` may be NULL: then only its number may be known (-1: it is not, and there is no evidence). */
void exu_wait_set_owner(struct exu_wait *wait, const struct exu_seen *owner, int64_t tid, struct exu_string evidence);

/* The summary of a wait whose kind, object and owner are set. `is_known`: the object records who holds it. */
void exu_wait_say(struct exu_finishing *finishing, struct exu_seen *seen, const struct exu_seen *owner, bool is_known);

void exu_wait_by_python(struct exu_finishing *finishing, struct exu_seen *seen);

/* ---- waits_futex.c, waits_gil.c ---------------------------------------------------------------------------------- */

void exu_wait_in_futex(struct exu_finishing *finishing, struct exu_seen *seen);

/* After what all threads wait for is known: it says what the holder does. */
void exu_wait_for_gil(struct exu_finishing *finishing, struct exu_seen *seen);

/* ---- waits_hang.c ------------------------------------------------------------------------------------------------ */

/*
 * Does this thread sleep until another thread of the process wakes it? One that waits for the GIL wakes up again and
 * again, and can do nothing while the holder has it. After what it waits for is known.
 */
bool exu_wait_is_asleep(const struct exu_finishing *finishing, const struct exu_seen *seen);

/* Is every thread of the process among those that were seen? */
bool exu_wait_sees_all(const struct exu_waits *waits);

/* All threads wait for the GIL, which is locked. */
bool exu_wait_gil_is_lost(const struct exu_waits *waits);

/* After the deadlocks. False only without memory. */
bool exu_wait_find_hangs(struct exu_finishing *finishing, struct exu_report *report);

/* ---- waits_pools.c ----------------------------------------------------------------------------------------------- */

/* In the first step: the pools of threads, and who waits for what is in their queues. False only without memory. */
bool exu_waits_look_at_pools(struct exu_waits *waits);

/* "the ThreadPoolExecutor \"resize\"". Pools count from 1. */
struct exu_string exu_wait_pool_name(struct exu_waits *waits, size_t pool);

/* All pools, in their order, as groups of threads. False only without memory. */
bool exu_wait_groups(struct exu_waits *waits, const struct exu_group **groups, size_t *count);

/* ---- waits_words.c ----------------------------------------------------------------------------------------------- */

/*
 * What the thread does in its system call, as a summary, and the call's own fields of `wait`: the kind, the descriptor
 * and what it is, the child.
 */
void exu_wait_in_call(struct exu_waits *waits, const struct exu_seen *seen, struct exu_wait *wait);

/* "the RLock 0x7f12", "a Lock" when its address is unknown. */
struct exu_string exu_wait_what(struct exu_waits *waits, const struct exu_wait *wait);

#endif
