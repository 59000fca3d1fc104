/* SPDX-License-Identifier: Apache-2.0 */
/* What an instruction does to the memory that it reaches, and why it cannot be executed. */
#ifndef EXUVIA_ARCH_ACCESS_H
#define EXUVIA_ARCH_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exu_access {
  EXU_ACCESS_UNKNOWN,
  EXU_ACCESS_READ,
  EXU_ACCESS_WRITE,
  EXU_ACCESS_EXECUTE, /* the fetch of the instruction itself; no instruction does that to itself */
  EXU_ACCESS_MODIFY,  /* reads and writes the same operand: which of them faulted, the instruction does not tell */
};

enum { EXU_INSTRUCTION_MAX = 15 }; /* bytes of the longest instruction of any machine */

struct exu_operand {
  enum exu_access access; /* never UNKNOWN, never EXECUTE */
  uint64_t address;
  uint64_t size; /* at most; the first byte is used for certain, unless masked */
};

struct exu_operands {
  struct exu_operand items[2];
  size_t count;      /* 0: the instruction is not known, or reaches no memory */
  bool unknown;      /* it may reach memory that is not told here */
  bool masked;       /* parts of an operand may be left out */
  uint8_t alignment; /* what the operand's address must be a multiple of; 0: anything goes, or it is not known */
  uint8_t divides;   /* bytes of the divisor of a division that traps on zero; 0: it is none */
  bool has_divisor;  /* the divisor is no operand but in a register, with this value: */
  uint64_t divisor;
  bool invalid;    /* it is there to raise the exception of invalid instructions */
  bool privileged; /* a program must not execute it */
};

/* The last exception that became a signal in a thread: not always the one that a handler runs for. */
enum exu_exception_kind {
  EXU_EXCEPTION_OTHER,
  EXU_EXCEPTION_PAGE,
  EXU_EXCEPTION_PROTECTION, /* what no page is to blame for: an address that cannot be, a privileged instruction */
  EXU_EXCEPTION_INVALID,    /* instruction */
  EXU_EXCEPTION_DIVISION,   /* by zero, or none so far */
  EXU_EXCEPTION_FLOAT,
};

struct exu_exception {
  enum exu_exception_kind kind;
  enum exu_access access; /* of a page fault, as are the next two */
  bool page_present;
  uint64_t address;
};

#endif
