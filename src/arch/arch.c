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

const char *exu_arch_machine_name(uint16_t machine) {
  switch (machine) {
  case 3: return "i386";
  case 20: return "ppc";
  case 21: return "ppc64";
  case 22: return "s390";
  case 40: return "arm";
  case 62: return "x86_64";
  case 183: return "aarch64";
  case 243: return "riscv";
  case 258: return "loongarch";
  default: return NULL;
  }
}

const struct exu_arch *exu_arch_host(void) {
#if defined(__x86_64__)
  return &exu_arch_x86_64;
#elif defined(__aarch64__)
  return &exu_arch_aarch64;
#else
  return NULL;
#endif
}

enum exu_system_call_id exu_arch_call(const struct exu_arch *arch, int64_t number) {
  const struct exu_call_number *items = arch->calls->items;
  size_t low = 0, high = arch->calls->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (items[middle].number < number)
      low = middle + 1;
    else
      high = middle;
  }
  return low < arch->calls->count && items[low].number == number ? (enum exu_system_call_id)items[low].id
                                                                 : EXU_SYS_NONE;
}

int64_t exu_arch_call_number(const struct exu_arch *arch, enum exu_system_call_id id) {
  for (size_t i = 0; i < arch->calls->count; i++)
    if (arch->calls->items[i].id == (int16_t)id) return arch->calls->items[i].number;
  return -1;
}
