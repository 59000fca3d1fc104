/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions of every version, put together from the opcodes that it has; and bytes that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "python/frame/bytecode.h"

enum { SIZE = 512 };

static const uint8_t versions[][2] = {{2, 7},  {3, 6},  {3, 7},  {3, 8},  {3, 9}, {3, 10},
                                      {3, 11}, {3, 12}, {3, 13}, {3, 14}, {3, 15}};

struct text {
  struct exu_bytecode bytecode;
  uint8_t bytes[SIZE];
};

static void text_init(struct text *text, const uint8_t version[2]) {
  *text = (struct text){.bytecode = {.major = version[0], .minor = version[1]}};
  text->bytecode.bytes = text->bytes;
  text->bytecode.opcodes = exu_opcodes(version[0], version[1]);
  assert_non_null(text->bytecode.opcodes);
}

static bool at_least(const struct text *text, int minor) {
  return text->bytecode.major == 3 && text->bytecode.minor >= minor;
}

/* The lowest opcode that does this; what is put is where it begins. */
static uint32_t put(struct text *text, enum exu_op op, uint32_t arg) {
  uint32_t at = (uint32_t)text->bytecode.size;
  for (int number = 0; number < 256; number++) {
    const struct exu_opcode *opcode = &text->bytecode.opcodes[number];
    if (opcode->op != op || (op == EXU_OP_NOTHING && (number == 0 || opcode->caches))) continue;
    uint8_t *bytes = text->bytes + at;
    bytes[0] = (uint8_t)number;
    uint32_t width = text->bytecode.major >= 3 ? 2 : number >= 90 ? 3 : 1;
    if (width > 1) bytes[1] = (uint8_t)arg;
    text->bytecode.size += width + 2u * opcode->caches;
    assert_true(text->bytecode.size <= SIZE);
    return at;
  }
  fail_msg("no opcode of %d.%d does %d", text->bytecode.major, text->bytecode.minor, op);
  return 0;
}

static uint32_t put_attribute(struct text *text, uint32_t name) {
  bool flag = at_least(text, 12);
  return put(text, EXU_OP_LOAD_ATTR, flag ? name << 1 : name);
}

/* x.NAME() */
static uint32_t put_call(struct text *text, uint32_t variable, uint32_t name) {
  uint32_t at = put(text, EXU_OP_LOAD_FAST, variable);
  put_attribute(text, name);
  put(text, EXU_OP_CALL, 0);
  return at;
}

/* Enters a `with`; the offset of its last instruction. */
static uint32_t put_entry(struct text *text) {
  if (!at_least(text, 11)) return put(text, EXU_OP_SETUP_WITH, 40);
  if (!at_least(text, 14)) return put(text, EXU_OP_BEFORE_WITH, 0);
  put(text, EXU_OP_LOAD_SPECIAL, 1);
  put(text, EXU_OP_LOAD_SPECIAL, 0);
  return put(text, EXU_OP_CALL, 0);
}

static void pad(struct text *text) {
  for (int i = 0; i < 40; i++) put(text, EXU_OP_NOTHING, 0);
}

static void what_follows_a_with_in_a_straight_line_has_run_no_other_code(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    for (int between = 0; between < 3; between++) {
      struct text text;
      struct exu_method_call call;
      text_init(&text, versions[i]);
      put(&text, EXU_OP_LOAD_FAST, 0);
      put_entry(&text);
      put(&text, EXU_OP_POP_TOP, 0);
      if (between == 1) {
        put_call(&text, 2, 7);
        put(&text, EXU_OP_POP_TOP, 0);
      }
      if (between == 2) put_attribute(&text, 1);
      put(&text, EXU_OP_LOAD_FAST, 1);
      uint32_t at = put_entry(&text);
      pad(&text);
      assert_int_equal(exu_bytecode_just_entered(&text.bytecode, at, &call), between == 0);
      if (between == 0) assert_int_equal(call.end, 0);
    }
  }
}

static void a_generator_is_suspended_at_its_yield_or_behind_it_since_3_13(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    struct text text;
    text_init(&text, versions[i]);
    put(&text, EXU_OP_LOAD_FAST, 0);
    uint32_t at = put(&text, EXU_OP_YIELD_VALUE, 0), behind = put(&text, EXU_OP_NOTHING, 0);
    uint32_t later = put(&text, EXU_OP_NOTHING, 0);
    bool moved = at_least(&text, 13);
    assert_int_equal(exu_bytecode_at_yield(&text.bytecode, at), !moved);
    assert_int_equal(exu_bytecode_at_yield(&text.bytecode, behind), moved);
    assert_false(exu_bytecode_at_yield(&text.bytecode, later));
    assert_false(exu_bytecode_at_yield(&text.bytecode, 0));
    assert_false(exu_bytecode_at_yield(&text.bytecode, UINT32_MAX));
  }
}

static void a_jump_into_the_line_may_come_from_other_code(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    struct text text;
    struct exu_method_call call;
    text_init(&text, versions[i]);
    put(&text, EXU_OP_LOAD_FAST, 0);
    put_entry(&text);
    put(&text, EXU_OP_POP_TOP, 0);
    uint32_t line = put(&text, EXU_OP_LOAD_FAST, 1);
    uint32_t at = put_entry(&text);
    pad(&text);
    /* Every jump back that there is, to the beginning of the line. */
    for (int number = 0; number < 256; number++) {
      const struct exu_opcode *opcode = &text.bytecode.opcodes[number];
      if (opcode->jump != EXU_JUMP_BACKWARD && opcode->jump != EXU_JUMP_ABSOLUTE) continue;
      struct text jumping = text;
      jumping.bytecode.bytes = jumping.bytes;
      uint32_t size = (uint32_t)text.bytecode.size, width = text.bytecode.major >= 3 ? 2 : 3;
      uint32_t next = size + width + 2u * opcode->caches;
      uint32_t process = opcode->jump == EXU_JUMP_ABSOLUTE ? line : next - line;
      jumping.bytes[size] = (uint8_t)number;
      jumping.bytes[size + 1] = (uint8_t)(at_least(&text, 10) ? process / 2 : process);
      jumping.bytecode.size = next;
      assert_false(exu_bytecode_just_entered(&jumping.bytecode, at, &call));
    }
    assert_true(exu_bytecode_just_entered(&text.bytecode, at, &call));
  }
}

/* What is at `start` or later, and before `end`, has its exceptions handled at `target`. */
struct region {
  uint32_t start, end, process;
};

static bool in_region(void *context, uint32_t offset, uint32_t *process) {
  const struct region *region = context;
  if (offset < region->start || offset >= region->end) return false;
  *process = region->process;
  return true;
}

static void an_acquire_before_a_try_is_paired_with_the_release_in_its_finally(void **state) {
  (void)state;
  enum { ACQUIRE = 3, RELEASE = 5 };
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    for (uint32_t released = 0; released < 2; released++) {
      struct text text;
      struct exu_guarded guarded;
      struct region region;
      uint32_t from = 0, setup = 0;
      text_init(&text, versions[i]);
      bool table = at_least(&text, 11);
      put_call(&text, 0, ACQUIRE);
      put(&text, EXU_OP_POP_TOP, 0);
      if (table) put(&text, EXU_OP_NOTHING, 0);
      if (!table) setup = put(&text, EXU_OP_SETUP_FINALLY, 0);
      region.start = (uint32_t)text.bytecode.size;
      uint32_t at = put(&text, EXU_OP_CALL, 1);
      if (!table) put(&text, EXU_OP_POP_BLOCK, 0);
      region.end = region.process = (uint32_t)text.bytecode.size;
      uint32_t distance = region.process - region.start;
      if (!table) text.bytes[setup + 1] = (uint8_t)(at_least(&text, 10) ? distance / 2 : distance);
      if (table) put(&text, EXU_OP_PUSH_EXC_INFO, 0);
      uint32_t after = put_call(&text, released, RELEASE);
      pad(&text);
      exu_handler_callback *handler = table ? in_region : NULL;
      bool found = exu_bytecode_guarded(&text.bytecode, &from, at, handler, &region, &guarded);
      assert_int_equal(found, released == 0);
      if (found) {
        assert_int_equal(guarded.before.method, ACQUIRE);
        assert_int_equal(guarded.finally.method, RELEASE);
        assert_false(guarded.stored);
      }
      from = 0; /* behind the `try` */
      assert_false(exu_bytecode_guarded(&text.bytecode, &from, after, handler, &region, &guarded));
    }
  }
}

static void bytes_that_are_no_instructions_end_it(void **state) {
  (void)state;
  uint32_t random = 1;
  for (size_t i = 0; i < sizeof versions / sizeof *versions * 400; i++) {
    struct text text;
    struct exu_method_call call;
    struct exu_guarded guarded;
    struct region region = {0, SIZE, 0};
    uint32_t from = 0;
    text_init(&text, versions[i % (sizeof versions / sizeof *versions)]);
    for (size_t j = 0; j < 200; j++) text.bytes[j] = (uint8_t)((random = random * 1103515245 + 12345) >> 16);
    text.bytecode.size = random % 200;
    /* At its own end, so that a sanitizer sees what is read beyond. */
    uint8_t *copy = malloc(text.bytecode.size + 1);
    memcpy(copy + 1, text.bytes, text.bytecode.size);
    text.bytecode.bytes = copy + 1;
    exu_bytecode_just_entered(&text.bytecode, random % 210, &call);
    while (
        exu_bytecode_guarded(&text.bytecode, &from, random % 210, random & 1 ? in_region : NULL, &region, &guarded)) {}
    free(copy);
  }
  assert_null(exu_opcodes(3, 5));
  assert_null(exu_opcodes(4, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_follows_a_with_in_a_straight_line_has_run_no_other_code),
      cmocka_unit_test(a_generator_is_suspended_at_its_yield_or_behind_it_since_3_13),
      cmocka_unit_test(a_jump_into_the_line_may_come_from_other_code),
      cmocka_unit_test(an_acquire_before_a_try_is_paired_with_the_release_in_its_finally),
      cmocka_unit_test(bytes_that_are_no_instructions_end_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
