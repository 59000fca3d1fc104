/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the files that make a report's threads: join.c reads the process, stacks.c puts together what was read. */
#ifndef EXUVIA_REPORT_STACKS_PRIVATE_H
#define EXUVIA_REPORT_STACKS_PRIVATE_H

#include "python/frame/frames.h"
#include "python/runtime/chain.h"
#include "python/runtime/names.h"
#include "python/runtime/runtime.h"
#include "python/runtime/threads.h"
#include "report/merged_stack.h"
#include "report/stacks.h"
#include "waits/waits.h"

/* What a thread's stack is made of, from when it was read to when it is shown. */
struct exu_joined {
  const struct exu_os_thread *os; /* NULL: a thread state that no thread of the operating system claims */
  struct exu_stack_parts parts;
  struct exu_native_thread native;
};

struct exu_stacks {
  struct exu_report *report;
  struct exu_process *process;
  struct exu_runtimes *runtimes; /* NULL or empty: no Python */
  const struct exu_options *options;
  struct exu_diagnostics *diagnostics;
  struct exu_arena *arena;

  struct exu_py_threads python;
  struct exu_py_names *names; /* one for each interpreter */
  struct exu_map by_ident;    /* ident -> the first thread state, counted from 1 */
  size_t *place;              /* thread state -> index + 1 of the thread of the operating system that runs it */
  size_t *first;              /* thread of the operating system -> index + 1 of its first thread state */
  size_t *next_same;          /* thread state -> index + 1 of the next of the same thread */
  bool *untold;               /* thread of the operating system: nothing tells which thread state is its own, if any */
  bool *doubtful;             /* thread state: its ident says who made it, and nothing tells who runs it */
  struct exu_py_stack stack;  /* of the thread at hand, as the next: used again for every thread */
  EXU_VECTOR(struct exu_chain) chains;
  struct exu_py_chain chain, again; /* of the thread at hand, while the process runs: storage used again */
  bool moved;                       /* the thread at hand ran while it was read */

  struct exu_waits *waits;              /* NULL: without memory */
  struct exu_thread *threads;           /* the report's, while they are written */
  struct exu_interpreter *interpreters; /* likewise */
  struct exu_joined *joined;            /* one for each */
};

/* The reader of the runtime of a thread state. */
static inline struct exu_py *exu_state_py(const struct exu_stacks *stacks, const struct exu_py_thread *state) {
  return stacks->python.interpreters.items[state->interpreter].py;
}

/* What pthread_self() returns in a thread; 0: unknown. */
uint64_t exu_self(const struct exu_stacks *stacks, const struct exu_os_thread *os);

/* Fill in place, first, next_same, untold and doubtful. False only without memory. */
bool exu_place_thread_states(struct exu_stacks *stacks);

/* Read everything of Python that the report shows, thread by thread: fills in report->threads, but for their frames. */
void exu_join(struct exu_stacks *stacks);

/*
 * Read the frames of a thread state of a process that runs. `os`: its thread, if that is known. If it slept all the
 * while they are its stack; else many readings are compared, and when they do not agree the outer frames are kept on
 * which they do, and stacks->moved is set. As exu_py_frames otherwise.
 */
bool exu_read_running(struct exu_stacks *stacks, struct exu_py *py, uint64_t tstate, const struct exu_os_thread *os,
                      int64_t tid);

/* How many Python frames there are among the parts. */
size_t exu_merged_stack_frames(const struct exu_stack_parts *parts);

#endif
