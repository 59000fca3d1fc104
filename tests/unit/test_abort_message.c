/* SPDX-License-Identifier: Apache-2.0 */
/* The message that glibc's __abort_msg points to: only what can be one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "binary/abort_message.h"
#include "small_process.h"

/* What is read from a page that begins with `size` and `text`, and is all 'x' behind that. NULL: nothing. */
static void assert_message(uint32_t size, const char *text, size_t text_size, uint64_t address, const char *expected) {
  enum { X86_64 = 62 };
  struct small_process small;
  uint8_t page[SMALL_SIZE];
  memset(page, 'x', sizeof page);
  memcpy(page, &size, sizeof size);
  memcpy(page + sizeof size, text, text_size);
  small_process_create(&small, X86_64);
  small_process_write(&small, SMALL_BASE, page, sizeof page);
  const struct exu_string message = exu_abort_message_read(&small.process, address, &small.arena);
  if (expected) {
    assert_non_null(message.data);
    assert_string_equal(message.data, expected);
    assert_int_equal(message.size, strlen(expected));
  } else {
    assert_null(message.data);
  }
  small_process_destroy(&small);
}

static void a_message_is_what_stands_before_the_first_nul_without_line_ends(void **state) {
  (void)state;
  static const char text[] = "double free or corruption (out)\n";
  assert_message(SMALL_SIZE, text, sizeof text, SMALL_BASE, "double free or corruption (out)");
  assert_message(SMALL_SIZE, "a\nb", 4, SMALL_BASE, "a\nb");
  /* The rest of a longer one was not saved. */
  assert_message(2 * SMALL_SIZE, text, sizeof text, SMALL_BASE, "double free or corruption (out)");
}

static void what_cannot_be_a_message_is_none(void **state) {
  (void)state;
  static const char text[] = "text";
  assert_message(0, text, sizeof text, SMALL_BASE, NULL);
  assert_message(SMALL_SIZE - 1, text, sizeof text, SMALL_BASE, NULL);
  assert_message(SMALL_SIZE, text, sizeof text, SMALL_BASE + 8, NULL);
  assert_message(SMALL_SIZE, text, sizeof text, SMALL_BASE + SMALL_SIZE, NULL);
  assert_message(SMALL_SIZE, text, sizeof text, 0, NULL);
  assert_message(SMALL_SIZE, text, sizeof text - 1, SMALL_BASE, NULL); /* no NUL in all of it */
  assert_message(UINT32_C(0xfffff000), text, sizeof text - 1, SMALL_BASE, NULL);
  assert_message(SMALL_SIZE, "\n", 2, SMALL_BASE, NULL);
  assert_message(SMALL_SIZE, "", 1, SMALL_BASE, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_message_is_what_stands_before_the_first_nul_without_line_ends),
      cmocka_unit_test(what_cannot_be_a_message_is_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
