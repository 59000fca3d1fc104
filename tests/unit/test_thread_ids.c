/* SPDX-License-Identifier: Apache-2.0 */
/* Where glibc says that it keeps the kernel's id of a thread: only what can be true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "binary/thread_ids.h"
#include "small_process.h"

static void assert_offset(uint32_t bits, uint32_t count, uint32_t offset, uint64_t address, uint32_t expected) {
  enum { X86_64 = 62 };
  const uint32_t words[] = {bits, count, offset};
  struct small_process small;
  small_process_create(&small, X86_64);
  small_process_write(&small, SMALL_BASE, words, sizeof words);
  assert_int_equal(exu_thread_ids_read(&small.process, address), expected);
  small_process_destroy(&small);
}

static void the_third_word_is_the_offset(void **state) {
  (void)state;
  assert_offset(32, 1, 0x2d0, SMALL_BASE, 0x2d0);
}

static void what_is_not_one_number_of_32_bits_in_a_descriptor_is_none(void **state) {
  (void)state;
  assert_offset(64, 1, 0x2d0, SMALL_BASE, 0);
  assert_offset(32, 2, 0x2d0, SMALL_BASE, 0);
  assert_offset(32, 1, EXU_DESCRIPTOR_MAX - 4, SMALL_BASE, EXU_DESCRIPTOR_MAX - 4);
  assert_offset(32, 1, EXU_DESCRIPTOR_MAX - 3, SMALL_BASE, 0);
  assert_offset(32, 1, UINT32_MAX, SMALL_BASE, 0);
  assert_offset(32, 1, 0x2d0, SMALL_BASE + SMALL_SIZE - 8, 0); /* it is not all there */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_third_word_is_the_offset),
      cmocka_unit_test(what_is_not_one_number_of_32_bits_in_a_descriptor_is_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
