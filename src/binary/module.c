/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/module.h"

struct exu_binary *exu_modules_find(const struct exu_modules *modules, uint64_t address) {
  size_t low = 0, high = modules->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (modules->items[middle].end <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low < modules->count && modules->items[low].start <= address ? &modules->items[low] : NULL;
}
