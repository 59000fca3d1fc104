/* SPDX-License-Identifier: Apache-2.0 */
/* Why an instruction cannot be carried out with the registers and the memory as they are: only what is certain. */
#ifndef EXUVIA_PROCESS_OBSTACLE_H
#define EXUVIA_PROCESS_OBSTACLE_H

#include "process/process.h"

enum exu_obstacle_kind {
  EXU_OBSTACLE_NONE,       /* none, or it is not known */
  EXU_OBSTACLE_PAGE,       /* it reaches memory that is not there, or must not be used like this */
  EXU_OBSTACLE_PROTECTION, /* it reaches an address that no memory can have, or only the kernel may do this */
  EXU_OBSTACLE_INVALID,    /* it is made to be invalid */
  EXU_OBSTACLE_DIVISION,   /* it divides by zero */
};

struct exu_obstacle {
  enum exu_obstacle_kind kind;
  uint64_t address; /* PAGE */
  enum exu_access access;
};

/* Of the instruction at the pc. Its code must be readable: call it when the backing of the space is installed. */
struct exu_obstacle exu_obstacle_find(const struct exu_process *process, const struct exu_registers *registers);

/* Does the region forbid this use of its memory, whatever is in it? NULL: nothing is mapped. */
bool exu_region_forbids(const struct exu_region *region, enum exu_access access);

#endif
