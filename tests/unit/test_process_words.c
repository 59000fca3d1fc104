/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "small_process.h"

enum { X86_64 = 62, COUNT = 5 };

static const uint32_t halves[2 * COUNT] = {1, 2, 3, 0xfffffff4, 5, 6, 7, 8, 9, 10};

static void words_are_as_large_as_the_machines(void **state) {
  (void)state;
  struct small_process small;
  struct exu_arch narrow;
  uint64_t words[2 * COUNT];
  small_process_create(&small, X86_64);
  small_process_write(&small, SMALL_BASE, halves, sizeof halves);
  assert_int_equal(exu_process_read_words(&small.process, SMALL_BASE, words, COUNT), COUNT);
  for (size_t i = 0; i < COUNT; i++) assert_int_equal(words[i], halves[2 * i] | (uint64_t)halves[2 * i + 1] << 32);
  narrow = *small.process.arch;
  narrow.word_size = sizeof(uint32_t);
  small.process.arch = &narrow;
  assert_int_equal(exu_process_read_words(&small.process, SMALL_BASE, words, 2 * COUNT), 2 * COUNT);
  for (size_t i = 0; i < 2 * COUNT; i++) assert_int_equal(words[i], halves[i]);
  small_process_destroy(&small);
}

static void words_are_read_up_to_the_first_that_cannot_be_read_whole(void **state) {
  (void)state;
  struct small_process small;
  uint64_t words[COUNT];
  const uint64_t last = SMALL_BASE + SMALL_SIZE - 12;
  small_process_create(&small, X86_64);
  small_process_write(&small, last, halves, 12);
  assert_int_equal(exu_process_read_words(&small.process, last, words, COUNT), 1);
  assert_int_equal(words[0], UINT64_C(2) << 32 | 1);
  assert_int_equal(exu_process_read_words(&small.process, SMALL_BASE + SMALL_SIZE, words, COUNT), 0);
  small_process_destroy(&small);
}

static void what_lies_between_two_addresses_is_read_in_whole_words(void **state) {
  (void)state;
  struct small_process small;
  uint64_t words[COUNT];
  small_process_create(&small, X86_64);
  assert_int_equal(exu_process_read_words_between(&small.process, SMALL_BASE, SMALL_BASE + 23, words, COUNT), 2);
  assert_int_equal(exu_process_read_words_between(&small.process, SMALL_BASE, SMALL_BASE + 800, words, COUNT), COUNT);
  assert_int_equal(exu_process_read_words_between(&small.process, SMALL_BASE + 8, SMALL_BASE, words, COUNT), 0);
  small_process_destroy(&small);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(words_are_as_large_as_the_machines),
      cmocka_unit_test(words_are_read_up_to_the_first_that_cannot_be_read_whole),
      cmocka_unit_test(what_lies_between_two_addresses_is_read_in_whole_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
