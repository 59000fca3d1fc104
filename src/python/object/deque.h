/* SPDX-License-Identifier: Apache-2.0 */
/* The objects in a collections.deque. */
#ifndef EXUVIA_PYTHON_OBJECT_DEQUE_H
#define EXUVIA_PYTHON_OBJECT_DEQUE_H

#include "python/reader.h"

typedef bool exu_py_item_callback(void *context, uint64_t item); /* false: stop */

/* From the left, at most `limit`. False: it is no deque, or cannot be read (to its end). */
bool exu_py_deque_items(struct exu_py *py, uint64_t deque, uint64_t limit, exu_py_item_callback *callback,
                        void *context);

#endif
