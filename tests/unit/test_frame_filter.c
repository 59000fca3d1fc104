/* SPDX-License-Identifier: Apache-2.0 */
/* Which native calls tell nothing, by their names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "report/frame_filter.h"

static enum exu_function_class class_of(const char *function, const char *module, bool interpreter) {
  struct exu_string name = {function, function ? strlen(function) : 0}, path = {module, strlen(module)};
  return exu_classify_function(name, path, interpreter);
}

static void parts_and_copies_of_filtered_functions_are_filtered(void **state) {
  static const char *const suffixes[] = {"", ".cold", ".part.0", ".isra.0", ".constprop.0", ".constprop.0.isra.0"};
  static const char *const names[] = {"_PyEval_EvalFrameDefault",
                                      "_PyEval_Vector",
                                      "method_vectorcall",
                                      "_PyRun_File",
                                      "type_call",
                                      "slot_tp_init",
                                      "_Py_slot_tp_getattr_hook",
                                      "gen_send_ex2",
                                      "PyGen_am_send",
                                      "async_gen_asend_send",
                                      "_Py_BuiltinCallFastWithKeywords_StackRef",
                                      "_Py_VectorCall_StackRefSteal"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    for (size_t k = 0; k < sizeof suffixes / sizeof *suffixes; k++) {
      char name[100];
      snprintf(name, sizeof name, "%s%s", names[i], suffixes[k]);
      if (class_of(name, "/usr/bin/python3", true) != EXU_FUNCTION_FILTERED) fail_msg("%s", name);
    }
  }
}

static void what_only_begins_like_a_filtered_name_is_visible(void **state) {
  static const char *const names[] = {"type_call_hook", "slot_machine",  "gen_close",   "gen_throw",
                                      "builtin_len",    "builtin_eval",  "list_extend", "PyObject_GetAttr",
                                      "bootstrapping",  "PyObject_Size", "map_next",    "_PyEval_Vectors",
                                      "gen_sends",      "task_step_impl"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (class_of(names[i], "/usr/bin/python3", true) != EXU_FUNCTION_VISIBLE) fail_msg("%s", names[i]);
  }
}

static void only_functions_of_the_interpreter_are_filtered(void **state) {
  (void)state;
  assert_int_equal(class_of("type_call", "/usr/lib/libqt.so", false), EXU_FUNCTION_VISIBLE);
  assert_int_equal(class_of("run_file", "/usr/bin/app", false), EXU_FUNCTION_VISIBLE);
  assert_int_equal(class_of(NULL, "/usr/lib/libqt.so", false), EXU_FUNCTION_UNKNOWN);
  assert_int_equal(class_of(NULL, "/usr/bin/python3", true), EXU_FUNCTION_UNSYMBOLIZED);
}

static void starts_are_known_in_every_module(void **state) {
  (void)state;
  assert_int_equal(class_of("main", "/usr/bin/app", false), EXU_FUNCTION_MAIN);
  assert_int_equal(class_of("main.cold", "/usr/bin/app", false), EXU_FUNCTION_MAIN);
  assert_int_equal(class_of("main_loop", "/usr/bin/app", false), EXU_FUNCTION_VISIBLE);
  assert_int_equal(class_of("Py_BytesMain", "/usr/bin/python3", true), EXU_FUNCTION_PY_MAIN);
  assert_int_equal(class_of("pymain_run_python.constprop.0", "/usr/bin/python3", true), EXU_FUNCTION_PY_MAIN);
  assert_int_equal(class_of("__libc_start_main_impl", "/lib/libc.so.6", false), EXU_FUNCTION_START);
  assert_int_equal(class_of("start_thread", "/lib/libc.so.6", false), EXU_FUNCTION_START);
  assert_int_equal(class_of(NULL, "/lib/libc.so.6", false), EXU_FUNCTION_LIBC);
}

static void eval_loop_is_known_by_its_parts_too(void **state) {
  static const char *const names[] = {"_PyEval_EvalFrameDefault", "_PyEval_EvalFrameDefault.cold",
                                      "_PyEval_EvalFrameDefault.constprop.0"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    struct exu_string name = {names[i], strlen(names[i])};
    assert_true(exu_is_eval_loop(name, false));
    assert_false(exu_is_eval_loop(name, true));
  }
  assert_true(exu_is_eval_loop((struct exu_string){"PyEval_EvalFrameEx", 18}, true));
  assert_false(exu_is_eval_loop((struct exu_string){"PyEval_EvalFrameEx", 18}, false));
  assert_false(exu_is_eval_loop((struct exu_string){"_PyEval_EvalFrameDefaults", 25}, false));
  assert_false(exu_is_eval_loop((struct exu_string){NULL, 0}, false));
}

static void bindings_are_known_by_their_scope(void **state) {
  static const char *const names[] = {
      "pybind11::cpp_function::dispatcher(_object*, _object* const*, unsigned long, _object*)",
      "void pybind11::cpp_function::initialize<void (*&)(), void>(void (*&)(), void (*)())::{lambda()#3}::_FUN(int)",
      "pybind11::detail::function_ref<void ()>::operator()() const",
      "pyo3::impl_::trampoline::trampoline",
      "po::__pyfunction_run",
      "po::Engine::__pymethod_go__",
      "po::<impl po::run::MakeDef>::_PYO3_DEF::trampoline",
      "po::<impl pyo3::impl_::pyclass::PyMethods<po::Engine> for X<Y>>::py_methods::ITEMS::trampoline",
      "__rust_try",
  };
  static const char *const others[] = {
      "submit(pybind11::detail::function_call&)",
      "std::vector<pybind11::detail::type_info*>::push_back(int)",
      "my_pybind11::detail::f()",
      "po::run",
      "std::panicking::begin_panic",
      "f(int) [clone pyo3::impl_::x]",
  };
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (class_of(names[i], "/x/po.so", false) != EXU_FUNCTION_BINDING) fail_msg("%s", names[i]);
  }
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    if (class_of(others[i], "/x/po.so", false) != EXU_FUNCTION_VISIBLE) fail_msg("%s", others[i]);
  }
}

#define STRING(text) ((struct exu_string){text, strlen(text)})

static void a_binding_of_one_function_stands_for_that_one_only(void **state) {
  (void)state;
  assert_true(exu_binding_names(STRING("pyo3::impl_::trampoline::trampoline"), STRING("po::deep")));
  assert_true(exu_binding_names(STRING("po::__pyfunction_run"), STRING("po::run")));
  assert_true(exu_binding_names(STRING("po::Engine::__pymethod_go__"), STRING("po::Engine::go")));
  assert_false(exu_binding_names(STRING("po::__pyfunction_run"), STRING("po::deep")));
  assert_false(exu_binding_names(STRING("po::__pyfunction_run"), STRING("qo::run")));
  assert_false(exu_binding_names(STRING("po::__pyfunction_run"), STRING("po::running")));
  assert_false(exu_binding_names(STRING("po::Engine::__pymethod_go__"), (struct exu_string){NULL, 0}));
  assert_false(exu_binding_names(STRING("po::__pyfunction_"), STRING("po")));
}

static void cythons_calls_of_python_are_filtered_in_every_module(void **state) {
  (void)state;
  assert_int_equal(class_of("__Pyx_PyObject_CallNoArg", "/x/m.so", false), EXU_FUNCTION_FILTERED);
  assert_int_equal(class_of("__Pyx_PyFunction_FastCallDict.constprop.0", "/x/m.so", false), EXU_FUNCTION_FILTERED);
  assert_int_equal(class_of("__Pyx_Import", "/x/m.so", false), EXU_FUNCTION_VISIBLE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts_and_copies_of_filtered_functions_are_filtered),
      cmocka_unit_test(what_only_begins_like_a_filtered_name_is_visible),
      cmocka_unit_test(only_functions_of_the_interpreter_are_filtered),
      cmocka_unit_test(starts_are_known_in_every_module),
      cmocka_unit_test(bindings_are_known_by_their_scope),
      cmocka_unit_test(a_binding_of_one_function_stands_for_that_one_only),
      cmocka_unit_test(cythons_calls_of_python_are_filtered_in_every_module),
      cmocka_unit_test(eval_loop_is_known_by_its_parts_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
