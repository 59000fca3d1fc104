/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"

#include <string.h>

struct exu_cursor exu_cursor(const void *data, size_t size, bool big_endian) {
  const uint8_t *bytes = data;
  return (struct exu_cursor){.next = bytes, .end = size ? bytes + size : bytes, .big_endian = big_endian};
}

size_t exu_cursor_left(const struct exu_cursor *cursor) {
  return cursor->failed ? 0 : (size_t)(cursor->end - cursor->next);
}

const void *exu_cursor_bytes(struct exu_cursor *cursor, size_t size) {
  if (exu_cursor_left(cursor) < size) {
    cursor->failed = true;
    return NULL;
  }
  const void *bytes = cursor->next;
  if (size) cursor->next += size;
  return bytes;
}

static uint64_t unsigned_of(struct exu_cursor *cursor, size_t size) {
  const uint8_t *bytes = exu_cursor_bytes(cursor, size);
  uint64_t value = 0;
  if (!bytes) return 0;
  for (size_t i = 0; i < size; i++) value = value << 8 | bytes[cursor->big_endian ? i : size - 1 - i];
  return value;
}

uint8_t exu_cursor_u8(struct exu_cursor *cursor) { return (uint8_t)unsigned_of(cursor, 1); }
uint16_t exu_cursor_u16(struct exu_cursor *cursor) { return (uint16_t)unsigned_of(cursor, 2); }
uint32_t exu_cursor_u32(struct exu_cursor *cursor) { return (uint32_t)unsigned_of(cursor, 4); }
uint64_t exu_cursor_u64(struct exu_cursor *cursor) { return unsigned_of(cursor, 8); }

const char *exu_cursor_string(struct exu_cursor *cursor) {
  size_t left = exu_cursor_left(cursor);
  const char *string = (const char *)cursor->next;
  const char *nul = left ? memchr(string, 0, left) : NULL;
  if (!nul) {
    cursor->failed = true;
    return NULL;
  }
  cursor->next = (const uint8_t *)nul + 1;
  return string;
}

bool exu_cursor_skip(struct exu_cursor *cursor, uint64_t size) {
  if (exu_cursor_left(cursor) < size) {
    cursor->failed = true;
    return false;
  }
  cursor->next += size;
  return true;
}

bool exu_cursor_align(struct exu_cursor *cursor, const void *start, size_t alignment) {
  if (cursor->failed) return false;
  size_t past = (size_t)(cursor->next - (const uint8_t *)start) & (alignment - 1);
  return past == 0 || exu_cursor_skip(cursor, alignment - past);
}
