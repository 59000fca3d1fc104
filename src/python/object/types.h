/* SPDX-License-Identifier: Apache-2.0 */
/* The types of objects, by the names that they carry. */
#ifndef EXUVIA_PYTHON_OBJECT_TYPES_H
#define EXUVIA_PYTHON_OBJECT_TYPES_H

#include "python/reader.h"

/*
 * The name of an object's type as the type has it: "_thread.lock" for what is written in C, "Condition" without its
 * module for classes. For an instance of one of 2.7's old-style classes the class's. Unknown when it cannot be read.
 * Read once for each type.
 */
struct exu_string exu_py_type_name(struct exu_py *py, uint64_t object);

/*
 * The name of the type that is written in C: of the object's own, or of the one that its class inherits from first.
 * Those have the module in their names ("_thread.RLock"), which tells them from classes. Unknown when there is none.
 */
struct exu_string exu_py_native_type_name(struct exu_py *py, uint64_t object);

/* The name of the type at `type` itself, as exu_py_type_name has it for its objects. */
struct exu_string exu_py_name_of_type(struct exu_py *py, uint64_t type);

/* A NUL-terminated text of the library, cut after 64 bytes. Unknown when it cannot be read. */
struct exu_string exu_py_c_string(struct exu_py *py, uint64_t address);

/* Is the object of the type called `name`, or of one whose first bases lead to it? */
bool exu_py_is_a(struct exu_py *py, uint64_t object, const char *name);

#endif
