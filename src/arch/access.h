/* SPDX-License-Identifier: Apache-2.0 */
/* What an instruction does to the memory that it reaches. */
#ifndef EXUVIA_ARCH_ACCESS_H
#define EXUVIA_ARCH_ACCESS_H

enum exu_access {
  EXU_ACCESS_UNKNOWN,
  EXU_ACCESS_READ,
  EXU_ACCESS_WRITE,
  EXU_ACCESS_EXECUTE, /* the fetch of the instruction itself; no instruction does that to itself */
  EXU_ACCESS_MODIFY,  /* reads and writes the same operand: which of them faulted, the instruction does not tell */
};

#endif
