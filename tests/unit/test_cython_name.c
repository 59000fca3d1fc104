/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cython's names as Python says them. The symbols are what Cython 0.29.37 and 3.2.9 made of a module m in a package
 * pkg.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above */
#include <cmocka.h>

#include "native/cython_name.h"

/* Symbols of a file, up to a NULL. */
static bool is_among(void *context, const char *name) {
  for (const char *const *symbol = context; *symbol; symbol++) {
    if (strcmp(*symbol, name) == 0) return true;
  }
  return false;
}

/* "": unknown */
static void check(const char *symbol, const char *const *symbols, const char *expected) {
  const char module[] = "/usr/lib/python3/pkg/m.cpython-311-x86_64-linux-gnu.so";
  struct exu_arena arena;
  exu_arena_init(&arena, 1 << 20);
  struct exu_string name = exu_cython_name(&arena, (struct exu_string){symbol, strlen(symbol)},
                                           (struct exu_string){module, strlen(module)}, is_among, (void *)symbols);
  if (name.size != strlen(expected) || memcmp(name.data ? name.data : "", expected, name.size) != 0)
    fail_msg("%s is %.*s, not %s", symbol, (int)name.size, name.data ? name.data : "", expected);
  exu_arena_deinit(&arena);
}

static const char *const none[] = {NULL};
static const char *const all[] = {"__pyx_pf_3pkg_1m_4Loop___init__",
                                  "__pyx_pf_3pkg_1m_4Loop_2run_until_complete",
                                  "__pyx_pw_3pkg_1m_4Loop_1__init__",
                                  "__pyx_pw_3pkg_1m_4Loop_3run_until_complete",
                                  "__pyx_pf_3pkg_1m_8open_all_inner",
                                  "__pyx_pf_3pkg_1m_3conv_2d",
                                  "__pyx_pw_3pkg_1m_4conv_2d",
                                  "__pyx_pf_3pkg_1m_2get_item",
                                  NULL};

static void functions_of_the_module_need_no_proof(void **state) {
  (void)state;
  check("__pyx_pw_3pkg_1m_1get_all", none, "pkg.m.get_all");
  check("__pyx_pf_3pkg_1m_get_all", none, "pkg.m.get_all");
  check("__pyx_pf_3pkg_1m_10f5", none, "pkg.m.f5");
  check("__pyx_pw_3pkg_1m_3get_item", none, "pkg.m.get_item");
}

static void functions_of_c_have_no_number(void **state) {
  (void)state;
  check("__pyx_f_3pkg_1m_4Loop__run", none, "pkg.m.Loop._run");
  check("__pyx_f_3pkg_1m_helper", none, "pkg.m.helper");
  check("__pyx_f_3pkg_1m_4Loop__run.isra.0", none, "pkg.m.Loop._run");
}

static void methods_are_proved_by_their_counterpart(void **state) {
  (void)state;
  check("__pyx_pw_3pkg_1m_4Loop_3run_until_complete", all, "pkg.m.Loop.run_until_complete");
  check("__pyx_pf_3pkg_1m_4Loop_2run_until_complete", all, "pkg.m.Loop.run_until_complete");
  check("__pyx_pw_3pkg_1m_4Loop_1__init__", all, "pkg.m.Loop.__init__");
  check("__pyx_pf_3pkg_1m_4Loop___init__", all, "pkg.m.Loop.__init__");
  check("__pyx_pw_3pkg_1m_8open_all_1inner", all, "pkg.m.open_all.inner");
}

static void a_type_proves_its_methods(void **state) {
  static const char *const type[] = {"__pyx_tp_dealloc_3pkg_1m_Loop", NULL};
  (void)state;
  check("__pyx_pw_3pkg_1m_4Loop_3run_until_complete", type, "pkg.m.Loop.run_until_complete");
}

static void a_number_may_be_the_size_of_what_follows_it(void **state) {
  (void)state;
  check("__pyx_pw_3pkg_1m_4conv_2d", all, "pkg.m.conv_2d");
  check("__pyx_pw_3pkg_1m_4conv_2d", none, "");
  check("__pyx_pw_3pkg_1m_4Loop_3run_until_complete", none, "");
}

static void what_cython_does_not_write_is_not_read(void **state) {
  static const char *const symbols[] = {"",
                                        "__pyx_pw_",
                                        "__pyx_pw_3",
                                        "__pyx_pw_99999999999999999999_a",
                                        "__pyx_pw_3pkg_",
                                        "__pyx_pw_3pkg_1m_",
                                        "__pyx_pw_m",
                                        "main",
                                        "__pyx_gb_3pkg_1m_8generator1",
                                        "__pyx_pw_03pkg_1f",
                                        "__pyx_pw_3pkg_1m_1",
                                        "__pyx_pw_3pkg_1m_12"};
  (void)state;
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) check(symbols[i], none, "");
  char *longest = malloc(5001);
  assert_non_null(longest);
  memset(longest, '1', 5000);
  memcpy(longest, "__pyx_pw_", 9);
  longest[5000] = '\0';
  check(longest, none, "");
  for (size_t i = 9; i + 3 <= 5000; i += 3) memcpy(longest + i, "1a_", 3);
  check(longest, none, "");
  longest[900] = '\0'; /* more scopes than there are */
  check(longest, none, "");
  free(longest);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(functions_of_the_module_need_no_proof),
      cmocka_unit_test(functions_of_c_have_no_number),
      cmocka_unit_test(methods_are_proved_by_their_counterpart),
      cmocka_unit_test(a_type_proves_its_methods),
      cmocka_unit_test(a_number_may_be_the_size_of_what_follows_it),
      cmocka_unit_test(what_cython_does_not_write_is_not_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
