/* SPDX-License-Identifier: Apache-2.0 */
#include "render/json_writer.h"

#include <assert.h>
#include <string.h>

#include "render/utf8.h"

/* ---- Containers -------------------------------------------------------------------------------------------------- */

void exu_json_init(struct exu_json *json, struct exu_output *out) { *json = (struct exu_json){.out = out}; }

/* Everything before a value: what separates it from the one before, and its key. */
static void begin_value(struct exu_json *json, const char *key) {
  struct exu_json_container *container = &json->open[json->depth];
  const size_t key_size = key ? strlen(key) : 0;
  char *start = exu_out_reserve(json->out, (size_t)2 * EXU_JSON_DEPTH_MAX + key_size + 8), *at = start;
  assert((container->end == '}') == (key != NULL));
  if (container->used) *at++ = ',';
  if (container->lines || json->breaks_line) {
    const size_t indent = 2 * (json->lines + json->breaks_line);
    *at++ = '\n';
    memset(at, ' ', indent);
    at += indent;
    json->breaks_line = false;
  } else if (container->used) {
    *at++ = ' ';
  }
  if (key) {
    *at++ = '"';
    at = mempcpy(at, key, key_size);
    at = mempcpy(at, "\": ", 3);
  }
  container->used = true;
  exu_out_commit(json->out, (size_t)(at - start));
}

static void begin_container(struct exu_json *json, const char *key, enum exu_json_form form, char begin, char end) {
  const bool lines = form == EXU_JSON_LINES;
  begin_value(json, key);
  exu_out_char(json->out, begin);
  assert(json->depth < EXU_JSON_DEPTH_MAX);
  json->open[++json->depth] = (struct exu_json_container){.end = end, .lines = lines};
  json->lines += lines;
}

void exu_json_begin_object(struct exu_json *json, const char *key, enum exu_json_form form) {
  begin_container(json, key, form, '{', '}');
}

void exu_json_begin_array(struct exu_json *json, const char *key, enum exu_json_form form) {
  begin_container(json, key, form, '[', ']');
}

void exu_json_end(struct exu_json *json) {
  assert(json->depth > 0);
  const struct exu_json_container *container = &json->open[json->depth--];
  json->lines -= container->lines;
  if (container->lines && container->used) {
    exu_out_char(json->out, '\n');
    exu_out_repeat(json->out, ' ', 2 * json->lines);
  }
  exu_out_char(json->out, container->end);
}

void exu_json_break_line(struct exu_json *json) {
  assert(json->open[json->depth].used && !json->open[json->depth].lines);
  json->breaks_line = true;
}

/* ---- Strings ----------------------------------------------------------------------------------------------------- */

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

/* Printable ASCII but for the quote and the backslash. */
static const bool is_plain[256] = {[0x20 ... 0x21] = true, [0x23 ... 0x5b] = true, [0x5d ... 0x7e] = true};

static void put_string(struct exu_output *out, struct exu_string string) {
  exu_out_char(out, '"');
  size_t at = 0;
  while (at < string.size) {
    size_t run = at;
    while (run < string.size && is_plain[(unsigned char)string.data[run]]) run++;
    exu_out_bytes(out, string.data + at, run - at);
    at = run;
    if (at < string.size) at += put_special(out, string.data + at, string.size - at);
  }
  exu_out_char(out, '"');
}

void exu_json_string(struct exu_json *json, const char *key, struct exu_string string) {
  if (!string.data) {
    exu_json_null(json, key);
    return;
  }
  begin_value(json, key);
  put_string(json->out, string);
}

void exu_json_word(struct exu_json *json, const char *key, const char *word) {
  exu_json_string(json, key, (struct exu_string){word, word ? strlen(word) : 0});
}

/* ---- Other values ------------------------------------------------------------------------------------------------ */

void exu_json_null(struct exu_json *json, const char *key) {
  begin_value(json, key);
  exu_out(json->out, "null");
}

void exu_json_bool(struct exu_json *json, const char *key, bool value) {
  begin_value(json, key);
  exu_out(json->out, value ? "true" : "false");
}

void exu_json_tristate(struct exu_json *json, const char *key, enum exu_tristate value) {
  if (value == EXU_YES || value == EXU_NO)
    exu_json_bool(json, key, value == EXU_YES);
  else
    exu_json_null(json, key);
}

void exu_json_signed(struct exu_json *json, const char *key, int64_t number) {
  begin_value(json, key);
  exu_out_signed(json->out, number);
}

void exu_json_unsigned(struct exu_json *json, const char *key, uint64_t number) {
  begin_value(json, key);
  exu_out_unsigned(json->out, number);
}

void exu_json_id(struct exu_json *json, const char *key, int64_t number) {
  if (number < 0)
    exu_json_null(json, key);
  else
    exu_json_signed(json, key, number);
}

void exu_json_address(struct exu_json *json, const char *key, bool known, uint64_t address) {
  if (!known) {
    exu_json_null(json, key);
    return;
  }
  begin_value(json, key);
  exu_out_char(json->out, '"');
  exu_out_hex(json->out, address);
  exu_out_char(json->out, '"');
}
