/* SPDX-License-Identifier: Apache-2.0 */
#include "python/object/dict.h"

#include "python/object/str.h"

/* Flags of types (Include/object.h, 3.11 and later). */
enum { INLINE_VALUES = 1 << 2, MANAGED_DICT = 1 << 4 };

/* Where the entries of a dictionary lie. */
struct table {
  uint64_t entries;
  uint64_t count;
  uint64_t stride;
  uint64_t key_offset;
  uint64_t value_offset;
  uint64_t values; /* a split table has its values apart, one word each; 0: they are in the entries */
};

/* Up to 3.5: an open table of ma_mask + 1 entries. */
static bool locate_open_table(struct exu_py *py, uint64_t dict, struct table *table) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t mask;
  if (!exu_py_get(py, dict, layout->dict_mask, &mask) || !exu_py_get(py, dict, layout->dict_table, &table->entries)) {
    return false;
  }
  table->count = mask + 1;
  table->stride = layout->entry_size.size;
  table->key_offset = layout->entry_key.offset;
  table->value_offset = layout->entry_value.offset;
  return true;
}

/*
 * Bytes of the index before the entries: one, two, four or eight a slot, whatever the size needs
 * (Objects/dictobject.c).
 */
static bool index_bytes(struct exu_py *py, uint64_t keys, uint64_t *bytes) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t size;
  if (exu_py_get(py, keys, layout->keys_log2_index_bytes, &size)) { /* 3.11 and later */
    if (size > 40) return false;
    *bytes = UINT64_C(1) << size;
    return true;
  }
  if (!exu_py_get(py, keys, layout->keys_size, &size) || size > UINT64_C(1) << 36) return false;
  *bytes = size * (size <= 0xFF ? 1 : size <= 0xFFFF ? 2 : size <= 0xFFFFFFFF ? 4 : 8);
  return true;
}

static bool locate_keys(struct exu_py *py, uint64_t keys, struct table *table) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t kind = 0, index;
  if (!exu_py_plausible(keys) || !index_bytes(py, keys, &index)) return false;
  if (!exu_py_get(py, keys, layout->keys_nentries, &table->count)) return false;
  table->entries = keys + layout->keys_indices.offset + index;
  /* 3.11 and later: 0 is the general kind; the others have string keys only, whose hash is in the string. */
  exu_py_get(py, keys, layout->keys_kind, &kind);
  table->stride = kind ? layout->unicode_entry_size.size : layout->entry_size.size;
  table->key_offset = kind ? layout->unicode_entry_key.offset : layout->entry_key.offset;
  table->value_offset = kind ? layout->unicode_entry_value.offset : layout->entry_value.offset;
  return true;
}

static bool locate(struct exu_py *py, uint64_t dict, struct table *table) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t keys;
  *table = (struct table){0};
  if (!exu_py_plausible(dict)) return false;
  if (!exu_py_has(layout->dict_keys)) return locate_open_table(py, dict, table);
  if (!exu_py_get(py, dict, layout->dict_keys, &keys) || !locate_keys(py, keys, table)) return false;
  if (exu_py_get(py, dict, layout->dict_values, &table->values) && table->values) {
    table->values += layout->values_values.offset; /* 0 before 3.13 */
  }
  return true;
}

/* A few dictionaries of a damaged process can lead to each other a million times. */
static bool take_from_budget(struct exu_py *py) {
  if (py->entries_left == 0) return false;
  if (--py->entries_left > 0) return true;
  exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_DICT_BUDGET, -1,
                 "names are missing: the dictionaries that lead to them have more than %d entries", EXU_PY_ENTRIES_MAX);
  return false;
}

static bool each_entry(struct exu_py *py, const struct table *table, exu_py_dict_callback *callback, void *context) {
  uint64_t count = table->count < EXU_PY_DICT_MAX ? table->count : EXU_PY_DICT_MAX;
  if (table->stride == 0) return false;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t entry = table->entries + i * table->stride;
    uint64_t key, value;
    if (!take_from_budget(py)) return false;
    if (!exu_py_word(py, entry + table->key_offset, &key)) return false;
    if (!exu_py_word(py, table->values ? exu_py_at(py, table->values, i) : entry + table->value_offset, &value))
      return false;
    if (key == 0 || value == 0) continue; /* deleted, or never used */
    if (!callback(context, key, value)) break;
  }
  return true;
}

bool exu_py_dict_each(struct exu_py *py, uint64_t dict, exu_py_dict_callback *callback, void *context) {
  struct table table;
  return locate(py, dict, &table) && each_entry(py, &table, callback, context);
}

struct lookup {
  struct exu_py *py;
  const char *key;
  uint64_t value; /* 0: not there */
};

static bool match_key(void *context, uint64_t key, uint64_t value) {
  struct lookup *lookup = context;
  if (!exu_py_text_equals(lookup->py, key, lookup->key)) return true;
  lookup->value = value;
  return false;
}

bool exu_py_dict_get(struct exu_py *py, uint64_t dict, const char *key, uint64_t *value) {
  struct lookup lookup = {.py = py, .key = key};
  if (!exu_py_dict_each(py, dict, match_key, &lookup) || lookup.value == 0) return false;
  *value = lookup.value;
  return true;
}

/* Values that belong to an instance of a class, whose keys the class has. */
static bool search_values(struct exu_py *py, uint64_t type, uint64_t values, const char *name, uint64_t *value) {
  struct table table = {0};
  struct lookup lookup = {.py = py, .key = name};
  uint64_t keys;
  if (!exu_py_get(py, type, py->runtime->layout.heap_type_cached_keys, &keys) || !locate_keys(py, keys, &table))
    return false;
  table.values = values + py->runtime->layout.values_values.offset;
  if (!each_entry(py, &table, match_key, &lookup) || lookup.value == 0) return false;
  *value = lookup.value;
  return true;
}

/*
 * Where the interpreter manages an instance's dictionary itself (Include/internal/pycore_object.h): before the object,
 * three words from it, or one in free-threaded builds.
 */
static bool managed_attribute(struct exu_py *py, uint64_t object, uint64_t type, uint64_t flags, const char *name,
                              uint64_t *value) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t word, basicsize, valid;
  uint64_t slot = object - (py->runtime->build.free_threaded ? 1 : 3) * exu_py_word_size(py);
  if (!exu_py_word(py, slot, &word)) return false;
  if (exu_py_at_least(py, 3, 13)) {
    if (flags & INLINE_VALUES && exu_py_get(py, type, layout->type_basicsize, &basicsize) && basicsize < 1 << 20 &&
        exu_py_get(py, object + basicsize, layout->values_valid, &valid) && valid) {
      return search_values(py, type, object + basicsize, name, value);
    }
  } else if (exu_py_at_least(py, 3, 12)) {
    if (word & 1) return search_values(py, type, word + 1, name, value); /* PyDictOrValues: values minus one */
  } else if (word == 0) {
    /* 3.11 has two words: the values, and after them the dictionary. */
    return exu_py_word(py, slot - exu_py_word_size(py), &word) && word && search_values(py, type, word, name, value);
  }
  return exu_py_dict_get(py, word, name, value);
}

bool exu_py_attribute(struct exu_py *py, uint64_t object, const char *name, uint64_t *value) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t type, flags, offset, dict;
  if (!exu_py_plausible(object) || !exu_py_get(py, object, layout->object_type, &type) || !exu_py_plausible(type)) {
    return false;
  }
  if (!exu_py_get(py, type, layout->type_flags, &flags)) return false;
  if (exu_py_at_least(py, 3, 11) && flags & MANAGED_DICT)
    return managed_attribute(py, object, type, flags, name, value);
  if (!exu_py_get(py, type, layout->type_dictoffset, &offset) || offset == 0 || offset > 1 << 20) return false;
  return exu_py_word(py, object + offset, &dict) && exu_py_dict_get(py, dict, name, value);
}
