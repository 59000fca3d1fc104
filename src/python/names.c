/* SPDX-License-Identifier: Apache-2.0 */
#include "python/names.h"

#include "python/dict.h"
#include "python/text.h"

struct reading {
  struct exu_py *py;
  struct exu_py_names *names;
  size_t unreadable;
  bool no_memory;
};

/* A non-negative int object. Digits have 30 bits (15 on builds for 32-bit machines), least significant first. */
static bool read_int(struct exu_py *py, uint64_t object, uint64_t *value) {
  const struct exu_layout *layout = &py->layout;
  enum { LONG_SUBCLASS = 1 << 24, DIGITS_MAX = 5 };
  uint64_t type, flags, digits, result = 0;
  if (!exu_py_plausible(object) || !exu_py_get(py, object, layout->object_type, &type)) return false;
  if (!exu_py_get(py, type, layout->type_flags, &flags)) return false;
  if (exu_py_has(layout->int_value) && !(flags & LONG_SUBCLASS))
    return exu_py_get(py, object, layout->int_value, value);
  if (exu_py_has(layout->long_tag)) { /* 3.12 and later: two bits of sign, one reserved, then the count */
    if (!exu_py_get(py, object, layout->long_tag, &digits) || (digits & 3) == 2) return false;
    digits >>= 3;
  } else if (!exu_py_get(py, object, layout->var_size, &digits)) {
    return false;
  }
  if (digits > DIGITS_MAX || layout->long_digits.size > 4) return false;
  unsigned bits = layout->long_digits.size == 2 ? 15 : 30;
  for (uint64_t i = digits; i-- > 0;) {
    struct exu_field digit = layout->long_digits;
    uint64_t one;
    digit.offset += (uint32_t)(i * digit.size);
    if (!exu_py_get(py, object, digit, &one)) return false;
    result = result << bits | one;
  }
  *value = result;
  return true;
}

static bool read_thread_name(void *context, uint64_t key, uint64_t value) {
  struct reading *reading = context;
  struct exu_py *py = reading->py;
  uint64_t ident, name;
  struct exu_string text;
  bool is_new;
  /* Thread._name; 2.7 mangles it. */
  const char *attribute = py->build.version.major < 3 ? "_Thread__name" : "_name";
  if (!read_int(py, key, &ident) || ident == 0 || !exu_py_attribute(py, value, attribute, &name) ||
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
static bool look_up(struct exu_py *py, uint64_t dict, const char *key, uint64_t *value) {
  if (exu_py_dict_get(py, dict, key, value)) return true;
  if (!exu_py_dict_each(py, dict, ignore, NULL)) {
    exu_missing(py->diagnostics, "thread-names-unreadable", -1,
                "the names of threads are unknown: the dictionary at 0x%llx that leads to them cannot be read",
                (unsigned long long)dict);
  }
  return false;
}

bool exu_py_names_read(struct exu_py *py, uint64_t interpreter, struct exu_py_names *names) {
  struct reading reading = {.py = py, .names = names};
  uint64_t modules, module, dict, active;
  if (!exu_py_get(py, interpreter, py->layout.interp_modules, &modules) || modules == 0) return true;
  if (!look_up(py, modules, "threading", &module)) return true;
  if (!exu_py_get(py, module, py->layout.module_dict, &dict) || !look_up(py, dict, "_active", &active)) {
    return true;
  }
  if (!exu_py_dict_each(py, active, read_thread_name, &reading)) reading.unreadable++;
  if (reading.unreadable) {
    exu_missing(py->diagnostics, "thread-names-unreadable", -1, "the names of %zu threads could not be read",
                reading.unreadable);
  }
  return !reading.no_memory;
}

void exu_py_names_deinit(struct exu_py_names *names) { exu_map_deinit(&names->by_ident); }

struct exu_string exu_py_name(const struct exu_py_names *names, uint64_t ident) {
  void **slot = exu_map_find(&names->by_ident, ident);
  return slot ? *(struct exu_string *)*slot : (struct exu_string){NULL, 0};
}
