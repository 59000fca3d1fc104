/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface: every way to open a session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "exuvia/exuvia.h"
#include "small_core.h"

static void test_a_core_is_opened_by_its_path(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  small_core_create(&core);
  struct exu_report *report = explain_and_close(exu_session_open_core(core.file.path, NULL, &session), &session);
  assert_is_small_core(report, &core);
  assert_int_equal(report->source_path.size, strlen(core.file.path));
  assert_memory_equal(report->source_path.data, core.file.path, report->source_path.size);
  exu_report_destroy(report);
  small_core_destroy(&core);
}

static void test_a_core_is_opened_by_a_descriptor_that_stays_as_it_is(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  small_core_create(&core);
  assert_int_equal(lseek(core.file.fd, 7, SEEK_SET), 7);
  struct exu_report *report = explain_and_close(exu_session_open_fd(core.file.fd, NULL, &session), &session);
  assert_is_small_core(report, &core);
  assert_null(report->source_path.data);
  assert_int_equal(lseek(core.file.fd, 0, SEEK_CUR), 7); /* open, and where it was */
  exu_report_destroy(report);
  small_core_destroy(&core);
}

static void test_a_descriptor_of_no_regular_file_is_said(void **state) {
  (void)state;
  int ends[2];
  struct exu_session *session = NULL;
  assert_int_equal(pipe(ends), 0);
  struct exu_report *report = explain_and_close(exu_session_open_fd(ends[0], NULL, &session), &session);
  assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING);
  assert_true(has_diagnostic(report, "source-unreadable"));
  assert_int_equal(close(ends[0]), 0); /* it was borrowed */
  close(ends[1]);
  exu_report_destroy(report);
}

static void test_a_core_is_opened_from_memory(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  small_core_create(&core);
  struct exu_report *report =
      explain_and_close(exu_session_open_memory(core.bytes, core.size, NULL, &session), &session);
  assert_is_small_core(report, &core);
  assert_null(report->source_path.data);
  exu_report_destroy(report);
  small_core_destroy(&core);
}

static void test_memory_that_ends_early_is_a_truncated_core(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  small_core_create(&core);
  uint8_t *part = malloc(core.size - 100); /* of this size: a sanitizer sees what is read beyond */
  assert_non_null(part);
  memcpy(part, core.bytes, core.size - 100);
  struct exu_report *report =
      explain_and_close(exu_session_open_memory(part, core.size - 100, NULL, &session), &session);
  free(part);
  assert_true(report->source_truncated);
  assert_int_equal(report->source_missing_bytes, 100);
  exu_report_destroy(report);
  small_core_destroy(&core);
}

/* A reader of a core: what it gives at most at once, and where it fails. */
struct reader {
  const struct small_core *core;
  size_t at_once;
  uint64_t fails_from;
  int64_t failure;
  size_t calls;
};

static int64_t read_core(void *context, uint64_t offset, void *buffer, size_t size) {
  struct reader *reader = context;
  reader->calls++;
  assert_true(offset < reader->core->size && size <= reader->core->size - offset);
  if (offset + size > reader->fails_from) return reader->failure;
  if (size > reader->at_once) size = reader->at_once;
  memcpy(buffer, reader->core->bytes + offset, size);
  return (int64_t)size;
}

static void test_a_core_is_opened_by_a_function_that_reads_whatever_pieces_it_gives(void **state) {
  (void)state;
  const size_t pieces[] = {SIZE_MAX, 1000, 7};
  struct small_core core;
  small_core_create(&core);
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
    struct reader reader = {.core = &core, .at_once = pieces[i], .fails_from = UINT64_MAX};
    struct exu_session *session = NULL;
    struct exu_report *report =
        explain_and_close(exu_session_open_reader(read_core, &reader, core.size, NULL, &session), &session);
    assert_is_small_core(report, &core);
    assert_null(report->source_path.data);
    assert_true(reader.calls > 0);
    exu_report_destroy(report);
  }
  small_core_destroy(&core);
}

/* -1; more bytes than were asked for, which are not believed; and none where there are some. */
static void test_a_function_that_fails_makes_no_report_of_a_core(void **state) {
  (void)state;
  const int64_t failures[] = {-1, INT64_MAX, INT64_MIN, 0};
  struct small_core core;
  small_core_create(&core);
  for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
    for (uint64_t from = 0; from < core.size; from += from < 512 ? 8 : 512) {
      struct reader reader = {.core = &core, .at_once = SIZE_MAX, .fails_from = from, .failure = failures[i]};
      struct exu_session *session = NULL;
      struct exu_report *report =
          explain_and_close(exu_session_open_reader(read_core, &reader, core.size, NULL, &session), &session);
      if (from == 0) assert_true(has_diagnostic(report, "source-unreadable"));
      assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING);
      exu_report_destroy(report);
    }
  }
  small_core_destroy(&core);
}

static void test_a_core_that_cannot_be_read_is_not_called_another_file(void **state) {
  (void)state;
  struct small_core core;
  small_core_create(&core);
  struct reader reader = {.core = &core, .at_once = SIZE_MAX, .fails_from = 0, .failure = -1};
  struct exu_session *session = NULL;
  struct exu_report *report =
      explain_and_close(exu_session_open_reader(read_core, &reader, core.size, NULL, &session), &session);
  assert_int_equal(report->diagnostic_count, 1);
  assert_string_equal(report->diagnostics[0].message.data, "the core cannot be read");
  exu_report_destroy(report);
  small_core_destroy(&core);
}

static void test_a_core_that_is_not_there_is_a_report_that_says_so(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_report *report = explain_and_close(exu_session_open_core("/nonexistent/core", NULL, &session), &session);
  assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING);
  assert_true(has_diagnostic(report, "source-unreadable"));
  exu_report_destroy(report);
}

static void test_a_live_process_is_opened_by_its_id(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  options.no_stop = options.python_only = true; /* nothing can stop itself */
  struct exu_report *report = explain_and_close(exu_session_open_process(getpid(), &options, &session), &session);
  assert_int_equal(report->source_kind, EXU_SOURCE_LIVE);
  assert_int_equal(report->pid, getpid());
  exu_report_destroy(report);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_core_is_opened_by_its_path),
      cmocka_unit_test(test_a_core_is_opened_by_a_descriptor_that_stays_as_it_is),
      cmocka_unit_test(test_a_descriptor_of_no_regular_file_is_said),
      cmocka_unit_test(test_a_core_is_opened_from_memory),
      cmocka_unit_test(test_memory_that_ends_early_is_a_truncated_core),
      cmocka_unit_test(test_a_core_is_opened_by_a_function_that_reads_whatever_pieces_it_gives),
      cmocka_unit_test(test_a_function_that_fails_makes_no_report_of_a_core),
      cmocka_unit_test(test_a_core_that_cannot_be_read_is_not_called_another_file),
      cmocka_unit_test(test_a_core_that_is_not_there_is_a_report_that_says_so),
      cmocka_unit_test(test_a_live_process_is_opened_by_its_id),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
