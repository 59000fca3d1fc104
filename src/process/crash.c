/* SPDX-License-Identifier: Apache-2.0 */
/* Whose crash it was. */
#include "process/crash.h"

#include "process/crash_place.h"
#include "process/signal_frame.h"
#include "process/signal_names.h"
#include "process/system_calls.h"

bool exu_crash_is_sent(int32_t code) {
  return code == EXU_SI_USER || code == EXU_SI_TKILL || code == EXU_SI_QUEUE || code == EXU_SI_MESGQ;
}

/*
 * Only in the synchronous signals, and not when the kernel has none to give: a general protection fault (SI_KERNEL), a
 * shadow stack mismatch, an asynchronous tag check.
 */
bool exu_crash_has_address(int32_t signal, int32_t code) {
  if (code <= 0 || code == EXU_SI_KERNEL) return false;
  switch (signal) {
  case EXU_SIGSEGV: return code != EXU_SEGV_MTEAERR && code != EXU_SEGV_CPERR;
  case EXU_SIGBUS:
  case EXU_SIGFPE:
  case EXU_SIGILL:
  case EXU_SIGTRAP: return true;
  default: return false;
  }
}

/* A signal that the kernel raises for what a thread does, in that thread. */
static bool is_of_faults(int32_t signal) {
  switch (signal) {
  case EXU_SIGBUS:
  case EXU_SIGSEGV:
  case EXU_SIGFPE:
  case EXU_SIGILL:
  case EXU_SIGTRAP:
  case EXU_SIGSYS: return true;
  default: return false;
  }
}

static bool is_fault(int32_t signal, int32_t code) {
  /* Memory went bad that nobody had asked for. */
  if (signal == EXU_SIGBUS && code == EXU_BUS_MCEERR_AO) return false;
  return code > 0 && is_of_faults(signal);
}

void exu_crash_blame(struct exu_process *process, struct exu_os_thread *thread, const struct exu_registers *registers) {
  if (process->scene.thread) process->scene.thread->crashed = false;
  process->scene.thread = thread;
  process->scene.access = EXU_ACCESS_UNKNOWN;
  process->scene.registers = thread ? *registers : (struct exu_registers){.syscall = -1};
  process->crash->tid = thread ? thread->tid : -1;
  if (thread) thread->crashed = true;
}

struct exu_crash *exu_crash_create(struct exu_process *process, int32_t signal, const struct exu_siginfo *siginfo,
                                   struct exu_arena *arena) {
  struct exu_crash *crash = exu_arena_alloc(arena, sizeof *crash);
  if (!crash) return NULL;
  *crash = (struct exu_crash){.signal = signal,
                              .name = exu_signal_name(signal),
                              .place = {.tid = -1},
                              .system_call = -1,
                              .sender_pid = -1,
                              .sender_uid = -1,
                              .tid = -1};
  process->crash = crash;
  process->scene.stack_bytes_left = EXU_SIGNAL_FRAME_BYTES_MAX;
  if (!siginfo) return crash;
  crash->has_code = true;
  crash->code = siginfo->code;
  crash->code_name = exu_signal_code_name(signal, siginfo->code);
  if (exu_crash_is_sent(siginfo->code)) {
    crash->sender_pid = siginfo->pid;
    crash->sender_uid = siginfo->uid;
  } else if (exu_crash_has_address(signal, siginfo->code)) {
    crash->has_address = true;
    crash->address = siginfo->address;
  }
  if (is_fault(signal, siginfo->code) && process->first_died && process->thread_count > 0)
    exu_crash_blame(process, &process->threads[0], &process->threads[0].registers);
  return crash;
}

/* ---- Without siginfo --------------------------------------------------------------------------------------------- */

bool exu_crash_fits(enum exu_obstacle_kind kind, int32_t signal) {
  switch (kind) {
  case EXU_OBSTACLE_PAGE: /* of SIGBUS, memory is mapped as it is used */
  case EXU_OBSTACLE_PROTECTION: return signal == EXU_SIGSEGV;
  case EXU_OBSTACLE_INVALID: return signal == EXU_SIGILL;
  case EXU_OBSTACLE_DIVISION: return signal == EXU_SIGFPE;
  default: return false;
  }
}

/* The only thread that could not go on: whose next instruction gives this very signal. */
static struct exu_os_thread *stuck(const struct exu_process *process) {
  const size_t count = process->first_died && process->thread_count > 0 ? 1 : process->thread_count;
  struct exu_os_thread *found = NULL;
  for (size_t i = 0; i < count; i++) {
    struct exu_os_thread *thread = &process->threads[i];
    if (!exu_crash_fits(exu_obstacle_find(process, &thread->registers).kind, process->crash->signal)) continue;
    if (found) return NULL;
    found = thread;
  }
  return found;
}

/* ---- Sent by the process itself ---------------------------------------------------------------------------------- */

/* The thread that has just sent the signal; NULL: it has gone on, or cannot be told. */
static struct exu_os_thread *find_sender(const struct exu_process *process) {
  for (size_t i = 0; i < process->thread_count; i++) {
    struct exu_os_thread *thread = &process->threads[i];
    int64_t tid;
    if (!exu_call_sends(process, &thread->registers, process->crash->signal, &tid)) continue;
    if (tid < 0 || tid == process->threads[0].tid) return thread;
  }
  struct exu_os_thread *receiver = &process->threads[0];
  return process->crash->code == EXU_SI_TKILL && exu_call_raises(process, &receiver->registers) ? receiver : NULL;
}

bool exu_crash_is_raised(const struct exu_process *process) {
  const struct exu_crash *crash = process->crash;
  return crash && crash->has_code && exu_crash_is_sent(crash->code) && process->pid > 0 &&
         crash->sender_pid == process->pid && process->first_died && process->thread_count > 0;
}

bool exu_crash_handlers_tell(const struct exu_process *process) {
  const struct exu_scene *scene = &process->scene;
  if (!exu_crash_is_raised(process)) return false;
  return !scene->thread || scene->thread != scene->sender || is_of_faults(process->crash->signal);
}

bool exu_crash_may_handle(struct exu_process *process, const struct exu_os_thread *thread) {
  return !exu_signal_frame_absent(process, thread);
}

/* A thread that raises a signal for itself gets it; one that sends it may do so for a handler in another thread. */
static bool may_be_for_another(struct exu_process *process, const struct exu_os_thread *sender) {
  if (process->crash->code == EXU_SI_TKILL && sender == &process->threads[0]) return false;
  for (size_t i = 0; i < process->thread_count; i++)
    if (&process->threads[i] != sender && exu_crash_may_handle(process, &process->threads[i])) return true;
  return false;
}

void exu_crash_unhandled(struct exu_process *process) {
  struct exu_os_thread *sender = process->scene.sender;
  if (process->scene.thread || !sender || exu_crash_may_handle(process, sender)) return;
  exu_crash_blame(process, sender, &sender->registers);
  exu_crash_complete(process);
}

static void decide(struct exu_process *process) {
  struct exu_os_thread *thread = NULL;
  if (process->scene.thread) {
    thread = process->scene.thread;
  } else if (!process->crash->has_code) {
    thread = stuck(process);
  } else if (exu_crash_is_raised(process)) {
    /* Where a handler may run, that may have been for what another process has sent. */
    thread = process->scene.sender = find_sender(process);
    if (!thread && exu_crash_returned(process)) return;
    if (thread && (exu_crash_may_handle(process, thread) || may_be_for_another(process, thread))) thread = NULL;
  }
  exu_crash_blame(process, thread, thread ? &thread->registers : NULL);
}

/*
 * The kernel could not put a frame for the handler on the stack, or the processor does not tell the address. If the
 * instruction cannot be carried out because of a page, it was that one.
 */
static void find_address(struct exu_process *process) {
  struct exu_crash *crash = process->crash;
  if (crash->signal != EXU_SIGSEGV || !crash->has_code || crash->code != EXU_SI_KERNEL || !process->scene.thread)
    return;
  struct exu_obstacle obstacle = exu_obstacle_find(process, &process->scene.registers);
  if (obstacle.kind != EXU_OBSTACLE_PAGE) return;
  crash->has_address = true;
  crash->address = obstacle.address;
  process->scene.access = obstacle.access;
}

/* A page that cannot be had: behind the end of its file, or lost by the device. Not memory that went bad. */
static bool lacks_page(const struct exu_crash *crash) {
  return crash->signal == EXU_SIGBUS && crash->has_address && (!crash->has_code || crash->code == EXU_BUS_ADRERR);
}

void exu_crash_complete(struct exu_process *process) {
  struct exu_crash *crash = process->crash;
  const bool memory = crash->signal == EXU_SIGSEGV || crash->signal == EXU_SIGBUS;
  const bool without_address = !crash->has_address && crash->has_code && crash->code == EXU_SI_KERNEL;
  crash->place = (struct exu_crash_place){.tid = -1};
  if (crash->has_address) crash->place = exu_crash_place(process, crash->address);
  crash->access = memory ? exu_crash_access(process, crash) : EXU_CRASH_ACCESS_UNKNOWN;
  crash->file = (struct exu_crash_file){.length = -1, .changed = EXU_UNKNOWN};
  if (lacks_page(crash)) crash->file = exu_crash_file(process, crash->address);
  crash->stack_full = memory && without_address && exu_crash_stack_is_full(process);
  crash->system_call = -1;
  if (crash->signal == EXU_SIGSYS && process->scene.thread) crash->system_call = process->scene.registers.syscall;
}

void exu_crash_describe(struct exu_process *process) {
  if (!process->crash) return;
  decide(process);
  find_address(process);
  exu_crash_complete(process);
}
