/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/link_map.h"

#include <elf.h>

enum { ENTRIES_MAX = 16384 };

/* Words of struct link_map, the part that <link.h> makes public. */
enum { L_ADDR, L_NAME, L_LD, L_NEXT, L_WORDS };

/* struct r_debug: int r_version, then (aligned) struct link_map *r_map. */
enum { R_MAP = 1 };

static bool read_words(const struct exu_process *process, uint64_t address, uint64_t *words, size_t count) {
  const uint64_t size = process->arch->word_size;
  for (size_t i = 0; i < count; i++)
    if (!exu_process_word(process, address + i * size, &words[i])) return false;
  return true;
}

/* The head of the list: the main program's DT_DEBUG is where the dynamic linker stored the address of its r_debug. */
static uint64_t list_head(const struct exu_modules *modules) {
  const struct exu_process *process = modules->process;
  for (size_t i = 0; i < modules->count; i++) {
    const struct exu_binary *module = &modules->items[i];
    uint64_t debug, head;
    if (!module->main || !module->image) continue;
    if (exu_image_dynamic(process, module->image, DT_DEBUG, &debug) && debug != 0 &&
        exu_process_word(process, debug + (uint64_t)R_MAP * process->arch->word_size, &head))
      return head;
  }
  return 0;
}

static void name_by_list(struct exu_modules *modules) {
  const struct exu_process *process = modules->process;
  uint64_t entry = list_head(modules), mark = 0, steps_to_mark = 1, steps = 0;
  for (size_t i = 0; i < ENTRIES_MAX && entry != 0 && entry != mark; i++) {
    uint64_t words[L_WORDS];
    if (!read_words(process, entry, words, L_WORDS)) return;
    /* Its PT_DYNAMIC says which module it is; l_name of the main program is empty. */
    struct exu_binary *module = exu_modules_find(modules, words[L_LD]);
    if (module && !module->path.data) module->path = exu_process_string(process, words[L_NAME], modules->arena);
    /* Brent: an entry that comes again is a cycle. */
    if (++steps == steps_to_mark) {
      mark = entry;
      steps_to_mark *= 2;
      steps = 0;
    }
    entry = words[L_NEXT];
  }
}

void exu_link_map_name_modules(struct exu_modules *modules) {
  size_t unnamed = 0;
  for (size_t i = 0; i < modules->count; i++) unnamed += !modules->items[i].path.data;
  if (unnamed == 0) return;
  name_by_list(modules);
  for (size_t i = 0; i < modules->count; i++) {
    struct exu_binary *module = &modules->items[i];
    if (!module->path.data && module->image)
      module->path = exu_image_soname(modules->process, module->image, modules->arena);
  }
}
