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
