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
#include "native/place.h"

struct exu_symbolizer {
  struct exu_modules *modules;
  struct exu_arena *arena;
  const struct exu_process *process;
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
