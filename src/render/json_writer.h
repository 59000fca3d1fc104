/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as a stream: values go out as they are said, nothing is allocated. Quotes, commas, colons and the form of a
 * container are made here: an inline one is `{"a": 1, "b": 2}`, the other has every element on a line of its own, so
 * that line tools and diff work on it.
 *
 * `key` is the name of a member of an object, in plain ASCII, at most EXU_JSON_KEY_MAX bytes, and NULL for an element
 * of an array.
 */
#ifndef EXUVIA_RENDER_JSON_WRITER_H
#define EXUVIA_RENDER_JSON_WRITER_H

#include "exuvia/exuvia.h"
#include "render/output.h"

enum { EXU_JSON_DEPTH_MAX = 16, EXU_JSON_KEY_MAX = 64 };

enum exu_json_form { EXU_JSON_INLINE, EXU_JSON_LINES };

struct exu_json_container {
  char end; /* '}' or ']'; 0: the text as a whole */
  bool lines;
  unsigned char separator; /* of json_writer.c: what comes before the next element */
};

struct exu_json {
  struct exu_output *out;
  size_t depth; /* containers that are open */
  size_t lines; /* how many of those have their elements on lines of their own */
  struct exu_json_container current;
  struct exu_json_container outer[EXU_JSON_DEPTH_MAX];
};

void exu_json_init(struct exu_json *json, struct exu_output *out);

/* Begin a container, and end the one that was begun last. At most EXU_JSON_DEPTH_MAX are open. */
void exu_json_begin_object(struct exu_json *json, const char *key, enum exu_json_form form);
void exu_json_begin_array(struct exu_json *json, const char *key, enum exu_json_form form);
void exu_json_end(struct exu_json *json);

/* The next element of an inline container, which is not its first, begins on a new line. */
void exu_json_break_line(struct exu_json *json);

void exu_json_null(struct exu_json *json, const char *key);
void exu_json_bool(struct exu_json *json, const char *key, bool value);
void exu_json_tristate(struct exu_json *json, const char *key, enum exu_tristate value);
void exu_json_signed(struct exu_json *json, const char *key, int64_t number);
void exu_json_unsigned(struct exu_json *json, const char *key, uint64_t number);
void exu_json_id(struct exu_json *json, const char *key, int64_t number); /* null when it is negative: unknown */
void exu_json_address(struct exu_json *json, const char *key, bool known, uint64_t address);

/* Valid UTF-8 whatever the bytes are; null when unknown (NULL). */
void exu_json_string(struct exu_json *json, const char *key, struct exu_string string);
void exu_json_word(struct exu_json *json, const char *key, const char *word);

#endif
