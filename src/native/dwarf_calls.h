/* SPDX-License-Identifier: Apache-2.0 */
/* Calls, files and lines at addresses of one file, from its DWARF. */
#ifndef EXUVIA_NATIVE_DWARF_CALLS_H
#define EXUVIA_NATIVE_DWARF_CALLS_H

#include <elfutils/libdw.h>

#include "base/arena.h"
#include "native/place.h"

/* Addresses of the file, in its own address space, and what there is to know about them. */
struct exu_dwarf_query {
  Dwarf_Addr address;
  struct exu_native_call *calls; /* innermost first; NULL: the DWARF does not know the address */
  size_t call_count;
  Dwarf_Die unit;
  bool has_unit;
};

/* Answer the queries, which are sorted by address: each unit is passed over once. */
void exu_dwarf_calls(Dwarf *dwarf, struct exu_dwarf_query *queries, size_t count, struct exu_arena *arena);

#endif
