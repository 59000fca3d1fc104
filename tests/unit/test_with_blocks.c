/* SPDX-License-Identifier: Apache-2.0 */
/* Which `with` statements an instruction is in: exception tables since 3.11, stacks of blocks before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above */
#include <cmocka.h>

#include "python/frame/block_stack.h"
#include "python/frame/exception_table.h"

/*
 * co_exceptiontable of this, from CPython 3.11.7 and 3.14.10:
 *
 *     def f(a, b, items):
 *         with a:
 *             for item in items:
 *                 with b:
 *                     try:
 *                         inner()
 *                     except ValueError:
 *                         handler()
 *                 between()
 *         after()
 */
static const uint8_t table_3_11[] = {0x83, 0x07, 0x41, 0x2c, 0x03, 0x8a, 0x01, 0x41, 0x05, 0x07, 0x8c, 0x0e, 0x1b,
                                     0x06, 0x9a, 0x01, 0x41, 0x05, 0x07, 0x9b, 0x18, 0x36, 0x09, 0xb3, 0x02, 0x41,
                                     0x05, 0x07, 0xb5, 0x01, 0x36, 0x09, 0xb6, 0x03, 0x41, 0x05, 0x07, 0xb9, 0x0c,
                                     0x41, 0x2c, 0x03, 0xc1, 0x05, 0x04, 0x41, 0x09, 0x0b, 0xc1, 0x09, 0x03, 0x41,
                                     0x2c, 0x03, 0xc1, 0x0c, 0x01, 0x41, 0x09, 0x0b, 0xc1, 0x0d, 0x12, 0x41, 0x2c,
                                     0x03, 0xc1, 0x2c, 0x04, 0x41, 0x30, 0x07, 0xc1, 0x33, 0x01, 0x41, 0x30, 0x07};
static const uint8_t table_3_14[] = {0x8b, 0x10, 0x41, 0x3f, 0x05, 0x9b, 0x01, 0x41, 0x2c, 0x0b, 0x9d, 0x0a, 0x41,
                                     0x11, 0x0a, 0xa7, 0x16, 0x41, 0x3f, 0x05, 0xc1, 0x11, 0x15, 0x41, 0x29, 0x0d,
                                     0xc1, 0x26, 0x02, 0x41, 0x2c, 0x0b, 0xc1, 0x28, 0x01, 0x41, 0x29, 0x0d, 0xc1,
                                     0x29, 0x03, 0x41, 0x2c, 0x0b, 0xc1, 0x2c, 0x0b, 0x41, 0x3c, 0x0f, 0xc1, 0x37,
                                     0x08, 0x41, 0x3f, 0x05, 0xc1, 0x3f, 0x0b, 0x42, 0x0f, 0x09};

static void check(const uint8_t *table, size_t size, uint32_t instruction, size_t count, const uint32_t *expected) {
  uint32_t depths[8] = {0};
  assert_int_equal(exu_exceptions_depths(table, size, instruction, depths, 8), count);
  if (count > 0) assert_memory_equal(depths, expected, count * sizeof *expected);
}

/*
 * The value stack of 3.11: [a.__exit__, iterator, b.__exit__]; of 3.14: [a.__exit__, a, iterator, b.__exit__, b]. The
 * depth ends above the __exit__ (3.11), or its object (3.14), of every `with` that is in force.
 */
static void a_call_is_inside_of_the_with_statements_around_it(void **state) {
  (void)state;
  const size_t size11 = sizeof table_3_11, size14 = sizeof table_3_14;
  check(table_3_11, size11, 20, 2, (const uint32_t[]){3, 1});    /* inner() */
  check(table_3_11, size11, 24, 2, (const uint32_t[]){3, 1});    /* its last cache entry */
  check(table_3_11, size11, 45, 3, (const uint32_t[]){4, 3, 1}); /* handler(), above an exception */
  check(table_3_11, size11, 88, 1, (const uint32_t[]){1});       /* between() */
  check(table_3_14, size14, 34, 2, (const uint32_t[]){5, 2});
  check(table_3_14, size14, 97, 3, (const uint32_t[]){6, 5, 2});
  check(table_3_14, size14, 52, 1, (const uint32_t[]){2});
}

static void a_with_begins_after_enter_and_ends_before_exit(void **state) {
  (void)state;
  const size_t size11 = sizeof table_3_11, size14 = sizeof table_3_14;
  check(table_3_11, size11, 2, 0, NULL);                      /* BEFORE_WITH of a, which calls a.__enter__ */
  check(table_3_11, size11, 9, 1, (const uint32_t[]){1});     /* of b */
  check(table_3_11, size11, 62, 1, (const uint32_t[]){1});    /* b.__exit__(None, None, None) */
  check(table_3_11, size11, 101, 0, NULL);                    /* of a */
  check(table_3_11, size11, 70, 2, (const uint32_t[]){5, 1}); /* WITH_EXCEPT_START of b: its cleanup, and a */
  check(table_3_11, size11, 109, 1, (const uint32_t[]){3});   /* of a: its cleanup only */
  check(table_3_11, size11, 127, 0, NULL);                    /* after() */
  check(table_3_14, size14, 7, 0, NULL);
  check(table_3_14, size14, 23, 1, (const uint32_t[]){2});
  check(table_3_14, size14, 42, 1, (const uint32_t[]){2});
  check(table_3_14, size14, 64, 0, NULL);
  check(table_3_14, size14, 109, 2, (const uint32_t[]){7, 2});
  check(table_3_14, size14, 128, 1, (const uint32_t[]){4});
  check(table_3_14, size14, 74, 0, NULL);
}

static void the_first_entry_that_covers_an_instruction_is_found(void **state) {
  (void)state;
  struct exu_handler handler;
  assert_true(exu_exceptions_find(table_3_11, sizeof table_3_11, 3, &handler));
  assert_int_equal(handler.process, 108);
  assert_int_equal(handler.depth, 1);
  assert_true(exu_exceptions_find(table_3_11, sizeof table_3_11, 115, &handler));
  assert_int_equal(handler.process, 112);
  assert_int_equal(handler.depth, 3);
  assert_false(exu_exceptions_find(table_3_11, sizeof table_3_11, 11, &handler)); /* between two entries */
  assert_false(exu_exceptions_find(table_3_11, sizeof table_3_11, 116, &handler));
  assert_false(exu_exceptions_find(NULL, 0, 0, &handler));
}

static void a_damaged_table_ends_the_search(void **state) {
  (void)state;
  struct exu_handler handler;
  uint32_t depths[4];
  for (size_t cut = 0; cut < 5; cut++) assert_false(exu_exceptions_find(table_3_11, cut, 3, &handler));
  const uint8_t no_start[] = {0x03, 0x07, 0x2c, 0x03};
  assert_false(exu_exceptions_find(no_start, sizeof no_start, 3, &handler));
  const uint8_t too_large[] = {0xff, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x3f, 0x01, 0x01, 0x01};
  assert_false(exu_exceptions_find(too_large, sizeof too_large, 3, &handler));
  /* A handler that is its own. */
  const uint8_t cycle[] = {0x80, 0x3f, 0x01, 0x06};
  assert_int_equal(exu_exceptions_depths(cycle, sizeof cycle, 1, depths, 4), 1);
  assert_int_equal(depths[0], 3);
  assert_int_equal(exu_exceptions_depths(cycle, sizeof cycle, 1, depths, 0), 0);
}

/* ---- Blocks ------------------------------------------------------------------------------------------------------ */

/* PyTryBlock, in every version. */
struct block {
  int32_t type, handler, level;
};

static const struct exu_layout layout = {
    .block_size = {0, sizeof(struct block), 0, 0},
    .block_type = {offsetof(struct block, type), 4, 0, 0},
    .block_level = {offsetof(struct block, level), 4, 0, 0},
};

static void only_blocks_of_with_and_finally_count(void **state) {
  (void)state;
  enum { SETUP_LOOP = 120, SETUP_EXCEPT = 121, SETUP_FINALLY = 122, SETUP_WITH = 143, EXCEPT_HANDLER = 257 };
  const struct block blocks[] = {{SETUP_FINALLY, 100, 1}, {SETUP_LOOP, 90, 1},     {SETUP_WITH, 80, 3},
                                 {SETUP_EXCEPT, 70, 3},   {EXCEPT_HANDLER, -1, 3}, {SETUP_FINALLY, 60, 10}};
  uint32_t depths[EXU_BLOCKS_MAX];
  assert_int_equal(exu_block_depths(&layout, (const uint8_t *)blocks, 6, depths), 3);
  assert_int_equal(depths[0], 10);
  assert_int_equal(depths[1], 3);
  assert_int_equal(depths[2], 1);
  assert_int_equal(exu_block_depths(&layout, (const uint8_t *)blocks, 0, depths), 0);
}

static void more_blocks_than_a_frame_can_have_are_not_read(void **state) {
  (void)state;
  struct block blocks[EXU_BLOCKS_MAX];
  uint32_t depths[EXU_BLOCKS_MAX];
  for (int i = 0; i < EXU_BLOCKS_MAX; i++) blocks[i] = (struct block){122, 0, i};
  assert_int_equal(exu_block_depths(&layout, (const uint8_t *)blocks, 1000, depths), EXU_BLOCKS_MAX);
  assert_int_equal(depths[0], EXU_BLOCKS_MAX - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_call_is_inside_of_the_with_statements_around_it),
      cmocka_unit_test(a_with_begins_after_enter_and_ends_before_exit),
      cmocka_unit_test(the_first_entry_that_covers_an_instruction_is_found),
      cmocka_unit_test(a_damaged_table_ends_the_search),
      cmocka_unit_test(only_blocks_of_with_and_finally_count),
      cmocka_unit_test(more_blocks_than_a_frame_can_have_are_not_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
