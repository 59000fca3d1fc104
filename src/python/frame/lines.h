/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an instruction to its place in the source: the four line table formats of CPython. Pure functions over bytes;
 * a damaged table gives unknown positions, never a read outside.
 */
#ifndef EXUVIA_PYTHON_FRAME_LINES_H
#define EXUVIA_PYTHON_FRAME_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "exuvia/exuvia.h"

enum exu_line_format {
  EXU_LINES_LNOTAB_UNSIGNED, /* co_lnotab with unsigned line deltas: 2.7 (Objects/lnotab_notes.txt) */
  EXU_LINES_LNOTAB_SIGNED,   /* co_lnotab with signed line deltas: 3.6 to 3.9 */
  EXU_LINES_LINETABLE,       /* co_linetable of 3.10 (Objects/lnotab_notes.txt there) */
  EXU_LINES_LOCATIONS,       /* co_linetable since 3.11 (Objects/locations.md, later InternalDocs/code_objects.md) */
};

/*
 * Position of the instruction at byte offset `instruction` of the bytecode; negative: not started yet, which CPython
 * shows as the first line. Computes what PyCode_Addr2Line and co_positions() do.
 */
struct exu_position exu_lines_find(enum exu_line_format format, const uint8_t *table, size_t size, int32_t first_line,
                                   int64_t instruction);

#endif
