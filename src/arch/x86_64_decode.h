/* SPDX-License-Identifier: Apache-2.0 */
/* One x86-64 instruction of 64-bit mode: how long it is, its operands, and which registers it may write. */
#ifndef EXUVIA_ARCH_X86_64_DECODE_H
#define EXUVIA_ARCH_X86_64_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86_64_opcodes.h"

/* General registers as instructions number them. */
enum { EXU_X86_RAX, EXU_X86_RCX, EXU_X86_RDX, EXU_X86_RBX, EXU_X86_RSP, EXU_X86_RBP, EXU_X86_RSI, EXU_X86_RDI };

enum { EXU_X86_NO_REGISTER = 16, EXU_X86_RIP = 17 };

struct exu_x86_decoded {
  struct exu_x86_instruction instruction;
  uint8_t length;
  bool rex;       /* has a REX prefix: byte registers 4 to 7 are those of rsp to rdi */
  bool odd;       /* 32-bit addresses, or a segment that has a base: its operand is not where it seems to be */
  bool has_modrm; /* and so what follows */
  uint8_t mod;    /* 3: `rm` is a register, else an operand in memory */
  uint8_t reg;    /* 0 to 15; without its extension bit it is the opcode's group */
  uint8_t rm;
  uint8_t other; /* the third register of VEX and EVEX instructions */
  uint8_t base;  /* EXU_X86_NO_REGISTER: none; EXU_X86_RIP */
  uint8_t index; /* EXU_X86_NO_REGISTER: none */
  int64_t displacement;
  int64_t immediate; /* sign-extended, also the distance of a jump; 0: none */
};

/* False: it is not known, not valid, or does not fit into `size` bytes. */
bool exu_x86_decode(const uint8_t *code, size_t size, struct exu_x86_decoded *decoded);

/*
 * Bit i: it may write general register i, with something other than what push, pop, leave, and calls do to rsp. Rather
 * too many than too few.
 */
uint32_t exu_x86_written(const struct exu_x86_decoded *decoded);

/* May it write its operand in memory, which has_modrm and mod say that it has? What pushes does it not count. */
bool exu_x86_stores(const struct exu_x86_decoded *decoded);

#endif
