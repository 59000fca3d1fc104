/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface: what a caller may do wrong, and options of other versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "exuvia/exuvia.h"
#include "small_core.h"

/* ---- Mistakes of the caller -------------------------------------------------------------------------------------- */

static int64_t read_nothing(void *context, uint64_t offset, void *buffer, size_t size) {
  (void)context, (void)offset, (void)buffer, (void)size;
  return 0;
}

static void test_null_is_an_error_and_nothing_is_stored(void **state) {
  (void)state;
  int something;
  struct exu_session *session = (struct exu_session *)&something;
  assert_int_equal(exu_session_open_core(NULL, NULL, &session), EXU_RESULT_MISUSE);
  assert_null(session);
  assert_int_equal(exu_session_open_core("core", NULL, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_process(1, NULL, NULL), EXU_RESULT_MISUSE);
  for (int64_t pid = -1; pid <= 0; pid++) {
    session = (struct exu_session *)&something;
    assert_int_equal(exu_session_open_process(pid, NULL, &session), EXU_RESULT_MISUSE);
    assert_null(session);
  }
  session = (struct exu_session *)&something;
  assert_int_equal(exu_session_open_fd(-1, NULL, &session), EXU_RESULT_MISUSE);
  assert_null(session);
  assert_int_equal(exu_session_open_fd(0, NULL, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_memory(NULL, 1, NULL, &session), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_memory(&something, SIZE_MAX, NULL, &session), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_memory(&something, 1, NULL, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_reader(NULL, NULL, 1, NULL, &session), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_reader(read_nothing, NULL, UINT64_MAX, NULL, &session), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_reader(read_nothing, NULL, 1, NULL, NULL), EXU_RESULT_MISUSE);
  assert_null(session);
  struct exu_report *report = (struct exu_report *)&something;
  assert_int_equal(exu_session_explain(NULL, &report), EXU_RESULT_MISUSE);
  assert_null(report);
  struct exu_symbol symbol;
  uint64_t address;
  assert_int_equal(exu_session_read(NULL, 0, &something, 1, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_symbol_at(NULL, 0, &symbol), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_find_symbol(NULL, -1, "main", &address), EXU_RESULT_MISUSE);
  exu_session_cancel(NULL);
  exu_session_close(NULL);
  exu_report_destroy(NULL);
  exu_report_compare(NULL, NULL);
  exu_report_relate(NULL, 0);
  exu_report_relate(NULL, 1);
  exu_report_relate(&report, 1);
  assert_false(exu_write_json(NULL, stdout));
  assert_false(exu_write_text(NULL, NULL, stdout));
}

static void test_a_session_explains_once(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL, *again = NULL;
  assert_int_equal(exu_session_open_core("/nonexistent/core", NULL, &session), EXU_RESULT_OK);
  assert_int_equal(exu_session_explain(session, NULL), EXU_RESULT_MISUSE); /* which changes nothing */
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
  assert_int_equal(exu_session_explain(session, &again), EXU_RESULT_MISUSE);
  assert_null(again);
  assert_int_equal(exu_session_read(session, 0, NULL, 1, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_symbol_at(session, 0, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_find_symbol(session, -1, NULL, &(uint64_t){0}), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_find_symbol(session, -1, "main", NULL), EXU_RESULT_MISUSE);
  exu_report_destroy(report); /* before its session */
  exu_session_close(session);
}

static void test_a_session_may_be_closed_before_it_explains(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  assert_int_equal(exu_session_open_core("/nonexistent/core", NULL, &session), EXU_RESULT_OK);
  exu_session_close(session);
}

static void test_every_result_has_a_text_and_so_has_none(void **state) {
  (void)state;
#define ASSERT_TEXT(constant, text) assert_string_equal(exu_result_text(constant), text);
  EXU_RESULTS(ASSERT_TEXT)
#undef ASSERT_TEXT
  assert_non_null(exu_result_text((enum exu_result)1000));
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

/* An older caller's structure is smaller: what follows it in memory is not read. */
static void test_options_of_a_smaller_size_have_defaults_for_the_rest(void **state) {
  (void)state;
  struct small_core core;
  small_core_create(&core);
  for (size_t size = sizeof(size_t); size <= sizeof(struct exu_options); size += sizeof(size_t)) {
    struct exu_options *options = malloc(size); /* of this size: a sanitizer sees what is read beyond */
    const struct exu_options defaults = EXU_OPTIONS_DEFAULT;
    struct exu_session *session = NULL;
    assert_non_null(options);
    memcpy(options, &defaults, size);
    *(size_t *)(void *)options = size;
    struct exu_report *report = explain_and_close(exu_session_open_core(core.file.path, options, &session), &session);
    free(options);
    assert_is_small_core(report, &core);
    exu_report_destroy(report);
  }
  small_core_destroy(&core);
}

static void test_members_of_a_smaller_size_count_and_those_behind_do_not(void **state) {
  (void)state;
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  struct exu_session *session = NULL;
  options.search_count = 1; /* without an array: counts only if it is inside */
  options.size = offsetof(struct exu_options, search_count);
  assert_int_equal(exu_session_open_core("core", &options, &session), EXU_RESULT_OK);
  exu_session_close(session);
  options.size += sizeof options.search_count;
  assert_int_equal(exu_session_open_core("core", &options, &session), EXU_RESULT_MISUSE);
}

static void test_options_of_an_impossible_size_are_refused(void **state) {
  (void)state;
  const size_t sizes[] = {0, 1, sizeof(size_t) - 1, sizeof(size_t) + 1, sizeof(struct exu_options) - 1};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct exu_options options = EXU_OPTIONS_DEFAULT;
    struct exu_session *session = NULL;
    options.size = sizes[i];
    assert_int_equal(exu_session_open_core("core", &options, &session), EXU_RESULT_MISUSE);
    assert_null(session);
  }
}

/* A size that was never set: there is no memory to the end of it. */
static void test_options_of_a_size_that_no_version_has_are_not_read(void **state) {
  (void)state;
  static const size_t sizes[] = {4096 + sizeof(size_t), SIZE_MAX - sizeof(size_t) + 1};
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(memory != MAP_FAILED && mprotect(memory + page, page, PROT_NONE) == 0);
  struct exu_options *options = (struct exu_options *)(void *)(memory + page - sizeof *options);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct exu_session *session = NULL;
    options->size = sizes[i];
    assert_int_equal(exu_session_open_core("core", options, &session), EXU_RESULT_MISUSE);
    assert_null(session);
  }
  munmap(memory, 2 * page);
}

/* A newer caller may use this library as long as it asks for nothing that is not known here. */
static void test_options_of_a_larger_size_are_taken_when_the_rest_is_zero(void **state) {
  (void)state;
  struct {
    struct exu_options options;
    uint64_t newer;
  } larger = {.options = EXU_OPTIONS_DEFAULT};
  struct exu_session *session = NULL;
  larger.options.size = sizeof larger;
  assert_int_equal(exu_session_open_core("core", &larger.options, &session), EXU_RESULT_OK);
  exu_session_close(session);
  larger.newer = 1;
  assert_int_equal(exu_session_open_core("core", &larger.options, &session), EXU_RESULT_MISUSE);
  assert_null(session);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_null_is_an_error_and_nothing_is_stored),
      cmocka_unit_test(test_a_session_explains_once),
      cmocka_unit_test(test_a_session_may_be_closed_before_it_explains),
      cmocka_unit_test(test_every_result_has_a_text_and_so_has_none),
      cmocka_unit_test(test_options_of_a_smaller_size_have_defaults_for_the_rest),
      cmocka_unit_test(test_members_of_a_smaller_size_count_and_those_behind_do_not),
      cmocka_unit_test(test_options_of_an_impossible_size_are_refused),
      cmocka_unit_test(test_options_of_a_size_that_no_version_has_are_not_read),
      cmocka_unit_test(test_options_of_a_larger_size_are_taken_when_the_rest_is_zero),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
