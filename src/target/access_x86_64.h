/* SPDX-License-Identifier: Apache-2.0 */
/* Did an x86-64 instruction read or write the address at which it faulted? An answer only when it is certain. */
#ifndef EXUVIA_TARGET_ACCESS_X86_64_H
#define EXUVIA_TARGET_ACCESS_X86_64_H

#include <stddef.h>
#include <stdint.h>

#include "target/arch.h"

enum { EXU_X86_INSTRUCTION_MAX = 15 };

enum exu_access {
  EXU_ACCESS_UNKNOWN,
  EXU_ACCESS_READ,
  EXU_ACCESS_WRITE,
  EXU_ACCESS_EXECUTE, /* the fetch of the instruction itself; not an answer of exu_access_x86_64 */
  EXU_ACCESS_MODIFY,  /* reads and writes the same operand: which of them faulted, the instruction does not tell */
};

/*
 * `code` holds the `size` bytes from the pc on, of which the instruction need not use all. The answer is
 * EXU_ACCESS_UNKNOWN for an instruction that is not known, for one that reaches no memory, and for one whose operand,
 * as the registers give it, does not contain `address`.
 */
enum exu_access exu_access_x86_64(const uint8_t *code, size_t size, const struct exu_registers *registers,
                                  uint64_t address);

#endif
