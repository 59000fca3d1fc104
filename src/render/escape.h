/* SPDX-License-Identifier: Apache-2.0 */
/* Strings of the process are data: how text shows them without being led by them. */
#ifndef EXUVIA_RENDER_ESCAPE_H
#define EXUVIA_RENDER_ESCAPE_H

#include "exuvia/exuvia.h"
#include "render/output.h"
#include "render/utf8.h"

/* Bits for the escaping functions. */
enum {
  EXU_ESCAPE_QUOTED = 1, /* the text stands in double quotes or is a path: escape `"` and `\` too */
};

/* Lengths, in characters, beyond which text leaves out the middle of a string. */
enum { EXU_NAME_SHOWN = 200, EXU_PATH_SHOWN = 1000, EXU_MESSAGE_SHOWN = 2000 };

/* Room for one escaped character. */
enum { EXU_ESCAPED_MAX = 10 };

/*
 * One character as text shows it: itself, `\n`, `\x1b` (ASCII controls; bytes that are not UTF-8), `\u202e` (other
 * unsafe characters, lone surrogates) or `\U000e0001`. `raw` is where `character` was decoded. Returns the number of
 * bytes written to `out`, and adds the cells that they take on a terminal to *cells unless that is NULL.
 */
size_t exu_escape_char(struct exu_char character, const char *raw, int flags, char out[EXU_ESCAPED_MAX], size_t *cells);

/* The whole string; its beginning, "...(N more characters)..." and its end when there are more than `shown`. */
void exu_out_escaped(struct exu_output *output, struct exu_string string, int flags, size_t shown);

#endif
