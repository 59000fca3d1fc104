/* SPDX-License-Identifier: Apache-2.0 */
/* Did an x86-64 instruction read or write the address at which it faulted? An answer only when it is certain. */
#ifndef EXUVIA_ARCH_X86_64_ACCESS_H
#define EXUVIA_ARCH_X86_64_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/access.h"
#include "arch/arch.h"

enum { EXU_X86_INSTRUCTION_MAX = 15 }; /* bytes */

struct exu_x86_operand {
  enum exu_access access; /* never UNKNOWN, never EXECUTE */
  uint64_t address;
  uint64_t size; /* at most; the first byte is used for certain, unless masked */
};

struct exu_x86_operands {
  struct exu_x86_operand items[2];
  size_t count;      /* 0: the instruction is not known, or reaches no memory */
  bool unknown;      /* it may reach memory that is not told here */
  bool masked;       /* parts of an operand may be left out */
  uint8_t alignment; /* what the operand's address must be a multiple of; 0: anything goes, or it is not known */
  uint8_t divides;   /* bytes of the divisor of a div or idiv; 0: it is neither */
  bool has_divisor;  /* the divisor is no operand but in a register, with this value: */
  uint64_t divisor;
};

/* The memory that the instruction at the pc reaches. `code` holds the `size` bytes from there on, as the next. */
void exu_operands_x86_64(const uint8_t *code, size_t size, const struct exu_registers *registers,
                         struct exu_x86_operands *operands);

/*
 * `code` holds the `size` bytes from the pc on, of which the instruction need not use all. The answer is
 * EXU_ACCESS_UNKNOWN for an instruction that is not known, for one that reaches no memory, and for one whose operand,
 * as the registers give it, does not contain `address`.
 */
enum exu_access exu_access_x86_64(const uint8_t *code, size_t size, const struct exu_registers *registers,
                                  uint64_t address);

#endif
