/* SPDX-License-Identifier: Apache-2.0 */
#include "render/json_writer.h"

#include <assert.h>
#include <string.h>

#include "base/str.h"
#include "render/utf8.h"

/* ---- Containers -------------------------------------------------------------------------------------------------- */

/* What comes before the next element of the container that is open. */
enum separator {
  SEPARATOR_NONE,       /* nothing: it is the first one */
  SEPARATOR_BLANK,      /* a comma and a blank */
  SEPARATOR_LINE_FIRST, /* a new line */
  SEPARATOR_LINE,       /* a comma and a new line */
  SEPARATOR_BREAK,      /* likewise, once, in an inline container */
};

enum {
  AFTER_MAX = 8, /* room that is left behind a key, for the beginning of the value */
  BEFORE_MAX = 2 * (EXU_JSON_DEPTH_MAX + 1) + EXU_JSON_KEY_MAX + 8,
};

void exu_json_init(struct exu_json *json, struct exu_output *out) { *json = (struct exu_json){.out = out}; }

static char *put_separator(struct exu_json *json, char *at) {
  const enum separator separator = json->current.separator;
  const size_t lines = json->lines + (separator == SEPARATOR_BREAK);
  json->current.separator = json->current.lines ? SEPARATOR_LINE : SEPARATOR_BLANK;
  if (separator == SEPARATOR_NONE) return at;
  if (separator != SEPARATOR_LINE_FIRST) *at++ = ',';
  *at++ = separator == SEPARATOR_BLANK ? ' ' : '\n';
  for (size_t i = 0; i < lines && separator != SEPARATOR_BLANK; i++) at = mempcpy(at, "  ", 2);
  return at;
}

/* What comes before a value: most of what there is to write, so it goes right into the buffer. */
static void begin_value(struct exu_json *json, const char *key) {
  struct exu_output *out = json->out;
  assert((json->current.end == '}') == (key != NULL) && (!key || strlen(key) <= EXU_JSON_KEY_MAX));
  if (sizeof out->buffer - out->used < BEFORE_MAX + AFTER_MAX) exu_out_flush(out);
  char *at = out->buffer + out->used;
  if (json->current.separator == SEPARATOR_BLANK)
    at = mempcpy(at, ", ", 2);
  else
    at = put_separator(json, at);
  if (key) {
    *at++ = '"';
    at = stpcpy(at, key);
    at = mempcpy(at, "\": ", 3);
  }
  out->used = (size_t)(at - out->buffer);
}

/* The beginning of a value, up to AFTER_MAX bytes, right after begin_value. */
static void put_first(struct exu_json *json, const char *text, size_t size) {
  assert(size <= AFTER_MAX);
  memcpy(json->out->buffer + json->out->used, text, size);
  json->out->used += size;
}

static void begin_container(struct exu_json *json, const char *key, enum exu_json_form form, const char ends[2]) {
  const bool lines = form == EXU_JSON_LINES;
  begin_value(json, key);
  put_first(json, ends, 1);
  assert(json->depth < EXU_JSON_DEPTH_MAX);
  json->outer[json->depth++] = json->current;
  json->current = (struct exu_json_container){
      .end = ends[1], .lines = lines, .separator = lines ? SEPARATOR_LINE_FIRST : SEPARATOR_NONE};
  json->lines += lines;
}

void exu_json_begin_object(struct exu_json *json, const char *key, enum exu_json_form form) {
  begin_container(json, key, form, "{}");
}

void exu_json_begin_array(struct exu_json *json, const char *key, enum exu_json_form form) {
  begin_container(json, key, form, "[]");
}

void exu_json_end(struct exu_json *json) {
  const struct exu_json_container ended = json->current;
  assert(json->depth > 0);
  json->current = json->outer[--json->depth];
  json->lines -= ended.lines;
  if (ended.separator == SEPARATOR_LINE) {
    exu_out_char(json->out, '\n');
    exu_out_repeat(json->out, ' ', 2 * json->lines);
  }
  exu_out_char(json->out, ended.end);
}

void exu_json_break_line(struct exu_json *json) {
  assert(json->current.separator == SEPARATOR_BLANK);
  json->current.separator = SEPARATOR_BREAK;
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

/* All but the first quote. */
static void put_string(struct exu_output *out, struct exu_string string) {
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
  put_first(json, "\"", 1);
  put_string(json->out, string);
}

void exu_json_word(struct exu_json *json, const char *key, const char *word) {
  exu_json_string(json, key, exu_string_of(word));
}

/* ---- Other values ------------------------------------------------------------------------------------------------ */

void exu_json_null(struct exu_json *json, const char *key) {
  begin_value(json, key);
  put_first(json, "null", 4);
}

void exu_json_bool(struct exu_json *json, const char *key, bool value) {
  begin_value(json, key);
  put_first(json, value ? "true" : "false", value ? 4 : 5);
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
  put_first(json, "\"", 1);
  exu_out_hex(json->out, address);
  exu_out_char(json->out, '"');
}
