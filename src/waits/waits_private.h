/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the waits share: what was seen of every thread while the process could be read. */
#ifndef EXUVIA_WAITS_WAITS_PRIVATE_H
#define EXUVIA_WAITS_WAITS_PRIVATE_H

#include "base/map.h"
#include "process/descriptors.h"
#include "waits/deadlock.h"
#include "waits/evidence.h"
#include "waits/executors.h"
#include "waits/mutex.h"
#include "waits/waits.h"

/* Descriptors of poll(2) and select(2) that are named. */
enum { EXU_WAIT_FDS = 4 };

/* One thread. */
struct exu_seen {
  struct exu_wait_subject subject;
  struct exu_call call;
  bool in_futex;
  struct exu_futex futex;
  struct exu_around around;
  size_t py_part;          /* of the subject, which told what `wait` has of Python */
  size_t works_for;        /* the pool whose thread it is, counted from 1; 0: none */
  size_t queued_in;        /* likewise: the pool in whose queue the result that it waits for has to be worked on yet */
  bool in_parts;           /* of that only parts may be in the queue */
  int64_t tid;             /* as the process itself numbers it */
  struct exu_wait_fd *fds; /* those of `wait`, until it is known what they are */
  bool lost;               /* what holds it is not in this process, which has been looked for */
  struct exu_wait wait;    /* what the report says; in the first step what Python and the process's memory tell */
};

/* A pool of threads. */
struct exu_wait_pool {
  struct exu_py *py;
  struct exu_py_pool of;
  struct exu_pool known; /* what the report says of it */
  size_t workers;        /* threads that were seen */
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
  struct exu_map by_gil;   /* key of a GIL -> struct exu_seen that holds it */
  struct exu_map by_held;  /* object -> 1 + its first index in the list of what is held */
  bool elsewhere;          /* the process numbers its threads otherwise than we do: it is in another PID namespace */
  bool all_idents;         /* by_ident has every thread of the process */
  bool gil_is_lost;        /* what holds the GIL is not in this process */
};

/* ---- finish.c: threads ------------------------------------------------------------------------------------------- */

/* The thread of a key in one of the maps; NULL: none, and for key 0. */
struct exu_seen *exu_wait_find(const struct exu_map *map, uint64_t key);

/* pthread_self() of a thread; 0: unknown. */
uint64_t exu_wait_self(const struct exu_process *process, const struct exu_os_thread *thread);

/* exu_is_thread of a struct exu_finishing: is there a thread of that number, shown or not? */
bool exu_wait_is_thread(const void *context, int64_t tid);

/* ---- calls.c ----------------------------------------------------------------------------------------------------- */

/* What is known of its system call: the call's own fields of its wait, the descriptor and what it is, the child. */
void exu_wait_put_call(struct exu_waits *waits, struct exu_seen *seen);

/* What it waits for, and how that is known, when nothing but its system call tells. */
void exu_wait_by_call(struct exu_waits *waits, struct exu_seen *seen);

/* ---- owners.c: what Python tells, and who the owner is ------------------------------------------------------------ */

/*
 * `owner` may be NULL: then only its number may be known (-1: it is not), or its ident. It may be a thread that is left
 * out of the report. An owner that is nowhere in the process is said to be that, when all threads of it are known.
 */
void exu_wait_set_owner(struct exu_finishing *finishing, struct exu_wait *wait, const struct exu_seen *owner,
                        int64_t tid);

void exu_wait_by_python(struct exu_finishing *finishing, struct exu_seen *seen);

/* ---- futexes.c, gil.c -------------------------------------------------------------------------------------------- */

void exu_wait_in_futex(struct exu_finishing *finishing, struct exu_seen *seen);
void exu_wait_for_gil(struct exu_finishing *finishing, struct exu_seen *seen);

/* ---- hang_reasons.c ------------------------------------------------------------------------------------------------ */

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

/* ---- pools.c ------------------------------------------------------------------------------------------------------- */

/* In the first step: the pools of threads, and who waits for what is in their queues. False only without memory. */
bool exu_waits_look_at_pools(struct exu_waits *waits);

/* All pools, in their order, as groups of threads. False only without memory. */
bool exu_wait_groups(struct exu_waits *waits, const struct exu_group **groups, size_t *count);

#endif
