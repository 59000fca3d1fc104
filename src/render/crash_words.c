/* SPDX-License-Identifier: Apache-2.0 */
/* What a process died of. */
#include <string.h>

#include "render/escape.h"
#include "render/words.h"

struct meaning {
  const char *name, *words;
};

/* Signals of a program's own mistakes. */
static const struct meaning signals[] = {
    {"SIGILL", "Illegal instruction"}, {"SIGTRAP", "Trace or breakpoint trap"}, {"SIGABRT", "Aborted"},
    {"SIGBUS", "Bus error"},           {"SIGFPE", "Floating point exception"},  {"SIGSEGV", "Segmentation fault"},
    {"SIGSYS", "Bad system call"},
};

static const struct meaning codes[] = {
    {"SI_TIMER", "a timer"},
    {"SI_ASYNCIO", "asynchronous I/O"},
    {"SI_SIGIO", "queued I/O"},
    {"SI_ASYNCNL", "an asynchronous name lookup"},
    {"ILL_ILLOPC", "illegal opcode"},
    {"ILL_ILLOPN", "illegal operand"},
    {"ILL_ILLADR", "illegal addressing mode"},
    {"ILL_ILLTRP", "illegal trap"},
    {"ILL_PRVOPC", "privileged opcode"},
    {"ILL_PRVREG", "privileged register"},
    {"ILL_COPROC", "coprocessor error"},
    {"ILL_BADSTK", "internal stack error"},
    {"ILL_BADIADDR", "unimplemented instruction address"},
    {"TRAP_BRKPT", "breakpoint"},
    {"TRAP_TRACE", "trace trap"},
    {"TRAP_BRANCH", "branch trap"},
    {"TRAP_HWBKPT", "hardware breakpoint or watchpoint"},
    {"TRAP_UNK", "undiagnosed trap"},
    {"TRAP_PERF", "performance event"},
    {"BUS_ADRALN", "invalid address alignment"},
    {"BUS_ADRERR", "nonexistent physical address"},
    {"BUS_OBJERR", "hardware error of the mapped object"},
    {"BUS_MCEERR_AR", "hardware memory error"},
    {"BUS_MCEERR_AO", "hardware memory error, not yet used"},
    {"FPE_INTDIV", "integer divide by zero"},
    {"FPE_INTOVF", "integer overflow"},
    {"FPE_FLTDIV", "floating point divide by zero"},
    {"FPE_FLTOVF", "floating point overflow"},
    {"FPE_FLTUND", "floating point underflow"},
    {"FPE_FLTRES", "floating point inexact result"},
    {"FPE_FLTINV", "floating point invalid operation"},
    {"FPE_FLTSUB", "subscript out of range"},
    {"FPE_FLTUNK", "undiagnosed floating point exception"},
    {"FPE_CONDTRAP", "trap on condition"},
    {"SEGV_MAPERR", "address not mapped"},
    {"SEGV_ACCERR", "invalid permissions"},
    {"SEGV_BNDERR", "failed address bound checks"},
    {"SEGV_PKUERR", "access denied by memory protection keys"},
    {"SEGV_ACCADI", "ADI not enabled"},
    {"SEGV_ADIDERR", "disrupting ADI error"},
    {"SEGV_ADIPERR", "precise ADI exception"},
    {"SEGV_MTEAERR", "asynchronous memory tag check"},
    {"SEGV_MTESERR", "synchronous memory tag check"},
    {"SEGV_CPERR", "control protection"},
    {"SYS_SECCOMP", "forbidden by a seccomp filter"},
    {"SYS_USER_DISPATCH", "system call user dispatch"},
};

static bool is(const char *name, const char *other) { return name && strcmp(name, other) == 0; }

/* NULL: there are none. */
static const char *look_up(const struct meaning *meanings, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (is(name, meanings[i].name)) return meanings[i].words;
  return NULL;
}

#define LOOK_UP(meanings, name) look_up(meanings, sizeof(meanings) / sizeof *(meanings), name)

/* "SIGQUIT", "signal 40" */
static void put_signal(struct exu_output *out, const struct exu_crash *crash) {
  if (crash->name) {
    exu_out(out, crash->name);
    return;
  }
  exu_out(out, "signal ");
  exu_out_signed(out, crash->signal);
}

static void put_thread(struct exu_output *out, int64_t tid) {
  exu_out(out, "thread ");
  exu_out_signed(out, tid);
}

static void put_crashed(struct exu_output *out, const struct exu_crash *crash) {
  if (crash->tid <= 0) return;
  exu_out(out, " in ");
  put_thread(out, crash->tid);
}

/* ---- Where it was ------------------------------------------------------------------------------------------------ */

/* "r-x" */
static void put_protection(struct exu_output *out, const struct exu_crash_place *place) {
  if (!place->protection) return;
  exu_out(out, " (");
  exu_out(out, place->protection);
  exu_out_char(out, ')');
}

static void put_overflow(struct exu_output *out, const char *where, int64_t tid) {
  exu_out(out, where);
  exu_out(out, " the stack of ");
  put_thread(out, tid);
  exu_out(out, ": probably a stack overflow");
}

void exu_words_crash_place(struct exu_output *out, const struct exu_crash_place *place) {
  switch (place->kind) {
  case EXU_CRASH_AT_UNKNOWN: exu_out(out, "an unknown place"); break;
  case EXU_CRASH_AT_NOTHING: exu_out(out, "no mapping"); break;
  case EXU_CRASH_AT_FILE:
    exu_out_escaped(out, place->path, 0, EXU_PATH_SHOWN);
    put_protection(out, place);
    break;
  case EXU_CRASH_BELOW_STACK: put_overflow(out, "just below", place->tid); break;
  case EXU_CRASH_AT_GUARD_PAGE: put_overflow(out, "a guard page below", place->tid); break;
  case EXU_CRASH_AT_STACK:
    exu_out(out, "the stack of ");
    put_thread(out, place->tid);
    break;
  case EXU_CRASH_AT_VDSO:
    exu_out(out, "the kernel's vdso");
    put_protection(out, place);
    break;
  case EXU_CRASH_AT_RESERVED:
    exu_out(out, "reserved memory without any access");
    put_protection(out, place);
    break;
  case EXU_CRASH_AT_ANONYMOUS:
    exu_out(out, "anonymous memory");
    put_protection(out, place);
    break;
  }
}

/* "in anonymous memory (rw-)", but "(no mapping)" */
static void put_place(struct exu_output *out, const struct exu_crash *crash) {
  enum { NEAR = 65536 }; /* vm.mmap_min_addr: the kernel maps nothing below */
  const struct exu_crash_place *place = &crash->place;
  if (place->kind == EXU_CRASH_AT_UNKNOWN) return;
  if (place->protection && place->kind != EXU_CRASH_AT_GUARD_PAGE && place->kind != EXU_CRASH_AT_STACK) {
    exu_out(out, " in ");
    exu_words_crash_place(out, place);
    return;
  }
  exu_out(out, " (");
  if (place->kind == EXU_CRASH_AT_NOTHING && crash->address < NEAR) {
    exu_out(out, crash->address == 0 ? "NULL" : "near NULL");
  } else {
    exu_words_crash_place(out, place);
  }
  exu_out_char(out, ')');
}

/* ---- What it was ------------------------------------------------------------------------------------------------- */

/* Sent by a process, rather than raised by the kernel. */
static bool is_sent(const struct exu_crash *crash) {
  return is(crash->code_name, "SI_USER") || is(crash->code_name, "SI_TKILL") || is(crash->code_name, "SI_QUEUE") ||
         is(crash->code_name, "SI_MESGQ");
}

static void put_raised(struct exu_output *out, const struct exu_crash *crash) {
  const char *description = LOOK_UP(signals, crash->name);
  exu_out(out, description ? description : "Killed by");
  exu_out(out, description ? " (" : " ");
  put_signal(out, crash);
  if (crash->handler_tid > 0) {
    exu_out(out, " raised by a signal handler in ");
    put_thread(out, crash->handler_tid);
  } else {
    exu_out(out, " raised by the process itself");
  }
  if (description) exu_out_char(out, ')');
  if (crash->handler_tid <= 0) put_crashed(out, crash);
}

static void put_sent(struct exu_output *out, const struct exu_crash *crash, int64_t pid) {
  if (crash->sender_pid == pid && pid > 0) {
    put_raised(out, crash);
    return;
  }
  exu_out(out, "Killed by ");
  put_signal(out, crash);
  /* The kernel puts 0 when the sender has no number in the namespace of the receiver. */
  if (crash->sender_pid == 0) {
    exu_out(out, " sent from outside of its PID namespace");
  } else {
    exu_out(out, " sent by process ");
    exu_out_signed(out, crash->sender_pid);
  }
  exu_out(out, " (uid ");
  exu_out_signed(out, crash->sender_uid);
  exu_out_char(out, ')');
}

/* A fault of memory: what was being done, to which address, and what is there. */
static void put_fault(struct exu_output *out, const struct exu_crash *crash, const char *description) {
  const bool by_kernel = is(crash->code_name, "SI_KERNEL");
  exu_out(out, description);
  if (!crash->has_address && crash->stack_full) {
    exu_out(out, " ");
    put_overflow(out, "at the end of", crash->tid);
    return;
  }
  if (!crash->has_address && by_kernel) {
    exu_out(out, " for which the kernel gives no address (a non-canonical or misaligned one, or none)");
  } else if (crash->has_address) {
    switch (crash->access) {
    case EXU_CRASH_READS: exu_out(out, " reading"); break;
    case EXU_CRASH_WRITES: exu_out(out, " writing"); break;
    case EXU_CRASH_EXECUTES: exu_out(out, " executing"); break;
    default: exu_out(out, " at"); break;
    }
    exu_out(out, " address ");
    exu_out_hex(out, crash->address);
    put_place(out, crash);
  }
  put_crashed(out, crash);
}

/* Of a program's own mistakes, but for those of memory: what the kernel or the processor says. */
static void put_mistake(struct exu_output *out, const struct exu_crash *crash, const char *description) {
  const char *why = LOOK_UP(codes, crash->code_name);
  exu_out(out, description);
  if (crash->system_call >= 0 && why) {
    exu_out_char(out, ' ');
    exu_out_signed(out, crash->system_call);
  }
  exu_out(out, " (");
  exu_out(out, why ? why : crash->name);
  exu_out_char(out, ')');
  if (crash->has_address && why) {
    exu_out(out, " at ");
    exu_out_hex(out, crash->address);
    if (crash->place.kind != EXU_CRASH_AT_UNKNOWN) {
      exu_out(out, " in ");
      exu_words_crash_place(out, &crash->place);
    }
  }
  put_crashed(out, crash);
}

static void put_other(struct exu_output *out, const struct exu_crash *crash) {
  const char *why = LOOK_UP(codes, crash->code_name);
  exu_out(out, "Killed by ");
  put_signal(out, crash);
  if (is(crash->code_name, "SI_KERNEL")) {
    exu_out(out, " sent by the kernel");
  } else if (why) {
    exu_out(out, " from ");
    exu_out(out, why);
  }
}

static void put_cause(struct exu_output *out, const struct exu_crash *crash, int64_t pid) {
  const char *description = LOOK_UP(signals, crash->name);
  const bool of_memory = is(crash->name, "SIGSEGV") || is(crash->name, "SIGBUS");
  if (is_sent(crash)) {
    put_sent(out, crash, pid);
  } else if (of_memory && (crash->has_address || is(crash->code_name, "SI_KERNEL"))) {
    put_fault(out, crash, description);
  } else if (description) {
    put_mistake(out, crash, description);
  } else {
    put_other(out, crash);
  }
}

/* ---- What came of it --------------------------------------------------------------------------------------------- */

static void put_end(struct exu_output *out, const struct exu_crash *crash) {
  const char *name = crash->raised_name ? crash->raised_name : "another signal";
  if (crash->raised_signal == 0) return;
  if (crash->raised_signal == crash->signal) {
    exu_out(out, ", raised again by ");
    exu_out(out, crash->raised_by_handler ? "a signal handler" : "the process itself");
    return;
  }
  exu_out(out, crash->raised_by_handler ? ", for which a signal handler raised " : ", and then the process raised ");
  exu_out(out, name);
  if (!crash->raised_by_handler) exu_out(out, " itself");
}

/* How much of a file was mapped, and how much of it there is. */
static void put_file(struct exu_output *out, const struct exu_crash_file *file) {
  if (!file->path.data) return;
  exu_out(out, ": byte ");
  exu_out_grouped(out, file->position);
  exu_out(out, " of the file, of which ");
  exu_out_count(out, file->mapped_bytes, "byte");
  exu_out(out, " from offset ");
  exu_out_grouped(out, file->mapped_from);
  exu_out(out, " were mapped");
  if (file->length < 0) return;
  exu_out(out, "; a file of that name is ");
  exu_out_count(out, (uint64_t)file->length, "byte");
  exu_out(out, " long here");
  exu_out(out, file->changed == EXU_NO    ? ", unchanged since this core file was written"
               : file->changed == EXU_YES ? ", changed after this core file was written"
                                          : " now");
}

void exu_words_crash(struct exu_output *out, const struct exu_report *report) {
  const struct exu_crash *crash = report->crash;
  put_cause(out, crash, report->pid);
  put_end(out, crash);
  put_file(out, &crash->file);
  if (!crash->message.data) return;
  exu_out(out, "; the last words of the C library: ");
  exu_out_escaped(out, crash->message, 0, EXU_MESSAGE_SHOWN);
}
