/* SPDX-License-Identifier: Apache-2.0 */
#include "python/runtime/build.h"

#include <string.h>

#include "binary/debug_file.h"
#include "python/frame/frames.h"
#include "python/layout/debug_offsets.h"
#include "python/layout/dwarf.h"
#include "python/runtime/version.h"

/* No CPython has a larger _Py_DebugOffsets (3.15: 888 bytes). */
enum { DEBUG_OFFSETS_MAX = 2048 };

/* ---- _Py_DebugOffsets -------------------------------------------------------------------------------------------- */

/*
 * What _Py_DebugOffsets does not say (dictionaries, the GIL, ...) comes from the shipped table of the same build. For
 * a version without one, the newest table of the same kind stands in, and the report says so.
 */
static const struct exu_layout_table *supplement(const struct exu_py *py, bool *exact) {
  uint16_t machine = py->process->arch->machine;
  const struct exu_layout_table *table = exu_layout_find(&py->runtime->build, machine, exact);
  if (table) return table;
  *exact = false;
  for (size_t i = 0; i < exu_layout_table_count; i++) {
    const struct exu_layout_table *other = exu_layout_tables[i];
    bool same = other->machine == machine && other->debug == py->runtime->build.debug &&
                other->free_threaded == py->runtime->build.free_threaded;
    if (same && (!table || exu_version_hex(other->last) > exu_version_hex(table->last))) table = other;
  }
  if (table && exu_version_hex(table->last) > exu_version_hex(py->runtime->build.version))
    return NULL; /* older than all */
  return table;
}

bool exu_py_layout_from_debug_offsets(struct exu_py_candidate *candidate, uint64_t runtime, struct exu_error *error) {
  uint8_t bytes[DEBUG_OFFSETS_MAX];
  const struct exu_debug_offsets_table *table;
  struct exu_build build = {0};
  bool known, exact;

  size_t size = exu_space_read_some(candidate->py.space, runtime, bytes, sizeof bytes);
  if (!exu_debug_offsets_parse(bytes, size, &build, &table, &known, error)) return false;
  build.debug = exu_debug_offsets_is_debug(table, bytes, size, &build) == EXU_YES;
  candidate->runtime.build = build;
  exu_py_set_version(candidate, build.version, true);
  const struct exu_layout_table *rest = supplement(&candidate->py, &exact);
  if (!rest) {
    return exu_fail(error, EXU_UNSUPPORTED, "CPython %.*s is not supported", (int)candidate->runtime.version_text.size,
                    candidate->runtime.version_text.data);
  }
  struct exu_layout layout = rest->layout;
  if (!exu_debug_offsets_apply(table, bytes, size, &layout, error)) return false;
  candidate->runtime.layout = layout;
  candidate->runtime.layout_from = EXU_LAYOUT_DEBUG_OFFSETS;
  candidate->runtime.debug = build.debug ? EXU_YES : EXU_NO;
  candidate->runtime.layout_known = known;
  return true;
}

/* ---- DWARF ------------------------------------------------------------------------------------------------------- */

/* See exu_layout_take_rest: for this release there may be no table. */
static void take_rest(struct exu_py_candidate *candidate) {
  bool exact;
  const struct exu_layout_table *table =
      exu_layout_find(&candidate->runtime.build, candidate->py.process->arch->machine, &exact);
  if (table && exact) exu_layout_take_rest(&candidate->runtime.layout, &table->layout);
}

bool exu_py_layout_from_dwarf(struct exu_py_candidate *candidate, struct exu_binary *module) {
  enum { HINTS_MAX = 12 };
  struct exu_elf_file *file = exu_modules_file(candidate->py.modules, module);
  Dwarf_Addr hints[HINTS_MAX];
  size_t count = 0;
  if (!file || exu_elf_file_symbols(file) != EXU_SYMBOLS_DWARF) return false;
  Dwarf *dwarf = exu_elf_file_dwarf(file);
  if (!dwarf) return false;
  for (const struct exu_layout_hint *hint = exu_layout_hints; hint->symbol && count < HINTS_MAX; hint++) {
    struct exu_elf_symbol symbol;
    if (!exu_layout_hint_is_of(hint, candidate->runtime.build.version)) continue;
    if (exu_elf_file_symbol(file, hint->symbol, &symbol)) hints[count++] = symbol.value;
  }
  if (!exu_layout_from_dwarf(dwarf, hints, count, &candidate->runtime.layout)) return false;
  take_rest(candidate);
  candidate->runtime.layout_from = EXU_LAYOUT_DWARF;
  candidate->runtime.layout_known = true;
  return true;
}

enum exu_tristate exu_py_is_debug_build(struct exu_py *py, struct exu_binary *module) {
  struct exu_elf_file *file = exu_modules_file_or_image(py->modules, module);
  struct exu_elf_symbol symbol;
  if (!file || exu_elf_file_symbols(file) == EXU_SYMBOLS_NONE) return exu_py_debug_of_path(module->path);
  /* Py_DEBUG implies Py_REF_DEBUG, and that exports this function in every version (Include/object.h). */
  return exu_elf_file_symbol(file, "_Py_NegativeRefcount", &symbol) ? EXU_YES : EXU_NO;
}

/* ---- The shipped tables ------------------------------------------------------------------------------------------ */

bool exu_py_layout_from_table(struct exu_py_candidate *candidate, bool debug) {
  bool exact;
  struct exu_build build = candidate->runtime.build;
  build.debug = debug;
  const struct exu_layout_table *table = exu_layout_find(&build, candidate->py.process->arch->machine, &exact);
  if (!table) return false;
  candidate->runtime.build = build;
  candidate->runtime.layout = table->layout;
  candidate->runtime.layout_from = EXU_LAYOUT_TABLE;
  candidate->runtime.layout_known = exact;
  return true;
}

/* ---- Telling kinds apart ----------------------------------------------------------------------------------------- */

int exu_py_probe_layout(struct exu_py_candidate *candidate) {
  enum { TSTATES = 16, FRAMES = 8, BUDGET = 4 * 1024 * 1024 };
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  uint64_t tstate = 0;
  int valid = 0, lost = 0;

  exu_arena_init(&arena, BUDGET);
  exu_diagnostics_init(&diagnostics, &arena);
  struct exu_py trial =
      exu_py_reader(&candidate->runtime, candidate->py.process, candidate->py.modules, &arena, &diagnostics);
  exu_py_get(&candidate->py, candidate->runtime.interpreters, candidate->runtime.layout.interp_threads_head, &tstate);
  for (int i = 0; i < TSTATES && exu_py_plausible(tstate); i++) {
    struct exu_py_stack stack = {0};
    if (!exu_py_frames(&trial, tstate, -1, FRAMES, &stack)) break;
    valid += (int)stack.frames.count;
    lost += !stack.complete && stack.frames.count < FRAMES;
    if (!exu_py_get(&candidate->py, tstate, candidate->runtime.layout.tstate_next, &tstate)) break;
  }
  exu_py_deinit(&trial);
  exu_arena_deinit(&arena);
  if (valid + lost == 0) return -1;
  return valid;
}
