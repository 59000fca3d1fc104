/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stopping every thread of a live process for a moment. PTRACE_SEIZE and PTRACE_INTERRUPT add no signal and leave a
 * process that was stopped before stopped; the kernel lets everything go when the tracing thread ends, whatever ended
 * it.
 */
#ifndef EXUVIA_PROCESS_STOP_H
#define EXUVIA_PROCESS_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/limits.h"

enum {
  EXU_STOP_REGISTERS_MAX = 512,
  EXU_STOP_MAX_MS = 2000, /* no process is stopped for longer, whatever this program waits for meanwhile */
};

enum {
  EXU_STOP_LATE_MS = 1000, /* how long threads may take to stop that lack a processor, after the others went on */
};

/*
 * A thread that has not stopped in time sleeps in the kernel and cannot be interrupted, or it lacks a processor. Either
 * way it runs no instruction of its program before it stops: the kernel looks for the request whenever a thread is
 * about to return to user space, also one that had lost the processor there, and interrupts the processor of one that
 * runs. So its memory is that of its registers, which are not known yet.
 */
enum exu_stopped {
  EXU_STOPPED,
  EXU_STOPPED_NOT,
  EXU_STOPPED_GONE,
};

struct exu_stopped_thread {
  pid_t tid;
  enum exu_stopped state;
  bool late;                                 /* it stopped only after the others went on */
  int job_signal;                            /* the signal that had stopped it before (SIGSTOP, ...); 0: none */
  int pending;                               /* a signal on its way to it, delivered when it goes on; 0: none */
  size_t registers_size;                     /* 0: they could not be read */
  uint8_t registers[EXU_STOP_REGISTERS_MAX]; /* NT_PRSTATUS: pr_reg of a core */
};

struct exu_stop;

/*
 * Stop all threads of `pid`, those that appear meanwhile too. `tasks` is a descriptor of /proc/PID/task, which must
 * outlive the stop as `limits` must (NULL: none): when they are reached, everything goes on. On failure nothing is
 * stopped, and this returns NULL: error->status is EXU_NOT_FOUND when there is no such process and EXU_IO, with errno
 * in *refused (else 0), when the kernel does not allow it.
 */
struct exu_stop *exu_stop_begin(pid_t pid, int tasks, struct exu_limits *limits, int *refused, struct exu_error *error);

/* Borrowed until exu_stop_end; in the order of the kernel's list, at most EXU_TASKS_MAX. */
const struct exu_stopped_thread *exu_stop_threads(const struct exu_stop *stop, size_t *count);

/*
 * Let all go on that have stopped. Returns for how long the process was stopped, in microseconds; *expired says that
 * this was EXU_STOP_MAX_MS, or as long as the limits allowed, and that it has run since.
 */
int64_t exu_stop_release(struct exu_stop *stop, bool *expired);

/*
 * After exu_stop_release: wait until those that only lacked a processor have stopped, for EXU_STOP_LATE_MS at most.
 * From then to exu_stop_end they stand still.
 */
void exu_stop_await_late(struct exu_stop *stop);

/* Let everything go on, and free the rest. */
void exu_stop_end(struct exu_stop *stop);

#endif
