/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above */
#include <cmocka.h>

#include "sample_report.h"

static bool write_json(FILE *out, const void *report) { return exu_write_json(report, out); }

static void every_field_of_a_report_is_written(void **state) {
  (void)state;
  assert_golden("full.json", write_json, &sample_full);
}

static void what_is_unknown_is_null(void **state) {
  (void)state;
  assert_golden("unknown.json", write_json, &sample_unknown);
}

static void what_threads_wait_for_is_written_with_its_owner_and_its_deadlock(void **state) {
  (void)state;
  assert_golden("live.json", write_json, &sample_live);
}

static void strings_are_always_valid_json(void **state) {
  (void)state;
  assert_golden("evil.json", write_json, &sample_evil);
}

static void a_core_that_cannot_be_read_gives_a_whole_report(void **state) {
  (void)state;
  assert_golden("nothing.json", write_json, &sample_nothing);
}

/* The JSON of `string`, as the name of a thread, must be `expected`, with its quotes. */
static void check_string(struct exu_string string, const char *expected) {
  const struct exu_thread thread = {.tid = 1, .name = string};
  const struct exu_report report = {.pid = -1, .threads = &thread, .thread_count = 1};
  size_t size;
  char *json = printed(write_json, &report, &size);
  char member[256];
  snprintf(member, sizeof member, "\"name\": %s, \"comm\"", expected);
  if (!strstr(json, member)) fail_msg("%s is not in\n%s", member, json);
  free(json);
}

#define CHECK(literal, expected) check_string((struct exu_string)TEXT(literal), expected)

static void valid_utf8_is_copied(void **state) {
  (void)state;
  CHECK("", "\"\"");
  CHECK("plain / text", "\"plain / text\"");
  CHECK("\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80", "\"\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80\"");
  CHECK("\xef\xbf\xbd \xf4\x8f\xbf\xbd", "\"\xef\xbf\xbd \xf4\x8f\xbf\xbd\"");
}

static void controls_and_quotes_are_escaped(void **state) {
  (void)state;
  CHECK("a\"b\\c", "\"a\\\"b\\\\c\"");
  CHECK("\n\r\t\x1b\x7f", "\"\\n\\u000d\\u0009\\u001b\\u007f\"");
  CHECK("\0", "\"\\u0000\"");
  CHECK("\xc2\x9b\xe2\x80\xae", "\"\\u009b\\u202e\"");
  CHECK("\xf3\xa0\x80\x81", "\"\\udb40\\udc01\"");
}

static void lone_surrogates_become_escapes(void **state) {
  (void)state;
  CHECK("\xed\xa0\x80", "\"\\ud800\"");
  CHECK("x\xed\xbf\xbfx", "\"x\\udfffx\"");
}

static void bytes_that_are_not_utf8_become_surrogate_escapes(void **state) {
  (void)state;
  CHECK("caf\xe9", "\"caf\\udce9\"");
  CHECK("\xc3", "\"\\udcc3\"");
  CHECK("\xe2\x82", "\"\\udce2\\udc82\"");
  CHECK("\xc0\x80\xf5", "\"\\udcc0\\udc80\\udcf5\"");
  CHECK("\xf4\x90\x80\x80", "\"\\udcf4\\udc90\\udc80\\udc80\"");
}

/* In words, which have names as they are, and what is known of each kind. */
static void what_a_descriptor_is_is_written_in_words_and_as_facts(void **state) {
  (void)state;
  static const int64_t watched[] = {3, 4};
  static const struct {
    struct exu_descriptor descriptor;
    const char *json;
  } cases[] = {
      {{.kind = EXU_DESCRIPTOR_FILE, .name = TEXT("/x\n"), .other_pid = -1},
       "\"file\": \"/x\\n\", \"descriptor\": {\"kind\": \"file\", \"name\": \"/x\\n\"}"},
      {{.kind = EXU_DESCRIPTOR_PIPE, .inode = 12, .other_pid = 7, .other_comm = TEXT("cat")},
       "\"file\": \"pipe, other end: pid 7 (cat)\", \"descriptor\": {\"kind\": \"pipe\", \"inode\": 12, "
       "\"other_end\": {\"pid\": 7, \"process\": \"cat\", \"self\": false}}"},
      {{.kind = EXU_DESCRIPTOR_FIFO, .name = TEXT("/x"), .other_pid = -1, .other_self = true},
       "\"descriptor\": {\"kind\": \"fifo\", \"name\": \"/x\", "
       "\"other_end\": {\"pid\": null, \"process\": null, \"self\": true}}"},
      {{.kind = EXU_DESCRIPTOR_UDP, .inode = 12, .state = EXU_SOCKET_CLOSE, .local = {TEXT("::"), 53}},
       "\"descriptor\": {\"kind\": \"udp\", \"inode\": 12, \"state\": \"close\", "
       "\"local\": {\"address\": \"::\", \"port\": 53}, \"remote\": null}"},
      {{.kind = EXU_DESCRIPTOR_UNIX, .inode = 12, .state = EXU_SOCKET_LISTEN, .name = TEXT("\0a\0")},
       "\"file\": \"Unix socket @a@ (listening)\", \"descriptor\": {\"kind\": \"unix\", "
       "\"name\": \"\\u0000a\\u0000\", \"inode\": 12, \"state\": \"listen\"}"},
      {{.kind = EXU_DESCRIPTOR_EPOLL, .watched = watched, .watched_count = 2, .watched_in_all = 9},
       "\"descriptor\": {\"kind\": \"epoll\", \"watched\": [3, 4], \"watched_count\": 9}"},
      {{.kind = EXU_DESCRIPTOR_EVENTFD}, "\"file\": \"eventfd\", \"descriptor\": {\"kind\": \"eventfd\"}"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct exu_wait_fd fds[] = {{7, &cases[i].descriptor}, {8, NULL}};
    const struct exu_wait wait = {.fd = -1, .fds = fds, .fd_count = 2, .fds_in_all = 2};
    const struct exu_thread thread = {.tid = 1, .wait = &wait};
    const struct exu_report report = {.pid = -1, .threads = &thread, .thread_count = 1};
    size_t size;
    char *json = printed(write_json, &report, &size);
    if (!strstr(json, cases[i].json)) fail_msg("%s is not in\n%s", cases[i].json, json);
    assert_non_null(strstr(json, "{\"fd\": 8, \"file\": null, \"descriptor\": null}"));
    free(json);
  }
}

static void a_hundred_thousand_frames_are_all_written(void **state) {
  (void)state;
  enum { FRAMES = 100000 };
  struct exu_frame *frames = calloc(FRAMES, sizeof *frames);
  assert_non_null(frames);
  for (int i = 0; i < FRAMES; i++) {
    frames[i] = (struct exu_frame){.function = TEXT("f"), .file = TEXT("x.py"), .position = {i, -1, -1, -1}};
  }
  const struct exu_thread thread = {.tid = 1, .frames = frames, .frame_count = FRAMES};
  const struct exu_report report = {.pid = 1, .threads = &thread, .thread_count = 1};
  size_t size;
  char *json = printed(write_json, &report, &size);
  assert_int_equal(count_lines(json, "      {\"kind\": \"python\""), FRAMES);
  assert_non_null(strstr(json, "\"line\": 99999,"));
  free(json);
  free(frames);
}

static void a_write_error_is_returned(void **state) {
  (void)state;
  FILE *full = fopen("/dev/full", "w");
  if (!full) skip();
  assert_false(exu_write_json(&sample_full, full));
  fclose(full);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_field_of_a_report_is_written),
      cmocka_unit_test(what_is_unknown_is_null),
      cmocka_unit_test(what_threads_wait_for_is_written_with_its_owner_and_its_deadlock),
      cmocka_unit_test(strings_are_always_valid_json),
      cmocka_unit_test(a_core_that_cannot_be_read_gives_a_whole_report),
      cmocka_unit_test(valid_utf8_is_copied),
      cmocka_unit_test(controls_and_quotes_are_escaped),
      cmocka_unit_test(lone_surrogates_become_escapes),
      cmocka_unit_test(bytes_that_are_not_utf8_become_surrogate_escapes),
      cmocka_unit_test(what_a_descriptor_is_is_written_in_words_and_as_facts),
      cmocka_unit_test(a_hundred_thousand_frames_are_all_written),
      cmocka_unit_test(a_write_error_is_returned),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
