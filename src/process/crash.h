/* SPDX-License-Identifier: Apache-2.0 */
/* What killed the process: facts, and no more than is known. */
#ifndef EXUVIA_PROCESS_CRASH_H
#define EXUVIA_PROCESS_CRASH_H

#include "process/obstacle.h"
#include "process/process.h"
#include "process/siginfo.h"

/*
 * The crash of a process whose threads and pid are set, without its circumstances (exu_crash_describe). `siginfo` may be NULL.
 * Returns NULL without memory.
 */
struct exu_crash *exu_crash_create(struct exu_process *process, int32_t signal, const struct exu_siginfo *siginfo,
                                   struct exu_arena *arena);

/*
 * Find out whose process->crash was, if there is one, and fill in what follows from that. Call it when the backing of
 * the space is installed: code, which tells who raised a signal and whether memory was read or written, is rarely saved
 * in a core. A thread is called crashed only when that is certain.
 */
void exu_crash_describe(struct exu_process *process);

/* Did the process itself send the signal that ended it, perhaps in a handler of the signal that it died of? */
bool exu_crash_is_raised(const struct exu_process *process);

/*
 * Was it raised so, and may a handler tell more of it? None does of a signal that no fault gives, once it is certain
 * which thread raised it. Then, and only then, look at threads with exu_crash_handled until that returns true: those of
 * which exu_crash_may_handle says that a handler may run on their stack and be the one.
 */
bool exu_crash_handlers_tell(const struct exu_process *process);
bool exu_crash_may_handle(struct exu_process *process, const struct exu_os_thread *thread);

/* The signal handlers that run on a thread's stack, as unwinding from its registers found them. */
struct exu_handlers {
  const struct exu_os_thread *thread; /* of the process */
  const uint64_t *contexts;           /* addresses of their struct ucontext, innermost first */
  size_t count;
  bool complete; /* the thread's first frame was reached: there are no more */
};

/*
 * Say what the innermost handler of this thread ran for instead of who raised the signal again, if that is certain, and
 * mark the thread. False: this thread's handlers tell nothing.
 */
bool exu_crash_handled(struct exu_process *process, const struct exu_handlers *handlers);

/* No handler runs on the stack of any thread that may have one: who sent the signal did so for itself. */
void exu_crash_unhandled(struct exu_process *process);

/* ---- Private to the files of the crash --------------------------------------------------------------------------- */

/* Sent by a process, which siginfo names, rather than raised by the kernel. */
bool exu_crash_is_sent(int32_t code);

/* Does si_addr hold an address? */
bool exu_crash_has_address(int32_t signal, int32_t code);

/* It was this thread's, with these registers; NULL: nobody's, or it is not known. */
void exu_crash_blame(struct exu_process *process, struct exu_os_thread *thread, const struct exu_registers *registers);

/*
 * A handler that blocks its signal and raises it is left first: the signal comes when the instruction would be tried
 * once more. Say so if the first thread is at such an instruction. False: it is not, for all that is known.
 */
bool exu_crash_returned(struct exu_process *process);

/* Does this obstacle to an instruction give this signal? */
bool exu_crash_fits(enum exu_obstacle_kind kind, int32_t signal);

/*
 * Fill in what follows from the signal, its address and the crashed thread: place, access, file, stack_full and
 * system_call.
 */
void exu_crash_complete(struct exu_process *process);

#endif
