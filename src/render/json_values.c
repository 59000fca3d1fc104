/* SPDX-License-Identifier: Apache-2.0 */
#include "render/json.h"

#include <string.h>

#include "render/utf8.h"

static void put_unicode(struct exu_output *out, uint32_t code) {
  char escape[6] = {'\\', 'u'};
  for (int i = 0; i < 4; i++) escape[2 + i] = "0123456789abcdef"[code >> (12 - 4 * i) & 15];
  exu_out_bytes(out, escape, sizeof escape);
}

/* One character that may not be copied as it is. Returns how many bytes of the string it was. */
static size_t put_special(struct exu_output *out, const char *data, size_t size) {
  struct exu_char character = exu_char_at(data, size);
  if (character.kind == EXU_CHAR_INVALID) {
    put_unicode(out, 0xdc00 + character.code); /* PEP 383: a byte 0x80..0xff that is not UTF-8 is U+DC80..U+DCFF */
  } else if (character.code == '"' || character.code == '\\') {
    exu_out_char(out, '\\');
    exu_out_char(out, (char)character.code);
  } else if (character.code == '\n') {
    exu_out(out, "\\n");
  } else if (character.kind == EXU_CHAR_SCALAR && !exu_char_is_unsafe(character.code)) {
    exu_out_bytes(out, data, character.size);
  } else if (character.code < 0x10000) {
    put_unicode(out, character.code);
  } else {
    put_unicode(out, 0xd800 + ((character.code - 0x10000) >> 10));
    put_unicode(out, 0xdc00 + (character.code & 0x3ff));
  }
  return character.size;
}

static bool is_plain(char character) {
  return character >= 0x20 && character < 0x7f && character != '"' && character != '\\';
}

void exu_json_string(struct exu_output *out, struct exu_string string) {
  if (!string.data) {
    exu_out(out, "null");
    return;
  }
  exu_out_char(out, '"');
  size_t at = 0;
  while (at < string.size) {
    size_t run = at;
    while (run < string.size && is_plain(string.data[run])) run++;
    exu_out_bytes(out, string.data + at, run - at);
    at = run;
    if (at < string.size) at += put_special(out, string.data + at, string.size - at);
  }
  exu_out_char(out, '"');
}

void exu_json_word(struct exu_output *out, const char *word) {
  exu_json_string(out, (struct exu_string){word, word ? strlen(word) : 0});
}

void exu_json_bool(struct exu_output *out, bool value) { exu_out(out, value ? "true" : "false"); }

void exu_json_tristate(struct exu_output *out, enum exu_tristate value) {
  exu_out(out, value == EXU_YES ? "true" : value == EXU_NO ? "false" : "null");
}

void exu_json_address(struct exu_output *out, bool known, uint64_t address) {
  if (!known) {
    exu_out(out, "null");
    return;
  }
  exu_out_char(out, '"');
  exu_out_hex(out, address);
  exu_out_char(out, '"');
}

/* A number for which negative values mean unknown. */
void exu_json_id(struct exu_output *out, int64_t number) {
  if (number < 0) {
    exu_out(out, "null");
  } else {
    exu_out_signed(out, number);
  }
}
