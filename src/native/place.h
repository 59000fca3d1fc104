/* SPDX-License-Identifier: Apache-2.0 */
/* What lies at an address of the code: the functions that were called there, their files and lines. */
#ifndef EXUVIA_NATIVE_PLACE_H
#define EXUVIA_NATIVE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exuvia/exuvia.h"

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
  uint64_t start;                /* of the function in the process, by its symbol; 0: unknown */
  uint64_t part_start;           /* the same, else by the module's table of functions: of a part of one */
  uint64_t part_size;            /* bytes from there to what comes next in that table; 0: not in it */
  struct exu_native_call *calls; /* innermost first, the last is the physical function; at least one */
  size_t call_count;
};

#endif
