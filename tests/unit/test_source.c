/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above */
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "render/source.h"
#include "render/source_fit.h"

static char root[] = "/tmp/exuvia-source-XXXXXX";

static void write_file(const char *name, const char *data, size_t size) {
  FILE *file = fopen(name, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

/* The tests stand in an empty directory. */
static int enter(void **state) {
  (void)state;
  return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int leave(void **state) {
  (void)state;
  static const char *const files[] = {"a.py",       "fifo",   "link",  "deep/up", "out",
                                      "caf\xe9.py", "big.py", "empty", "cr.py"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(files[i]);
  rmdir("deep");
  return chdir("/") == 0 && rmdir(root) == 0 ? 0 : -1;
}

/* Line `line` of `path` under `sysroot` must be `expected`; NULL: there must be none. */
static void check_bytes(const char *sysroot, struct exu_string path, int32_t line, const char *expected) {
  struct exu_sources *sources = exu_sources_create(NULL, sysroot);
  assert_non_null(sources);
  struct exu_string text = {NULL, 0};
  for (int again = 0; again < 2; again++) { /* the second time from what is kept */
    assert_int_equal(exu_source_line(sources, path, line, &text), expected != NULL);
    if (!expected) continue;
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
  }
  exu_sources_destroy(sources);
}

static void check(const char *sysroot, const char *path, int32_t line, const char *expected) {
  check_bytes(sysroot, (struct exu_string){path, strlen(path)}, line, expected);
}

static void a_file_is_found_by_its_absolute_path(void **state) {
  (void)state;
  char path[256];
  write_file("a.py", "one\ntwo\n", 8);
  snprintf(path, sizeof path, "%s/a.py", root);
  check(NULL, path, 1, "one");
  check(NULL, path, 2, "two");
  check(NULL, path, 3, NULL);
}

static void a_relative_path_is_not_read_where_the_directory_is_unknown(void **state) {
  (void)state;
  write_file("a.py", "one\n", 4);
  check(NULL, "a.py", 1, NULL);
  check(NULL, "./a.py", 1, NULL);
  check(".", "a.py", 1, NULL);
  check(NULL, "", 1, NULL);
  check_bytes(NULL, (struct exu_string){NULL, 0}, 1, NULL);
}

static void paths_begin_in_the_sysroot(void **state) {
  (void)state;
  write_file("a.py", "one\n", 4);
  check(".", "/a.py", 1, "one");
  check(root, "/a.py", 1, "one");
  check("/no/such/directory", "/a.py", 1, NULL);
}

static void links_do_not_lead_out_of_the_sysroot(void **state) {
  (void)state;
  write_file("a.py", "one\n", 4);
  assert_int_equal(symlink("/a.py", "link"), 0);
  assert_int_equal(symlink("/etc/passwd", "out"), 0);
  assert_int_equal(mkdir("deep", 0700), 0);
  assert_int_equal(symlink("../../../../../../a.py", "deep/up"), 0);
  check(".", "/link", 1, "one");
  check(".", "/deep/up", 1, "one");
  check(".", "/../../../../../../a.py", 1, "one");
  check(".", "/out", 1, NULL);
}

static void what_is_no_regular_file_is_not_opened(void **state) {
  (void)state;
  assert_int_equal(mkfifo("fifo", 0600), 0);
  write_file("empty", "", 0);
  alarm(10); /* opening a FIFO would wait for ever */
  check(".", "/fifo", 1, NULL);
  check(".", "/", 1, NULL);
  check(".", "/empty", 1, NULL);
  check(NULL, "/dev/zero", 1, NULL);
  check(NULL, "/dev/tty", 1, NULL);
  check(NULL, "/proc/self/status", 1, NULL);
  check(NULL, "/proc/kmsg", 1, NULL);
  alarm(0);
}

static void a_byte_of_a_name_may_be_a_surrogate(void **state) {
  (void)state;
  write_file("caf\xe9.py", "one\n", 4);
  check(".", "/caf\xe9.py", 1, "one");
  check(".", "/caf\xed\xb3\xa9.py", 1, "one"); /* U+DCE9 */
  check(".", "/caf\xed\xa0\x80.py", 1, NULL);  /* U+D800 stands for no byte */
}

static void a_path_with_nul_is_no_path(void **state) {
  (void)state;
  write_file("a.py", "one\n", 4);
  check_bytes(".", (struct exu_string){"/a.py\0x", 7}, 1, NULL);
}

static void a_path_that_is_too_long_is_not_opened(void **state) {
  (void)state;
  enum { LONG = 1 << 20 };
  char *path = malloc(LONG);
  assert_non_null(path);
  memset(path, '/', LONG);
  check_bytes(NULL, (struct exu_string){path, LONG}, 1, NULL);
  check_bytes(NULL, (struct exu_string){path, 4096}, 1, NULL);
  free(path);
}

static void every_line_end_of_python_ends_a_line(void **state) {
  (void)state;
  const char data[] = "one\rtwo\r\nthree\n\nfive\n\rseven";
  write_file("cr.py", data, sizeof data - 1);
  check(".", "/cr.py", 2, "two");
  check(".", "/cr.py", 3, "three");
  check(".", "/cr.py", 4, "");
  check(".", "/cr.py", 5, "five");
  check(".", "/cr.py", 6, "");
  check(".", "/cr.py", 7, "seven");
  check(".", "/cr.py", 8, NULL);
}

static void only_the_beginning_of_a_huge_file_is_read(void **state) {
  (void)state;
  enum { LIMIT = 8 * 1024 * 1024 };
  write_file("big.py", "one\ntwo\n", 8);
  assert_int_equal(truncate("big.py", (off_t)1 << 40), 0);
  check(".", "/big.py", 2, "two");
  check(".", "/big.py", 3, NULL); /* its end was not reached */
  assert_int_equal(truncate("big.py", LIMIT), 0);
  check(".", "/big.py", 2, "two");
}

static void many_files_are_read_with_few_kept(void **state) {
  (void)state;
  struct exu_sources *sources = exu_sources_create(NULL, ".");
  char paths[100][32]; /* they live as long as the sources */
  assert_non_null(sources);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 100; i++) {
      char name[32], data[32], *path = paths[i];
      int size = snprintf(data, sizeof data, "line %d\n", i);
      snprintf(name, sizeof name, "many%d.py", i);
      snprintf(path, sizeof paths[i], "/many%d.py", i);
      if (round == 0) write_file(name, data, (size_t)size);
      struct exu_string text;
      assert_true(exu_source_line(sources, (struct exu_string){path, strlen(path)}, 1, &text));
      assert_int_equal(text.size, size - 1);
      assert_memory_equal(text.data, data, text.size);
      if (round == 1) unlink(name);
    }
  }
  exu_sources_destroy(sources);
}

/* ---- Is it what ran? ---- */

static struct exu_string string(const char *text) { return (struct exu_string){text, strlen(text)}; }

static void a_relative_path_begins_in_the_directory_of_the_process(void **state) {
  (void)state;
  struct exu_report report = {.source_kind = EXU_SOURCE_LIVE, .directory = string(root)};
  struct exu_string text;
  write_file("a.py", "one\n", 4);
  write_file("<string>", "one\n", 4);
  struct exu_sources *sources = exu_sources_create(&report, NULL);
  assert_true(exu_source_line(sources, string("a.py"), 1, &text));
  assert_true(exu_source_line(sources, string("./a.py"), 1, &text));
  assert_false(exu_source_line(sources, string("<string>"), 1, &text));
  assert_false(exu_source_line(sources, string("b.py"), 1, &text));
  exu_sources_destroy(sources);
  unlink("<string>");
  report.directory = string("/");
  report.root = root;
  sources = exu_sources_create(&report, NULL);
  assert_true(exu_source_line(sources, string("a.py"), 1, &text));
  assert_true(exu_source_line(sources, string("../../a.py"), 1, &text));
  exu_sources_destroy(sources);
}

static int64_t nanoseconds(struct timespec time) { return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec; }

/*
 * What is said of a.py when its first line is asked for; "": nothing. `first_line`: where code of the name f began.
 * `shown`: is the line?
 */
static const char *doubt(const struct exu_report *report, int32_t first_line, bool shown) {
  struct exu_sources *sources = exu_sources_create(report, NULL);
  struct exu_string text;
  exu_source_check(sources, string("a.py"), first_line, string("f"));
  assert_int_equal(exu_source_line(sources, string("a.py"), 1, &text), shown);
  const char *said = exu_source_doubt(sources, string("a.py"));
  assert_null(exu_source_doubt(sources, string("a.py"))); /* once */
  exu_sources_destroy(sources);
  return said ? said : "";
}

static void what_changed_after_the_process_started_is_said_to_have(void **state) {
  (void)state;
  static const char now[] = "this file was changed after the process started: its lines are shown as they are now";
  static const char hidden[] = "this file was changed after the process started: its lines are not shown";
  static const char other[] = "this file does not fit the code that ran: its lines are not shown";
  static const char newer[] = "this file is newer than the core: its lines are shown as they are now";
  struct stat status;
  write_file("a.py", "x = 1\ndef f():\n  pass\n", 22);
  assert_int_equal(stat("a.py", &status), 0);
  const int64_t changed = nanoseconds(status.st_ctim), second = 1000000000;
  struct exu_report report = {.source_kind = EXU_SOURCE_LIVE, .directory = string(root)};
  assert_string_equal(doubt(&report, 2, true), "");
  report.sources_as_of = changed;
  assert_string_equal(doubt(&report, 2, true), "");
  assert_string_equal(doubt(&report, 1, false), other);
  report.sources_as_of = changed - second;
  assert_string_equal(doubt(&report, 2, true), now);
  assert_string_equal(doubt(&report, 1, false), hidden);
  /* A file of an older date was put there since. Of a core's, nobody knows when it came to this machine. */
  const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
  assert_int_equal(utimensat(AT_FDCWD, "a.py", old, 0), 0);
  assert_string_equal(doubt(&report, 2, true), now);
  report.source_kind = EXU_SOURCE_CORE;
  assert_string_equal(doubt(&report, 2, true), "");
  report.sources_as_of = 999 * second;
  assert_string_equal(doubt(&report, 2, true), newer);
}

static void code_fits_a_text_that_defines_its_name_where_it_begins(void **state) {
  (void)state;
  static const struct {
    const char *name, *text;
    bool fits, cut;
  } rules[] = {
      {"f", "def f():\n", true, false},
      {"f", "  \tdef  f (a):\n", true, false},
      {"f", "async  def f():\n", true, false},
      {"f", "class f:\n", true, false},
      {"f", "type f = int\n", true, false},
      {"T", "class A[S, T: int]:\n", true, false},
      {"T", "def a(T): pass\n", false, false},
      {"f", "def f2():\n", false, false},
      {"f2", "def f():\n", false, false},
      {"f", "deff():\n", false, false},
      {"f", "def\n", true, false}, /* of which nobody knows how it goes on */
      {"f", "def \\\n f(): pass\n", true, false},
      {"f", "\ndef f():\n", false, false},
      {"f", "# a comment\ndef f():\n", false, false},
      {"f", "x = f()\n", false, false},
      {"f", "", false, false},
      {"f", "", true, true},
      {"<module>", "", true, false},
      {"<module>", "anything\n", true, false},
      {"__annotate__", "def g(): pass\n", true, false},
      {"<listcomp>", "[\n", true, false},
      {"<lambda>", "x = lambda: 1\n", true, false},
      {"<lambda>", "x = lambdas(1)\n", false, false},
      {"<lambda>", "x = 1\n", false, false},
      {"f", "@decorator\r\n@other(1,\r  2)\n  # and\n\ndef f():\n", true, false},
      {"f", "@decorator(\"\"\"\ndef g():\n\"\"\")\ndef f():\n", true, false},
      {"f", "@decorator\ndef g():\n  pass\n", false, false},
      {"f", "@decorator\ndef g():\n  pass\n", true, true},
      {"f",
       "\xef\xbb\xbf"
       "def f():\n",
       true, false},
      {"fi", "def \xef\xac\x81():\n", true, false}, /* U+FB01, which Python normalizes */
      {"\xc3\xa9", "def e\xcc\x81():\n", true, false},
  };
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (exu_source_fits(string(rules[i].text), !rules[i].cut, string(rules[i].name)) != rules[i].fits)
      fail_msg("%s in: %s", rules[i].name, rules[i].text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_is_found_by_its_absolute_path),
      cmocka_unit_test(a_relative_path_is_not_read_where_the_directory_is_unknown),
      cmocka_unit_test(paths_begin_in_the_sysroot),
      cmocka_unit_test(links_do_not_lead_out_of_the_sysroot),
      cmocka_unit_test(what_is_no_regular_file_is_not_opened),
      cmocka_unit_test(a_byte_of_a_name_may_be_a_surrogate),
      cmocka_unit_test(a_path_with_nul_is_no_path),
      cmocka_unit_test(a_path_that_is_too_long_is_not_opened),
      cmocka_unit_test(every_line_end_of_python_ends_a_line),
      cmocka_unit_test(only_the_beginning_of_a_huge_file_is_read),
      cmocka_unit_test(many_files_are_read_with_few_kept),
      cmocka_unit_test(a_relative_path_begins_in_the_directory_of_the_process),
      cmocka_unit_test(what_changed_after_the_process_started_is_said_to_have),
      cmocka_unit_test(code_fits_a_text_that_defines_its_name_where_it_begins),
  };
  return cmocka_run_group_tests(tests, enter, leave);
}
