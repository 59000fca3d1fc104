/* SPDX-License-Identifier: Apache-2.0 */
#include "native/function_table.h"

#include <elf.h>
#include <string.h>

static bool read_bytes(const struct exu_process *process, uint64_t address, void *bytes, size_t size) {
  return exu_space_read(process->space, address, bytes, size) == EXU_READABLE;
}

/*
 * .eh_frame_hdr as all linkers write it: version 1, pointer to .eh_frame (4 bytes), count (4 bytes), then pairs of
 * function and FDE relative to the table, sorted.
 */
bool exu_function_find(const struct exu_process *process, const struct exu_modules *modules, uint64_t address,
                       struct exu_function *function) {
  static const uint8_t encodings[] = {1, 0x1b, 0x03, 0x3b};
  const struct exu_binary *module = exu_modules_find(modules, address);
  struct {
    uint8_t encodings[4];
    int32_t eh_frame;
    uint32_t count;
  } header;
  uint64_t table = 0;
  for (size_t i = 0; module && module->image && i < module->image->segment_count; i++) {
    const struct exu_elf_segment *segment = &module->image->segments[i];
    if (segment->type == PT_GNU_EH_FRAME) table = module->bias + segment->vaddr;
  }
  if (!table || !read_bytes(process, table, &header, sizeof header)) return false;
  if (memcmp(header.encodings, encodings, sizeof encodings) != 0) return false;
  struct exu_function found = {.start = 0, .end = module->end};
  for (uint32_t low = 0, high = header.count; low < high;) {
    uint32_t middle = low + (high - low) / 2;
    int32_t offset;
    if (!read_bytes(process, table + sizeof header + (uint64_t)middle * 8, &offset, sizeof offset)) return false;
    uint64_t start = table + (uint64_t)(int64_t)offset;
    if (start <= address) {
      found.start = start;
      low = middle + 1;
    } else {
      found.end = start;
      high = middle;
    }
  }
  if (found.start == 0) return false;
  *function = found;
  return true;
}
