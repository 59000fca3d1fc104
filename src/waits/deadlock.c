/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/deadlock.h"

#include <stdlib.h>

#include "base/guard.h"

/* ---- The circles ------------------------------------------------------------------------------------------------- */

static size_t next_of(const struct exu_edge *edges, size_t count, size_t thread) {
  int64_t owner = edges[thread].owner;
  return owner >= 0 && (uint64_t)owner < count ? (size_t)owner : SIZE_MAX;
}

/* The circle that `thread` is on. */
static bool add_circle(struct exu_arena *arena, const struct exu_edge *edges, size_t thread, bool asleep,
                       struct exu_deadlock *deadlock) {
  size_t first = thread, length = 1;
  bool timed = edges[thread].timed;
  enum exu_proof proof = edges[thread].proof;
  for (size_t at = (size_t)edges[thread].owner; at != thread; at = (size_t)edges[at].owner) {
    if (at < first) first = at;
    timed |= edges[at].timed;
    if (edges[at].proof > proof) proof = edges[at].proof;
    length++;
  }
  size_t *threads = exu_arena_array(arena, length, sizeof *threads);
  if (!threads) return false;
  for (size_t i = 0, at = first; i < length; i++, at = (size_t)edges[at].owner) threads[i] = at;
  *deadlock = (struct exu_deadlock){
      .certain = proof == EXU_PROOF_CERTAIN || asleep,
      .timed = timed,
      .proof = proof,
      .all_asleep = asleep,
      .threads = threads,
      .thread_count = length,
  };
  return true;
}

typedef EXU_VECTOR(struct exu_deadlock) deadlock_list;

static bool find_circles(struct exu_arena *arena, const struct exu_waiting *waiting, deadlock_list *found) {
  const struct exu_edge *edges = waiting->edges;
  /* The walk in which a thread was met first, counted from 1. A walk that meets itself has found a circle. */
  EXU_GUARD(free) size_t *walk = calloc(waiting->count, sizeof *walk);
  if (!walk) return false;
  for (size_t start = 0; start < waiting->count; start++) {
    size_t at = start;
    while (at != SIZE_MAX && walk[at] == 0) {
      walk[at] = start + 1;
      at = next_of(edges, waiting->count, at);
    }
    if (at == SIZE_MAX || walk[at] != start + 1) continue;
    struct exu_deadlock *deadlock = EXU_PUSH(arena, found);
    if (!deadlock || !add_circle(arena, edges, at, waiting->asleep, deadlock)) return false;
  }
  return true;
}

/* ---- Groups ------------------------------------------------------------------------------------------------------ */

/* Does the thread wait for work of the group, itself or over certain owners? */
static bool waits_for_group(const struct exu_waiting *waiting, size_t thread, size_t group, bool *direct, bool *timed) {
  enum { STEPS = 64 };
  for (int i = 0; i < STEPS && thread < waiting->count; i++) {
    const struct exu_edge *edge = &waiting->edges[thread];
    *timed |= edge->timed;
    if (edge->group == group) return true;
    *direct = false;
    if (edge->group != 0 || edge->proof != EXU_PROOF_CERTAIN) return false;
    thread = next_of(waiting->edges, waiting->count, thread);
  }
  return false;
}

static bool find_groups(struct exu_arena *arena, const struct exu_waiting *waiting, deadlock_list *found) {
  for (size_t i = 0; i < waiting->group_count; i++) {
    const struct exu_group *group = &waiting->groups[i];
    bool all = group->complete && group->thread_count > 0, direct = true, timed = false;
    for (size_t j = 0; j < group->thread_count && all; j++) {
      all = waits_for_group(waiting, group->threads[j], i + 1, &direct, &timed);
    }
    if (!all) continue;
    struct exu_deadlock *deadlock = EXU_PUSH(arena, found);
    if (!deadlock) return false;
    *deadlock = (struct exu_deadlock){.certain = true,
                                      .timed = timed,
                                      .pool = group->pool,
                                      .indirect = !direct,
                                      .threads = group->threads,
                                      .thread_count = group->thread_count};
  }
  return true;
}

bool exu_deadlocks_find(struct exu_arena *arena, const struct exu_waiting *waiting,
                        const struct exu_deadlock **deadlocks, size_t *deadlock_count) {
  deadlock_list found = {0};
  *deadlocks = NULL;
  *deadlock_count = 0;
  if (waiting->count == 0) return true;
  if (!find_circles(arena, waiting, &found) || !find_groups(arena, waiting, &found)) return false;
  *deadlocks = found.items;
  *deadlock_count = found.count;
  return true;
}
