/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel puts on a thread's stack when it has it run a signal handler (arch/x86/kernel/signal_64.c,
 * struct rt_sigframe): why, and the registers of what was interrupted. It stays there after the handler has returned,
 * until something is written over it: only unwinding from the thread's registers tells whether a frame is in use.
 */
#ifndef EXUVIA_PROCESS_SIGNAL_FRAME_H
#define EXUVIA_PROCESS_SIGNAL_FRAME_H

#include "process/process.h"
#include "process/siginfo.h"

struct exu_signal_frame {
  struct exu_registers registers;
  struct exu_exception exception;
  struct exu_siginfo siginfo; /* without SA_SIGINFO it is not written: then it is what was on the stack before */
  uint64_t stack;             /* the thread's stack for handlers (sigaltstack(2)) */
  uint64_t stack_size;        /* 0: it had none */
};

/*
 * Read the frame whose struct ucontext is at `context`: where the stack pointer is when the handler has returned to the
 * code that calls rt_sigreturn(2). False when it cannot be read, or nobody has written down how this machine does it.
 */
bool exu_signal_frame_read(const struct exu_process *process, const struct exu_os_thread *thread, uint64_t context,
                           struct exu_signal_frame *frame);

/*
 * Find the frame of a handler that has returned to where the thread is, with nothing done in between: below the stack
 * pointer, or on the thread's stack for handlers, for which all memory that can be written is searched: up to a bound,
 * and process->scene says when that was not enough.
 */
bool exu_signal_frame_find_left(struct exu_process *process, const struct exu_os_thread *thread,
                                struct exu_signal_frame *frame);

/*
 * Is it certain, without unwinding, that no handler runs on this thread's stack? Looks at every word of it, and counts
 * the bytes down in process->scene: it is not certain any more when those are spent, or the work on the process is
 * over.
 */
bool exu_signal_frame_absent(struct exu_process *process, const struct exu_os_thread *thread);

/* Bytes that exu_signal_frame_absent may look at for one process: any number of threads may claim one stack. */
enum { EXU_SIGNAL_FRAME_BYTES_MAX = 512 << 20 };

#endif
