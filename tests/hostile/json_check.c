/* SPDX-License-Identifier: Apache-2.0 */
/* A strict reader of JSON that keeps nothing: is this text one JSON value in UTF-8? */
#include <string.h>

#include "hostile.h"

enum { DEPTH_MAX = 64 };

struct reader {
  const unsigned char *next;
  const unsigned char *end;
};

static void blanks(struct reader *reader) {
  while (reader->next < reader->end && strchr(" \t\r\n", *reader->next) && *reader->next) reader->next++;
}

static bool literal(struct reader *reader, const char *word) {
  size_t size = strlen(word);
  if ((size_t)(reader->end - reader->next) < size || memcmp(reader->next, word, size) != 0) return false;
  reader->next += size;
  return true;
}

static size_t digits(struct reader *reader) {
  const unsigned char *start = reader->next;
  while (reader->next < reader->end && *reader->next >= '0' && *reader->next <= '9') reader->next++;
  return (size_t)(reader->next - start);
}

static bool number(struct reader *reader) {
  literal(reader, "-");
  bool zero = reader->next < reader->end && *reader->next == '0';
  size_t count = digits(reader);
  return count > 0 && (!zero || count == 1); /* the report has whole numbers only */
}

/* One well-formed sequence of UTF-8 beyond ASCII (RFC 3629). */
static bool utf8(struct reader *reader) {
  const unsigned char *p = reader->next;
  size_t left = (size_t)(reader->end - p);
  size_t size = p[0] >= 0xC2 && p[0] < 0xE0 ? 2 : p[0] >= 0xE0 && p[0] < 0xF0 ? 3 : p[0] >= 0xF0 && p[0] < 0xF5 ? 4 : 0;
  if (size == 0 || size > left) return false;
  for (size_t i = 1; i < size; i++) {
    if ((p[i] & 0xC0) != 0x80) return false;
  }
  if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] >= 0xA0)) return false;
  if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] >= 0x90)) return false;
  reader->next += size;
  return true;
}

static bool escape(struct reader *reader) {
  if (reader->next == reader->end) return false;
  unsigned char c = *reader->next++;
  if (c != 'u') return c && strchr("\"\\/bfnrt", c) != NULL;
  for (int i = 0; i < 4; i++, reader->next++) {
    if (reader->next == reader->end || !*reader->next || !strchr("0123456789abcdefABCDEF", *reader->next)) return false;
  }
  return true;
}

static bool string(struct reader *reader) {
  if (!literal(reader, "\"")) return false;
  while (reader->next < reader->end) {
    unsigned char c = *reader->next;
    if (c >= 0x80) {
      if (!utf8(reader)) return false;
      continue;
    }
    reader->next++;
    if (c == '"') return true;
    if (c < 0x20 || (c == '\\' && !escape(reader))) return false;
  }
  return false;
}

static bool scalar(struct reader *reader) {
  if (reader->next == reader->end) return false;
  if (*reader->next == '"') return string(reader);
  return literal(reader, "true") || literal(reader, "false") || literal(reader, "null") || number(reader);
}

static bool name(struct reader *reader) {
  blanks(reader);
  if (!string(reader)) return false;
  blanks(reader);
  return literal(reader, ":");
}

bool json_is_valid(const char *text, size_t size) {
  struct reader reader = {(const unsigned char *)text, (const unsigned char *)text + size};
  char closing[DEPTH_MAX];
  size_t depth = 0;
  for (;;) {
    blanks(&reader);
    bool opened = literal(&reader, "{"), array = !opened && literal(&reader, "[");
    if (opened || array) {
      if (depth == DEPTH_MAX) return false;
      closing[depth++] = opened ? '}' : ']';
      blanks(&reader);
      if (reader.next < reader.end && *reader.next != closing[depth - 1]) {
        if (opened && !name(&reader)) return false;
        continue;
      }
    } else if (!scalar(&reader)) {
      return false;
    }
    for (;;) {
      blanks(&reader);
      if (depth == 0) return reader.next == reader.end;
      if (reader.next == reader.end) return false;
      if (*reader.next != (unsigned char)closing[depth - 1]) break;
      reader.next++;
      depth--;
    }
    if (!literal(&reader, ",")) return false;
    if (closing[depth - 1] == '}' && !name(&reader)) return false;
  }
}
