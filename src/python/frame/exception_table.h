/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exception table of code objects since 3.11 (Objects/exception_handling_notes.txt, later InternalDocs): which
 * handler is responsible for an instruction, and how deep the value stack is when it starts. A pure function over
 * bytes.
 */
#ifndef EXUVIA_PYTHON_FRAME_EXCEPTION_TABLE_H
#define EXUVIA_PYTHON_FRAME_EXCEPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exu_handler {
  uint32_t process; /* of the handler's first instruction, in code units of two bytes */
  uint32_t depth;   /* values that stay on the stack */
};

/* The handler for the instruction at `instruction` (in code units). False: there is none, or the table is damaged. */
bool exu_exceptions_find(const uint8_t *table, size_t size, uint32_t instruction, struct exu_handler *handler);

/*
 * The depths of all handlers around an instruction, innermost first: entries do not overlap, but the handler of an
 * inner block is itself inside of the outer ones. Depths that are not smaller than the one before are left out: what
 * lies there came with the handler. Returns how many there are, at most `limit`.
 */
size_t exu_exceptions_depths(const uint8_t *table, size_t size, uint32_t instruction, uint32_t *depths, size_t limit);

#endif
