/* SPDX-License-Identifier: Apache-2.0 */
/* Versions, and the choice of a shipped table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "python/layout/layout.h"

enum { X86_64 = 62, AARCH64 = 183, FINAL = 0xF };

static struct exu_build build_of(uint8_t major, uint8_t minor, uint8_t micro, bool debug, bool free_threaded) {
  return (struct exu_build){{major, minor, micro, FINAL, 0}, debug, free_threaded};
}

static void a_version_survives_hex_and_back(void **state) {
  (void)state;
  static const uint32_t words[] = {0x02071200, 0x030D00F0, 0x030F00B2, 0x030C00C1, 0x030E0AF0};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    assert_int_equal(exu_version_hex(exu_version_of_hex(words[i])), words[i]);
}

static void a_version_reads_like_sys_version(void **state) {
  (void)state;
  static const struct {
    uint32_t hex;
    const char *text;
  } cases[] = {{0x030D00F0, "3.13.0"},   {0x030F00B2, "3.15.0b2"}, {0x030C00C1, "3.12.0rc1"},
               {0x030F00A7, "3.15.0a7"}, {0x020712F0, "2.7.18"},   {0xFFFFFFCF, "255.255.255rc15"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[16];
    exu_version_text(exu_version_of_hex(cases[i].hex), text);
    assert_string_equal(text, cases[i].text);
  }
}

static void every_supported_version_has_tables_of_both_kinds(void **state) {
  (void)state;
  static const uint8_t versions[][2] = {{2, 7},  {3, 6},  {3, 7},  {3, 8},  {3, 9}, {3, 10},
                                        {3, 11}, {3, 12}, {3, 13}, {3, 14}, {3, 15}};
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    for (int kind = 0; kind < 4; kind++) {
      bool debug = kind & 1, free_threaded = kind & 2, exact = false;
      struct exu_build build = build_of(versions[i][0], versions[i][1], 0, debug, free_threaded);
      const struct exu_layout_table *table = exu_layout_find(&build, X86_64, &exact);
      if (free_threaded && (versions[i][0] < 3 || versions[i][1] < 13)) {
        assert_null(table);
        continue;
      }
      assert_non_null(table);
      assert_true(exact);
      assert_int_equal(table->debug, debug);
      assert_int_equal(table->free_threaded, free_threaded);
      assert_int_equal(table->first.minor, versions[i][1]);
    }
  }
}

static void releases_before_and_after_3_7_4_have_different_tables(void **state) {
  (void)state;
  bool exact;
  struct exu_build older = build_of(3, 7, 3, false, false), newer = build_of(3, 7, 4, false, false);
  const struct exu_layout_table *before = exu_layout_find(&older, X86_64, &exact);
  const struct exu_layout_table *after = exu_layout_find(&newer, X86_64, &exact);
  assert_ptr_not_equal(before, after);
  assert_int_not_equal(before->layout.runtime_tstate_current.offset, after->layout.runtime_tstate_current.offset);
}

static void releases_before_and_after_3_14_5_have_different_tables(void **state) {
  (void)state;
  bool exact;
  struct exu_build older = build_of(3, 14, 4, false, false), newer = build_of(3, 14, 5, false, false);
  const struct exu_layout_table *before = exu_layout_find(&older, X86_64, &exact);
  const struct exu_layout_table *after = exu_layout_find(&newer, X86_64, &exact);
  assert_int_equal(before->layout.interp_modules.offset, 7664);
  assert_int_equal(after->layout.interp_modules.offset, 7688);
}

static void a_newer_patch_release_gets_the_newest_table_and_is_not_exact(void **state) {
  (void)state;
  bool exact = true;
  struct exu_build build = build_of(3, 11, 200, false, false);
  const struct exu_layout_table *table = exu_layout_find(&build, X86_64, &exact);
  assert_non_null(table);
  assert_false(exact);
  assert_int_equal(table->first.minor, 11);
}

static void what_nobody_has_looked_at_has_no_table(void **state) {
  (void)state;
  bool exact;
  struct exu_build future = build_of(3, 99, 0, false, false), past = build_of(3, 5, 0, false, false);
  struct exu_build alpha = {{3, 14, 0, 0xA, 3}, false, false}, current = build_of(3, 11, 7, false, false);
  assert_null(exu_layout_find(&future, X86_64, &exact));
  assert_null(exu_layout_find(&past, X86_64, &exact));
  assert_null(exu_layout_find(&alpha, X86_64, &exact));
  assert_null(exu_layout_find(&current, AARCH64, &exact));
}

/* Two tables for one build would make the answer depend on their order. */
static void ranges_of_one_kind_do_not_overlap(void **state) {
  (void)state;
  for (size_t i = 0; i < exu_layout_table_count; i++) {
    const struct exu_layout_table *a = exu_layout_tables[i];
    assert_true(exu_version_hex(a->first) <= exu_version_hex(a->last));
    assert_int_equal(a->first.minor, a->last.minor);
    for (size_t j = 0; j < i; j++) {
      const struct exu_layout_table *b = exu_layout_tables[j];
      if (a->debug != b->debug || a->free_threaded != b->free_threaded || a->machine != b->machine) continue;
      assert_true(exu_version_hex(a->last) < exu_version_hex(b->first) ||
                  exu_version_hex(b->last) < exu_version_hex(a->first));
    }
  }
}

static void fields_lie_inside_of_their_structures(void **state) {
  (void)state;
  for (size_t i = 0; i < exu_layout_table_count; i++) {
    const struct exu_layout *l = &exu_layout_tables[i]->layout;
    const struct {
      struct exu_field size, fields[4];
    } structures[] = {
        {l->tstate_size, {l->tstate_next, l->tstate_interp, l->tstate_thread_id, l->tstate_current_frame}},
        {l->interp_size, {l->interp_next, l->interp_threads_head, l->interp_modules, l->interp_gc_collecting}},
        {l->runtime_size, {l->runtime_interpreters_head, l->runtime_gil, l->runtime_tstate_current}},
        {l->code_size, {l->code_filename, l->code_name, l->code_linetable, l->code_firstlineno}},
        {l->iframe_size, {l->iframe_executable, l->iframe_previous, l->iframe_instr_ptr, l->iframe_owner}},
        {l->gil_size, {l->gil_locked, l->gil_last_holder, l->gil_enabled}},
    };
    for (size_t j = 0; j < sizeof structures / sizeof *structures; j++)
      for (size_t k = 0; k < 4; k++)
        assert_true(structures[j].fields[k].offset + structures[j].fields[k].size <= structures[j].size.size);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_version_survives_hex_and_back),
      cmocka_unit_test(a_version_reads_like_sys_version),
      cmocka_unit_test(every_supported_version_has_tables_of_both_kinds),
      cmocka_unit_test(releases_before_and_after_3_7_4_have_different_tables),
      cmocka_unit_test(releases_before_and_after_3_14_5_have_different_tables),
      cmocka_unit_test(a_newer_patch_release_gets_the_newest_table_and_is_not_exact),
      cmocka_unit_test(what_nobody_has_looked_at_has_no_table),
      cmocka_unit_test(ranges_of_one_kind_do_not_overlap),
      cmocka_unit_test(fields_lie_inside_of_their_structures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
