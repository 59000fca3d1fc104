/* SPDX-License-Identifier: Apache-2.0 */
/* What each x86-64 opcode does to its memory operand. */
#ifndef EXUVIA_ARCH_X86_64_OPCODES_H
#define EXUVIA_ARCH_X86_64_OPCODES_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/access.h"

enum exu_x86_encoding { EXU_X86_LEGACY, EXU_X86_VEX, EXU_X86_EVEX };

struct exu_x86_instruction {
  enum exu_x86_encoding encoding;
  uint8_t map; /* 0: one-byte opcodes, 1: 0F, 2: 0F 38, 3: 0F 3A */
  uint8_t opcode;
  uint8_t repeat; /* F2, F3, or 0 */
  bool has_66;
  bool wide;           /* REX.W and its like */
  uint8_t vector_size; /* bytes */
};

struct exu_x86_form {
  enum exu_access access; /* EXU_ACCESS_UNKNOWN: not known, or no memory operand */
  uint8_t size;           /* bytes of the operand, at most */
  uint8_t immediate;      /* bytes that follow the operand's address */
  bool pushes;            /* reads the operand and writes the stack */
};

/* Bytes of an integer operand. */
uint8_t exu_x86_operand_size(const struct exu_x86_instruction *instruction);

/* For an instruction with a ModRM byte whose middle field is `group`. */
struct exu_x86_form exu_x86_form(const struct exu_x86_instruction *instruction, unsigned group);

/* For a one-byte opcode: READ for a pop, WRITE for a push; UNKNOWN when it is something else. */
enum exu_access exu_x86_stack_access(uint8_t opcode);

#endif
