/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/context_managers.h"

#include "base/str.h"
#include "python/object/deque.h"
#include "python/object/dict.h"
#include "python/object/str.h"
#include "python/object/types.h"
#include "waits/held_code.h"
#include "waits/python_library.h"

static const char contextlib[] = "contextlib.py";

static bool is_type(struct exu_py *py, uint64_t object, const char *name) {
  return exu_string_is(exu_py_type_name(py, object), name);
}

/* ---- Methods ----------------------------------------------------------------------------------------------------- */

/* types.MethodType(lock.__exit__, lock) binds a function of C: the type of those that belong to a type. */
bool exu_py_bound(struct exu_py *py, uint64_t object, struct exu_py_method *method) {
  const struct exu_layout *layout = &py->runtime->layout;
  struct exu_string type = exu_py_type_name(py, object);
  method->function = 0;
  if (exu_string_is(type, "builtin_function_or_method")) {
    return exu_py_get(py, object, layout->cfunction_self, &method->self) && exu_py_plausible(method->self);
  }
  if (exu_string_is(type, "method") || exu_string_is(type, "instancemethod")) {
    if (!exu_py_get(py, object, layout->method_self, &method->self) || !exu_py_plausible(method->self)) return false;
    if (!exu_py_get(py, object, layout->method_function, &method->function)) return false;
    if (is_type(py, method->function, "method_descriptor")) method->function = 0;
    return method->function == 0 || exu_py_plausible(method->function);
  }
  return false;
}

bool exu_py_unbound(struct exu_py *py, uint64_t function, uint64_t self, struct exu_py_method *method) {
  struct exu_string type = exu_py_type_name(py, function);
  bool python = exu_string_is(type, "function");
  if (!python && !exu_string_is(type, "method_descriptor")) return false;
  *method = (struct exu_py_method){.self = self, .function = python ? function : 0};
  return true;
}

static const struct exu_py_code *code_of(struct exu_py *py, uint64_t function) {
  uint64_t address;
  if (!exu_py_plausible(function) || !exu_py_get(py, function, py->runtime->layout.function_code, &address))
    return NULL;
  const struct exu_py_code *code = exu_py_plausible(address) ? exu_py_code(py, address) : NULL;
  return code && code->valid ? code : NULL;
}

bool exu_py_is_exit_of(struct exu_py *py, const struct exu_py_method *method, const char *file) {
  const struct exu_py_code *code = code_of(py, method->function);
  return code && exu_py_is_in(code, file) && exu_string_is(code->function, "__exit__");
}

/* ---- @contextmanager --------------------------------------------------------------------------------------------- */

bool exu_py_suspended_frame(struct exu_py *py, const struct exu_py_method *method, struct exu_py_frame *frame) {
  uint64_t generator;
  if (!exu_py_is_exit_of(py, method, contextlib)) return false;
  if (!exu_py_is_a(py, method->self, "_GeneratorContextManager") &&
      !exu_py_is_a(py, method->self, "GeneratorContextManager")) { /* 2.7 */
    return false;
  }
  if (!exu_py_attribute(py, method->self, "gen", &generator) || !is_type(py, generator, "generator")) return false;
  return exu_py_generator_frame(py, generator, frame) && exu_py_at_yield(py, frame);
}

/* ---- ExitStack --------------------------------------------------------------------------------------------------- */

struct exits {
  struct exu_py *py;
  exu_py_exit_callback *callback;
  void *context;
};

/* Up to 3.7: def _exit_wrapper(...): return cm_exit(cm, ...), whose cells are `cm` and `cm_exit`, in this order. */
static bool wrapped(struct exu_py *py, uint64_t function, struct exu_py_method *method) {
  const struct exu_py_code *code = is_type(py, function, "function") ? code_of(py, function) : NULL;
  uint64_t closure, count, cells[2], self, exit;
  if (!code || !exu_py_is_in(code, contextlib) || !exu_string_is(code->function, "_exit_wrapper")) return false;
  if (!exu_py_get(py, function, py->runtime->layout.function_closure, &closure) || !is_type(py, closure, "tuple"))
    return false;
  if (!exu_py_get(py, closure, py->runtime->layout.var_size, &count) || count != 2) return false;
  uint64_t items = closure + py->runtime->layout.tuple_items.offset;
  if (exu_space_read(py->space, items, cells, sizeof cells) != EXU_READABLE) return false;
  return is_type(py, cells[0], "cell") && exu_py_get(py, cells[0], py->runtime->layout.cell_ref, &self) &&
         is_type(py, cells[1], "cell") && exu_py_get(py, cells[1], py->runtime->layout.cell_ref, &exit) &&
         exu_py_plausible(self) && exu_py_unbound(py, exit, self, method);
}

/* The function alone up to 3.6; since 3.7 (is_sync, function). */
static bool look_at_exit(void *context, uint64_t item) {
  const struct exits *exits = context;
  struct exu_py *py = exits->py;
  struct exu_py_method method;
  uint64_t count;
  if (is_type(py, item, "tuple")) {
    if (!exu_py_get(py, item, py->runtime->layout.var_size, &count) || count != 2) return true;
    if (!exu_py_word(py, exu_py_at(py, item + py->runtime->layout.tuple_items.offset, 1), &item)) return true;
  }
  if (!exu_py_bound(py, item, &method) && !wrapped(py, item, &method)) return true;
  return exits->callback(exits->context, &method);
}

bool exu_py_exit_stack(struct exu_py *py, const struct exu_py_method *method, exu_py_exit_callback *callback,
                       void *context) {
  struct exits exits = {py, callback, context};
  uint64_t deque;
  if (!exu_py_is_exit_of(py, method, contextlib) || !exu_py_is_a(py, method->self, "ExitStack")) return false;
  return exu_py_attribute(py, method->self, "_exit_callbacks", &deque) &&
         exu_py_deque_items(py, deque, EXU_PY_EXITS_MAX, look_at_exit, &exits);
}
