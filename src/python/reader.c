/* SPDX-License-Identifier: Apache-2.0 */
#include "python/reader.h"

#include <assert.h>
#include <string.h>

/* Every machine that is supported is little endian; a process of the other kind is refused when it is opened. */
static uint64_t number_of(const uint8_t *bytes, struct exu_field field) {
  uint64_t value = 0;
  memcpy(&value, bytes, field.size < sizeof value ? field.size : sizeof value);
  if (field.bit_count) value = value >> field.bit_shift & ((UINT64_C(1) << field.bit_count) - 1);
  return value;
}

bool exu_py_get(const struct exu_py *py, uint64_t address, struct exu_field field, uint64_t *value) {
  uint8_t bytes[sizeof *value];
  size_t size = field.size < sizeof bytes ? field.size : sizeof bytes;
  if (size == 0 || address == 0) return false;
  if (exu_space_read(py->space, address + field.offset, bytes, size) != EXU_READABLE) return false;
  *value = number_of(bytes, field);
  return true;
}

uint64_t exu_py_field(const void *structure, size_t size, struct exu_field field) {
  size_t width = field.size < sizeof(uint64_t) ? field.size : sizeof(uint64_t);
  if (width == 0 || field.offset > size || size - field.offset < width) return 0;
  return number_of((const uint8_t *)structure + field.offset, field);
}

size_t exu_py_extent(const struct exu_field *fields, size_t count) {
  size_t extent = 0;
  for (size_t i = 0; i < count; i++) {
    size_t width = fields[i].size < sizeof(uint64_t) ? fields[i].size : sizeof(uint64_t);
    if (width && fields[i].offset + width > extent) extent = fields[i].offset + width;
  }
  return extent;
}

bool exu_py_words(const struct exu_py *py, uint64_t address, uint64_t *values, size_t count) {
  uint8_t bytes[EXU_PY_WORDS_MAX * sizeof *values];
  const size_t word = exu_py_word_size(py);
  assert(count <= EXU_PY_WORDS_MAX);
  if (exu_space_read(py->space, address, bytes, count * word) != EXU_READABLE) return false;
  for (size_t i = 0; i < count; i++) values[i] = exu_arch_word(py->process->arch, bytes + i * word);
  return true;
}

bool exu_py_word(const struct exu_py *py, uint64_t address, uint64_t *value) {
  return exu_py_words(py, address, value, 1);
}

bool exu_py_plausible(uint64_t address) {
  enum { PAGE = 4096, ALIGNMENT = 8 /* of Python's allocator (Objects/obmalloc.c), with words of 32 bits too */ };
  return address >= PAGE && address % ALIGNMENT == 0 && address < UINT64_C(1) << 56;
}

bool exu_py_at_least(const struct exu_py *py, int major, int minor) {
  const struct exu_version *version = &py->runtime->build.version;
  return version->major > major || (version->major == major && version->minor >= minor);
}

/* ---- Readers ----------------------------------------------------------------------------------------------------- */

struct exu_py exu_py_reader(const struct exu_py_runtime *runtime, const struct exu_process *process,
                            struct exu_modules *modules, struct exu_arena *arena, struct exu_diagnostics *diagnostics) {
  return (struct exu_py){.runtime = runtime,
                         .process = process,
                         .space = process->space,
                         .modules = modules,
                         .arena = arena,
                         .diagnostics = diagnostics,
                         .finalizing = EXU_UNKNOWN,
                         .frames_left = EXU_PY_FRAMES_MAX,
                         .entries_left = EXU_PY_ENTRIES_MAX};
}

void exu_py_deinit(struct exu_py *py) {
  exu_map_deinit(&py->codes);
  exu_map_deinit(&py->types);
}
