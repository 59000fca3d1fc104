/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results that are waited for and lie in the queue of a pool of threads: only those threads can let the waiter go on.
 */
#include <stdlib.h>

#include "waits/python_waits.h"
#include "waits/waits_private.h"

/* ---- The first step: what the queues have ------------------------------------------------------------------------ */

static bool wants_pools(const struct exu_waits *waits) {
  for (size_t i = 0; i < waits->seen.count; i++) {
    if (waits->seen.items[i].wait.kind == EXU_WAIT_FUTURE) return true;
  }
  return false;
}

/* The pool with the same queue, counted from 1; 0: there is none. Pools are few. */
static size_t same_pool(const struct exu_waits *waits, const struct exu_py *py, uint64_t queue) {
  for (size_t i = 0; i < waits->pools.count; i++) {
    if (waits->pools.items[i].py == py && waits->pools.items[i].of.queue == queue) return i + 1;
  }
  return 0;
}

static bool add_worker(struct exu_waits *waits, struct exu_seen *seen, const struct exu_wait_part *part) {
  struct exu_py_pool of;
  if (seen->works_for || !exu_py_pool_of(part->py, part->frames, part->frame_count, &of)) return true;
  seen->works_for = same_pool(waits, part->py, of.queue);
  if (seen->works_for) {
    waits->pools.items[seen->works_for - 1].workers++;
    return true;
  }
  struct exu_wait_pool *pool = EXU_PUSH(waits->arena, &waits->pools);
  if (!pool) return false;
  *pool = (struct exu_wait_pool){.py = part->py, .of = of, .workers = 1};
  seen->works_for = waits->pools.count;
  return true;
}

/* A ThreadPool's threads do not know how many they are; another thread of it does. */
static void look_at_keeper(struct exu_waits *waits, const struct exu_wait_part *part) {
  struct exu_py_pool of;
  if (!exu_py_pool_keeper(part->py, part->frames, part->frame_count, &of)) return;
  size_t pool = same_pool(waits, part->py, of.queue);
  if (!pool || !waits->pools.items[pool - 1].of.jobs) return;
  waits->pools.items[pool - 1].of.limit = of.limit;
  waits->pools.items[pool - 1].of.object = of.object;
}

struct filling {
  struct exu_map *tasks; /* task -> 1 + the index of its pool */
  size_t pool;           /* index */
  bool no_memory;
};

/* exu_py_task_callback */
static bool put_task(void *context, uint64_t task) {
  struct filling *filling = context;
  bool is_new;
  uint64_t *queued_in = exu_map_insert_number(filling->tasks, task, &is_new);
  if (queued_in) *queued_in = filling->pool + 1;
  filling->no_memory = !queued_in;
  return queued_in != NULL;
}

/* The executors of a thousand tests may have died; those that matter have threads. */
static bool find_tasks(struct exu_waits *waits, struct exu_map *tasks) {
  struct filling filling = {.tasks = tasks};
  for (size_t i = 0; i < waits->pools.count && !filling.no_memory; i++) {
    const struct exu_wait_pool *pool = &waits->pools.items[i];
    filling.pool = i;
    exu_py_pool_tasks(pool->py, &pool->of, put_task, &filling);
  }
  for (size_t i = 0; i < waits->seen.count && !filling.no_memory; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    if (seen->wait.kind != EXU_WAIT_FUTURE || seen->wait.address == 0 || seen->py_part >= seen->subject.part_count)
      continue;
    uint64_t task = exu_py_task_of(seen->subject.parts[seen->py_part].py, seen->wait.address, &seen->in_parts);
    const uint64_t *queued_in = task ? exu_map_find_number(tasks, task) : NULL;
    if (queued_in) seen->queued_in = (size_t)*queued_in;
  }
  return !filling.no_memory;
}

bool exu_waits_look_at_pools(struct exu_waits *waits) {
  struct exu_map tasks = {0};
  if (!wants_pools(waits)) return true;
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    for (size_t p = 0; p < seen->subject.part_count; p++) {
      if (!add_worker(waits, seen, &seen->subject.parts[p])) return false;
    }
  }
  for (size_t i = 0; i < waits->seen.count && waits->pools.count > 0; i++) {
    const struct exu_wait_subject *subject = &waits->seen.items[i].subject;
    for (size_t p = 0; p < subject->part_count; p++) look_at_keeper(waits, &subject->parts[p]);
  }
  for (size_t i = 0; i < waits->pools.count; i++) {
    const struct exu_py_pool *of = &waits->pools.items[i].of;
    waits->pools.items[i].known = (struct exu_pool){of->type, of->name, of->object ? of->object : of->queue, of->jobs};
  }
  bool memory = find_tasks(waits, &tasks);
  exu_map_deinit(&tasks);
  return memory;
}

/* ---- The second step: groups of threads -------------------------------------------------------------------------- */

/* A pool that all threads are known of that it has or can have. */
static bool is_complete(const struct exu_wait_pool *pool) {
  return pool->of.limit == UINT64_MAX || (pool->of.limit > 0 && pool->of.limit == pool->workers);
}

bool exu_wait_groups(struct exu_waits *waits, const struct exu_group **groups, size_t *count) {
  *groups = NULL;
  *count = waits->pools.count;
  if (*count == 0) return true;
  struct exu_group *list = exu_arena_array(waits->arena, *count, sizeof *list);
  if (!list) return false;
  for (size_t i = 0; i < *count; i++) {
    const struct exu_wait_pool *pool = &waits->pools.items[i];
    size_t *threads = exu_arena_array(waits->arena, pool->workers, sizeof *threads), filled = 0;
    if (!threads) return false;
    for (size_t j = 0; j < waits->seen.count && filled < pool->workers; j++) {
      if (waits->seen.items[j].works_for == i + 1) threads[filled++] = waits->seen.items[j].subject.thread;
    }
    list[i] = (struct exu_group){.pool = &pool->known,
                                 .threads = threads,
                                 .thread_count = filled,
                                 .complete = is_complete(pool) && waits->seen.count >= waits->process->thread_count};
  }
  *groups = list;
  return true;
}
