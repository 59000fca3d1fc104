/* SPDX-License-Identifier: Apache-2.0 */
#include "report/frame_filter.h"

#include <string.h>

#include "base/str.h"

/*
 * Names of Objects/call.c, Objects/abstract.c, Objects/methodobject.c, Objects/descrobject.c, Objects/classobject.c,
 * Objects/typeobject.c, Objects/genobject.c, Python/ceval.c, Python/pythonrun.c, Modules/main.c and
 * Modules/_threadmodule.c of the versions from 2.7 to 3.15. A name that ends with `*` is a beginning.
 *
 * A slot (`slot_tp_init`) finds a special method of a class that Python code defines and calls it; `type_call` calls
 * `__new__` and `__init__`; a generator's frame is entered by `gen_send_ex`, and before 3.12, which inlines `await`, a
 * coroutine awaits another through `PyGen_am_send` and its like. The Python frame that they call says it all.
 */
static const char *const filtered_names[] = {
    "PyCFunction_Call",
    "PyEval_CallObjectWithKeywords",
    "PyEval_EvalCode",
    "PyEval_EvalCodeEx",
    "PyEval_EvalFrame",
    "PyEval_EvalFrameEx",
    "PyFunction_Vectorcall",
    "PyObject_Call",
    "PyObject_CallFunction",
    "PyObject_CallFunctionObjArgs",
    "PyObject_CallMethod",
    "PyObject_CallMethodObjArgs",
    "PyObject_CallNoArgs",
    "PyObject_CallObject",
    "PyObject_CallOneArg",
    "PyObject_Vectorcall",
    "PyObject_VectorcallDict",
    "PyObject_VectorcallMethod",
    "PyVectorcall_Call",
    "PyVectorcall_Function",
    "_PyCFunction_FastCall*",
    "_PyCFunction_Vectorcall*",
    "_PyEval_EvalCode",
    "_PyEval_EvalCodeWithName",
    "_PyEval_EvalFrame",
    "_PyEval_EvalFrameDefault*",
    "_PyEval_Vector",
    "_PyForIter_VirtualIteratorNext",
    "_PyFunction_FastCall*",
    "_PyFunction_Vectorcall",
    "_PyMethodDef_RawFastCall*",
    "_PyMethodDescr_*",
    "_PyObject_Call",
    "_PyObject_CallFunction*",
    "_PyObject_CallMethod*",
    "_PyObject_CallNoArg*",
    "_PyObject_Call_Prepend",
    "_PyObject_FastCall*",
    "_PyObject_MakeTpCall",
    "_PyObject_Vectorcall*",
    "_PyVectorcall_Call",
    "_Py_CheckFunctionResult",
    "_PyObject_VectorcallTstate",
    "_PyEval_SliceFrame",
    "builtin_exec",
    "builtin_exec_impl",
    "call_function",
    "call_function_tail",
    "callmethod",
    "cfunction_call",
    "cfunction_call_varargs",
    "cfunction_vectorcall_*",
    "do_call",
    "do_call_core",
    "exec_statement",
    "ext_do_call",
    "fast_function",
    "function_call",
    "function_code_fastcall",
    "gen_iternext",
    "gen_send_ex",
    "gen_send_ex2",
    "instancemethod_call",
    "instance_call",
    "method_call",
    "method_vectorcall*",
    "object_vacall",
    "run_eval_code_obj",
    "slot_am_*",
    "slot_bf_*",
    "slot_mp_*",
    "slot_nb_*",
    "slot_sq_*",
    "slot_tp_*",
    "_Py_slot_tp_*",
    "trace_call_function",
    "type_call",
    "vectorcall_maybe",
    "vectorcall_method",
    "vectorcall_unbound",
    "wrap_call",
    "wrapperdescr_call",
    "wrapper_call",
    "wrapperdescr_raw_call",
    "_PyCFunctionFastWithKeywords_TrampolineCall",
    "py_trampoline_evaluator",
    "call_attribute",
    "call_method",
    "call_unbound*",
    "partial_call*",
    "partial_fastcall*",
    "partial_vectorcall*",
    "_PyTuple_FromStackRefStealOnSuccess",
    "_PyCallMethodDescriptorFast*",
    "_Py_BuiltinCallFast*",
    "_Py_CallBuiltinClass_StackRef",
    "_Py_VectorCallInstrumentation_StackRefSteal*",
    "_Py_VectorCall_StackRefSteal*",
    "PyGen_am_send",
    "PyIter_Send",
    "_PyAsyncGenASend_Send",
    "_PyGen_Send",
    "_PyIter_Send",
    "anextawaitable_iternext",
    "anextawaitable_send",
    "async_gen_asend_iternext",
    "async_gen_asend_send",
    "async_gen_athrow_iternext",
    "async_gen_athrow_send",
    "coro_wrapper_iternext",
    "coro_wrapper_send",
    "gen_send",
    "PyRun_AnyFile*",
    "PyRun_File*",
    "PyRun_InteractiveLoop*",
    "PyRun_InteractiveOne*",
    "PyRun_SimpleFile*",
    "PyRun_SimpleString*",
    "PyRun_String*",
    "RunModule",
    "_PyRun_AnyFile*",
    "_PyRun_File*",
    "_PyRun_SimpleFile*",
    "_PyRun_SimpleString*",
    "_PyRun_String*",
    "bootstrap",
    "pyrun_file*",
    "pyrun_simple_file*",
    "pythread_wrapper",
    "run_file",
    "run_mod*",
    "t_bootstrap",
    "thread_run",
};

/* What Cython puts into every module (Cython/Utility): how it calls Python. */
static const char *const cython_names[] = {
    "__Pyx_Coroutine_Send*", "__Pyx_CyFunction_Call*",      "__Pyx_CyFunction_Vectorcall*",
    "__Pyx_Generator_Next",  "__Pyx_PyCFunction_FastCall*", "__Pyx_PyFunction_FastCall*",
    "__Pyx_PyObject_Call*",  "__Pyx_PyObject_FastCall*",    "__Pyx_PyVectorcall_*",
    "__Pyx__PyObject_Call*",
};

/*
 * How pybind11 and PyO3 call a function of their module: its wrapper, which takes the arguments apart, and what keeps
 * exceptions and panics from passing. A scope of C++ or Rust, or the beginning of its last part.
 */
static const char *const binding_names[] = {
    "pybind11::cpp_function::",
    "pybind11::detail::",
    "pyo3::impl_::",
    "std::panic::catch_unwind",
    "std::panicking::catch_unwind",
    "std::panicking::try",
    "core::ops::function::FnOnce::call_once",
    "__rust_try",
};

/* What PyO3's macros write around a function or a method, somewhere in the name. */
static const char *const pyo3_names[] = {
    "::__pyfunction_",
    "::__pymethod_",
    "::_PYO3_DEF::trampoline",
    "::py_methods::ITEMS::trampoline",
};

/* What `main` calls in a python executable. */
static const char *const main_names[] = {
    "Py_BytesMain", "Py_Main", "Py_RunMain", "_Py_UnixMain", "pymain_*",
};

static const char *const start_names[] = {
    "_start", "__libc_start_call_main", "__libc_start_main*", "start_thread", "clone", "__clone", "clone3", "__clone3",
};

/* Files of the C library; those of glibc before 2.34 too. */
static const char *const libc_names[] = {
    "libc.so*", "libc-2*", "libpthread.so*", "libpthread-2*", "ld-linux*", "ld-2*", "ld-musl*", "libc.musl*",
};

/*
 * A name of the list, exactly or with what a compiler appends to a part or a copy: ".cold", ".isra.0", ".part.0". Inlined:
 * of a literal, the size is known, and every frame is asked whether it is an eval loop.
 */
static inline __attribute__((always_inline)) bool matches(struct exu_string text, const char *name) {
  size_t size = strlen(name);
  if (name[size - 1] == '*') return text.size >= size - 1 && memcmp(text.data, name, size - 1) == 0;
  if (text.size < size || memcmp(text.data, name, size) != 0) return false;
  return text.size == size || text.data[size] == '.';
}

static bool is_among(struct exu_string text, const char *const *names, size_t count) {
  for (size_t i = 0; i < count && text.data; i++) {
    if (matches(text, names[i])) return true;
  }
  return false;
}

#define IS_AMONG(text, names) is_among((text), (names), sizeof(names) / sizeof *(names))

/*
 * A C++ name may have a return type before it ("void pybind11::cpp_function::initialize<...>(...)"); arguments, which
 * may be of any type, come behind it.
 */
static bool is_binding(struct exu_string name) {
  int depth = 0;
  for (size_t i = 0; i < name.size; i++) {
    const char c = name.data[i];
    if (depth == 0 && c == '(') return false;
    if (depth == 0 && (i == 0 || name.data[i - 1] == ' ')) {
      for (size_t k = 0; k < sizeof binding_names / sizeof *binding_names; k++) {
        if (exu_string_starts(exu_string_behind(name, i), binding_names[k])) return true;
      }
    }
    for (size_t k = 0; depth == 0 && k < sizeof pyo3_names / sizeof *pyo3_names; k++) {
      if (exu_string_starts(exu_string_behind(name, i), pyo3_names[k])) return true;
    }
    if (c == '<') depth++;
    if (c == '>' && depth > 0) depth--;
  }
  return false;
}

/* Where "::__pyfunction_" or "::__pymethod_" begins in the name; its size when it does not. */
static size_t find_pyo3(struct exu_string name, const char **word) {
  for (size_t i = 0; i < name.size; i++) {
    for (size_t k = 0; k < 2; k++) {
      *word = pyo3_names[k];
      if (exu_string_starts(exu_string_behind(name, i), *word)) return i;
    }
  }
  return name.size;
}

bool exu_binding_names(struct exu_string binding, struct exu_string callee) {
  const char *word;
  const size_t scope = find_pyo3(binding, &word);
  if (scope == binding.size) return true;
  /* "engine::__pyfunction_run" is for "engine::run", "engine::Engine::__pymethod_go__" for "engine::Engine::go". */
  struct exu_string name = exu_string_behind(binding, scope + strlen(word));
  if (strcmp(word, "::__pymethod_") == 0 && name.size > 2) name.size -= 2;
  return callee.size == scope + 2 + name.size && memcmp(callee.data, binding.data, scope + 2) == 0 &&
         memcmp(callee.data + scope + 2, name.data, name.size) == 0;
}

enum exu_function_class exu_classify_function(struct exu_string function, struct exu_string module, bool interpreter) {
  if (IS_AMONG(function, start_names)) return EXU_FUNCTION_START;
  /* A copy of it, in no module: for `perf` every Python function is entered by one. */
  if (function.data && matches(function, "_Py_trampoline_func_start")) return EXU_FUNCTION_FILTERED;
  if (function.data && matches(function, "main")) return EXU_FUNCTION_MAIN;
  if (interpreter) {
    if (!function.data) return EXU_FUNCTION_UNSYMBOLIZED;
    if (IS_AMONG(function, main_names)) return EXU_FUNCTION_PY_MAIN;
    return IS_AMONG(function, filtered_names) ? EXU_FUNCTION_FILTERED : EXU_FUNCTION_VISIBLE;
  }
  if (function.data && IS_AMONG(function, cython_names)) return EXU_FUNCTION_FILTERED;
  if (function.data) return is_binding(function) ? EXU_FUNCTION_BINDING : EXU_FUNCTION_VISIBLE;
  return IS_AMONG(exu_base_name(module), libc_names) ? EXU_FUNCTION_LIBC : EXU_FUNCTION_UNKNOWN;
}

bool exu_is_eval_loop(struct exu_string function, bool python2) {
  if (!function.data) return false;
  return python2 ? matches(function, "PyEval_EvalFrameEx") : matches(function, "_PyEval_EvalFrameDefault");
}
