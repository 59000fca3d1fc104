/* SPDX-License-Identifier: Apache-2.0 */
/* The locals of a frame and the values that it computes with. */
#ifndef EXUVIA_PYTHON_FRAME_VALUE_STACK_H
#define EXUVIA_PYTHON_FRAME_VALUE_STACK_H

#include "python/frame/frames.h"
#include "python/reader.h"

/*
 * Where they lie: locals, cells and free variables first, then the value stack, one word each. How much of the stack is
 * in use is known only while the frame is not running; what lies above is stale.
 */
struct exu_py_values {
  uint64_t locals;
  uint32_t local_count;
  uint64_t stack;
  uint32_t stack_size; /* as much as it can have */
};

/* Locals, and values of a stack, that are looked at, at most. */
enum { EXU_PY_LOCALS_MAX = 4096, EXU_PY_STACK_MAX = 4096 };

bool exu_py_values(const struct exu_py *py, const struct exu_py_frame *frame, struct exu_py_values *values);

/* The object in the slot at `address`, without the tag that references have since 3.14; false when there is none. */
bool exu_py_slot(const struct exu_py *py, uint64_t address, uint64_t *object);

/* The first argument of a frame: `self` in methods, also when an inner function refers to it, too. */
bool exu_py_first_argument(struct exu_py *py, const struct exu_py_frame *frame, uint64_t *object);

/* A local variable by its name (ASCII). */
bool exu_py_local(struct exu_py *py, const struct exu_py_frame *frame, const char *name, uint64_t *object);

/* The name of local variable `index`; unknown when it has none that can be read. */
struct exu_string exu_py_local_name(struct exu_py *py, const struct exu_py_code *code, uint32_t index);

#endif
