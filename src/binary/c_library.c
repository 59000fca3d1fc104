/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/c_library.h"

#include "base/str.h"
#include "binary/debug_file.h"

static bool is_c_library(const struct exu_binary *module) {
  static const char *const names[] = {"libc.so", "libc-2.", "libpthread"}; /* the last one up to glibc 2.33 */
  const struct exu_string name = exu_base_name(module->path);
  if (module->main) return true; /* it may be linked statically */
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (exu_string_starts(name, names[i])) return true;
  }
  return false;
}

uint64_t exu_c_library_variable(struct exu_modules *modules, struct exu_binary *module, const char *name, size_t size) {
  struct exu_elf_symbol symbol;
  if (!is_c_library(module)) return 0;
  struct exu_elf_file *file = exu_modules_file_or_image(modules, module);
  if (!file || module->file_state == EXU_FILE_UNVERIFIED) return 0;
  return exu_elf_file_symbol(file, name, &symbol) && symbol.size == size ? module->bias + symbol.value : 0;
}
