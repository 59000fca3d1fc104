/* SPDX-License-Identifier: Apache-2.0 */
/* Python's strings as UTF-8: PEP 393 of every kind, legacy wstr, 2.7's `str` and `unicode`. */
#ifndef EXUVIA_PYTHON_OBJECT_STR_H
#define EXUVIA_PYTHON_OBJECT_STR_H

#include "python/reader.h"

/* Characters that are read of one string at most; a longer one is cut and said. */
enum { EXU_PY_TEXT_MAX = 1024 * 1024 };

enum exu_py_text {
  EXU_PY_TEXT_OK,
  EXU_PY_TEXT_CUT,     /* *text holds the beginning: the string is longer than EXU_PY_TEXT_MAX */
  EXU_PY_TEXT_DAMAGED, /* not a string, or not readable: *text is unknown */
};

/*
 * Convert the string object at `address`. Lone surrogates keep their three-byte form. Bytes of a 2.7 `str` that are not
 * UTF-8 become U+DC80..U+DCFF, as PEP 383 has it.
 */
enum exu_py_text exu_py_text(struct exu_py *py, uint64_t address, struct exu_string *text);

/* Is the object a string that is equal to `expected` (ASCII)? Allocates nothing. */
bool exu_py_text_equals(struct exu_py *py, uint64_t address, const char *expected);

#endif
