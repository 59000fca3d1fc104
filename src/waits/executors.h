/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of threads, and the work that waits in their queues: ThreadPoolExecutor, multiprocessing.pool.ThreadPool. */
#ifndef EXUVIA_WAITS_EXECUTORS_H
#define EXUVIA_WAITS_EXECUTORS_H

#include "python/frame/frames.h"
#include "python/reader.h"

struct exu_py_pool {
  uint64_t queue;         /* the Python object that its threads take their work from: tells pools apart */
  uint64_t object;        /* the executor, or the ThreadPool; 0: unknown, or it is gone and has no more threads */
  struct exu_string type; /* "ThreadPoolExecutor" */
  struct exu_string name; /* what its threads are called after; unknown when they are not */
  uint64_t limit;         /* threads that it can have; 0 unknown, UINT64_MAX: no more than it has */
  bool jobs;              /* its work is known by numbers (multiprocessing), not by Futures */
};

/* The pool that a thread with these frames (innermost first) works for. False: none that is known. */
bool exu_py_pool_of(struct exu_py *py, const struct exu_py_frame *frames, size_t count, struct exu_py_pool *pool);

/* Does the thread with these frames look after a ThreadPool? If so: set its queue, its object and its limit. */
bool exu_py_pool_keeper(struct exu_py *py, const struct exu_py_frame *frames, size_t count, struct exu_py_pool *pool);

/* Work that no thread has begun with. `task` is a Future, or EXU_PY_JOB and a number. Return false to stop. */
#define EXU_PY_JOB (UINT64_C(1) << 63)
typedef bool exu_py_task_callback(void *context, uint64_t task);
/* At most EXU_PY_TASKS_MAX of them. False: the queue cannot be read. */
enum { EXU_PY_TASKS_MAX = 64 * 1024 };
bool exu_py_pool_tasks(struct exu_py *py, const struct exu_py_pool *pool, exu_py_task_callback *callback,
                       void *context);

/*
 * What a wait for a result is known by in such a queue; 0: nothing. `in_parts`: it consists of several items, some of
 * which may be done.
 */
uint64_t exu_py_task_of(struct exu_py *py, uint64_t result, bool *in_parts);

#endif
