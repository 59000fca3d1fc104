/* SPDX-License-Identifier: Apache-2.0 */
/* Characters of strings that may hold anything: see struct exu_string for what is expected of them. */
#ifndef EXUVIA_RENDER_UTF8_H
#define EXUVIA_RENDER_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exu_char_kind {
  EXU_CHAR_SCALAR,    /* a Unicode scalar value in its shortest form */
  EXU_CHAR_SURROGATE, /* a lone surrogate in its three-byte form */
  EXU_CHAR_INVALID,   /* a byte that starts neither; `code` is the byte and `size` is 1 */
};

struct exu_char {
  enum exu_char_kind kind;
  uint32_t code;
  size_t size;
};

/* The first character of `size` bytes at `data`; `size` is not 0. */
struct exu_char exu_char_at(const char *data, size_t size);

/*
 * True for characters that a terminal acts upon or that change how the text around them is read: controls, line and
 * paragraph separators, bidirectional controls, invisible characters. Writers escape them.
 */
bool exu_char_is_unsafe(uint32_t code);

/* How many cells of a terminal a scalar value takes: 0 (combining), 1 or 2 (wide). */
unsigned exu_char_cells(uint32_t code);

#endif
