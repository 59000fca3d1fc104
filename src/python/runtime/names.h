/* SPDX-License-Identifier: Apache-2.0 */
/* The names that the threading module knows threads by. */
#ifndef EXUVIA_PYTHON_RUNTIME_NAMES_H
#define EXUVIA_PYTHON_RUNTIME_NAMES_H

#include "python/reader.h"

struct exu_py_names {
  struct exu_map by_ident; /* thread ident -> struct exu_string *, in the arena */
  bool no_threading;       /* for certain: the interpreter never imported it, or has taken it down */
};

/*
 * Read threading._active of an interpreter: ident -> Thread object -> name. An interpreter that never imported
 * threading has no names. False only without memory.
 */
bool exu_py_names_read(struct exu_py *py, uint64_t interpreter, struct exu_py_names *names);
void exu_py_names_deinit(struct exu_py_names *names);

/* Unknown when threading does not know the thread. */
struct exu_string exu_py_name(const struct exu_py_names *names, uint64_t ident);

#endif
