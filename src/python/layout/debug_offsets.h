/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `_Py_DebugOffsets`: what a CPython since 3.13 says about its own layout, at the start of `_PyRuntime`. The bytes come
 * from the process and are believed only after every field was checked.
 */
#ifndef EXUVIA_PYTHON_LAYOUT_DEBUG_OFFSETS_H
#define EXUVIA_PYTHON_LAYOUT_DEBUG_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "exuvia/exuvia.h"
#include "python/layout/layout.h"

/* The first eight bytes, for those who search the process's memory. */
#define EXU_DEBUG_OFFSETS_COOKIE "xdebugpy"
enum { EXU_DEBUG_OFFSETS_COOKIE_SIZE = sizeof EXU_DEBUG_OFFSETS_COOKIE - 1 };

/*
 * Take the head of a `_Py_DebugOffsets` apart, choose the table that says where its members lie, and check every
 * member that is read: each field lies inside its structure, is aligned, and overlaps no other; structures are smaller
 * than 1 MiB. `size` is how many bytes there are, which may be more than the structure has: it does not say how long
 * it is.
 *
 * On success sets build->version and build->free_threaded; build->debug is false, see exu_debug_offsets_is_debug.
 * *known is false when the version is newer than every table, and the newest one fitted, and for alpha and beta
 * releases, between which members still move. On failure nothing is touched but *error: EXU_BAD_FORMAT when this is no
 * `_Py_DebugOffsets` or a damaged one, EXU_UNSUPPORTED when the version is one that cannot have it.
 */
bool exu_debug_offsets_parse(const uint8_t *bytes, size_t size, struct exu_build *build,
                             const struct exu_debug_offsets_table **table, bool *known, struct exu_error *error);

/*
 * Store what the bytes say in *layout, over what is there: start with the shipped table of the same build, which has
 * what debug offsets do not say. Checks everything again and touches *layout only if all of it is right.
 */
bool exu_debug_offsets_apply(const struct exu_debug_offsets_table *table, const uint8_t *bytes, size_t size,
                             struct exu_layout *layout, struct exu_error *error);

/*
 * Whether this is a --with-pydebug build, which debug offsets do not say: by the size of the runtime, which is
 * compared with those of the shipped tables of the same minor version. EXU_UNKNOWN when it is not clearly near one
 * kind.
 */
enum exu_tristate exu_debug_offsets_is_debug(const struct exu_debug_offsets_table *table, const uint8_t *bytes,
                                             size_t size, const struct exu_build *build);

#endif
