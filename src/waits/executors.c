/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/executors.h"

#include "base/str.h"
#include "python/frame/value_stack.h"
#include "python/object/deque.h"
#include "python/object/dict.h"
#include "python/object/int.h"
#include "python/object/str.h"
#include "python/object/types.h"
#include "waits/python_library.h"

/* ---- Objects that have no layout in the tables ------------------------------------------------------------------- */

static uint64_t head(const struct exu_py *py) { return py->runtime->layout.object_size.size; }

static bool is_type(struct exu_py *py, uint64_t object, const char *name) {
  return exu_string_is(exu_py_type_name(py, object), name);
}

/* "weakref" up to 3.10, "weakref.ReferenceType" since. */
static bool is_reference(struct exu_py *py, uint64_t object) {
  return is_type(py, object, "weakref") || is_type(py, object, "weakref.ReferenceType");
}

/* Objects/weakrefobject.c: what it refers to comes first. False: it is gone. */
static bool referent(struct exu_py *py, uint64_t reference, uint64_t *object) {
  return exu_py_word(py, reference + head(py), object) && exu_py_plausible(*object) &&
         !is_type(py, *object, "NoneType");
}

/* Objects/listobject.c: ob_item follows ob_size. */
static bool list_items(struct exu_py *py, uint64_t list, uint64_t from, exu_py_item_callback *callback, void *context) {
  uint64_t count, items, item;
  if (!is_type(py, list, "list") || !exu_py_get(py, list, py->runtime->layout.var_size, &count)) return false;
  if (!exu_py_word(py, exu_py_at(py, list + py->runtime->layout.var_size.offset, 1), &items)) return false;
  for (uint64_t i = from; i < count && i - from < EXU_PY_TASKS_MAX; i++) {
    if (!exu_py_word(py, exu_py_at(py, items, i), &item)) return false;
    if (exu_py_plausible(item) && !callback(context, item)) break;
  }
  return true;
}

/* Modules/_queuemodule.c: a list and a place in it; since 3.13 a ring behind a flag. */
static bool simple_queue_items(struct exu_py *py, uint64_t queue, exu_py_item_callback *callback, void *context) {
  uint64_t item;
  if (!exu_py_at_least(py, 3, 13)) {
    enum { LOCK, LOCKED, LIST, POSITION, WORDS };
    uint64_t words[WORDS];
    return exu_py_words(py, queue + head(py), words, WORDS) && exu_py_plausible(words[LIST]) &&
           list_items(py, words[LIST], words[POSITION], callback, context);
  }
  enum { WAITING, PUT, GET, ITEMS, CAPACITY, COUNT, WORDS };
  uint64_t ring[WORDS];
  if (!exu_py_words(py, queue + head(py), ring, WORDS)) return false;
  const uint64_t first = ring[GET], capacity = ring[CAPACITY], count = ring[COUNT];
  if (count > capacity || (count > 0 && first >= capacity)) return false;
  for (uint64_t i = 0; i < count && i < EXU_PY_TASKS_MAX; i++) {
    const uint64_t index = first + i < capacity ? first + i : first + i - capacity;
    if (!exu_py_word(py, exu_py_at(py, ring[ITEMS], index), &item)) return false;
    if (exu_py_plausible(item) && !callback(context, item)) break;
  }
  return true;
}

/* Any queue of one process: Queue has its items in `queue`, the SimpleQueue that is written in Python in `_queue`. */
static bool queue_items(struct exu_py *py, uint64_t queue, exu_py_item_callback *callback, void *context) {
  uint64_t deque;
  if (is_type(py, queue, "_queue.SimpleQueue")) return simple_queue_items(py, queue, callback, context);
  if (!exu_py_attribute(py, queue, "queue", &deque) && !exu_py_attribute(py, queue, "_queue", &deque)) return false;
  return exu_py_deque_items(py, deque, EXU_PY_TASKS_MAX, callback, context);
}

/* ---- Pools ------------------------------------------------------------------------------------------------------- */

static bool local(struct exu_py *py, const struct exu_py_frame *frame, const char *name, uint64_t *object) {
  return exu_py_local(py, frame, name, object) && exu_py_plausible(*object);
}

/* _worker(executor_reference, ..., work_queue, ...) of concurrent/futures/thread.py */
static bool executor_of(struct exu_py *py, const struct exu_py_frame *frame, struct exu_py_pool *pool) {
  uint64_t reference, object;
  if (!local(py, frame, "executor_reference", &reference) || !local(py, frame, "work_queue", &pool->queue))
    return false;
  if (!is_reference(py, reference)) return false;
  pool->limit = UINT64_MAX;
  if (!referent(py, reference, &pool->object)) return true;
  pool->type = exu_py_type_name(py, pool->object);
  pool->limit = 0;
  if (exu_py_attribute(py, pool->object, "_max_workers", &object) && !exu_py_int(py, object, &pool->limit)) {
    pool->limit = 0;
  }
  if (exu_py_attribute(py, pool->object, "_thread_name_prefix", &object) &&
      exu_py_text(py, object, &pool->name) != EXU_PY_TEXT_OK) {
    pool->name = (struct exu_string){NULL, 0};
  }
  return true;
}

/* What a thread was started for is one of its outermost frames. */
enum { OUTERMOST = 8 };

bool exu_py_pool_of(struct exu_py *py, const struct exu_py_frame *frames, size_t count, struct exu_py_pool *pool) {
  static const struct exu_string executor = {"ThreadPoolExecutor", 18}, thread_pool = {"ThreadPool", 10};
  for (size_t i = count; i > 0 && count - i < OUTERMOST; i--) {
    const struct exu_py_frame *frame = &frames[i - 1];
    *pool = (struct exu_py_pool){.type = executor};
    if (exu_py_is_function(frame, "concurrent/futures/thread.py", "_worker")) return executor_of(py, frame, pool);
    if (!exu_py_is_function(frame, "multiprocessing/pool.py", "worker")) continue;
    pool->jobs = true;
    pool->type = thread_pool;
    return local(py, frame, "inqueue", &pool->queue);
  }
  return false;
}

/* _handle_workers(pool) up to 3.7, _handle_workers(..., processes, ..., inqueue, ...) since 3.8 */
bool exu_py_pool_keeper(struct exu_py *py, const struct exu_py_frame *frames, size_t count, struct exu_py_pool *pool) {
  uint64_t number;
  for (size_t i = count; i > 0 && count - i < OUTERMOST; i--) {
    const struct exu_py_frame *frame = &frames[i - 1];
    if (!exu_py_is_function(frame, "multiprocessing/pool.py", "_handle_workers")) continue;
    *pool = (struct exu_py_pool){.jobs = true};
    if (local(py, frame, "inqueue", &pool->queue)) {
      return local(py, frame, "processes", &number) && exu_py_int(py, number, &pool->limit);
    }
    return local(py, frame, "pool", &pool->object) && exu_py_attribute(py, pool->object, "_inqueue", &pool->queue) &&
           exu_py_attribute(py, pool->object, "_processes", &number) && exu_py_int(py, number, &pool->limit);
  }
  return false;
}

/* ---- Work -------------------------------------------------------------------------------------------------------- */

struct tasks {
  struct exu_py *py;
  bool jobs;
  exu_py_task_callback *callback;
  void *context;
};

/* A _WorkItem with its Future, or (job, i, func, args, kwds). */
static bool look_at_item(void *context, uint64_t item) {
  const struct tasks *tasks = context;
  struct exu_py *py = tasks->py;
  uint64_t task, number;
  if (!tasks->jobs) {
    return !exu_py_is_a(py, item, "_WorkItem") || !exu_py_attribute(py, item, "future", &task) ||
           tasks->callback(tasks->context, task);
  }
  if (!is_type(py, item, "tuple") || !exu_py_word(py, item + py->runtime->layout.tuple_items.offset, &task))
    return true;
  if (!exu_py_plausible(task) || !exu_py_int(py, task, &number) || number >= EXU_PY_JOB) return true;
  return tasks->callback(tasks->context, number | EXU_PY_JOB);
}

bool exu_py_pool_tasks(struct exu_py *py, const struct exu_py_pool *pool, exu_py_task_callback *callback,
                       void *context) {
  struct tasks tasks = {py, pool->jobs, callback, context};
  return queue_items(py, pool->queue, look_at_item, &tasks);
}

uint64_t exu_py_task_of(struct exu_py *py, uint64_t result, bool *in_parts) {
  uint64_t object, number;
  struct exu_string state;
  *in_parts = false;
  if (!exu_py_plausible(result)) return 0;
  if (exu_py_attribute(py, result, "_job", &object)) {
    /* An iterator waits for one of its items only, which may be on its way while others are queued. */
    if (exu_py_is_a(py, result, "IMapIterator")) return 0;
    *in_parts = exu_py_is_a(py, result, "MapResult");
    return exu_py_int(py, object, &number) && number < EXU_PY_JOB ? number | EXU_PY_JOB : 0;
  }
  /* It can be in a queue and be cancelled: then somebody will be told so, who waits no more. */
  if (!exu_py_attribute(py, result, "_state", &object) || exu_py_text(py, object, &state) != EXU_PY_TEXT_OK) return 0;
  return exu_string_is(state, "PENDING") ? result : 0;
}
