/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a signal handler ran for. The kernel writes siginfo_t for handlers with SA_SIGINFO only, and the exception that
 * it keeps for a thread (trapno, err, cr2 in struct sigcontext) is the last one that became a signal: either can be a
 * leftover when another process sent the signal at hand. What is always new is the place that was interrupted: the
 * instruction there has to be one that raises this exception.
 */
#include "process/crash.h"
#include "process/obstacle.h"
#include "process/signal_frame.h"
#include "process/signal_names.h"
#include "process/system_calls.h"

struct fault {
  int32_t signal;
  bool has_code;
  int32_t code;
  bool has_address;
  uint64_t address;
  enum exu_access access;
};

static bool reaches(const struct exu_process *process, const struct exu_signal_frame *frame) {
  const struct exu_registers *registers = &frame->registers;
  const uint64_t address = frame->exception.address;
  const enum exu_access access = frame->exception.access;
  if (access == EXU_ACCESS_EXECUTE) return address - registers->pc < EXU_INSTRUCTION_MAX;
  uint8_t code[EXU_INSTRUCTION_MAX];
  size_t size = exu_space_read_some(process->space, registers->pc, code, sizeof code);
  enum exu_access known = exu_arch_access(process->arch, code, size, registers, address);
  return known == access || known == EXU_ACCESS_MODIFY;
}

/* ---- siginfo agrees with the exception --------------------------------------------------------------------------- */

/* Does the instruction reach this page, or does nobody know what it reaches? */
static bool may_reach(const struct exu_process *process, const struct exu_signal_frame *frame) {
  struct exu_operands operands;
  uint8_t code[EXU_INSTRUCTION_MAX];
  if (reaches(process, frame) || !process->arch->find_operands) return true;
  size_t size = exu_space_read_some(process->space, frame->registers.pc, code, sizeof code);
  process->arch->find_operands(code, size, &frame->registers, &operands);
  return size == 0 || operands.unknown;
}

static bool agrees(const struct exu_process *process, const struct exu_siginfo *info,
                   const struct exu_signal_frame *frame) {
  const struct exu_exception *exception = &frame->exception;
  const bool of_page =
      exception->kind == EXU_EXCEPTION_PAGE && info->address == exception->address && may_reach(process, frame);
  const bool of_instruction = info->address == frame->registers.pc;
  switch (info->signal) {
  case EXU_SIGSEGV:
    return of_page && (info->code == EXU_SEGV_MAPERR || info->code == EXU_SEGV_ACCERR || info->code == EXU_SEGV_PKUERR);
  case EXU_SIGBUS: return of_page && (info->code == EXU_BUS_ADRERR || info->code == EXU_BUS_MCEERR_AR);
  case EXU_SIGILL: return of_instruction && exception->kind == EXU_EXCEPTION_INVALID && info->code == EXU_ILL_ILLOPN;
  case EXU_SIGFPE:
    if (info->code == EXU_FPE_INTDIV) return of_instruction && exception->kind == EXU_EXCEPTION_DIVISION;
    return of_instruction && exception->kind == EXU_EXCEPTION_FLOAT && info->code > 0 &&
           exu_signal_code_name(EXU_SIGFPE, info->code);
  case EXU_SIGSYS: return of_instruction && info->code == EXU_SYS_SECCOMP;
  default: return false;
  }
}

static bool by_siginfo(const struct exu_process *process, const struct exu_signal_frame *frame, struct fault *fault) {
  const struct exu_siginfo *info = &frame->siginfo;
  if (!info->present || info->error != 0 || !agrees(process, info, frame)) return false;
  *fault = (struct fault){.signal = info->signal, .has_code = true, .code = info->code};
  fault->has_address = exu_crash_has_address(info->signal, info->code);
  fault->address = info->address;
  if (frame->exception.kind == EXU_EXCEPTION_PAGE && fault->has_address) fault->access = frame->exception.access;
  return true;
}

/* ---- The instruction agrees with the exception ------------------------------------------------------------------- */

/* Linux 6.13 makes guard pages inside of mappings; see crash_place.c. */
static bool is_guard(const struct exu_region *region, const struct exu_signal_frame *frame) {
  const uint64_t sp = frame->registers.sp;
  return region && !frame->exception.page_present && sp >= region->start && sp < region->end;
}

static bool by_page(const struct exu_process *process, const struct exu_signal_frame *frame, struct fault *fault) {
  const uint64_t address = frame->exception.address;
  const enum exu_access access = frame->exception.access;
  const struct exu_region *region = exu_space_find(process->space, address);
  if (!reaches(process, frame)) return false;
  *fault = (struct fault){.has_address = true, .address = address, .access = access};
  if (exu_region_forbids(region, access)) {
    fault->signal = EXU_SIGSEGV;
  } else if (process->crash->signal == EXU_SIGSEGV && is_guard(region, frame)) {
    fault->signal = EXU_SIGSEGV;
    fault->has_code = true;
    fault->code = EXU_SEGV_MAPERR;
  } else if (process->crash->signal == EXU_SIGBUS) {
    fault->signal = EXU_SIGBUS;
  }
  return fault->signal != 0;
}

static bool by_instruction(const struct exu_process *process, const struct exu_signal_frame *frame,
                           struct fault *fault) {
  if (frame->exception.kind == EXU_EXCEPTION_PAGE) return by_page(process, frame, fault);
  enum exu_obstacle_kind kind = exu_obstacle_find(process, &frame->registers).kind;
  *fault = (struct fault){.has_code = true};
  if (frame->exception.kind == EXU_EXCEPTION_PROTECTION && kind == EXU_OBSTACLE_PROTECTION) {
    fault->signal = EXU_SIGSEGV;
    fault->code = EXU_SI_KERNEL;
    return true;
  }
  fault->has_address = true;
  fault->address = frame->registers.pc;
  if (frame->exception.kind == EXU_EXCEPTION_INVALID && kind == EXU_OBSTACLE_INVALID) {
    fault->signal = EXU_SIGILL;
    fault->code = EXU_ILL_ILLOPN;
  } else if (frame->exception.kind == EXU_EXCEPTION_DIVISION && kind == EXU_OBSTACLE_DIVISION) {
    fault->signal = EXU_SIGFPE;
    fault->code = EXU_FPE_INTDIV;
  }
  return fault->signal != 0;
}

/* ---- Saying so --------------------------------------------------------------------------------------------------- */

static void set_raised_again(struct exu_crash *crash) {
  crash->raised_signal = crash->signal;
  crash->raised_name = crash->name;
}

static void take(struct exu_process *process, struct exu_os_thread *thread, const struct exu_registers *registers,
                 const struct fault *fault) {
  struct exu_crash *crash = process->crash;
  set_raised_again(crash);
  crash->signal = fault->signal;
  crash->name = exu_signal_name(fault->signal);
  crash->has_code = fault->has_code;
  crash->code = fault->code;
  crash->code_name = fault->has_code ? exu_signal_code_name(fault->signal, fault->code) : NULL;
  crash->has_address = fault->has_address;
  crash->address = fault->address;
  crash->sender_pid = crash->sender_uid = -1;
  exu_crash_blame(process, thread, registers);
  process->scene.access = fault->access;
}

/* Did the thread send the signal to itself, and the handler ran at once? */
static bool by_itself(const struct exu_process *process, const struct exu_os_thread *thread,
                      const struct exu_signal_frame *frame) {
  const uint64_t result = frame->registers.value[process->arch->call_result];
  int64_t tid;
  return exu_call_sends(process, &frame->registers, process->crash->signal, &tid) && result == 0 &&
         (tid < 0 || tid == thread->tid);
}

/* ---- A handler that has returned --------------------------------------------------------------------------------- */

bool exu_crash_returned(struct exu_process *process) {
  struct exu_os_thread *thread = &process->threads[0];
  struct exu_signal_frame frame;
  struct fault fault;
  if (!thread->registers.outside || thread->registers.valid == 0) return false;
  const bool returned = exu_signal_frame_find_left(process, thread, &frame);
  /* A fault that was mended long ago leaves the same behind, but then the instruction was carried out. */
  if (returned && thread->registers.faulted &&
      (by_siginfo(process, &frame, &fault) || by_instruction(process, &frame, &fault)) &&
      fault.signal == process->crash->signal) {
    take(process, thread, &thread->registers, &fault);
    process->crash->raised_by_handler = true;
    return true;
  }
  /* abort(3) is behind its own tgkill(2) still. */
  if (returned && by_itself(process, thread, &frame)) {
    set_raised_again(process->crash);
    exu_crash_blame(process, thread, &thread->registers);
    process->crash->raised_by_handler = true;
    return true;
  }
  /* Its frame may have been written over. That the thread cannot go on from here is certain without it. */
  struct exu_obstacle obstacle = exu_obstacle_find(process, &thread->registers);
  if (!exu_crash_fits(obstacle.kind, process->crash->signal)) return false;
  const bool of_page = obstacle.kind == EXU_OBSTACLE_PAGE, of_memory = process->crash->signal == EXU_SIGSEGV;
  fault = (struct fault){.signal = process->crash->signal,
                         .has_code = obstacle.kind == EXU_OBSTACLE_PROTECTION,
                         .code = EXU_SI_KERNEL,
                         .has_address = of_page || !of_memory,
                         .address = of_page ? obstacle.address : thread->registers.pc,
                         .access = obstacle.access};
  if (!of_memory) {
    fault.has_code = true;
    fault.code = process->crash->signal == EXU_SIGILL ? (int32_t)EXU_ILL_ILLOPN : (int32_t)EXU_FPE_INTDIV;
  }
  take(process, thread, &thread->registers, &fault);
  return true;
}

/* ---- Handlers that run ------------------------------------------------------------------------------------------- */

bool exu_crash_handled(struct exu_process *process, const struct exu_handlers *handlers) {
  struct exu_signal_frame frame;
  struct fault fault;
  size_t raised = 0;
  const bool is_sender = handlers->thread == process->scene.sender;
  for (size_t i = 0; i < handlers->count && raised == i; i++) {
    if (!exu_signal_frame_read(process, handlers->thread, handlers->contexts[i], &frame)) break;
    if (by_siginfo(process, &frame, &fault) || by_instruction(process, &frame, &fault)) {
      /* Another thread may raise the same signal for this one, as reporters of crashes do, or another for itself. */
      if (process->scene.sender && !is_sender && fault.signal != process->crash->signal) return false;
      take(process, &process->threads[handlers->thread - process->threads], &frame.registers, &fault);
      process->crash->raised_by_handler = is_sender;
      exu_crash_complete(process);
      return true;
    }
    raised += by_itself(process, handlers->thread, &frame);
  }
  const bool by_thread = handlers->complete && raised == handlers->count && (is_sender || raised > 0);
  if (!is_sender && (process->scene.sender || !by_thread)) return false;
  if (by_thread) {
    if (raised > 0) set_raised_again(process->crash);
    exu_crash_blame(process, &process->threads[handlers->thread - process->threads],
                    raised > 0 ? &frame.registers : &handlers->thread->registers);
    process->crash->raised_by_handler = is_sender && raised > 0;
  } else if (raised < handlers->count) {
    process->crash->handler_tid = handlers->thread->tid;
  }
  exu_crash_complete(process);
  return true;
}
