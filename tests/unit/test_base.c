/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
/* cmocka.h wants the three above */
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/diagnostics.h"
#include "base/error.h"
#include "base/read_at.h"
#include "base/search.h"
#include "base/str.h"
#include "files.h"

static const struct exu_string unknown = {NULL, 0}, empty = EXU_STRING(""), name = EXU_STRING("name");

/* ---- Strings ----------------------------------------------------------------------------------------------------- */

static void an_unknown_string_is_equal_to_no_text_and_begins_and_ends_with_none(void **state) {
  (void)state;
  assert_true(exu_string_equal(unknown, unknown));
  assert_false(exu_string_equal(unknown, empty));
  assert_false(exu_string_equal(empty, unknown));
  assert_false(exu_string_is(unknown, ""));
  assert_false(exu_string_starts(unknown, ""));
  assert_false(exu_string_ends(unknown, ""));
  assert_null(exu_string_of(NULL).data);
  assert_null(exu_base_name(unknown).data);
  assert_null(exu_string_behind(unknown, 0).data);
}

static void strings_are_compared_by_all_their_bytes(void **state) {
  (void)state;
  const struct exu_string with_nul = EXU_STRING("name\0x");
  const char *const names[] = {"nam", "name"};
  assert_true(exu_string_equal(name, exu_string_of("name")));
  assert_false(exu_string_equal(name, exu_string_of("named")));
  assert_false(exu_string_equal(name, with_nul));
  assert_true(exu_string_is(name, "name"));
  assert_false(exu_string_is(name, "nam"));
  assert_false(exu_string_is(name, "named"));
  assert_false(exu_string_is(with_nul, "name"));
  assert_true(exu_string_is_among(name, names, 2));
  assert_false(exu_string_is_among(name, names, 1));
}

static void a_string_begins_and_ends_with_what_is_not_longer(void **state) {
  (void)state;
  assert_true(exu_string_starts(name, ""));
  assert_true(exu_string_starts(name, "na"));
  assert_true(exu_string_starts(name, "name"));
  assert_false(exu_string_starts(name, "names"));
  assert_false(exu_string_starts(name, "am"));
  assert_true(exu_string_ends(name, ""));
  assert_true(exu_string_ends(name, "me"));
  assert_true(exu_string_ends(name, "name"));
  assert_false(exu_string_ends(name, "aname"));
  assert_false(exu_string_ends(name, "am"));
  assert_true(exu_string_is(exu_string_behind(name, 2), "me"));
  assert_true(exu_string_is(exu_string_behind(name, 4), ""));
}

static void a_base_name_is_what_follows_the_last_slash_if_something_does(void **state) {
  (void)state;
  assert_true(exu_string_is(exu_base_name(exu_string_of("/usr/lib/libc.so.6")), "libc.so.6"));
  assert_true(exu_string_is(exu_base_name(exu_string_of("libc.so.6")), "libc.so.6"));
  assert_true(exu_string_is(exu_base_name(exu_string_of("/usr/lib/")), "/usr/lib/"));
  assert_true(exu_string_is(exu_base_name(exu_string_of("/")), "/"));
  assert_true(exu_string_is(exu_base_name(empty), ""));
}

/* ---- Search ------------------------------------------------------------------------------------------------------ */

static void the_partition_point_is_the_first_that_is_not_before(void **state) {
  (void)state;
  int items[33];
  for (size_t count = 0; count <= sizeof items / sizeof *items; count++) {
    for (size_t i = 0; i < count; i++) items[i] = (int)i;
    for (size_t before = 0; before <= count; before++)
      assert_int_equal(EXU_PARTITION_POINT(i, count, items[i] < (int)before), before);
  }
}

static void a_partition_point_may_be_looked_for_while_one_is(void **state) {
  (void)state;
  const int items[] = {1, 3, 5, 7};
  assert_int_equal(EXU_PARTITION_POINT(i, 4, items[i] < (int)EXU_PARTITION_POINT(k, 4, items[k] < 6)),
                   1); /* the inner one is 3 */
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static void a_read_gives_what_is_there_and_says_when_nothing_is(void **state) {
  (void)state;
  char bytes[8] = "", *directory = scratch_create(), *path = path_in(directory, "file");
  write_whole(path, "0123456789", 10);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  assert_true(exu_read_at(fd, bytes, 4, 6));
  assert_memory_equal(bytes, "6789", 4);
  assert_true(exu_read_at(fd, bytes, 0, 10));
  assert_false(exu_read_at(fd, bytes, 4, 7));
  assert_int_equal(exu_read_some_at(fd, bytes, 8, 7), 3);
  assert_int_equal(exu_read_some_at(fd, bytes, 8, 10), 0);
  assert_int_equal(exu_read_some_at(fd, bytes, 8, INT64_MAX - 7), -1);
  assert_int_equal(errno, EOVERFLOW);
  assert_int_equal(exu_read_some_at(fd, bytes, 8, UINT64_MAX), -1);
  close(fd);
  assert_int_equal(exu_read_some_at(-1, bytes, 8, 0), -1);
  assert_int_equal(errno, EBADF);
  free(path);
  scratch_remove(directory);
}

static void reserved_memory_counts_until_it_is_given_back(void **state) {
  (void)state;
  struct exu_arena arena;
  exu_arena_init(&arena, 1000);
  assert_true(exu_arena_reserve(&arena, 900));
  assert_null(exu_arena_alloc(&arena, 200));
  assert_true(arena.exhausted);
  assert_false(exu_arena_reserve(&arena, 101));
  assert_true(exu_arena_reserve(&arena, 100));
  exu_arena_release(&arena, 1000);
  assert_non_null(exu_arena_alloc(&arena, 200));
  assert_false(exu_arena_reserve(&arena, SIZE_MAX));
  exu_arena_deinit(&arena);
}

/* Paths have 4,095 bytes at most, and what a message ends with is the most important. */
static void the_message_of_an_error_has_a_whole_path_and_says_where_it_is_cut(void **state) {
  (void)state;
  char path[2 * PATH_MAX], expected[sizeof path + 32];
  struct exu_error error;
  memset(path, 'p', sizeof path);
  path[PATH_MAX - 1] = '\0';
  snprintf(expected, sizeof expected, "%s: %s", path, strerror(EACCES));
  assert_false(exu_fail(&error, EXU_IO, "%s: %s", path, strerror(EACCES)));
  assert_string_equal(error.message, expected);
  path[PATH_MAX - 1] = 'p';
  path[sizeof path - 1] = '\0';
  assert_false(exu_fail(&error, EXU_IO, "%s: %s", path, strerror(EACCES)));
  assert_int_equal(strlen(error.message), sizeof error.message - 1);
  assert_string_equal(error.message + sizeof error.message - 5, "p...");
}

static void a_diagnostic_is_said_to_its_end(void **state) {
  (void)state;
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  char path[4096];
  memset(path, 'x', sizeof path - 1);
  path[sizeof path - 1] = 0;
  exu_arena_init(&arena, 1 << 20);
  exu_diagnostics_init(&diagnostics, &arena);
  exu_incomplete(&diagnostics, EXU_DIAGNOSTIC_SOURCE_UNREADABLE, -1, "%s cannot be read", path);
  assert_int_equal(diagnostics.list.count, 1);
  assert_true(exu_string_ends(diagnostics.list.items[0].message, "x cannot be read"));
  assert_int_equal(diagnostics.list.items[0].message.size, sizeof path - 1 + strlen(" cannot be read"));
  exu_arena_deinit(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_unknown_string_is_equal_to_no_text_and_begins_and_ends_with_none),
      cmocka_unit_test(strings_are_compared_by_all_their_bytes),
      cmocka_unit_test(a_string_begins_and_ends_with_what_is_not_longer),
      cmocka_unit_test(a_base_name_is_what_follows_the_last_slash_if_something_does),
      cmocka_unit_test(the_partition_point_is_the_first_that_is_not_before),
      cmocka_unit_test(a_partition_point_may_be_looked_for_while_one_is),
      cmocka_unit_test(a_read_gives_what_is_there_and_says_when_nothing_is),
      cmocka_unit_test(reserved_memory_counts_until_it_is_given_back),
      cmocka_unit_test(the_message_of_an_error_has_a_whole_path_and_says_where_it_is_cut),
      cmocka_unit_test(a_diagnostic_is_said_to_its_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
