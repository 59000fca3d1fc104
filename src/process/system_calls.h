/* SPDX-License-Identifier: Apache-2.0 */
/* System calls in which a thread can sleep: their names, their arguments, and which one a stopped thread is in. */
#ifndef EXUVIA_PROCESS_SYSTEM_CALLS_H
#define EXUVIA_PROCESS_SYSTEM_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "process/process.h"

/* How its timeout is given. */
enum exu_call_timeout {
  EXU_TIMEOUT_NONE,         /* it has none */
  EXU_TIMEOUT_MILLISECONDS, /* an int; negative: for ever */
  EXU_TIMEOUT_TIMESPEC,     /* NULL: for ever */
  EXU_TIMEOUT_TIMEVAL,
};

struct exu_system_call {
  const char *name;
  /*
   * Arguments of EXU_CALL_POLL: struct pollfd *, count, then a timeout; of EXU_CALL_SELECT: count, read set, write set,
   * exception set, timeout.
   */
  enum exu_call_class class;
  int8_t fd;         /* which argument is the file descriptor; -1: none */
  int8_t timeout_at; /* which argument is the timeout; -1: none */
  enum exu_call_timeout timeout;
};

/* NULL: not one of those listed. */
const struct exu_system_call *exu_system_call_find(const struct exu_arch *arch, int64_t number);

/* The system call that a thread is in. */
struct exu_call {
  int64_t number;                     /* -1: in none, or unknown */
  const struct exu_system_call *call; /* NULL: not one of those listed */
  uint64_t args[6];
  bool running;   /* the registers say that it is in no system call */
  bool restarted; /* restart_syscall(2): the call was interrupted before; `number` is the original one's, when known */
};

/*
 * Which call the registers tell of. After an interruption the kernel lets some calls go on under the number of
 * restart_syscall(2); the instructions before the pc or, where they do not, the arguments tell which one it was.
 */
void exu_call_look(const struct exu_process *process, const struct exu_registers *registers, struct exu_call *call);

/*
 * Make the registers of a core's threads tell of no system call that they are not in for certain. valgrind and qemu do
 * not keep its number; behind an instruction that calls, the one before may still tell it. Call it when the backing of
 * the space is installed: code is rarely saved in a core.
 */
void exu_calls_check(struct exu_process *process);

/*
 * Is the thread right behind a system call that sends this signal to a thread of its own process, or to the process?
 * *tid is that thread, or -1. The registers may be those of the moment when the signal came.
 */
bool exu_call_sends(const struct exu_process *process, const struct exu_registers *registers, int32_t signal,
                    int64_t *tid);

/*
 * Is the thread in a function like raise() of musl and of glibc up to 2.33, right behind the call that lets signals in
 * again? That blocks them while it sends one to its own thread (with a siginfo of SI_TKILL), which arrives there.
 */
bool exu_call_raises(const struct exu_process *process, const struct exu_registers *registers);

/* Its timeout, from the process's memory, in microseconds; -1: none, unknown, or a point in time. */
int64_t exu_call_timeout_us(const struct exu_process *process, const struct exu_call *call);

/* The process that it waits for; -1: none in particular, or it waits for none. */
int64_t exu_call_child(const struct exu_call *call);

/* The path that open(2) or openat(2) is called with; unknown for other calls, or when it cannot be read. */
struct exu_string exu_call_path(const struct exu_process *process, const struct exu_call *call,
                                struct exu_arena *arena);

/*
 * The descriptors that poll(2) and select(2) wait for: stores at most `capacity` of them and returns how many there are
 * in all (at most EXU_CALL_FDS_MAX); 0 also when they cannot be read.
 */
enum { EXU_CALL_FDS_MAX = 65536 };
size_t exu_call_descriptors(const struct exu_process *process, const struct exu_call *call, int32_t *fds,
                            size_t capacity);

#endif
