/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/arch.h"

#include "arch/machines.h"

const struct exu_arch *exu_arch_find(uint16_t machine, uint8_t elf_class, uint8_t elf_data) {
  static const struct exu_arch *const all[] = {&exu_arch_x86_64, &exu_arch_aarch64};
  enum { CLASS_64 = 2, DATA_BIG = 2 };
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    bool same_class = (all[i]->word_size == 8) == (elf_class == CLASS_64);
    if (all[i]->machine == machine && same_class && all[i]->big_endian == (elf_data == DATA_BIG)) return all[i];
  }
  return NULL;
}

/* When both of two operands contain the address, it is not told which of them it was. */
enum exu_access exu_arch_access(const struct exu_arch *arch, const uint8_t *code, size_t size,
                                const struct exu_registers *registers, uint64_t address) {
  struct exu_operands operands;
  enum exu_access access = EXU_ACCESS_UNKNOWN;
  if (!arch->find_operands) return EXU_ACCESS_UNKNOWN;
  arch->find_operands(code, size, registers, &operands);
  for (size_t i = 0; i < operands.count; i++) {
    const struct exu_operand *operand = &operands.items[i];
    if (address - operand->address >= operand->size || operand->access == access) continue;
    if (access != EXU_ACCESS_UNKNOWN) return EXU_ACCESS_UNKNOWN;
    access = operand->access;
  }
  return access;
}
