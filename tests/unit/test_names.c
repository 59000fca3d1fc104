/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka.h wants the four above */
#include <cmocka.h>

#include "exuvia/exuvia.h"

static void check_word(const char *name, const char *word) {
  if (word)
    assert_string_equal(name, word);
  else
    assert_null(name);
}

/* Every value has its word, and what is no value has none. */
#define CHECK(constant, word) check_word(NAME(constant), word);
#define COUNT(constant, word) +1
#define CHECK_ALL(enumeration, list)                                                                                   \
  do {                                                                                                                 \
    list(CHECK);                                                                                                       \
    assert_null(NAME((enum enumeration)(0 list(COUNT))));                                                              \
    assert_null(NAME((enum enumeration) - 1));                                                                         \
    assert_null(NAME((enum enumeration)INT_MAX));                                                                      \
    assert_null(NAME((enum enumeration)INT_MIN));                                                                      \
  } while (0)

static void every_value_of_an_enumeration_has_its_word_and_no_other_has_one(void **state) {
  (void)state;
#define NAME(value) exu_frame_kind_name(value)
  CHECK_ALL(exu_frame_kind, EXU_FRAME_KINDS);
#undef NAME
#define NAME(value) exu_gap_name(value)
  CHECK_ALL(exu_gap, EXU_GAPS);
#undef NAME
#define NAME(value) exu_gil_name(value)
  CHECK_ALL(exu_gil, EXU_GIL_STATES);
#undef NAME
#define NAME(value) exu_merged_by_name(value)
  CHECK_ALL(exu_merged_by, EXU_MERGED_BY);
#undef NAME
#define NAME(value) exu_wait_kind_name(value)
  CHECK_ALL(exu_wait_kind, EXU_WAIT_KINDS);
#undef NAME
#define NAME(value) exu_hang_kind_name(value)
  CHECK_ALL(exu_hang_kind, EXU_HANG_KINDS);
#undef NAME
#define NAME(value) exu_module_file_name(value)
  CHECK_ALL(exu_module_file, EXU_MODULE_FILES);
#undef NAME
#define NAME(value) exu_symbols_name(value)
  CHECK_ALL(exu_symbols, EXU_SYMBOL_KINDS);
#undef NAME
#define NAME(value) exu_found_by_name(value)
  CHECK_ALL(exu_found_by, EXU_WAYS_FOUND);
#undef NAME
#define NAME(value) exu_layout_from_name(value)
  CHECK_ALL(exu_layout_from, EXU_LAYOUTS_FROM);
#undef NAME
#define NAME(value) exu_source_kind_name(value)
  CHECK_ALL(exu_source_kind, EXU_SOURCE_KINDS);
#undef NAME
}

static void a_truth_value_is_called_as_in_json(void **state) {
  (void)state;
  assert_string_equal(exu_tristate_name(EXU_YES), "true");
  assert_string_equal(exu_tristate_name(EXU_NO), "false");
  assert_null(exu_tristate_name(EXU_UNKNOWN));
  assert_null(exu_tristate_name((enum exu_tristate)2));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_value_of_an_enumeration_has_its_word_and_no_other_has_one),
      cmocka_unit_test(a_truth_value_is_called_as_in_json),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
