/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the live process share. */
#ifndef EXUVIA_PROCESS_LIVE_PRIVATE_H
#define EXUVIA_PROCESS_LIVE_PRIVATE_H

#include "memory/pages.h"
#include "process/live.h"
#include "process/stop.h"

struct exu_live {
  pid_t pid;
  struct exu_diagnostics *diagnostics; /* borrowed */
  int directory;                       /* /proc/PID */
  int tasks;                           /* /proc/PID/task */
  int self; /* /proc/PID/task/TID of a thread that lives: a main thread that has ended has no memory and no files */
  pid_t self_tid;
  int memory; /* /proc/PID/mem */
  int root;   /* /proc/PID/root, -1: not needed or not allowed */
  char root_path[64];
  struct exu_pages *changing; /* what the process can write to */
  struct exu_pages *constant; /* the rest */
  uint32_t changing_source;
  uint32_t constant_source;
  struct exu_stop *stop; /* NULL: it runs */
};

/* Read /proc/PID/maps into the space, which is finalized then, and into process->mappings. */
bool exu_live_read_maps(struct exu_process *process, struct exu_arena *arena, struct exu_error *error);

/*
 * Since when the process, or what it was forked from as long as that lives, runs this program, in nanoseconds since
 * 1970; 0: unknown. `process` is /proc/PID.
 */
int64_t exu_live_started(int process);

/*
 * Its working directory, as it sees it itself; unknown when that is not below its root. `self` is /proc/PID/task/TID.
 */
struct exu_string exu_live_directory(int self, struct exu_arena *arena);

/* Fill in *error for a refusal with `reason` (an errno): which rule it was, and what to do. Returns false. */
bool exu_live_refused(pid_t pid, int reason, struct exu_error *error);

/* Does /proc show the processes by the ids that system calls take? If not, fill in *error. */
bool exu_live_proc_is_own(struct exu_error *error);

/* Fill in *error for a process that /proc does not show, for `reason` (an errno). Returns false. */
bool exu_live_hidden(pid_t pid, int reason, struct exu_error *error);

#endif
