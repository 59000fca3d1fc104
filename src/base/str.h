/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings with a size (struct exu_string). One that is unknown (NULL) is equal to no text, and begins and ends with
 * none.
 */
#ifndef EXUVIA_BASE_STR_H
#define EXUVIA_BASE_STR_H

#include <stdbool.h>

#include "exuvia/exuvia.h"

/* Initialises a struct exu_string with a string literal or an array of characters. */
#define EXU_STRING(literal)                                                                                            \
  { (literal), sizeof(literal) - 1 }

/* The same as a value. */
#define EXU_STRING_OF(literal) ((struct exu_string)EXU_STRING(literal))

/* The bytes of a NUL-terminated text, without a copy; unknown when it is NULL. */
struct exu_string exu_string_of(const char *text);

/* All unknown strings are equal, and to no other. */
bool exu_string_equal(struct exu_string a, struct exu_string b);

bool exu_string_is(struct exu_string string, const char *text);
bool exu_string_is_among(struct exu_string string, const char *const *texts, size_t count);
bool exu_string_starts(struct exu_string string, const char *start);
bool exu_string_ends(struct exu_string string, const char *end);

/* What comes behind the first `size` bytes, of which there are as many. */
struct exu_string exu_string_behind(struct exu_string string, size_t size);

/* What follows the last slash; all of it when there is none, or nothing follows. */
struct exu_string exu_base_name(struct exu_string path);

#endif
