/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to take bytes of an untrusted buffer apart. A read that does not fit returns false (or 0) and leaves
 * the cursor in the failed state, in which every later read fails too: check once at the end, or at every step.
 */
#ifndef EXUVIA_BASE_CURSOR_H
#define EXUVIA_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exu_cursor {
  const uint8_t *next;
  const uint8_t *end;
  bool big_endian;
  bool failed;
};

struct exu_cursor exu_cursor(const void *data, size_t size, bool big_endian);

size_t exu_cursor_left(const struct exu_cursor *cursor);

uint8_t exu_cursor_u8(struct exu_cursor *cursor);
uint16_t exu_cursor_u16(struct exu_cursor *cursor);
uint32_t exu_cursor_u32(struct exu_cursor *cursor);
uint64_t exu_cursor_u64(struct exu_cursor *cursor);

/* A pointer to the next `size` bytes, which are skipped; NULL when there are fewer. */
const void *exu_cursor_bytes(struct exu_cursor *cursor, size_t size);

/* The next NUL-terminated string, without a copy; NULL when no NUL follows. */
const char *exu_cursor_string(struct exu_cursor *cursor);

/* Skip `size` bytes, or to the next multiple of `alignment` (a power of two) counted from `start`. */
bool exu_cursor_skip(struct exu_cursor *cursor, uint64_t size);
bool exu_cursor_align(struct exu_cursor *cursor, const void *start, size_t alignment);

#endif
