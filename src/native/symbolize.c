/* SPDX-License-Identifier: Apache-2.0 */
#include "native/symbolize.h"

#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "base/str.h"
#include "binary/debug_file.h"
#include "binary/symbols.h"
#include "native/cython_name.h"
#include "native/demangle.h"
#include "native/dwarf_calls.h"
#include "native/function_table.h"
#include "native/trampoline.h"

struct exu_native_place *exu_symbolizer_add(struct exu_symbolizer *symbolizer, uint64_t address) {
  bool is_new;
  if (address == 0) address = 1; /* a call through a NULL pointer: in no module either */
  void **slot = exu_map_insert(&symbolizer->by_address, address, &is_new);
  if (!slot) return NULL;
  if (!is_new) return *slot;
  struct exu_native_place *place = exu_arena_alloc(symbolizer->arena, sizeof *place);
  *slot = place;
  if (!place) return NULL;
  struct exu_binary *module = exu_modules_find(symbolizer->modules, address);
  *place = (struct exu_native_place){.address = address,
                                     .module_start = module ? module->start : 0,
                                     .module = module ? (int32_t)(module - symbolizer->modules->items) : -1};
  return place;
}

static int by_address(const void *a, const void *b) {
  const struct exu_native_place *x = *(struct exu_native_place *const *)a, *y = *(struct exu_native_place *const *)b;
  return x->address < y->address ? -1 : x->address > y->address;
}

/* ---- Names of Cython --------------------------------------------------------------------------------------------- */

/* A symbol table is read for each. */
enum { CYTHON_LOOKUPS_MAX = 256 };

/* Where the counterpart of a function may be found. */
struct counterpart {
  struct exu_symbolizer *symbolizer;
  struct exu_elf_file *file; /* NULL: no symbols */
  const struct exu_native_place *place;
};

static bool has_symbol(void *context, const char *name) {
  struct counterpart *where = context;
  struct exu_elf_symbol symbol;
  for (size_t i = 0; i < where->place->call_count; i++) {
    const struct exu_native_call *call = &where->place->calls[i];
    const struct exu_string known = call->symbol.data ? call->symbol : call->function;
    if (exu_string_is(known, name)) return true;
  }
  if (!where->file || where->symbolizer->cython_lookups++ >= CYTHON_LOOKUPS_MAX) return false;
  return exu_elf_file_symbol(where->file, name, &symbol);
}

static struct exu_elf_file *symbol_file(struct exu_symbolizer *symbolizer, struct exu_binary *module) {
  struct exu_elf_file *file = exu_modules_file_or_image(symbolizer->modules, module);
  enum exu_symbols own = file ? exu_elf_file_symbols(file) : EXU_SYMBOLS_NONE;
  if (own == EXU_SYMBOLS_SYMTAB || own == EXU_SYMBOLS_DWARF) return file;
  struct exu_elf_file *debug = exu_modules_debug_file(symbolizer->modules, module);
  return debug ? debug : file;
}

static void say_as_python(struct exu_symbolizer *symbolizer, struct exu_binary *module,
                          struct exu_native_place *place) {
  struct counterpart where = {.symbolizer = symbolizer, .place = place};
  for (size_t i = 0; i < place->call_count; i++) {
    struct exu_native_call *call = &place->calls[i];
    if (exu_cython_kind(call->function) == EXU_CYTHON_NONE) continue;
    if (!where.file) where.file = symbol_file(symbolizer, module);
    struct exu_string name = exu_cython_name(symbolizer->arena, call->function, module->path, has_symbol, &where);
    if (!name.data) continue;
    call->symbol = call->function;
    call->function = name;
  }
}

/* ---- Places ------------------------------------------------------------------------------------------------------ */

/* Every place has at least one call, if only one without a name. */
static bool settle(struct exu_symbolizer *symbolizer, struct exu_native_place *place,
                   const struct exu_elf_cover *cover) {
  if (!place->calls) {
    place->calls = exu_arena_alloc(symbolizer->arena, sizeof *place->calls);
    if (!place->calls) return false;
    *place->calls = (struct exu_native_call){.line = -1};
    place->call_count = 1;
  }
  struct exu_native_call *physical = &place->calls[place->call_count - 1];
  if (!physical->function.data && cover && cover->name.data) {
    physical->function = exu_demangle(symbolizer->arena, cover->name);
  }
  struct exu_function function;
  place->part_start = place->start;
  if (exu_function_find(symbolizer->process, symbolizer->modules, place->address, &function)) {
    if (!place->start) place->part_start = function.start;
    place->part_size = function.end - function.start;
  }
  return true;
}

/* The places of one module, sorted. */
static bool symbolize_module(struct exu_symbolizer *symbolizer, struct exu_native_place **places, size_t count) {
  struct exu_modules *modules = symbolizer->modules;
  struct exu_binary *module = &modules->items[places[0]->module];
  struct exu_elf_cover *covers EXU_GUARD(free) = calloc(count, sizeof *covers);
  struct exu_dwarf_query *queries EXU_GUARD(free) = calloc(count, sizeof *queries);
  if (!covers || !queries) return false;
  exu_modules_file(modules, module); /* which settles the bias */
  for (size_t i = 0; i < count; i++) {
    covers[i].address = queries[i].address = places[i]->address - module->bias;
  }
  if (!exu_module_cover(modules, module, covers, count, symbolizer->arena)) return false;
  Dwarf *dwarf = symbolizer->lines ? exu_modules_dwarf(modules, module, symbolizer->patient) : NULL;
  if (dwarf) exu_dwarf_calls(dwarf, queries, count, symbolizer->arena);
  for (size_t i = 0; i < count; i++) {
    places[i]->calls = queries[i].calls;
    places[i]->call_count = queries[i].call_count;
    if (covers[i].name.data) places[i]->start = covers[i].start + module->bias;
    if (!settle(symbolizer, places[i], &covers[i])) return false;
    say_as_python(symbolizer, module, places[i]);
  }
  return true;
}

/* A place in no module: made at run time, if it is code at all. */
static bool symbolize_made(struct exu_symbolizer *symbolizer, struct exu_native_place *place) {
  struct exu_jit_code *code = symbolizer->jit ? exu_jit_images_find(symbolizer->jit, place->address) : NULL;
  struct exu_elf_file *file = code ? exu_jit_images_file(symbolizer->jit, code) : NULL;
  struct exu_elf_cover cover = {.address = place->address};
  if (file) exu_elf_file_cover(file, &cover, 1, symbolizer->arena);
  if (cover.name.data) {
    place->start = cover.start;
  } else if (exu_is_perf_trampoline(symbolizer->process, place->address)) {
    static const char name[] = "_Py_trampoline_func_start";
    cover.name = (struct exu_string){name, sizeof name - 1};
  }
  return settle(symbolizer, place, &cover);
}

/* What nobody looks up any more has a call without a name. */
static bool leave(struct exu_symbolizer *symbolizer, struct exu_native_place **places, size_t count) {
  for (size_t i = 0; i < count; i++) {
    places[i]->calls = exu_arena_alloc(symbolizer->arena, sizeof *places[i]->calls);
    if (!places[i]->calls) return false;
    *places[i]->calls = (struct exu_native_call){.line = -1};
    places[i]->call_count = 1;
  }
  return true;
}

bool exu_symbolize(struct exu_symbolizer *symbolizer) {
  const struct exu_map *map = &symbolizer->by_address;
  struct exu_native_place **places EXU_GUARD(free) = calloc(map->count + 1, sizeof *places);
  size_t count = 0;
  if (!places) return false;
  for (size_t i = 0; i < map->capacity; i++) {
    struct exu_native_place *place = map->slots[i].value.pointer;
    if (place && !place->calls) places[count++] = place;
  }
  qsort(places, count, sizeof *places, by_address);
  for (size_t first = 0, end; first < count; first = end) {
    for (end = first + 1; end < count && places[end]->module == places[first]->module;) end++;
    if (exu_process_is_over(symbolizer->process)) return leave(symbolizer, places + first, count - first);
    if (places[first]->module >= 0) {
      if (!symbolize_module(symbolizer, places + first, end - first)) return false;
    } else {
      for (size_t i = first; i < end; i++) {
        if (!symbolize_made(symbolizer, places[i])) return false;
      }
    }
  }
  return true;
}

void exu_symbolizer_deinit(struct exu_symbolizer *symbolizer) { exu_map_deinit(&symbolizer->by_address); }
