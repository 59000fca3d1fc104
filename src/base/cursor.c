/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"

#include <endian.h>
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

/* The next `size` bytes as they stand there; `number` stays as it is when there are fewer. */
static inline void copy_number(struct exu_cursor *cursor, void *number, size_t size) {
  const void *bytes = exu_cursor_bytes(cursor, size);
  if (bytes) memcpy(number, bytes, size);
}

uint8_t exu_cursor_u8(struct exu_cursor *cursor) {
  uint8_t number = 0;
  copy_number(cursor, &number, sizeof number);
  return number;
}

uint16_t exu_cursor_u16(struct exu_cursor *cursor) {
  uint16_t number = 0;
  copy_number(cursor, &number, sizeof number);
  return cursor->big_endian ? be16toh(number) : le16toh(number);
}

uint32_t exu_cursor_u32(struct exu_cursor *cursor) {
  uint32_t number = 0;
  copy_number(cursor, &number, sizeof number);
  return cursor->big_endian ? be32toh(number) : le32toh(number);
}

uint64_t exu_cursor_u64(struct exu_cursor *cursor) {
  uint64_t number = 0;
  copy_number(cursor, &number, sizeof number);
  return cursor->big_endian ? be64toh(number) : le64toh(number);
}

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
