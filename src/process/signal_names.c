/* SPDX-License-Identifier: Apache-2.0 */
#include "process/signal_names.h"

#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* include/uapi/asm-generic/signal.h, which x86 and ARM share in this respect. 32 and 33 belong to the C library. */
static const char *const names[] = {
    NULL,        "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
    "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS",
};

const char *exu_signal_name(int32_t signal) {
  enum { SIGRTMIN_ = 34, SIGRTMAX_ = 64 };
  if (signal == SIGRTMIN_) return "SIGRTMIN";
  if (signal == SIGRTMAX_) return "SIGRTMAX";
  return signal > 0 && (size_t)signal < COUNT(names) ? names[signal] : NULL;
}

const char *exu_signal_description(int32_t signal) {
  switch (signal) {
  case EXU_SIGILL: return "Illegal instruction";
  case EXU_SIGTRAP: return "Trace or breakpoint trap";
  case EXU_SIGABRT: return "Aborted";
  case EXU_SIGBUS: return "Bus error";
  case EXU_SIGFPE: return "Floating point exception";
  case EXU_SIGSEGV: return "Segmentation fault";
  case EXU_SIGSYS: return "Bad system call";
  default: return NULL;
  }
}

struct code {
  int32_t signal; /* 0: any */
  int32_t code;
  const char *name;
  const char *description;
};

/* include/uapi/asm-generic/siginfo.h */
static const struct code codes[] = {
    {0, 0, "SI_USER", NULL},
    {0, 0x80, "SI_KERNEL", NULL},
    {0, -1, "SI_QUEUE", NULL},
    {0, -2, "SI_TIMER", "a timer"},
    {0, -3, "SI_MESGQ", NULL},
    {0, -4, "SI_ASYNCIO", "asynchronous I/O"},
    {0, -5, "SI_SIGIO", "queued I/O"},
    {0, -6, "SI_TKILL", NULL},
    {0, -7, "SI_DETHREAD", NULL},
    {0, -60, "SI_ASYNCNL", "an asynchronous name lookup"},
    {4, 1, "ILL_ILLOPC", "illegal opcode"},
    {4, 2, "ILL_ILLOPN", "illegal operand"},
    {4, 3, "ILL_ILLADR", "illegal addressing mode"},
    {4, 4, "ILL_ILLTRP", "illegal trap"},
    {4, 5, "ILL_PRVOPC", "privileged opcode"},
    {4, 6, "ILL_PRVREG", "privileged register"},
    {4, 7, "ILL_COPROC", "coprocessor error"},
    {4, 8, "ILL_BADSTK", "internal stack error"},
    {4, 9, "ILL_BADIADDR", "unimplemented instruction address"},
    {5, 1, "TRAP_BRKPT", "breakpoint"},
    {5, 2, "TRAP_TRACE", "trace trap"},
    {5, 3, "TRAP_BRANCH", "branch trap"},
    {5, 4, "TRAP_HWBKPT", "hardware breakpoint or watchpoint"},
    {5, 5, "TRAP_UNK", "undiagnosed trap"},
    {5, 6, "TRAP_PERF", "performance event"},
    {7, 1, "BUS_ADRALN", "invalid address alignment"},
    {7, 2, "BUS_ADRERR", "nonexistent physical address"},
    {7, 3, "BUS_OBJERR", "hardware error of the mapped object"},
    {7, 4, "BUS_MCEERR_AR", "hardware memory error"},
    {7, 5, "BUS_MCEERR_AO", "hardware memory error, not yet used"},
    {8, 1, "FPE_INTDIV", "integer divide by zero"},
    {8, 2, "FPE_INTOVF", "integer overflow"},
    {8, 3, "FPE_FLTDIV", "floating point divide by zero"},
    {8, 4, "FPE_FLTOVF", "floating point overflow"},
    {8, 5, "FPE_FLTUND", "floating point underflow"},
    {8, 6, "FPE_FLTRES", "floating point inexact result"},
    {8, 7, "FPE_FLTINV", "floating point invalid operation"},
    {8, 8, "FPE_FLTSUB", "subscript out of range"},
    {8, 14, "FPE_FLTUNK", "undiagnosed floating point exception"},
    {8, 15, "FPE_CONDTRAP", "trap on condition"},
    {11, 1, "SEGV_MAPERR", "address not mapped"},
    {11, 2, "SEGV_ACCERR", "invalid permissions"},
    {11, 3, "SEGV_BNDERR", "failed address bound checks"},
    {11, 4, "SEGV_PKUERR", "access denied by memory protection keys"},
    {11, 5, "SEGV_ACCADI", "ADI not enabled"},
    {11, 6, "SEGV_ADIDERR", "disrupting ADI error"},
    {11, 7, "SEGV_ADIPERR", "precise ADI exception"},
    {11, 8, "SEGV_MTEAERR", "asynchronous memory tag check"},
    {11, 9, "SEGV_MTESERR", "synchronous memory tag check"},
    {11, 10, "SEGV_CPERR", "control protection"},
    {17, 1, "CLD_EXITED", NULL},
    {17, 2, "CLD_KILLED", NULL},
    {17, 3, "CLD_DUMPED", NULL},
    {17, 4, "CLD_TRAPPED", NULL},
    {17, 5, "CLD_STOPPED", NULL},
    {17, 6, "CLD_CONTINUED", NULL},
    {29, 1, "POLL_IN", NULL},
    {29, 2, "POLL_OUT", NULL},
    {29, 3, "POLL_MSG", NULL},
    {29, 4, "POLL_ERR", NULL},
    {29, 5, "POLL_PRI", NULL},
    {29, 6, "POLL_HUP", NULL},
    {31, 1, "SYS_SECCOMP", "forbidden by a seccomp filter"},
    {31, 2, "SYS_USER_DISPATCH", "system call user dispatch"},
};

static const struct code *find(int32_t signal, int32_t code) {
  for (size_t i = 0; i < COUNT(codes); i++)
    if ((codes[i].signal == 0 || codes[i].signal == signal) && codes[i].code == code) return &codes[i];
  return NULL;
}

const char *exu_signal_code_name(int32_t signal, int32_t code) {
  const struct code *found = find(signal, code);
  return found ? found->name : NULL;
}

const char *exu_signal_code_description(int32_t signal, int32_t code) {
  const struct code *found = find(signal, code);
  return found ? found->description : NULL;
}
