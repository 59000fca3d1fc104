/* SPDX-License-Identifier: Apache-2.0 */
/* Dictionaries and instance attributes of every version. Looked through in order, never hashed. */
#ifndef EXUVIA_PYTHON_OBJECT_DICT_H
#define EXUVIA_PYTHON_OBJECT_DICT_H

#include "python/reader.h"

/* Entries of one dictionary that are looked at, at most. */
enum { EXU_PY_DICT_MAX = 1024 * 1024 };

/* Return false to stop. `key` and `value` are objects. */
typedef bool exu_py_dict_callback(void *context, uint64_t key, uint64_t value);

/*
 * Call back for every entry of the `dict` object at `dict`, in the order of insertion (2.7: of the table). False: not
 * readable.
 */
bool exu_py_dict_each(struct exu_py *py, uint64_t dict, exu_py_dict_callback *callback, void *context);

/* The value of a key that is an ASCII string of at most 64 characters. */
bool exu_py_dict_get(struct exu_py *py, uint64_t dict, const char *key, uint64_t *value);

/* An attribute in an instance's own dictionary or inline values. */
bool exu_py_attribute(struct exu_py *py, uint64_t object, const char *name, uint64_t *value);

#endif
