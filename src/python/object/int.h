/* SPDX-License-Identifier: Apache-2.0 */
/* Python's integers. */
#ifndef EXUVIA_PYTHON_OBJECT_INT_H
#define EXUVIA_PYTHON_OBJECT_INT_H

#include "python/reader.h"

/*
 * The value of a non-negative int object. Digits have 30 bits (15 on builds for 32-bit machines), least significant
 * first. False for what is none, or has too many of them.
 */
bool exu_py_int(struct exu_py *py, uint64_t object, uint64_t *value);

#endif
