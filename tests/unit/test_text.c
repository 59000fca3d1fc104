/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above */
#include <cmocka.h>

#include "sample_report.h"

struct request {
  const struct exu_report *report;
  struct exu_text_options options;
};

static bool write_text(FILE *out, const void *context) {
  const struct request *request = context;
  return exu_write_text(request->report, &request->options, out);
}

#define ROOT "data/root"

static void check_golden(const char *name, const struct exu_report *report, struct exu_text_options options) {
  const struct request request = {report, options};
  assert_golden(name, write_text, &request);
}

static void the_crashed_thread_comes_first_and_equal_threads_are_folded(void **state) {
  (void)state;
  check_golden("full.txt", &sample_full, (struct exu_text_options){.source = true, .sysroot = ROOT});
}

static void verbose_adds_modules_notes_and_addresses(void **state) {
  (void)state;
  check_golden("full-verbose.txt", &sample_full, (struct exu_text_options){.verbose = true});
}

static void color_changes_nothing_but_color(void **state) {
  (void)state;
  check_golden("full-color.txt", &sample_full,
               (struct exu_text_options){.color = true, .source = true, .sysroot = ROOT});
}

static void what_is_unknown_is_a_question_mark(void **state) {
  (void)state;
  check_golden("unknown.txt", &sample_unknown, (struct exu_text_options){.source = true});
}

static void strings_of_the_target_are_only_data(void **state) {
  (void)state;
  check_golden("evil.txt", &sample_evil, (struct exu_text_options){.source = true, .verbose = true});
}

static void a_deadlock_is_said_first_and_its_threads_come_first(void **state) {
  (void)state;
  check_golden("live.txt", &sample_live, (struct exu_text_options){0});
}

static void verbose_says_how_a_wait_is_known(void **state) {
  (void)state;
  check_golden("live-verbose.txt", &sample_live, (struct exu_text_options){.verbose = true});
}

/* ---- the header ---- */

static void check_says(const struct exu_report *report, const char *said) {
  const struct request request = {report, {.verbose = true}};
  size_t size;
  char *text = printed(write_text, &request, &size);
  assert_non_null(strstr(text, said));
  free(text);
}

static void a_sender_without_a_number_is_outside_of_the_namespace(void **state) {
  (void)state;
  struct exu_crash crash = {.signal = 15, .name = "SIGTERM", .code_name = "SI_USER", .tid = -1, .system_call = -1};
  const struct exu_report report = {.pid = 7, .crash = &crash};
  crash.sender_uid = 5;
  check_says(&report, "\n  Signal   SIGTERM (SI_USER), sent from outside of its PID namespace (user 5)\n");
  crash.sender_pid = 7;
  check_says(&report, "\n  Signal   SIGTERM (SI_USER), sent by process 7 itself (user 5)\n");
  crash.sender_pid = 8;
  crash.sender_uid = -1;
  check_says(&report, "\n  Signal   SIGTERM (SI_USER), sent by process 8\n");
}

static void one_byte_is_one(void **state) {
  (void)state;
  const struct exu_crash crash = {.signal = 7,
                                  .name = "SIGBUS",
                                  .tid = -1,
                                  .system_call = -1,
                                  .file = {.path = TEXT("/x"), .position = 4096, .mapped_bytes = 8192, .length = 1}};
  struct exu_report report = {.source_bytes = 1, .source_truncated = true, .crash = &crash};
  report.source_missing_bytes = 1;
  check_says(&report, "\n  Core     ?, 1 byte, truncated: 1 byte is missing\n");
  check_says(&report, "; a file of that name is 1 byte long here");
  report.source_bytes = report.source_missing_bytes = 2000;
  check_says(&report, "\n  Core     ?, 2,000 bytes, truncated: 2,000 bytes are missing\n");
}

static void numbers_that_are_not_known_are_question_marks(void **state) {
  (void)state;
  const struct exu_python pythons[] = {{.version = TEXT("3.8.1"), .module = -1},
                                       {.version = TEXT("3.9.1"), .module = -1}};
  const struct exu_thread thread = {.tid = -1, .interpreter = -1, .runtime = 1};
  const struct exu_interpreter interpreters[] = {{.id = 0, .gil_holder = -1},
                                                 {.id = -1, .runtime = 1, .gc_collecting = EXU_YES}};
  const struct exu_report report = {.pid = -1,
                                    .python = pythons,
                                    .runtimes = pythons,
                                    .runtime_count = 2,
                                    .interpreters = interpreters,
                                    .interpreter_count = 2,
                                    .threads = &thread,
                                    .thread_count = 1};
  check_says(&report, "\n  GIL      of Python 3.9.1 held by thread ?\n");
  check_says(&report, "\n  GC       was running in interpreter ? of Python 3.9.1\n");
}

/* ---- one thread ---- */

static char *text_of(const struct exu_frame *frames, size_t count, struct exu_text_options options) {
  const struct exu_thread thread = {.tid = 1,
                                    .python = true,
                                    .native_complete = EXU_UNKNOWN,
                                    .frames_complete = true,
                                    .frames = frames,
                                    .frame_count = count};
  const struct exu_report report = {.pid = 1, .threads = &thread, .thread_count = 1};
  const struct request request = {&report, options};
  size_t size;
  return printed(write_text, &request, &size);
}

/* The thread's block must be `expected`. */
static void check_frames(const struct exu_frame *frames, size_t count, struct exu_text_options options,
                         const char *expected) {
  char *text = text_of(frames, count, options);
  const char *block = strstr(text, "most recent call last:\n");
  assert_non_null(block);
  assert_string_equal(block + strlen("most recent call last:\n"), expected);
  free(text);
}

static struct exu_frame frame_at(int32_t line) {
  return (struct exu_frame){.function = TEXT("f"), .file = TEXT("/x.py"), .position = {line, -1, -1, -1}};
}

static void three_equal_frames_are_shown_four_are_folded(void **state) {
  (void)state;
  struct exu_frame frames[5];
  for (int i = 0; i < 5; i++) frames[i] = frame_at(1);
  const struct exu_text_options plain = {0};
  check_frames(frames, 3, plain,
               "  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 1, in f\n");
  check_frames(frames, 4, plain,
               "  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 1, in f\n"
               "  [Previous line repeated 1 more time]\n");
  check_frames(frames, 5, plain,
               "  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 1, in f\n"
               "  [Previous line repeated 2 more times]\n");
}

static void a_deep_recursion_is_short(void **state) {
  (void)state;
  enum { FRAMES = 100001 };
  struct exu_frame *frames = calloc(FRAMES, sizeof *frames);
  assert_non_null(frames);
  for (int i = 0; i < FRAMES - 1; i++) frames[i] = frame_at(1);
  frames[FRAMES - 1] = frame_at(9);
  check_frames(frames, FRAMES, (struct exu_text_options){0},
               "  File \"/x.py\", line 9, in f\n"
               "  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 1, in f\n"
               "  [Previous line repeated 99997 more times]\n");
  free(frames);
}

static void mutual_recursion_is_folded_by_its_cycle(void **state) {
  (void)state;
  enum { FRAMES = 2 * 1000 + 1 };
  struct exu_frame frames[FRAMES];
  for (int i = 0; i < FRAMES; i++) frames[i] = frame_at(1 + i % 2);
  /* Most recent first: 1 2 1 2 ... 1. Shown from the end: 1 2 1 2 [998 more] 1 */
  check_frames(frames, FRAMES, (struct exu_text_options){0},
               "  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 2, in f\n"
               "  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 2, in f\n"
               "  [Previous 2 calls repeated 998 more times]\n"
               "  File \"/x.py\", line 1, in f\n");
}

static void a_hundred_thousand_different_frames_are_all_shown(void **state) {
  (void)state;
  enum { FRAMES = 100000 };
  struct exu_frame *frames = calloc(FRAMES, sizeof *frames);
  assert_non_null(frames);
  for (int i = 0; i < FRAMES; i++) frames[i] = frame_at(i + 1);
  char *text = text_of(frames, FRAMES, (struct exu_text_options){.source = true});
  assert_int_equal(count_lines(text, "  File "), FRAMES);
  free(text);
  free(frames);
}

/* ---- native frames ---- */

static struct exu_frame native_at(uint64_t address, int32_t line) {
  struct exu_frame frame = {
      .kind = EXU_FRAME_NATIVE, .address = address, .module = -1, .position = {line, -1, -1, -1}, .interpreter = -1};
  if (line < 0) return frame;
  frame.function = (struct exu_string)TEXT("g");
  frame.file = (struct exu_string)TEXT("./x.c");
  return frame;
}

static void native_frames_are_not_folded_when_they_differ(void **state) {
  (void)state;
  /* Most recent first. What follows a folded recursion is shown once. */
  struct exu_frame frames[8] = {native_at(0x10, -1), native_at(0x20, -1), native_at(0x30, 7)};
  for (int i = 3; i < 8; i++) frames[i] = frame_at(1);
  check_frames(frames, 8, (struct exu_text_options){0},
               "  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 1, in f\n  File \"/x.py\", line 1, in f\n"
               "  [Previous line repeated 2 more times]\n"
               "  (native) File \"x.c\", line 7, in g\n  (native) 0x20, in ??\n  (native) 0x10, in ??\n");
}

static void native_recursion_is_folded_by_source_line_or_by_address(void **state) {
  (void)state;
  struct exu_frame frames[5];
  for (int i = 0; i < 5; i++) frames[i] = native_at(0x10 + (uint64_t)i, 7);
  check_frames(frames, 5, (struct exu_text_options){0},
               "  (native) File \"x.c\", line 7, in g\n  (native) File \"x.c\", line 7, in g\n"
               "  (native) File \"x.c\", line 7, in g\n  [Previous line repeated 2 more times]\n");
  for (int i = 0; i < 5; i++) frames[i] = native_at(0x10, -1);
  check_frames(frames, 5, (struct exu_text_options){0},
               "  (native) 0x10, in ??\n  (native) 0x10, in ??\n  (native) 0x10, in ??\n"
               "  [Previous line repeated 2 more times]\n");
  for (int i = 0; i < 5; i++) frames[i] = native_at(0x10 + (uint64_t)i, -1);
  check_frames(frames, 5, (struct exu_text_options){0},
               "  (native) 0x14, in ??\n  (native) 0x13, in ??\n  (native) 0x12, in ??\n  (native) 0x11, in ??\n"
               "  (native) 0x10, in ??\n");
}

static void a_cycle_through_python_and_native_frames_is_folded(void **state) {
  (void)state;
  enum { PERIOD = 20, CYCLES = 50 };
  struct exu_frame frames[PERIOD * CYCLES];
  for (int i = 0; i < PERIOD * CYCLES; i++) frames[i] = native_at(0x1000 + (uint64_t)(i % PERIOD), -1);
  for (int i = 0; i < CYCLES; i++) frames[i * PERIOD] = frame_at(1);
  char *text = text_of(frames, PERIOD * CYCLES, (struct exu_text_options){0});
  assert_int_equal(count_lines(text, "  (native) "), 2 * (PERIOD - 1));
  assert_int_equal(count_lines(text, "  File "), 2);
  assert_non_null(strstr(text, "\n  [Previous 20 calls repeated 48 more times]\n"));
  free(text);
}

static void an_unknown_start_of_the_native_stack_is_said(void **state) {
  (void)state;
  const struct exu_frame frames[] = {native_at(0x10, 7), {.kind = EXU_FRAME_GAP, .module = -1}};
  const char *lost = "  [The native frames before these are missing, see below]\n";
  struct exu_thread thread = {
      .tid = 1, .python = true, .native_complete = EXU_NO, .frames_complete = true, .frames = frames};
  const struct exu_report report = {.pid = 1, .threads = &thread, .thread_count = 1};
  const struct exu_text_options options = {0};
  const struct request request = {&report, options};
  for (thread.frame_count = 1; thread.frame_count <= 2; thread.frame_count++) {
    size_t size;
    char *text = printed(write_text, &request, &size);
    assert_int_equal(count_lines(text, lost), thread.frame_count == 1); /* a gap says it itself */
    free(text);
  }
}

static void gaps_that_say_something_else_are_not_folded(void **state) {
  (void)state;
  const struct exu_frame left_out[] = {frame_at(1), {.kind = EXU_FRAME_GAP, .gap = EXU_GAP_LEFT_OUT, .module = -1}};
  const struct exu_frame lost[] = {frame_at(1), {.kind = EXU_FRAME_GAP, .gap = EXU_GAP_PYTHON, .module = -1}};
  const struct exu_thread threads[] = {
      {.tid = 1, .frames = left_out, .frame_count = 2, .frames_left_out = 1, .frames_complete = true},
      {.tid = 2, .frames = left_out, .frame_count = 2, .frames_left_out = 2, .frames_complete = true},
      {.tid = 3, .frames = lost, .frame_count = 2, .frames_complete = true},
      {.tid = 4, .frames = left_out, .frame_count = 2, .frames_left_out = 2, .frames_complete = true}};
  const struct exu_report report = {.pid = 1, .threads = threads, .thread_count = 4};
  const struct exu_text_options options = {0};
  const struct request request = {&report, options};
  size_t size;
  char *text = printed(write_text, &request, &size);
  assert_int_equal(count_lines(text, "  [1 outer frame left out, as asked for]\n"), 1);
  assert_int_equal(count_lines(text, "  [2 outer frames left out, as asked for]\n"), 1); /* of two threads */
  assert_int_equal(count_lines(text, "  [Python frames are missing here]\n"), 1);
  free(text);
}

static void threads_with_the_same_native_lines_are_folded(void **state) {
  (void)state;
  const struct exu_frame one[] = {native_at(0x10, 7), native_at(0x20, -1)};
  const struct exu_frame same[] = {native_at(0x11, 7), native_at(0x20, -1)};
  const struct exu_frame other[] = {native_at(0x10, 7), native_at(0x21, -1)};
  const struct exu_thread threads[] = {{.tid = 1, .frames = one, .frame_count = 2, .frames_complete = true},
                                       {.tid = 2, .frames = same, .frame_count = 2, .frames_complete = true},
                                       {.tid = 3, .frames = other, .frame_count = 2, .frames_complete = true}};
  const struct exu_report report = {.pid = 1, .threads = threads, .thread_count = 3};
  const struct request request = {&report, {.native_all = true}};
  size_t size;
  char *text = printed(write_text, &request, &size);
  assert_non_null(strstr(text, "\nThreads 1 and 2, all with this stack (no Python frames), most recent"));
  assert_non_null(strstr(text, "\nThread 3 (no Python frames), most recent call last"));
  free(text);
}

static void what_is_said_of_a_group_is_true_of_all_its_threads(void **state) {
  (void)state;
  const struct exu_frame frame = frame_at(1);
  struct exu_thread threads[3];
  for (int i = 0; i < 3; i++)
    threads[i] = (struct exu_thread){
        .tid = i - 1, .python = true, .frames_complete = true, .interpreter = -1, .frames = &frame, .frame_count = 1};
  const struct exu_report report = {.pid = 1, .threads = threads, .thread_count = 3};
  check_says(&report, "\nThread ? (no such thread in the operating system), most recent call last:\n");
  check_says(&report, "\nThreads 0 and 1, all with this stack, most recent call last:\n");
  threads[1].tid = threads[2].tid = -1;
  threads[0].unplaced = true;
  check_says(&report, "\nThread ? (it is not known which thread), most recent call last:\n");
  check_says(&report, "\nThreads ? and ?, all with this stack (no such thread in the operating system), most");
}

/* ---- source lines: tests/data/root/lines.py ---- */

static void check_source(struct exu_position position, const char *expected) {
  const struct exu_frame frame = {.function = TEXT("f"), .file = TEXT("/lines.py"), .position = position};
  char *text = text_of(&frame, 1, (struct exu_text_options){.source = true, .sysroot = ROOT});
  const char *source = strstr(text, ", in f\n");
  assert_non_null(source);
  assert_string_equal(source + strlen(", in f\n"), expected);
  free(text);
}

static void columns_are_marked(void **state) {
  (void)state;
  check_source((struct exu_position){2, 2, 8, 11}, "    x = f(1) + g(2)\n        ^^^\n");
}

static void the_whole_line_is_not_marked(void **state) {
  (void)state;
  check_source((struct exu_position){2, 2, 4, 19}, "    x = f(1) + g(2)\n");
  check_source((struct exu_position){2, -1, -1, -1}, "    x = f(1) + g(2)\n");
}

static void an_expression_of_several_lines_is_marked_to_the_end_of_the_first(void **state) {
  (void)state;
  check_source((struct exu_position){2, 3, 8, 2}, "    x = f(1) + g(2)\n        ^^^^^^^^^^^\n");
}

static void wide_and_combining_characters_are_measured_in_cells(void **state) {
  (void)state;
  /* `    s = "日本" + é.x()`, with é as e and U+0301: s = 4, the string 8-16, é 19-22, `.x()` 22-26 */
  check_source((struct exu_position){3, 3, 8, 16},
               "    s = \"\xe6\x97\xa5\xe6\x9c\xac\" + e\xcc\x81.x()\n        ^^^^^^\n");
  check_source((struct exu_position){3, 3, 19, 26},
               "    s = \"\xe6\x97\xa5\xe6\x9c\xac\" + e\xcc\x81.x()\n                 ^^^^^\n");
}

static void tabs_take_one_cell(void **state) {
  (void)state;
  check_source((struct exu_position){4, 4, 5, 8}, "    y = f()\n        ^^^\n");
}

static void columns_outside_of_the_line_mark_nothing(void **state) {
  (void)state;
  check_source((struct exu_position){2, 2, 0, 11}, "    x = f(1) + g(2)\n");
  check_source((struct exu_position){2, 2, 8, 99}, "    x = f(1) + g(2)\n");
  check_source((struct exu_position){2, 2, 11, 8}, "    x = f(1) + g(2)\n");
  check_source((struct exu_position){2, 1, 8, 11}, "    x = f(1) + g(2)\n");
  check_source((struct exu_position){2, 2, 2147483647, 2147483647}, "    x = f(1) + g(2)\n");
}

static void controls_and_bad_bytes_of_a_source_line_are_escaped(void **state) {
  (void)state;
  check_source((struct exu_position){5, -1, -1, -1}, "    z = '\\x1b[2J\\xff' \\ \"q\"\n");
  check_source((struct exu_position){5, 5, 0, 1}, "    z = '\\x1b[2J\\xff' \\ \"q\"\n    ^\n");
  check_source((struct exu_position){5, 5, 5, 9}, "    z = '\\x1b[2J\\xff' \\ \"q\"\n         ^^^^^^^\n");
  /* beyond the byte that is not UTF-8 the columns are those of another encoding */
  check_source((struct exu_position){5, 5, 15, 18}, "    z = '\\x1b[2J\\xff' \\ \"q\"\n");
}

static void long_lines_are_cut(void **state) {
  (void)state;
  char expected[600] = "    l = ";
  memset(expected + 8, '1', 496);
  strcpy(expected + 504, "...\n");
  check_source((struct exu_position){6, -1, -1, -1}, expected);
  check_source((struct exu_position){6, 6, 900, 901}, expected);
}

static void empty_and_missing_lines_are_not_shown(void **state) {
  (void)state;
  check_source((struct exu_position){1, -1, -1, -1}, "    def f():\n"); /* after a byte order mark */
  check_source((struct exu_position){7, -1, -1, -1}, "");
  check_source((struct exu_position){8, -1, -1, -1}, "    last = 8\n"); /* without a newline */
  check_source((struct exu_position){9, -1, -1, -1}, "");
  check_source((struct exu_position){0, -1, -1, -1}, "");
  check_source((struct exu_position){-1, -1, -1, -1}, "");
  check_source((struct exu_position){2147483647, -1, -1, -1}, "");
}

static void a_write_error_is_returned(void **state) {
  (void)state;
  FILE *full = fopen("/dev/full", "w");
  if (!full) skip();
  const struct exu_text_options options = {.source = true};
  assert_false(exu_write_text(&sample_full, &options, full));
  fclose(full);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_crashed_thread_comes_first_and_equal_threads_are_folded),
      cmocka_unit_test(verbose_adds_modules_notes_and_addresses),
      cmocka_unit_test(color_changes_nothing_but_color),
      cmocka_unit_test(what_is_unknown_is_a_question_mark),
      cmocka_unit_test(strings_of_the_target_are_only_data),
      cmocka_unit_test(a_deadlock_is_said_first_and_its_threads_come_first),
      cmocka_unit_test(verbose_says_how_a_wait_is_known),
      cmocka_unit_test(a_sender_without_a_number_is_outside_of_the_namespace),
      cmocka_unit_test(one_byte_is_one),
      cmocka_unit_test(numbers_that_are_not_known_are_question_marks),
      cmocka_unit_test(three_equal_frames_are_shown_four_are_folded),
      cmocka_unit_test(a_deep_recursion_is_short),
      cmocka_unit_test(mutual_recursion_is_folded_by_its_cycle),
      cmocka_unit_test(a_hundred_thousand_different_frames_are_all_shown),
      cmocka_unit_test(native_frames_are_not_folded_when_they_differ),
      cmocka_unit_test(native_recursion_is_folded_by_source_line_or_by_address),
      cmocka_unit_test(a_cycle_through_python_and_native_frames_is_folded),
      cmocka_unit_test(an_unknown_start_of_the_native_stack_is_said),
      cmocka_unit_test(gaps_that_say_something_else_are_not_folded),
      cmocka_unit_test(threads_with_the_same_native_lines_are_folded),
      cmocka_unit_test(what_is_said_of_a_group_is_true_of_all_its_threads),
      cmocka_unit_test(columns_are_marked),
      cmocka_unit_test(the_whole_line_is_not_marked),
      cmocka_unit_test(an_expression_of_several_lines_is_marked_to_the_end_of_the_first),
      cmocka_unit_test(wide_and_combining_characters_are_measured_in_cells),
      cmocka_unit_test(tabs_take_one_cell),
      cmocka_unit_test(columns_outside_of_the_line_mark_nothing),
      cmocka_unit_test(controls_and_bad_bytes_of_a_source_line_are_escaped),
      cmocka_unit_test(long_lines_are_cut),
      cmocka_unit_test(empty_and_missing_lines_are_not_shown),
      cmocka_unit_test(a_write_error_is_returned),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
