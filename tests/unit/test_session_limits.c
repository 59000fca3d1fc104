/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface: a report that is ended by its limits or cancelled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "exuvia/exuvia.h"
#include "small_core.h"

/* Reads a core, slowly, and may cancel the session that it is called by. */
struct slow_reader {
  const struct small_core *core;
  struct exu_session *session; /* to cancel; NULL: none */
  useconds_t pause;
  size_t calls;
  size_t cancels_at; /* which call does it */
};

static int64_t read_slowly(void *context, uint64_t offset, void *buffer, size_t size) {
  struct slow_reader *reader = context;
  if (reader->calls++ == reader->cancels_at) exu_session_cancel(reader->session);
  if (reader->pause) usleep(reader->pause);
  memcpy(buffer, reader->core->bytes + offset, size);
  return (int64_t)size;
}

static void test_what_was_cancelled_before_it_began_reads_no_thread_and_says_so(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  small_core_create(&core);
  assert_int_equal(exu_session_open_core(core.file.path, NULL, &session), EXU_RESULT_OK);
  exu_session_cancel(session);
  exu_session_cancel(session); /* again: nothing new */
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
  assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING);
  assert_int_equal(report->pid, TID);
  assert_int_equal(report->thread_count, 0);
  assert_true(has_diagnostic(report, "cancelled"));
  assert_false(has_diagnostic(report, "python-not-found")); /* nobody looked */
  exu_session_cancel(session);                              /* after it: nothing happens */
  exu_session_close(session);
  exu_report_destroy(report);
  small_core_destroy(&core);
}

static void test_a_report_may_be_cancelled_wherever_it_is(void **state) {
  (void)state;
  struct small_core core;
  bool ended = false;
  small_core_create(&core);
  for (size_t at = 0; !ended; at++) {
    struct slow_reader reader = {.core = &core, .cancels_at = at};
    struct exu_session *session = NULL;
    struct exu_report *report = NULL;
    assert_int_equal(exu_session_open_reader(read_slowly, &reader, core.size, NULL, &session), EXU_RESULT_OK);
    reader.session = session;
    assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
    ended = reader.calls <= at;
    assert_int_equal(has_diagnostic(report, "cancelled"), !ended);
    assert_int_equal(has_diagnostic(report, "python-not-found"), ended);
    exu_session_close(session);
    exu_report_destroy(report);
  }
  small_core_destroy(&core);
}

static void test_a_report_ends_when_its_time_is_over(void **state) {
  (void)state;
  struct small_core core;
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  struct exu_session *session = NULL;
  small_core_create(&core);
  struct slow_reader reader = {.core = &core, .pause = 2000};
  options.time_limit_ms = 1;
  struct exu_report *report =
      explain_and_close(exu_session_open_reader(read_slowly, &reader, core.size, &options, &session), &session);
  assert_true(has_diagnostic(report, "time-limit"));
  assert_false(has_diagnostic(report, "cancelled"));
  assert_int_equal(report->thread_count, 0);
  exu_report_destroy(report);
  const uint64_t enough[] = {60 * 1000, UINT64_MAX};
  for (size_t i = 0; i < sizeof enough / sizeof *enough; i++) {
    options.time_limit_ms = enough[i];
    report = explain_and_close(exu_session_open_core(core.file.path, &options, &session), &session);
    assert_is_small_core(report, &core);
    assert_false(has_diagnostic(report, "time-limit"));
    exu_report_destroy(report);
  }
  small_core_destroy(&core);
}

/* Whatever there is no memory for. */
static void test_a_report_with_little_memory_says_what_is_missing(void **state) {
  (void)state;
  struct small_core core;
  bool fits = false;
  small_core_create(&core);
  for (size_t limit = 1; !fits; limit += limit / 4 + 1) {
    struct exu_options options = EXU_OPTIONS_DEFAULT;
    struct exu_session *session = NULL;
    options.memory_limit = limit;
    struct exu_report *report =
        explain_and_close(exu_session_open_memory(core.bytes, core.size, &options, &session), &session);
    fits = !has_diagnostic(report, "memory-budget");
    assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING);
    if (fits) assert_is_small_core(report, &core);
    exu_report_destroy(report);
  }
  small_core_destroy(&core);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_was_cancelled_before_it_began_reads_no_thread_and_says_so),
      cmocka_unit_test(test_a_report_may_be_cancelled_wherever_it_is),
      cmocka_unit_test(test_a_report_ends_when_its_time_is_over),
      cmocka_unit_test(test_a_report_with_little_memory_says_what_is_missing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
