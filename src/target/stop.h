/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stopping every thread of a live process for a moment. PTRACE_SEIZE and PTRACE_INTERRUPT add no signal and leave a
 * process that was stopped before stopped; the kernel lets everything go when the tracing thread ends, whatever ended
 * it.
 */
#ifndef EXUVIA_TARGET_STOP_H
#define EXUVIA_TARGET_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum {
  EXU_STOP_REGISTERS_MAX = 512,
  EXU_STOP_MAX_MS = 2000, /* no process is stopped for longer, whatever this program waits for meanwhile */
};

enum exu_stopped {
  EXU_STOPPED,
  EXU_STOPPED_NOT, /* it did not stop in time: it sleeps in the kernel and cannot be interrupted */
  EXU_STOPPED_GONE,
};

struct exu_stopped_thread {
  pid_t tid;
  enum exu_stopped state;
  int job_signal;                            /* the signal that had stopped it before (SIGSTOP, ...); 0: none */
  int pending;                               /* a signal on its way to it, delivered when it goes on; 0: none */
  size_t registers_size;                     /* 0: they could not be read */
  uint8_t registers[EXU_STOP_REGISTERS_MAX]; /* NT_PRSTATUS: pr_reg of a core */
};

struct exu_stop;

/*
 * Stop all threads of `pid`, those that appear meanwhile too. `tasks` is a descriptor of /proc/PID/task, which must
 * outlive the stop. On failure nothing is stopped: error->status is EXU_NOT_FOUND when there is no such process and
 * EXU_IO, with errno in *refused, when the kernel does not allow it.
 */
struct exu_stop *exu_stop_begin(pid_t pid, int tasks, int *refused, struct exu_error *error);

/* Borrowed until exu_stop_end; in the order of the kernel's list, at most EXU_TASKS_MAX. */
const struct exu_stopped_thread *exu_stop_threads(const struct exu_stop *stop, size_t *count);

/*
 * Let the process go on, and release the rest. Returns for how long it was stopped, in microseconds; *expired says that
 * this was EXU_STOP_MAX_MS and that it has run since.
 */
int64_t exu_stop_end(struct exu_stop *stop, bool *expired);

#endif
