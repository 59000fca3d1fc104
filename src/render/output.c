/* SPDX-License-Identifier: Apache-2.0 */
#include "render/output.h"

#include <assert.h>
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

static void flush(struct exu_output *output) {
  write_out(output, output->buffer, output->used);
  output->used = 0;
}

bool exu_output_finish(struct exu_output *output) {
  flush(output);
  errno = 0;
  if (!output->error && fflush(output->file) != 0) output->error = errno ? errno : EIO;
  if (output->error) errno = output->error;
  return !output->error;
}

char *exu_out_reserve(struct exu_output *output, size_t size) {
  assert(size <= sizeof output->buffer);
  if (size > sizeof output->buffer - output->used) flush(output);
  return output->buffer + output->used;
}

void exu_out_commit(struct exu_output *output, size_t used) {
  assert(used <= sizeof output->buffer - output->used);
  output->used += used;
}

void exu_out_bytes(struct exu_output *output, const void *data, size_t size) {
  if (size == 0) return;
  if (size > sizeof output->buffer - output->used) {
    flush(output);
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
  if (output->used == sizeof output->buffer) flush(output);
  output->buffer[output->used++] = character;
}

void exu_out_repeat(struct exu_output *output, char character, size_t count) {
  while (count-- > 0) exu_out_char(output, character);
}

/* The digits of `number`, right-aligned in digits[20]; returns how many there are. */
static size_t to_decimal(uint64_t number, char digits[20]) {
  size_t count = 0;
  do {
    digits[20 - ++count] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  return count;
}

void exu_out_unsigned(struct exu_output *output, uint64_t number) {
  char digits[20];
  size_t count = to_decimal(number, digits);
  exu_out_bytes(output, digits + 20 - count, count);
}

void exu_out_signed(struct exu_output *output, int64_t number) {
  if (number < 0) exu_out_char(output, '-');
  exu_out_unsigned(output, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

void exu_out_grouped(struct exu_output *output, uint64_t number) {
  char digits[20];
  size_t count = to_decimal(number, digits);
  for (size_t left = count; left > 0; left--) {
    exu_out_char(output, digits[20 - left]);
    if (left > 1 && left % 3 == 1) exu_out_char(output, ',');
  }
}

void exu_out_hex(struct exu_output *output, uint64_t number) {
  char digits[16];
  size_t count = 0;
  do {
    digits[16 - ++count] = "0123456789abcdef"[number % 16];
    number /= 16;
  } while (number > 0);
  exu_out_bytes(output, "0x", 2);
  exu_out_bytes(output, digits + 16 - count, count);
}
