/* SPDX-License-Identifier: Apache-2.0 */
/* Functions written in C, as Python knows them: what a native frame without a symbol may run. */
#ifndef EXUVIA_PYTHON_FRAME_BUILTIN_H
#define EXUVIA_PYTHON_FRAME_BUILTIN_H

#include "python/frame/frames.h"
#include "python/reader.h"

/*
 * If `object` is a built-in function, a built-in method or the descriptor of one whose C function begins at `function`:
 * its name as in "<built-in function time.sleep>", "<built-in method acquire of _thread.lock>". Else unknown.
 */
struct exu_string exu_py_builtin(struct exu_py *py, uint64_t object, uint64_t function);

/*
 * The same for whatever one of `words`, or the value stack of `frame` (NULL: none), refers to. Unknown also when
 * they refer to several by different names: one C function may be several methods, as that of a lock's acquire() and
 * __enter__() is.
 */
struct exu_string exu_py_builtin_among(struct exu_py *py, const uint64_t *words, size_t count,
                                       const struct exu_py_frame *frame, uint64_t function);

#endif
