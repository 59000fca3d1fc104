/* SPDX-License-Identifier: Apache-2.0 */
/* What is inside of the context managers of the module contextlib: generators, and what an ExitStack is to leave. */
#ifndef EXUVIA_WAITS_CONTEXT_MANAGERS_H
#define EXUVIA_WAITS_CONTEXT_MANAGERS_H

#include "python/frame/frames.h"
#include "python/reader.h"

/* An __exit__ to be called: whose it is, and the function when it is written in Python, which is 0 when it is not. */
struct exu_py_method {
  uint64_t self;
  uint64_t function;
};

/* The bound method `object`. False: it is none. */
bool exu_py_bound(struct exu_py *py, uint64_t object, struct exu_py_method *method);

/* A function, of C or of Python, and the object that it is to be called with. False: it is no function. */
bool exu_py_unbound(struct exu_py *py, uint64_t function, uint64_t self, struct exu_py_method *method);

/* Is it the __exit__ of a class in that file of the standard library? Others of the same name may do what they like. */
bool exu_py_is_exit_of(struct exu_py *py, const struct exu_py_method *method, const char *file);

/*
 * @contextmanager: the frame of the generator, which is suspended at a `yield` as long as the block of the `with` runs.
 * False: it is no such context manager, or its generator is not suspended.
 */
bool exu_py_suspended_frame(struct exu_py *py, const struct exu_py_method *method, struct exu_py_frame *frame);

/* What an ExitStack is to leave, in the order of entering, at most EXU_PY_EXITS_MAX. False: it is no ExitStack. */
typedef bool exu_py_exit_callback(void *context, const struct exu_py_method *method); /* false: stop */
enum { EXU_PY_EXITS_MAX = 1024 };
bool exu_py_exit_stack(struct exu_py *py, const struct exu_py_method *method, exu_py_exit_callback *callback,
                       void *context);

#endif
