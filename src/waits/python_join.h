/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a thread to end: Thread.join, and what the interpreter does before it exits. */
#ifndef EXUVIA_WAITS_PYTHON_JOIN_H
#define EXUVIA_WAITS_PYTHON_JOIN_H

#include "python/frame/frames.h"
#include "waits/locks.h"

/* Store who has to end: what a Thread object says of its thread. */
void exu_py_joined_thread(struct exu_py *py, uint64_t thread, struct exu_wait *wait);

/* Since 3.13 Thread.join (`frame`) waits for a _ThreadHandle, in C. Fills in *wait if the sleep is that wait. */
void exu_py_wait_for_handle(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_py_sleep *sleep,
                            struct exu_wait *wait);

/* threading._shutdown (`frame`) waits for every thread that is no daemon. Likewise. */
void exu_py_wait_at_shutdown(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_py_sleep *sleep,
                             struct exu_wait *wait);

#endif
