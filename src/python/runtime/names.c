/* SPDX-License-Identifier: Apache-2.0 */
#include "python/runtime/names.h"

#include "python/object/dict.h"
#include "python/object/int.h"
#include "python/object/str.h"

struct reading {
  struct exu_py *py;
  struct exu_py_names *names;
  size_t unreadable;
  bool no_memory;
};

static bool read_thread_name(void *context, uint64_t key, uint64_t value) {
  struct reading *reading = context;
  struct exu_py *py = reading->py;
  uint64_t ident, name;
  struct exu_string text;
  bool is_new;
  /* Thread._name; 2.7 mangles it. */
  const char *attribute = py->runtime->build.version.major < 3 ? "_Thread__name" : "_name";
  if (!exu_py_int(py, key, &ident) || ident == 0 || !exu_py_attribute(py, value, attribute, &name) ||
      exu_py_text(py, name, &text) == EXU_PY_TEXT_DAMAGED) {
    reading->unreadable++;
    return true;
  }
  struct exu_string *copy = exu_arena_alloc(py->arena, sizeof *copy);
  void **slot = copy ? exu_map_insert(&reading->names->by_ident, ident, &is_new) : NULL;
  if (!slot) {
    reading->no_memory = true;
    return false;
  }
  *copy = text;
  *slot = copy;
  return true;
}

static bool ignore(void *context, uint64_t key, uint64_t value) {
  (void)context;
  (void)key;
  (void)value;
  return true;
}

/* What is not in a dictionary that can be read is nothing that is missing: nobody imported threading yet. */
static bool look_up(struct exu_py *py, uint64_t dict, const char *key, uint64_t *value, bool *is_not_there) {
  if (exu_py_dict_get(py, dict, key, value)) return true;
  *is_not_there = exu_py_dict_each(py, dict, ignore, NULL);
  if (!*is_not_there) {
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_THREAD_NAMES_UNREADABLE, -1,
                   "the names of threads are unknown: the dictionary at 0x%llx that leads to them cannot be read",
                   (unsigned long long)dict);
  }
  return false;
}

bool exu_py_names_read(struct exu_py *py, uint64_t interpreter, struct exu_py_names *names) {
  struct reading reading = {.py = py, .names = names};
  uint64_t modules, module, dict, active;
  if (!exu_py_get(py, interpreter, py->runtime->layout.interp_modules, &modules)) return true;
  names->no_threading = modules == 0;
  if (modules == 0 || !look_up(py, modules, "threading", &module, &names->no_threading)) return true;
  if (!exu_py_get(py, module, py->runtime->layout.module_dict, &dict)) return true;
  names->no_threading = dict == 0;
  if (dict == 0 || !look_up(py, dict, "_active", &active, &names->no_threading)) return true;
  if (!exu_py_dict_each(py, active, read_thread_name, &reading)) reading.unreadable++;
  if (reading.unreadable) {
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_THREAD_NAMES_UNREADABLE, -1,
                   "the names of %zu threads could not be read", reading.unreadable);
  }
  return !reading.no_memory;
}

void exu_py_names_deinit(struct exu_py_names *names) { exu_map_deinit(&names->by_ident); }

struct exu_string exu_py_name(const struct exu_py_names *names, uint64_t ident) {
  void **slot = exu_map_find(&names->by_ident, ident);
  return slot ? *(struct exu_string *)*slot : (struct exu_string){NULL, 0};
}
