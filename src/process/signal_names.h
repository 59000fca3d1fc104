/* SPDX-License-Identifier: Apache-2.0 */
/* Names of signals, as Linux numbers them on x86 and ARM. Static strings; NULL when there is none. */
#ifndef EXUVIA_PROCESS_SIGNAL_NAMES_H
#define EXUVIA_PROCESS_SIGNAL_NAMES_H

#include <stdint.h>

/*
 * Numbers of the process, which need not be those of the machine that this program runs on. The si_code values that
 * are the same for all signals: positive ones come from the kernel.
 */
enum exu_signal {
  EXU_SIGILL = 4,
  EXU_SIGTRAP = 5,
  EXU_SIGABRT = 6,
  EXU_SIGBUS = 7,
  EXU_SIGFPE = 8,
  EXU_SIGSEGV = 11,
  EXU_SIGSYS = 31,
};
enum exu_signal_code {
  EXU_SI_USER = 0,
  EXU_SI_KERNEL = 0x80,
  EXU_SI_QUEUE = -1,
  EXU_SI_MESGQ = -3,
  EXU_SI_TKILL = -6,
};
enum exu_segv_code {
  EXU_SEGV_MAPERR = 1,
  EXU_SEGV_ACCERR = 2,
  EXU_SEGV_PKUERR = 4,
  EXU_SEGV_MTEAERR = 8,
  EXU_SEGV_CPERR = 10,
};
enum exu_bus_code { EXU_BUS_ADRERR = 2, EXU_BUS_MCEERR_AR = 4, EXU_BUS_MCEERR_AO = 5 };
enum { EXU_ILL_ILLOPN = 2, EXU_FPE_INTDIV = 1, EXU_SYS_SECCOMP = 1 };

const char *exu_signal_name(int32_t signal);                    /* "SIGSEGV" */
const char *exu_signal_code_name(int32_t signal, int32_t code); /* "SEGV_MAPERR" */

#endif
