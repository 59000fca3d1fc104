/* SPDX-License-Identifier: Apache-2.0 */
#include "native/dwarf_calls.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "native/demangle.h"

/* Deeper nesting of blocks and inlined calls than any compiler makes; entries of one unit that are looked at. */
enum { DEPTH_MAX = 128, ENTRIES_MAX = 4 * 1000 * 1000, UNITS_MAX = 1000 * 1000, RANGES_MAX = 1000 * 1000 };

/* The chain of entries from the function down to the innermost inlined call that contains the address. */
struct chain {
  Dwarf_Die entries[DEPTH_MAX];
  size_t count;
};

static struct exu_string copy_text(struct exu_arena *arena, const char *text) {
  return text ? exu_arena_string(arena, text, strlen(text)) : (struct exu_string){NULL, 0};
}

/* The name of a function or an inlined call, followed through its abstract origin and its declaration. */
static struct exu_string name_of(struct exu_arena *arena, Dwarf_Die *die) {
  Dwarf_Attribute attribute;
  const char *linkage = NULL;
  if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) ||
      dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute)) {
    linkage = dwarf_formstring(&attribute);
  }
  const char *plain = dwarf_attr_integrate(die, DW_AT_name, &attribute) ? dwarf_formstring(&attribute) : NULL;
  /* In C a linkage name is an alias ("__GI_abort"): only mangled ones tell more than the plain name. */
  bool mangled = linkage && linkage[0] == '_' && (linkage[1] == 'Z' || linkage[1] == 'R');
  if (!mangled && plain) return copy_text(arena, plain);
  return exu_demangle(arena, copy_text(arena, linkage));
}

static bool is_call(Dwarf_Die *die) {
  int tag = dwarf_tag(die);
  return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
}

/*
 * Entries that can contain code. Namespaces, classes and modules contain functions without having addresses themselves.
 */
static bool may_contain(Dwarf_Die *die, Dwarf_Addr address) {
  switch (dwarf_tag(die)) {
  case DW_TAG_subprogram:
  case DW_TAG_inlined_subroutine:
  case DW_TAG_lexical_block:
  case DW_TAG_try_block:
  case DW_TAG_catch_block: return dwarf_haspc(die, address) > 0;
  case DW_TAG_namespace:
  case DW_TAG_class_type:
  case DW_TAG_structure_type:
  case DW_TAG_module: return true;
  default: return false;
  }
}

static bool has_addresses(Dwarf_Die *die) {
  int tag = dwarf_tag(die);
  return is_call(die) || tag == DW_TAG_lexical_block || tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

/* Descend without recursion: among siblings at most one contains the address, except among namespaces and the like. */
static bool find_chain(Dwarf_Die *unit, Dwarf_Addr address, struct chain *chain, size_t *budget) {
  Dwarf_Die path[DEPTH_MAX];
  size_t depth = 0;
  bool down = true;
  chain->count = 0;
  path[0] = *unit;
  for (;;) {
    Dwarf_Die next;
    if (*budget == 0) return chain->count > 0;
    --*budget;
    /* Siblings of what contains the address are elsewhere. */
    bool inside = down && depth > 0 && has_addresses(&path[depth]);
    if (down && depth + 1 < DEPTH_MAX && dwarf_child(&path[depth], &next) == 0) {
      path[++depth] = next;
    } else if (!inside && depth > 0 && dwarf_siblingof(&path[depth], &next) == 0) {
      path[depth] = next;
    } else if (!inside && depth > 1 && chain->count == 0) {
      depth--; /* a namespace without the function: on with its sibling */
      down = false;
      continue;
    } else {
      return chain->count > 0;
    }
    down = may_contain(&path[depth], address);
    if (down && is_call(&path[depth])) chain->entries[chain->count++] = path[depth];
  }
}

static int32_t line_number(Dwarf_Word line) { return line > 0 && line <= INT32_MAX ? (int32_t)line : -1; }

/* Where an inlined call was made from: what its caller's line is. */
static void call_site(Dwarf_Die *unit, Dwarf_Die *inlined, struct exu_native_call *caller, struct exu_arena *arena) {
  Dwarf_Attribute attribute;
  Dwarf_Word line, file;
  Dwarf_Files *files;
  size_t count;
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &line) == 0) caller->line = line_number(line);
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &file) == 0 &&
      dwarf_getsrcfiles(unit, &files, &count) == 0 && file < count) {
    caller->file = copy_text(arena, dwarf_filesrc(files, file, NULL, NULL));
  }
}

static void answer(struct exu_dwarf_query *query, size_t *budget, struct exu_arena *arena) {
  struct chain chain;
  bool found = find_chain(&query->unit, query->address, &chain, budget);
  size_t count = found ? chain.count : 1;
  struct exu_native_call *calls = exu_arena_array(arena, count, sizeof *calls);
  if (!calls) return;
  for (size_t i = 0; i < count; i++) {
    calls[i] = (struct exu_native_call){.line = -1, .inlined = i + 1 < count};
    if (found) calls[i].function = name_of(arena, &chain.entries[count - 1 - i]);
    if (i > 0) call_site(&query->unit, &chain.entries[count - i], &calls[i], arena);
  }
  Dwarf_Line *line = dwarf_getsrc_die(&query->unit, query->address);
  int number;
  if (line && dwarf_lineno(line, &number) == 0 && number > 0) {
    calls[0].line = number;
    calls[0].file = copy_text(arena, dwarf_linesrc(line, NULL, NULL));
  }
  query->calls = calls;
  query->call_count = count;
}

static size_t first_at_or_after(const struct exu_dwarf_query *queries, size_t count, Dwarf_Addr address) {
  return EXU_PARTITION_POINT(i, count, queries[i].address < address);
}

/* Compilers may leave .debug_aranges out (clang does): what has no unit yet is looked for in the units' own ranges. */
static void find_by_ranges(Dwarf *dwarf, struct exu_dwarf_query *queries, size_t count, size_t missing) {
  Dwarf_CU *unit = NULL;
  for (size_t units = 0; missing > 0 && units < UNITS_MAX; units++) {
    Dwarf_Die die, split;
    Dwarf_Addr base, start, end;
    uint8_t type;
    if (dwarf_get_units(dwarf, unit, &unit, NULL, &type, &die, &split) != 0) return;
    if (type != DW_UT_compile) continue;
    ptrdiff_t offset = 0;
    for (size_t i = 0; i < RANGES_MAX && (offset = dwarf_ranges(&die, offset, &base, &start, &end)) > 0; i++) {
      for (size_t k = first_at_or_after(queries, count, start); k < count && queries[k].address < end; k++) {
        if (queries[k].has_unit) continue;
        queries[k].unit = die;
        queries[k].has_unit = true;
        missing--;
      }
    }
  }
}

void exu_dwarf_calls(Dwarf *dwarf, struct exu_dwarf_query *queries, size_t count, struct exu_arena *arena) {
  size_t missing = 0;
  for (size_t i = 0; i < count; i++) {
    queries[i].has_unit = dwarf_addrdie(dwarf, queries[i].address, &queries[i].unit) != NULL;
    missing += !queries[i].has_unit;
  }
  if (missing > 0) find_by_ranges(dwarf, queries, count, missing);
  for (size_t i = 0; i < count; i++) {
    size_t budget = ENTRIES_MAX;
    if (queries[i].has_unit) answer(&queries[i], &budget, arena);
  }
}
