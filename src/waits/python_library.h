/* SPDX-License-Identifier: Apache-2.0 */
/* What the standard library does with the lock that a thread sleeps on: a Queue, an Event, the end of a thread. */
#ifndef EXUVIA_WAITS_PYTHON_LIBRARY_H
#define EXUVIA_WAITS_PYTHON_LIBRARY_H

#include "python/frame/frames.h"
#include "waits/locks.h"

/*
 * `wait` says what is known of the lock: its kind, lock and object. Goes through the frames from the innermost as long
 * as they are functions of the standard library that wait with it, and puts what they wait for in its place.
 */
void exu_py_wait_in_library(struct exu_py *py, const struct exu_py_frame *frames, size_t count,
                            const struct exu_py_sleep *sleep, struct exu_wait *wait);

/* Is it a frame of that function, in a file whose path ends with that? */
bool exu_py_is_function(const struct exu_py_frame *frame, const char *file, const char *function);

/* Is the code in a file whose path ends with that? */
bool exu_py_is_in(const struct exu_py_code *code, const char *file);

/* Does the code belong to the module threading? */
bool exu_py_is_threading(const struct exu_py_code *code);

/* Does the frame run the function of a Future of a ThreadPoolExecutor? Its first argument says of which. */
bool exu_py_is_work(const struct exu_py_frame *frame);

/* Is the frame inside of Condition.wait, which lets go of the Condition's lock? If so, of which Condition. */
bool exu_py_in_condition_wait(struct exu_py *py, const struct exu_py_frame *frame, uint64_t *condition);

/* The lock of a Condition. */
bool exu_py_condition_lock(struct exu_py *py, uint64_t condition, uint64_t *lock);

#endif
