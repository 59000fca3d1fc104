/* SPDX-License-Identifier: Apache-2.0 */
/* _Py_DebugOffsets: made from a shipped table, then damaged in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "python/layout/debug_offsets.h"

enum { X86_64 = 62, FINAL = 0xF, MAX_BYTES = 2048 };

struct member {
  const char *name;
  size_t position, bound, field;
  unsigned width;
};

static const struct member members[] = {
#define TABLE(member) offsetof(struct exu_debug_offsets_table, member)
#define EXU_DEBUG_SIZE(field, structure) {#field, TABLE(field), TABLE(field), offsetof(struct exu_layout, field), 0},
#define EXU_DEBUG_OFFSET(field, structure, member, width)                                                              \
  {#field, TABLE(field), TABLE(field##_bound), offsetof(struct exu_layout, field), width},
#include "offsets/debug_offsets.def"
};
enum { MEMBERS = sizeof members / sizeof *members };

struct sample {
  const struct exu_debug_offsets_table *table;
  const struct exu_layout_table *shipped;
  uint8_t bytes[MAX_BYTES];
};

static uint16_t position(const struct exu_debug_offsets_table *table, size_t member) {
  return *(const uint16_t *)(const void *)((const char *)table + member);
}

static void put(uint8_t *bytes, uint16_t at, uint64_t value) {
  for (int i = 0; i < 8; i++) bytes[at + i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *bytes, uint16_t at) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value |= (uint64_t)bytes[at + i] << 8 * i;
  return value;
}

static const struct exu_field *field_of(const struct exu_layout *layout, const struct member *member) {
  return (const struct exu_field *)(const void *)((const char *)layout + member->field);
}

/* What a build of this kind would have at the start of its runtime. */
static struct sample sample_of(uint8_t minor, uint8_t micro, bool debug, bool free_threaded) {
  struct sample sample = {0};
  struct exu_build build = {{3, minor, micro, FINAL, 0}, debug, free_threaded};
  bool exact;
  sample.shipped = exu_layout_find(&build, X86_64, &exact);
  assert_non_null(sample.shipped);
  for (size_t i = 0; i < exu_debug_offsets_table_count; i++)
    if (exu_debug_offsets_tables[i]->minor == minor) sample.table = exu_debug_offsets_tables[i];
  assert_non_null(sample.table);
  memcpy(sample.bytes, "xdebugpy", 8);
  put(sample.bytes, sample.table->version, exu_version_hex(build.version));
  put(sample.bytes, sample.table->free_threaded, free_threaded);
  for (size_t i = 0; i < MEMBERS; i++) {
    uint16_t at = position(sample.table, members[i].position), bound = position(sample.table, members[i].bound);
    const struct exu_field *field = field_of(&sample.shipped->layout, &members[i]);
    if (at == UINT16_MAX) continue;
    put(sample.bytes, at, members[i].width ? field->offset : field->size);
    /* The sizes of structures that fields.def does not ask for: anything large enough. */
    if (members[i].width && get(sample.bytes, bound) == 0) put(sample.bytes, bound, 4096);
  }
  return sample;
}

static bool parses(const struct sample *sample, struct exu_error *error) {
  struct exu_build build;
  const struct exu_debug_offsets_table *table;
  bool known;
  return exu_debug_offsets_parse(sample->bytes, sizeof sample->bytes, &build, &table, &known, error);
}

static void what_a_build_says_equals_its_table(void **state) {
  (void)state;
  for (uint8_t minor = 13; minor <= 15; minor++) {
    for (int kind = 0; kind < 4; kind++) {
      struct sample sample = sample_of(minor, 0, kind & 1, kind & 2);
      struct exu_build build;
      const struct exu_debug_offsets_table *table = NULL;
      struct exu_layout layout = {0};
      struct exu_error error;
      bool known = false;
      assert_true(exu_debug_offsets_parse(sample.bytes, sizeof sample.bytes, &build, &table, &known, &error));
      assert_ptr_equal(table, sample.table);
      assert_true(known);
      assert_int_equal(build.version.minor, minor);
      assert_int_equal(build.free_threaded, (kind & 2) != 0);
      assert_true(exu_debug_offsets_apply(table, sample.bytes, sizeof sample.bytes, &layout, &error));
      for (size_t i = 0; i < MEMBERS; i++) {
        if (position(table, members[i].position) == UINT16_MAX) continue;
        const struct exu_field *said = field_of(&layout, &members[i]);
        const struct exu_field *shipped = field_of(&sample.shipped->layout, &members[i]);
        assert_int_equal(said->offset, shipped->offset);
        assert_int_equal(said->size, shipped->size);
      }
      assert_int_equal(exu_debug_offsets_is_debug(table, sample.bytes, sizeof sample.bytes, &build),
                       kind & 1 ? EXU_YES : EXU_NO);
    }
  }
}

static void a_runtime_of_neither_kinds_size_tells_nothing(void **state) {
  (void)state;
  struct sample release = sample_of(13, 0, false, false), debug = sample_of(13, 0, true, false);
  struct exu_build build = {{3, 13, 0, FINAL, 0}, false, false};
  uint64_t middle = (get(release.bytes, release.table->runtime_size) + get(debug.bytes, debug.table->runtime_size)) / 2;
  put(release.bytes, release.table->runtime_size, middle);
  assert_int_equal(exu_debug_offsets_is_debug(release.table, release.bytes, sizeof release.bytes, &build), EXU_UNKNOWN);
}

/* Each member in turn gets each bad value; the layout stays untouched. */
static void every_member_out_of_range_is_rejected(void **state) {
  (void)state;
  for (uint8_t minor = 13; minor <= 15; minor++) {
    const struct sample good = sample_of(minor, 0, false, true);
    for (size_t i = 0; i < MEMBERS; i++) {
      uint16_t at = position(good.table, members[i].position), bound = position(good.table, members[i].bound);
      if (at == UINT16_MAX) continue;
      uint64_t size = get(good.bytes, bound);
      uint64_t offsets[] = {size, size - members[i].width + 1, UINT64_MAX, 1ull << 32, 1ull << 63, UINT64_MAX - 7};
      uint64_t sizes[] = {0, 1024 * 1024, UINT64_MAX, 1ull << 32, 4, size + 1};
      for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
        struct sample bad = good;
        struct exu_layout layout, before;
        struct exu_error error = {0};
        put(bad.bytes, at, members[i].width ? offsets[j] : sizes[j]);
        if (parses(&bad, &error)) fail_msg("3.%u %s: value %zu was believed", minor, members[i].name, j);
        assert_int_equal(error.status, EXU_BAD_FORMAT);
        memset(&layout, 0x5A, sizeof layout);
        before = layout;
        assert_false(exu_debug_offsets_apply(bad.table, bad.bytes, sizeof bad.bytes, &layout, &error));
        assert_memory_equal(&layout, &before, sizeof layout);
      }
    }
  }
}

static void two_fields_at_one_place_are_rejected(void **state) {
  (void)state;
  struct sample bad = sample_of(13, 0, false, false);
  put(bad.bytes, bad.table->tstate_next, get(bad.bytes, bad.table->tstate_interp));
  struct exu_error error;
  assert_false(parses(&bad, &error));
}

static void a_misaligned_pointer_is_rejected(void **state) {
  (void)state;
  struct sample bad = sample_of(13, 0, false, false);
  put(bad.bytes, bad.table->code_filename, get(bad.bytes, bad.table->code_filename) + 4);
  struct exu_error error;
  assert_false(parses(&bad, &error));
}

static void no_cookie_no_version_no_flag_and_too_few_bytes_are_rejected(void **state) {
  (void)state;
  const struct sample good = sample_of(14, 0, false, false);
  struct exu_build build;
  const struct exu_debug_offsets_table *table;
  bool known;
  struct exu_error error;
  struct sample bad = good;
  bad.bytes[3] = 'X';
  assert_false(parses(&bad, &error));
  static const uint64_t versions[] = {0, 0x030E0000, 0x1030E00F0, UINT64_MAX, 0x030C01F0, 0x020712F0};
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    bad = good;
    put(bad.bytes, bad.table->version, versions[i]);
    assert_false(parses(&bad, &error));
  }
  bad = good;
  put(bad.bytes, bad.table->free_threaded, 2);
  assert_false(parses(&bad, &error));
  for (size_t size = 0; size < good.table->size; size++)
    assert_false(exu_debug_offsets_parse(good.bytes, size, &build, &table, &known, &error));
  assert_true(exu_debug_offsets_parse(good.bytes, good.table->size, &build, &table, &known, &error));
}

static void a_future_version_is_tried_with_the_newest_table_and_marked(void **state) {
  (void)state;
  struct sample sample = sample_of(15, 0, false, false);
  put(sample.bytes, sample.table->version, 0x03100000 | FINAL << 4);
  struct exu_build build;
  const struct exu_debug_offsets_table *table;
  bool known = true;
  assert_true(exu_debug_offsets_parse(sample.bytes, sizeof sample.bytes, &build, &table, &known, NULL));
  assert_false(known);
  assert_ptr_equal(table, sample.table);
  assert_int_equal(build.version.minor, 16);
}

/* 3.15.0b3 lacks a member of thread_state, so that what follows is eight bytes earlier than in the final version. */
static void a_beta_whose_members_are_shifted_is_rejected(void **state) {
  (void)state;
  struct sample sample = sample_of(15, 0, false, false);
  uint16_t cut = (uint16_t)(sample.table->tstate_thread_id - 8);
  put(sample.bytes, sample.table->version, 0x030F00B3);
  memmove(sample.bytes + cut, sample.bytes + cut + 8, (size_t)sample.table->size - cut - 8);
  struct exu_error error;
  assert_false(parses(&sample, &error));
}

static void a_beta_that_fits_is_marked(void **state) {
  (void)state;
  struct sample sample = sample_of(15, 0, false, false);
  put(sample.bytes, sample.table->version, 0x030F00B4);
  struct exu_build build;
  const struct exu_debug_offsets_table *table;
  bool known = true;
  assert_true(exu_debug_offsets_parse(sample.bytes, sizeof sample.bytes, &build, &table, &known, NULL));
  assert_false(known);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_a_build_says_equals_its_table),
      cmocka_unit_test(a_runtime_of_neither_kinds_size_tells_nothing),
      cmocka_unit_test(every_member_out_of_range_is_rejected),
      cmocka_unit_test(two_fields_at_one_place_are_rejected),
      cmocka_unit_test(a_misaligned_pointer_is_rejected),
      cmocka_unit_test(no_cookie_no_version_no_flag_and_too_few_bytes_are_rejected),
      cmocka_unit_test(a_future_version_is_tried_with_the_newest_table_and_marked),
      cmocka_unit_test(a_beta_whose_members_are_shifted_is_rejected),
      cmocka_unit_test(a_beta_that_fits_is_marked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
