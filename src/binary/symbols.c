/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/symbols.h"

#include <stdlib.h>

#include "base/guard.h"
#include "binary/debug_file.h"

/* The files that may have symbols, the best first. */
struct sources {
  struct exu_elf_file *files[3];
  size_t count;
};

static void add(struct sources *sources, struct exu_elf_file *file) {
  if (file) sources->files[sources->count++] = file;
}

static struct sources sources_of(struct exu_modules *modules, struct exu_binary *module) {
  struct sources sources = {.count = 0};
  struct exu_elf_file *file = exu_modules_file_or_image(modules, module), *debug = NULL;
  enum exu_symbols own = file ? exu_elf_file_symbols(file) : EXU_SYMBOLS_NONE;
  if (own == EXU_SYMBOLS_SYMTAB || own == EXU_SYMBOLS_DWARF) {
    add(&sources, file);
    return sources;
  }
  if (module->file_state != EXU_FILE_CORE || module->build_id.size > 0) debug = exu_modules_debug_file(modules, module);
  add(&sources, debug);
  add(&sources, file);
  if (!debug) add(&sources, exu_modules_mini_file(modules, module));
  return sources;
}

/* Ask the addresses that have no name yet. */
static bool cover_rest(struct exu_elf_file *file, struct exu_elf_cover *covers, size_t count, struct exu_arena *arena) {
  struct exu_elf_cover *rest EXU_GUARD(free) = calloc(count, sizeof *rest);
  size_t asked = 0;
  if (!rest) return false;
  for (size_t i = 0; i < count; i++)
    if (!covers[i].name.data) rest[asked++].address = covers[i].address;
  if (asked == 0) return true;
  exu_elf_file_cover(file, rest, asked, arena);
  for (size_t i = 0, k = 0; i < count; i++)
    if (!covers[i].name.data) covers[i] = rest[k++];
  return true;
}

bool exu_module_cover(struct exu_modules *modules, struct exu_binary *module, struct exu_elf_cover *covers,
                      size_t count, struct exu_arena *arena) {
  const struct sources sources = sources_of(modules, module);
  if (sources.count > 0) exu_elf_file_cover(sources.files[0], covers, count, arena);
  for (size_t i = 1; i < sources.count; i++)
    if (!cover_rest(sources.files[i], covers, count, arena)) return false;
  return true;
}

bool exu_module_symbol(struct exu_modules *modules, struct exu_binary *module, const char *name,
                       struct exu_elf_symbol *symbol) {
  const struct sources sources = sources_of(modules, module);
  for (size_t i = 0; i < sources.count; i++)
    if (exu_elf_file_symbol(sources.files[i], name, symbol)) return true;
  return false;
}
