/* SPDX-License-Identifier: Apache-2.0 */
#include "process/obstacle.h"

bool exu_region_forbids(const struct exu_region *region, enum exu_access access) {
  if (!region) return true;
  if (region->prot & EXU_PROT_UNKNOWN) return false;
  switch (access) {
  /* x86 has no mapping that can be written or executed but not be read. */
  case EXU_ACCESS_READ: return region->prot == 0;
  case EXU_ACCESS_WRITE:
  case EXU_ACCESS_MODIFY: return !(region->prot & EXU_PROT_WRITE);
  case EXU_ACCESS_EXECUTE: return !(region->prot & EXU_PROT_EXEC);
  default: return false;
  }
}

static bool is_canonical(const struct exu_arch *arch, uint64_t address) {
  const uint8_t bits = arch->canonical_bits;
  return bits == 0 || address >> bits == 0 || ~address >> bits == 0;
}

static bool divides_by_zero(const struct exu_process *process, const struct exu_operands *operands) {
  uint64_t divisor = 0;
  if (operands->divides == 0) return false;
  if (operands->has_divisor) return operands->divisor == 0;
  return operands->count == 1 &&
         exu_space_read(process->space, operands->items[0].address, &divisor, operands->divides) == EXU_READABLE &&
         divisor == 0;
}

struct exu_obstacle exu_obstacle_find(const struct exu_process *process, const struct exu_registers *registers) {
  struct exu_obstacle found = {.kind = EXU_OBSTACLE_NONE};
  const struct exu_arch *arch = process->arch;
  if (registers->valid == 0 || !arch->find_operands) return found;
  if (is_canonical(arch, registers->pc) &&
      exu_region_forbids(exu_space_find(process->space, registers->pc), EXU_ACCESS_EXECUTE))
    return (struct exu_obstacle){EXU_OBSTACLE_PAGE, registers->pc, EXU_ACCESS_EXECUTE};

  uint8_t code[EXU_INSTRUCTION_MAX];
  size_t size = exu_space_read_some(process->space, registers->pc, code, sizeof code);
  if (size == 0) return found;
  struct exu_operands operands;
  arch->find_operands(code, size, registers, &operands);
  if (operands.invalid) found.kind = EXU_OBSTACLE_INVALID;
  if (operands.privileged) found.kind = EXU_OBSTACLE_PROTECTION;
  for (size_t i = 0; i < operands.count && !operands.masked && found.kind == EXU_OBSTACLE_NONE; i++) {
    const struct exu_operand *operand = &operands.items[i];
    const struct exu_region *region = exu_space_find(process->space, operand->address);
    const bool misaligned = operands.alignment > 1 && operand->address % operands.alignment != 0;
    if (misaligned || (!region && !is_canonical(arch, operand->address)))
      found.kind = EXU_OBSTACLE_PROTECTION;
    else if (exu_region_forbids(region, operand->access))
      found = (struct exu_obstacle){EXU_OBSTACLE_PAGE, operand->address, operand->access};
  }
  if (found.kind == EXU_OBSTACLE_NONE && divides_by_zero(process, &operands)) found.kind = EXU_OBSTACLE_DIVISION;
  /* What is read and written in one go is read first. */
  if (found.access == EXU_ACCESS_MODIFY)
    found.access = exu_region_forbids(exu_space_find(process->space, found.address), EXU_ACCESS_READ)
                       ? EXU_ACCESS_UNKNOWN
                       : EXU_ACCESS_WRITE;
  return found;
}
