/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/module.h"

#include "base/search.h"

struct exu_binary *exu_modules_find(const struct exu_modules *modules, uint64_t address) {
  const size_t found = EXU_PARTITION_POINT(i, modules->count, modules->items[i].end <= address);
  return found < modules->count && modules->items[found].start <= address ? &modules->items[found] : NULL;
}
