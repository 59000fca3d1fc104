/* SPDX-License-Identifier: Apache-2.0 */
/* Why a signal came: the kernel's siginfo_t. */
#ifndef EXUVIA_PROCESS_SIGINFO_H
#define EXUVIA_PROCESS_SIGINFO_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/cursor.h"

/* What siginfo_t says, as far as it was there. */
struct exu_siginfo {
  bool present;
  int32_t signal;
  int32_t error; /* si_errno */
  int32_t code;
  uint64_t address; /* si_addr */
  int32_t pid;      /* si_pid, in the same bytes as si_addr: `signal` and `code` say which one is meant */
  uint32_t uid;
};

enum { EXU_SIGINFO_SIZE = 128 };

/* Decode a siginfo_t of a machine. False when it is not whole. */
bool exu_siginfo_decode(const struct exu_arch *arch, struct exu_cursor bytes, struct exu_siginfo *siginfo);

#endif
