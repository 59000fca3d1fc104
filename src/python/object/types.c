/* SPDX-License-Identifier: Apache-2.0 */
#include "python/object/types.h"

#include <string.h>

#include "base/str.h"
#include "python/object/str.h"

/* Longer names are cut: none that is looked for is as long. */
enum { NAME_MAX_BYTES = 64, BASES_MAX = 16 };

static const struct exu_string unknown = {NULL, 0};

/* Word by word, because the text may end right before a page that is not there. */
struct exu_string exu_py_c_string(struct exu_py *py, uint64_t address) {
  char text[NAME_MAX_BYTES];
  size_t size = 0;
  while (size < sizeof text) {
    size_t part = (size_t)(exu_py_word_size(py) - (address + size) % exu_py_word_size(py));
    if (part > sizeof text - size) part = sizeof text - size;
    if (exu_space_read(py->space, address + size, text + size, part) != EXU_READABLE) return unknown;
    const char *nul = memchr(text + size, 0, part);
    if (nul) return exu_arena_string(py->arena, text, (size_t)(nul - text));
    size += part;
  }
  return exu_arena_string(py->arena, text, size);
}

/*
 * A type is an object of `type`, or of a metaclass that is one in the end; `type` is its own type. What is not saved
 * speaks against it.
 */
static bool is_type(struct exu_py *py, uint64_t type) {
  enum { METACLASSES_MAX = 4 };
  for (int i = 0; i < METACLASSES_MAX && exu_py_plausible(type); i++) {
    uint64_t meta;
    if (!exu_py_get(py, type, py->runtime->layout.object_type, &meta)) return false;
    if (meta == type) return true;
    type = meta;
  }
  return false;
}

/* What is known of a type; both unknown when it is none. */
struct type {
  struct exu_string name;
  struct exu_string native; /* of the first type with a module in its name, from this one on to its bases */
};

static struct exu_string own_name(struct exu_py *py, uint64_t type) {
  uint64_t text;
  return exu_py_get(py, type, py->runtime->layout.type_name, &text) && text ? exu_py_c_string(py, text) : unknown;
}

static const struct type *type_at(struct exu_py *py, uint64_t address) {
  static const struct type nothing = {{NULL, 0}, {NULL, 0}};
  bool is_new;
  void **slot = exu_map_find(&py->types, address);
  if (slot) return *slot;
  struct type *type = exu_arena_alloc(py->arena, sizeof *type);
  if (!type) return &nothing;
  slot = exu_map_insert(&py->types, address, &is_new);
  if (slot) *slot = type;
  if (!is_type(py, address)) return type;
  type->name = own_name(py, address);
  struct exu_string name = type->name;
  for (int i = 0; i < BASES_MAX && name.data && !type->native.data; i++) {
    if (memchr(name.data, '.', name.size)) type->native = name;
    if (!exu_py_get(py, address, py->runtime->layout.type_base, &address) || !exu_py_plausible(address)) break;
    name = own_name(py, address);
  }
  return type;
}

struct exu_string exu_py_name_of_type(struct exu_py *py, uint64_t type) {
  return type_at(py, type)->name;
}

/* 2.7: the class of an instance of an old-style class, 0: it is none. */
static uint64_t old_class(struct exu_py *py, uint64_t object, uint64_t type) {
  uint64_t class;
  if (!exu_py_has(py->runtime->layout.instance_class) || !exu_string_is(exu_py_name_of_type(py, type), "instance"))
    return 0;
  return exu_py_get(py, object, py->runtime->layout.instance_class, &class) && exu_py_plausible(class) ? class : 0;
}

static struct exu_string old_name(struct exu_py *py, uint64_t class) {
  struct exu_string name = unknown;
  uint64_t text;
  if (!exu_py_get(py, class, py->runtime->layout.class_name, &text)) return unknown;
  return exu_py_text(py, text, &name) == EXU_PY_TEXT_OK ? name : unknown;
}

static bool type_of(struct exu_py *py, uint64_t object, uint64_t *type) {
  return exu_py_plausible(object) && exu_py_get(py, object, py->runtime->layout.object_type, type) &&
         exu_py_plausible(*type);
}

struct exu_string exu_py_type_name(struct exu_py *py, uint64_t object) {
  uint64_t type;
  if (!type_of(py, object, &type)) return unknown;
  uint64_t class = old_class(py, object, type);
  return class ? old_name(py, class) : exu_py_name_of_type(py, type);
}

struct exu_string exu_py_native_type_name(struct exu_py *py, uint64_t object) {
  uint64_t type;
  return type_of(py, object, &type) ? type_at(py, type)->native : unknown;
}

static bool old_is_a(struct exu_py *py, uint64_t class, const char *name) {
  const struct exu_layout *layout = &py->runtime->layout;
  for (int i = 0; i < BASES_MAX && exu_py_plausible(class); i++) {
    uint64_t bases, count, text;
    if (!exu_py_get(py, class, layout->class_name, &text)) return false;
    if (exu_py_text_equals(py, text, name)) return true;
    if (!exu_py_get(py, class, layout->class_bases, &bases) || !exu_py_get(py, bases, layout->var_size, &count) ||
        count == 0 || !exu_py_word(py, bases + layout->tuple_items.offset, &class)) {
      return false;
    }
  }
  return false;
}

bool exu_py_is_a(struct exu_py *py, uint64_t object, const char *name) {
  uint64_t type;
  if (!type_of(py, object, &type)) return false;
  uint64_t class = old_class(py, object, type);
  if (class) return old_is_a(py, class, name);
  for (int i = 0; i < BASES_MAX && exu_py_plausible(type); i++) {
    if (exu_string_is(exu_py_name_of_type(py, type), name)) return true;
    if (!exu_py_get(py, type, py->runtime->layout.type_base, &type)) return false;
  }
  return false;
}
