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

#include "report/source.h"

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
  struct exu_sources *sources = exu_sources_create(sysroot);
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

static void a_relative_path_is_never_read(void **state) {
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
  struct exu_sources *sources = exu_sources_create(".");
  assert_non_null(sources);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 100; i++) {
      char name[32], data[32], path[32];
      int size = snprintf(data, sizeof data, "line %d\n", i);
      snprintf(name, sizeof name, "many%d.py", i);
      snprintf(path, sizeof path, "/many%d.py", i);
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_is_found_by_its_absolute_path),
      cmocka_unit_test(a_relative_path_is_never_read),
      cmocka_unit_test(paths_begin_in_the_sysroot),
      cmocka_unit_test(links_do_not_lead_out_of_the_sysroot),
      cmocka_unit_test(what_is_no_regular_file_is_not_opened),
      cmocka_unit_test(a_byte_of_a_name_may_be_a_surrogate),
      cmocka_unit_test(a_path_with_nul_is_no_path),
      cmocka_unit_test(a_path_that_is_too_long_is_not_opened),
      cmocka_unit_test(every_line_end_of_python_ends_a_line),
      cmocka_unit_test(only_the_beginning_of_a_huge_file_is_read),
      cmocka_unit_test(many_files_are_read_with_few_kept),
  };
  return cmocka_run_group_tests(tests, enter, leave);
}
