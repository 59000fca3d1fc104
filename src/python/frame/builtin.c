/* SPDX-License-Identifier: Apache-2.0 */
#include "python/frame/builtin.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "python/frame/value_stack.h"
#include "python/object/str.h"
#include "python/object/types.h"

static const struct exu_string unknown = {NULL, 0};

enum { SLOTS_MAX = 64 /* of a value stack: what is called lies on top of it, but where that is is not known */ };

/* Is that a PyMethodDef of this function? */
static bool defines(const struct exu_py *py, uint64_t definition, uint64_t function) {
  uint64_t found;
  return exu_py_plausible(definition) && exu_py_get(py, definition, py->runtime->layout.definition_function, &found) &&
         found == function;
}

static struct exu_string name_of(struct exu_py *py, uint64_t definition) {
  uint64_t text;
  return exu_py_get(py, definition, py->runtime->layout.definition_name, &text) && text ? exu_py_c_string(py, text)
                                                                                        : unknown;
}

static struct exu_string say(struct exu_py *py, const char *kind, struct exu_string before, const char *between,
                             struct exu_string after) {
  char text[256];
  int size = snprintf(text, sizeof text, "<built-in %s %.*s%s%.*s>", kind, (int)before.size,
                      before.data ? before.data : "", between, (int)after.size, after.data ? after.data : "");
  if (size < 0 || (size_t)size >= sizeof text) return unknown;
  return exu_arena_string(py->arena, text, (size_t)size);
}

static struct exu_string say_method(struct exu_py *py, struct exu_string name, struct exu_string type) {
  return name.data && type.data ? say(py, "method", name, " of ", type) : unknown;
}

/* A function of a module has the module's name in m_module, a method of an object has NULL there. */
static struct exu_string say_function(struct exu_py *py, uint64_t object, struct exu_string name) {
  uint64_t module, self;
  struct exu_string text = unknown;
  if (!name.data || !exu_py_get(py, object, py->runtime->layout.cfunction_module, &module)) return unknown;
  if (module == 0) {
    if (!exu_py_get(py, object, py->runtime->layout.cfunction_self, &self) || !exu_py_plausible(self)) return unknown;
    return say_method(py, name, exu_py_type_name(py, self));
  }
  if (exu_py_text(py, module, &text) != EXU_PY_TEXT_OK || !text.data) return unknown;
  if (exu_string_is(text, "builtins") || exu_string_is(text, "__builtin__"))
    return say(py, "function", name, "", unknown);
  return say(py, "function", text, ".", name);
}

struct exu_string exu_py_builtin(struct exu_py *py, uint64_t object, uint64_t function) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t definition, type;
  if (!exu_py_plausible(object)) return unknown;
  /* What it defines is looked at before its type: most words refer to nothing of the kind. */
  if (exu_py_get(py, object, layout->cfunction_definition, &definition) && defines(py, definition, function)) {
    const struct exu_string name = exu_py_type_name(py, object);
    if (exu_string_is(name, "builtin_function_or_method") || exu_string_is(name, "builtin_method"))
      return say_function(py, object, name_of(py, definition));
  }
  if (exu_py_get(py, object, layout->descriptor_definition, &definition) && defines(py, definition, function)) {
    const struct exu_string name = exu_py_type_name(py, object);
    if ((exu_string_is(name, "method_descriptor") || exu_string_is(name, "classmethod_descriptor")) &&
        exu_py_get(py, object, layout->descriptor_type, &type) && exu_py_plausible(type))
      return say_method(py, name_of(py, definition), exu_py_name_of_type(py, type));
  }
  return unknown;
}

/* Keep the name while all that are found are the same. False: they are not. */
static bool agree(struct exu_py *py, uint64_t object, uint64_t function, struct exu_string *name) {
  const struct exu_string found = exu_py_builtin(py, object, function);
  if (!found.data) return true;
  if (name->data && !exu_string_equal(*name, found)) return false;
  *name = found;
  return true;
}

struct exu_string exu_py_builtin_among(struct exu_py *py, const uint64_t *words, size_t count,
                                       const struct exu_py_frame *frame, uint64_t function) {
  struct exu_py_values values;
  struct exu_string name = unknown;
  for (size_t i = 0; i < count; i++) {
    if (!agree(py, words[i], function, &name)) return unknown;
  }
  if (!frame || !exu_py_values(py, frame, &values)) return name;
  for (uint32_t i = 0; i < values.stack_size && i < SLOTS_MAX; i++) {
    uint64_t object;
    if (!exu_py_slot(py, exu_py_at(py, values.stack, i), &object)) continue;
    if (!agree(py, object, function, &name)) return unknown;
  }
  return name;
}
