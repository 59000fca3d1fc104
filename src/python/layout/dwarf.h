/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of a build, from the DWARF of its binary. Used on the process's own files and by the table generator. */
#ifndef EXUVIA_PYTHON_LAYOUT_DWARF_H
#define EXUVIA_PYTHON_LAYOUT_DWARF_H

#include <stdbool.h>
#include <stddef.h>

#include <elfutils/libdw.h>

#include "python/layout/layout.h"

/*
 * Read every field of fields.def that the DWARF has into *layout; the others become absent.
 *
 * `hints` are addresses (in the file's own address space) inside functions whose compilation units are searched first,
 * because they are known to see the structures (the eval loop's unit sees most of them): with good hints a library
 * with a hundred units is answered in a millisecond or two. The rest of the units is searched only when one of the
 * fields that make a layout usable was not found in those.
 *
 * Returns false, leaving *layout untouched, when the DWARF does not describe CPython's structures.
 */
bool exu_layout_from_dwarf(Dwarf *dwarf, const Dwarf_Addr *hints, size_t hint_count, struct exu_layout *layout);

/*
 * A function whose address is a good hint, in the versions that have it: looking for a name that is not there takes all
 * of a file's strings.
 */
struct exu_layout_hint {
  const char *symbol;
  struct exu_version since;
  struct exu_version before; /* 0: no end is known */
};

/* The best first, and one without a symbol at the end. Every build exports most of them. */
extern const struct exu_layout_hint exu_layout_hints[];

bool exu_layout_hint_is_of(const struct exu_layout_hint *hint, struct exu_version version);

/*
 * Look for any fields in all units: `types` and `paths` as in fields.def, `paths` NULL for a type's size. A field that
 * is not there gets size 0. Returns false without memory.
 */
struct exu_dwarf_field {
  const char *types;
  const char *paths;
  struct exu_field field;
};
bool exu_dwarf_find(Dwarf *dwarf, struct exu_dwarf_field *queries, size_t count);

#endif
