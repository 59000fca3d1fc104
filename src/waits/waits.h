/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every thread waits for, and who waits for whom. In two steps, because a live process is stopped only during the
 * first: exu_waits_read_thread reads the process, exu_waits_finish puts together what it saw, the names of native
 * functions and the other threads.
 */
#ifndef EXUVIA_WAITS_WAITS_H
#define EXUVIA_WAITS_WAITS_H

#include "base/diagnostics.h"
#include "exuvia/exuvia.h"
#include "process/process.h"
#include "waits/python_waits.h"

struct exu_waits; /* what was seen of all threads */

/* Runtimes of which one thread can have frames, as EXU_RUNTIMES_MAX. */
enum { EXU_WAIT_PARTS = 8 };

/* NULL without memory. */
struct exu_waits *exu_waits_create(const struct exu_process *process, struct exu_arena *arena,
                                   struct exu_diagnostics *diagnostics);
void exu_waits_destroy(struct exu_waits *waits); /* NULL is allowed */

/* The Python frames of a thread that one runtime runs, innermost first. They must live until exu_waits_find_holders. */
struct exu_wait_part {
  struct exu_py *py;
  const struct exu_py_frame *frames;
  size_t frame_count;
};

/* Look at one thread. False only without memory. */
struct exu_wait_subject {
  size_t thread;                  /* its index in the report */
  const struct exu_os_thread *os; /* its thread of the operating system; NULL: none */
  uint64_t ident;                 /* what threading knows it by; 0: none, or unknown */
  uint64_t gil;                   /* key of the GIL that it waits for; 0: none */
  uint64_t gil_holder;            /* the thread state that has that one; 0: nobody, or unknown */
  struct exu_string gil_of;       /* the version of the Python that has it, where there are several; else unknown */
  uint64_t gils[EXU_WAIT_PARTS];  /* keys of those that it holds; 0: no more */
  struct exu_wait_part parts[EXU_WAIT_PARTS]; /* one for each runtime that it has frames of */
  size_t part_count;
};
bool exu_waits_read_thread(struct exu_waits *waits, const struct exu_wait_subject *subject);

/* The same for threads that stopped only after the others had gone on. False only without memory. */
bool exu_waits_read_late(struct exu_waits *waits);

/*
 * After the last thread: look for the holders of locks that do not record their owner. Only then is the process let go.
 */
bool exu_waits_find_holders(struct exu_waits *waits);

/*
 * Fill in the `wait` of the report's threads (`threads`, which are those of the report while they may be written),
 * whose names and frames are there, and its deadlocks. False only without memory.
 */
bool exu_waits_finish(struct exu_waits *waits, struct exu_report *report, struct exu_thread *threads);

/* Has the process a handler for a signal that somebody may send it, or cannot that be asked? */
bool exu_wait_has_handler(int64_t pid);

/* exu_report_relate, of processes that run; `arenas` are those of the reports. False only without memory. */
bool exu_waits_between(struct exu_report *const *reports, struct exu_arena *const *arenas, size_t count);

#endif
