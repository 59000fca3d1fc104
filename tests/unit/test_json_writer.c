/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above */
#include <cmocka.h>

#include "render/json_writer.h"

/* What `put` writes must be `expected`. */
static void check(void (*put)(struct exu_json *json), const char *expected) {
  char *text = NULL;
  size_t size = 0;
  FILE *file = open_memstream(&text, &size);
  assert_non_null(file);
  struct exu_output out;
  struct exu_json json;
  exu_output_init(&out, file);
  exu_json_init(&json, &out);
  put(&json);
  assert_int_equal(json.depth, 0);
  assert_true(exu_output_finish(&out));
  fclose(file);
  assert_string_equal(text, expected);
  free(text);
}

static void put_values(struct exu_json *json) {
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_null(json, "null");
  exu_json_bool(json, "bool", true);
  exu_json_tristate(json, "no", EXU_NO);
  exu_json_tristate(json, "unknown", EXU_UNKNOWN);
  exu_json_signed(json, "signed", INT64_MIN);
  exu_json_unsigned(json, "unsigned", UINT64_MAX);
  exu_json_id(json, "id", 0);
  exu_json_id(json, "no id", -1);
  exu_json_address(json, "address", true, 0x7f00);
  exu_json_address(json, "no address", false, 0x7f00);
  exu_json_word(json, "word", "a\"b");
  exu_json_word(json, "no word", NULL);
  exu_json_string(json, "string", (struct exu_string){"\0", 1});
  exu_json_end(json);
}

static void a_value_is_written_behind_its_key_and_what_is_unknown_is_null(void **state) {
  (void)state;
  check(put_values,
        "{\"null\": null, \"bool\": true, \"no\": false, \"unknown\": null, \"signed\": -9223372036854775808, "
        "\"unsigned\": 18446744073709551615, \"id\": 0, \"no id\": null, \"address\": \"0x7f00\", "
        "\"no address\": null, \"word\": \"a\\\"b\", \"no word\": null, \"string\": \"\\u0000\"}");
}

static void put_empty(struct exu_json *json) {
  exu_json_begin_array(json, NULL, EXU_JSON_LINES);
  exu_json_begin_array(json, NULL, EXU_JSON_INLINE);
  exu_json_end(json);
  exu_json_begin_array(json, NULL, EXU_JSON_LINES);
  exu_json_end(json);
  exu_json_begin_object(json, NULL, EXU_JSON_LINES);
  exu_json_end(json);
  exu_json_end(json);
}

static void an_empty_container_takes_no_line_of_its_own(void **state) {
  (void)state;
  check(put_empty, "[\n  [],\n  [],\n  {}\n]");
}

static void put_nested(struct exu_json *json) {
  exu_json_begin_object(json, NULL, EXU_JSON_LINES);
  exu_json_begin_array(json, "threads", EXU_JSON_LINES);
  for (int i = 0; i < 2; i++) {
    exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
    exu_json_signed(json, "tid", i);
    exu_json_break_line(json);
    exu_json_begin_array(json, "frames", EXU_JSON_LINES);
    exu_json_signed(json, NULL, 7);
    exu_json_signed(json, NULL, 8);
    exu_json_end(json);
    exu_json_end(json);
  }
  exu_json_end(json);
  exu_json_begin_array(json, "inline", EXU_JSON_INLINE);
  exu_json_signed(json, NULL, 1);
  exu_json_signed(json, NULL, 2);
  exu_json_end(json);
  exu_json_end(json);
}

static void lines_are_indented_by_how_many_containers_of_lines_they_are_in(void **state) {
  (void)state;
  check(put_nested, "{\n"
                    "  \"threads\": [\n"
                    "    {\"tid\": 0,\n"
                    "      \"frames\": [\n"
                    "      7,\n"
                    "      8\n"
                    "    ]},\n"
                    "    {\"tid\": 1,\n"
                    "      \"frames\": [\n"
                    "      7,\n"
                    "      8\n"
                    "    ]}\n"
                    "  ],\n"
                    "  \"inline\": [1, 2]\n"
                    "}");
}

static void put_deepest(struct exu_json *json) {
  for (int i = 0; i < EXU_JSON_DEPTH_MAX; i++) exu_json_begin_array(json, NULL, EXU_JSON_INLINE);
  for (int i = 0; i < EXU_JSON_DEPTH_MAX; i++) exu_json_end(json);
}

static void containers_may_be_as_deep_as_said(void **state) {
  (void)state;
  check(put_deepest, "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]");
}

static void put_many(struct exu_json *json) {
  exu_json_begin_array(json, NULL, EXU_JSON_INLINE);
  for (int i = 0; i < 50000; i++) exu_json_signed(json, NULL, 1);
  exu_json_end(json);
}

static void a_text_larger_than_the_buffer_loses_nothing(void **state) {
  (void)state;
  enum { COUNT = 50000 };
  char *expected = malloc(COUNT * 3 + 2);
  assert_non_null(expected);
  for (size_t i = 0; i < COUNT; i++) memcpy(expected + 3 * i, i ? ", 1" : " [1", 3);
  memcpy(expected + (size_t)COUNT * 3, "]", 2);
  check(put_many, expected + 1);
  free(expected);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_value_is_written_behind_its_key_and_what_is_unknown_is_null),
      cmocka_unit_test(an_empty_container_takes_no_line_of_its_own),
      cmocka_unit_test(lines_are_indented_by_how_many_containers_of_lines_they_are_in),
      cmocka_unit_test(containers_may_be_as_deep_as_said),
      cmocka_unit_test(a_text_larger_than_the_buffer_loses_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
