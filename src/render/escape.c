/* SPDX-License-Identifier: Apache-2.0 */
#include "render/escape.h"

#include <string.h>

static size_t put_hex(char *out, char letter, uint32_t code, size_t digits) {
  out[0] = '\\';
  out[1] = letter;
  for (size_t i = 0; i < digits; i++) out[2 + i] = "0123456789abcdef"[code >> (4 * (digits - 1 - i)) & 15];
  return 2 + digits;
}

static size_t escape_unsafe(struct exu_char character, char out[EXU_ESCAPED_MAX]) {
  const char *letter = NULL;
  if (character.kind == EXU_CHAR_INVALID) return put_hex(out, 'x', character.code, 2);
  if (character.code == '\n') letter = "\\n";
  if (character.code == '\t') letter = "\\t";
  if (character.code == '\r') letter = "\\r";
  if (letter) {
    memcpy(out, letter, 2);
    return 2;
  }
  /* Above ASCII always \u, so that \x80 to \xff can only mean a byte. */
  if (character.code < 0x80) return put_hex(out, 'x', character.code, 2);
  if (character.code < 0x10000) return put_hex(out, 'u', character.code, 4);
  return put_hex(out, 'U', character.code, 8);
}

size_t exu_escape_char(struct exu_char character, const char *raw, int flags, char out[EXU_ESCAPED_MAX],
                       size_t *cells) {
  size_t size;
  size_t width;
  if (character.kind != EXU_CHAR_SCALAR || exu_char_is_unsafe(character.code)) {
    size = width = escape_unsafe(character, out);
  } else if ((flags & EXU_ESCAPE_QUOTED) && (character.code == '"' || character.code == '\\')) {
    out[0] = '\\';
    out[1] = (char)character.code;
    size = width = 2;
  } else {
    memcpy(out, raw, character.size);
    size = character.size;
    width = exu_char_cells(character.code);
  }
  if (cells) *cells += width;
  return size;
}

/* Write up to `limit` characters; returns how many bytes they were. */
static size_t put(struct exu_output *output, const char *data, size_t size, int flags, size_t limit) {
  size_t at = 0;
  for (size_t i = 0; at < size && i < limit; i++) {
    char escaped[EXU_ESCAPED_MAX];
    struct exu_char character = exu_char_at(data + at, size - at);
    exu_out_bytes(output, escaped, exu_escape_char(character, data + at, flags, escaped, NULL));
    at += character.size;
  }
  return at;
}

/* The number of bytes of the first `limit` characters; *count is the number of characters in them. */
static size_t measure(const char *data, size_t size, size_t limit, size_t *count) {
  size_t at = 0;
  for (*count = 0; at < size && *count < limit; ++*count) at += exu_char_at(data + at, size - at).size;
  return at;
}

void exu_out_escaped(struct exu_output *output, struct exu_string string, int flags, size_t shown) {
  if (!string.data) {
    exu_out_char(output, '?');
    return;
  }
  size_t count = 0;
  if (string.size > shown) measure(string.data, string.size, SIZE_MAX, &count);
  if (count <= shown) {
    put(output, string.data, string.size, flags, SIZE_MAX);
    return;
  }
  size_t head = shown * 2 / 3, tail = shown / 4, ignored;
  size_t at = put(output, string.data, string.size, flags, head);
  exu_out(output, "...(");
  exu_out_grouped(output, count - head - tail);
  exu_out(output, " more characters)...");
  at += measure(string.data + at, string.size - at, count - head - tail, &ignored);
  put(output, string.data + at, string.size - at, flags, SIZE_MAX);
}
