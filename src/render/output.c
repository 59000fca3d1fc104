/* SPDX-License-Identifier: Apache-2.0 */
#include "render/output.h"

#include <errno.h>
#include <string.h>

/* Not an initializer: that would clear the buffer too. */
void exu_output_init(struct exu_output *output, FILE *file) {
  output->file = file;
  output->used = 0;
  output->error = 0;
}

static void write_out(struct exu_output *output, const void *data, size_t size) {
  if (output->error || size == 0) return;
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

void exu_out_hex(struct exu_output *output, uint64_t number) {
  exu_out_bytes(output, "0x", 2);
  put_digits(output, number, 16);
}
