/* SPDX-License-Identifier: Apache-2.0 */
#include "render/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Not an initializer: that would clear the buffer too. */
void exu_output_init(struct exu_output *output, FILE *file) {
  output->file = file;
  output->text = NULL;
  output->size = output->capacity = 0;
  output->used = 0;
  output->error = 0;
}

void exu_output_init_text(struct exu_output *output) { exu_output_init(output, NULL); }

void exu_output_deinit_text(struct exu_output *output) { free(output->text); }

static void append(struct exu_output *output, const void *data, size_t size) {
  size_t needed, doubled;
  if (__builtin_add_overflow(output->size, size, &needed) || __builtin_mul_overflow(needed, 2, &doubled)) {
    output->error = ENOMEM;
    return;
  }
  if (needed > output->capacity) {
    char *larger = realloc(output->text, doubled);
    if (!larger) {
      output->error = ENOMEM;
      return;
    }
    output->text = larger;
    output->capacity = doubled;
  }
  memcpy(output->text + output->size, data, size);
  output->size = needed;
}

/* Most texts are short: they stay in the buffer. */
struct exu_string exu_output_text(struct exu_output *output) {
  if (output->size > 0) exu_out_flush(output);
  if (output->error) return (struct exu_string){NULL, 0};
  return output->size > 0 ? (struct exu_string){output->text, output->size}
                          : (struct exu_string){output->buffer, output->used};
}

static void write_out(struct exu_output *output, const void *data, size_t size) {
  if (output->error || size == 0) return;
  if (!output->file) {
    append(output, data, size);
    return;
  }
  errno = 0;
  if (fwrite(data, 1, size, output->file) != size) output->error = errno ? errno : EIO;
}

void exu_out_flush(struct exu_output *output) {
  write_out(output, output->buffer, output->used);
  output->used = 0;
}

bool exu_output_finish(struct exu_output *output) {
  exu_out_flush(output);
  errno = 0;
  if (!output->error && fflush(output->file) != 0) output->error = errno ? errno : EIO;
  if (output->error) errno = output->error;
  return !output->error;
}

void exu_out_bytes(struct exu_output *output, const void *data, size_t size) {
  if (size == 0) return;
  if (size > sizeof output->buffer - output->used) {
    exu_out_flush(output);
    if (size > sizeof output->buffer) {
      write_out(output, data, size);
      return;
    }
  }
  memcpy(output->buffer + output->used, data, size);
  output->used += size;
}

void exu_out(struct exu_output *output, const char *text) { exu_out_bytes(output, text, strlen(text)); }

void exu_out_char(struct exu_output *output, char character) {
  if (output->used == sizeof output->buffer) exu_out_flush(output);
  output->buffer[output->used++] = character;
}

void exu_out_repeat(struct exu_output *output, char character, size_t count) {
  while (count-- > 0) exu_out_char(output, character);
}

enum { DIGITS_MAX = 20 }; /* of 64 bits, in decimal */

static inline size_t count_digits(uint64_t number, unsigned base) {
  size_t count = 1;
  while ((number /= base) > 0) count++;
  return count;
}

/* Right into the buffer: numbers are what reports have most of. Inlined so that the base is a constant. */
static inline void put_digits(struct exu_output *output, uint64_t number, unsigned base) {
  if (sizeof output->buffer - output->used < DIGITS_MAX) exu_out_flush(output);
  size_t at = output->used += count_digits(number, base);
  do {
    output->buffer[--at] = "0123456789abcdef"[number % base];
    number /= base;
  } while (number > 0);
}

void exu_out_unsigned(struct exu_output *output, uint64_t number) { put_digits(output, number, 10); }

void exu_out_signed(struct exu_output *output, int64_t number) {
  if (number < 0) exu_out_char(output, '-');
  exu_out_unsigned(output, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

void exu_out_grouped(struct exu_output *output, uint64_t number) {
  char digits[DIGITS_MAX]; /* the last one first */
  size_t count = 0;
  do {
    digits[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  while (count-- > 0) {
    exu_out_char(output, digits[count]);
    if (count > 0 && count % 3 == 0) exu_out_char(output, ',');
  }
}

void exu_out_count(struct exu_output *output, uint64_t number, const char *what) {
  exu_out_grouped(output, number);
  exu_out_char(output, ' ');
  exu_out(output, what);
  if (number != 1) exu_out_char(output, 's');
}

void exu_out_hex(struct exu_output *output, uint64_t number) {
  exu_out_bytes(output, "0x", 2);
  put_digits(output, number, 16);
}
