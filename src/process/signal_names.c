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

struct code {
  int32_t signal; /* 0: any */
  int32_t code;
  const char *name;
};

/* include/uapi/asm-generic/siginfo.h */
static const struct code codes[] = {
    {0, 0, "SI_USER"},       {0, 0x80, "SI_KERNEL"},  {0, -1, "SI_QUEUE"},     {0, -2, "SI_TIMER"},
    {0, -3, "SI_MESGQ"},     {0, -4, "SI_ASYNCIO"},   {0, -5, "SI_SIGIO"},     {0, -6, "SI_TKILL"},
    {0, -7, "SI_DETHREAD"},  {0, -60, "SI_ASYNCNL"},  {4, 1, "ILL_ILLOPC"},    {4, 2, "ILL_ILLOPN"},
    {4, 3, "ILL_ILLADR"},    {4, 4, "ILL_ILLTRP"},    {4, 5, "ILL_PRVOPC"},    {4, 6, "ILL_PRVREG"},
    {4, 7, "ILL_COPROC"},    {4, 8, "ILL_BADSTK"},    {4, 9, "ILL_BADIADDR"},  {5, 1, "TRAP_BRKPT"},
    {5, 2, "TRAP_TRACE"},    {5, 3, "TRAP_BRANCH"},   {5, 4, "TRAP_HWBKPT"},   {5, 5, "TRAP_UNK"},
    {5, 6, "TRAP_PERF"},     {7, 1, "BUS_ADRALN"},    {7, 2, "BUS_ADRERR"},    {7, 3, "BUS_OBJERR"},
    {7, 4, "BUS_MCEERR_AR"}, {7, 5, "BUS_MCEERR_AO"}, {8, 1, "FPE_INTDIV"},    {8, 2, "FPE_INTOVF"},
    {8, 3, "FPE_FLTDIV"},    {8, 4, "FPE_FLTOVF"},    {8, 5, "FPE_FLTUND"},    {8, 6, "FPE_FLTRES"},
    {8, 7, "FPE_FLTINV"},    {8, 8, "FPE_FLTSUB"},    {8, 14, "FPE_FLTUNK"},   {8, 15, "FPE_CONDTRAP"},
    {11, 1, "SEGV_MAPERR"},  {11, 2, "SEGV_ACCERR"},  {11, 3, "SEGV_BNDERR"},  {11, 4, "SEGV_PKUERR"},
    {11, 5, "SEGV_ACCADI"},  {11, 6, "SEGV_ADIDERR"}, {11, 7, "SEGV_ADIPERR"}, {11, 8, "SEGV_MTEAERR"},
    {11, 9, "SEGV_MTESERR"}, {11, 10, "SEGV_CPERR"},  {17, 1, "CLD_EXITED"},   {17, 2, "CLD_KILLED"},
    {17, 3, "CLD_DUMPED"},   {17, 4, "CLD_TRAPPED"},  {17, 5, "CLD_STOPPED"},  {17, 6, "CLD_CONTINUED"},
    {29, 1, "POLL_IN"},      {29, 2, "POLL_OUT"},     {29, 3, "POLL_MSG"},     {29, 4, "POLL_ERR"},
    {29, 5, "POLL_PRI"},     {29, 6, "POLL_HUP"},     {31, 1, "SYS_SECCOMP"},  {31, 2, "SYS_USER_DISPATCH"},
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
