/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From addresses to functions, files and lines. Addresses are collected first and answered together, module by module
 * and unit by unit, because one pass over a symbol table or a unit's entries answers all of them.
 */
#ifndef EXUVIA_NATIVE_SYMBOLIZE_H
#define EXUVIA_NATIVE_SYMBOLIZE_H

#include "base/arena.h"
#include "base/map.h"
#include "binary/module.h"
#include "native/jit_images.h"

/* One call at an address: the function that the address lies in, or one that was inlined there. */
struct exu_native_call {
  struct exu_string function; /* demangled; unknown when no symbol covers the address */
  struct exu_string symbol;   /* of Cython's functions: `function` as it is in the file; else unknown */
  struct exu_string file;
  int32_t line; /* -1 unknown */
  bool inlined;
};

struct exu_native_place {
  uint64_t address;              /* where to look: a return address minus one */
  int32_t module;                /* index into exu_modules.items, or -1 */
  uint64_t module_start;         /* 0 without a module */
  uint64_t start;                /* of the function in the target, by its symbol; 0: unknown */
  uint64_t part_start;           /* the same, else by the module's table of functions: of a part of one */
  uint64_t part_size;            /* bytes from there to what comes next in that table; 0: not in it */
  struct exu_native_call *calls; /* innermost first, the last is the physical function; at least one */
  size_t call_count;
};

struct exu_symbolizer {
  struct exu_modules *modules;
  struct exu_arena *arena;
  const struct exu_target *target;
  struct exu_jit_images *jit; /* NULL: none */
  struct exu_map by_address;  /* -> struct exu_native_place */
  bool lines;                 /* also files, lines and inlined calls, from DWARF */
  size_t cython_lookups;      /* so many symbols were looked for to tell Cython's names */
  bool patient;               /* also from DWARF that takes long to unpack: that of large separate files */
};

/* Ask for an address. The place is empty until exu_symbolize was called. NULL without memory. */
struct exu_native_place *exu_symbolizer_add(struct exu_symbolizer *symbolizer, uint64_t address);

/* Answer everything that was asked. False only without memory. */
bool exu_symbolize(struct exu_symbolizer *symbolizer);
void exu_symbolizer_deinit(struct exu_symbolizer *symbolizer);

#endif
