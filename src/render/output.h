/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A buffer in front of a FILE: the writers emit many small pieces, and stdio's locking per piece is what they would
 * spend their time on. After a failed write everything is discarded, and exu_output_finish says so once. Or a text in
 * memory, of any length.
 */
#ifndef EXUVIA_RENDER_OUTPUT_H
#define EXUVIA_RENDER_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "exuvia/exuvia.h"

struct exu_output {
  FILE *file; /* NULL: a text in memory, of which `text` has what the buffer had no room for */
  char *text;
  size_t size, capacity;
  size_t used;
  int error; /* errno of the first write that failed; 0: none did */
  char buffer[32 * 1024];
};

void exu_output_init(struct exu_output *output, FILE *file);

/* The same in memory: what was put there so far, until something else is; unknown without memory. */
void exu_output_init_text(struct exu_output *output);
struct exu_string exu_output_text(struct exu_output *output);
void exu_output_deinit_text(struct exu_output *output);

/* Write out all that is buffered, also by stdio. False, with errno, when anything since exu_output_init was lost. */
bool exu_output_finish(struct exu_output *output);

/* Make the whole buffer free. Callers that fill it themselves add to `used` what they have put there. */
void exu_out_flush(struct exu_output *output);

void exu_out_bytes(struct exu_output *output, const void *data, size_t size);
void exu_out(struct exu_output *output, const char *text);
void exu_out_char(struct exu_output *output, char character);
void exu_out_repeat(struct exu_output *output, char character, size_t count);
void exu_out_unsigned(struct exu_output *output, uint64_t number);
void exu_out_signed(struct exu_output *output, int64_t number);
void exu_out_grouped(struct exu_output *output, uint64_t number);                 /* 12,345,678 */
void exu_out_count(struct exu_output *output, uint64_t number, const char *what); /* 1 byte, 1,024 bytes */
void exu_out_hex(struct exu_output *output, uint64_t number);                     /* 0x7f00 */

#endif
