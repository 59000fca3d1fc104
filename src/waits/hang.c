/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/hang.h"

#include <stdlib.h>

#include "base/guard.h"
#include "base/map.h"
#include "waits/evidence.h"

enum fate {
  UNKNOWN,
  ON_THE_WAY, /* of the walk at hand */
  FREE,       /* something could let it go on */
  STUCK,
  CIRCLE, /* stuck in a deadlock */
};

struct search {
  struct exu_arena *arena;
  const struct exu_stand *stands;
  size_t count;
  enum fate *fates;
  size_t *threads; /* room for all of them, of what is said next */
  bool *first;     /* by thread: it is the first of a group */
  size_t *next;    /* by thread: the one after it in its group, itself for the last one */
  bool certain;    /* of what is found next */
  EXU_VECTOR(struct exu_hang) found;
};

/* Keep the hang of `count` of search->threads. */
static bool keep(struct search *search, struct exu_hang hang, size_t count) {
  size_t *threads = exu_arena_array(search->arena, count, sizeof *threads);
  struct exu_hang *kept = EXU_PUSH(search->arena, &search->found);
  if (!threads || !kept) return false;
  for (size_t i = 0; i < count; i++) threads[i] = search->threads[i];
  *kept = hang;
  kept->certain = search->certain;
  kept->threads = threads;
  kept->thread_count = count;
  return true;
}

/* ---- What nobody can end ----------------------------------------------------------------------------------------- */

/*
 * Those who wait for the end of one that is stuck are stuck, and so on. A circle that is no certain deadlock is free.
 */
static void follow(const struct search *search, size_t start) {
  size_t at = start, length = 0;
  enum fate fate;
  for (;;) {
    const struct exu_stand *stand = &search->stands[at];
    fate = search->fates[at];
    if (fate != UNKNOWN) break;
    fate = FREE;
    search->fates[at] = ON_THE_WAY;
    search->threads[length++] = at;
    if (!stand->asleep || stand->owner < 0 || (uint64_t)stand->owner >= search->count) break;
    at = (size_t)stand->owner;
  }
  fate = fate == STUCK || fate == CIRCLE ? STUCK : FREE;
  for (size_t i = 0; i < length; i++) search->fates[search->threads[i]] = fate;
}

/* Threads that wait for one thing, in the order of their numbers: the first of each, and the one after each. */
static bool add_to_group(struct search *search, struct exu_map *groups, uint64_t key, size_t thread) {
  bool is_new;
  uint64_t *last = exu_map_insert_number(groups, key, &is_new);
  if (!last) return false;
  search->next[thread] = thread;
  if (is_new) {
    search->first[thread] = true;
  } else {
    search->next[*last] = thread;
  }
  *last = thread;
  return true;
}

/* Store a group in search->threads; returns how many they are. */
static size_t take_group(const struct search *search, size_t first) {
  size_t count = 0, at = first;
  do {
    search->threads[count++] = at;
    at = search->next[at];
  } while (search->threads[count - 1] != at);
  return count;
}

/* All that wait for the same thing, whose owner is lost. */
static bool keep_lost(struct search *search, size_t first) {
  const struct exu_hang hang = {.kind = EXU_HANG_LOST_OWNER, .evidence = search->stands[first].proof};
  return keep(search, hang, take_group(search, first));
}

/* All that wait for the end of the same thread, which does not come. */
static bool keep_join(struct search *search, size_t first) {
  struct exu_hang hang = {.kind = EXU_HANG_JOIN};
  hang.evidence = exu_evidence_of(search->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_NEVER_ENDS});
  return keep(search, hang, take_group(search, first));
}

/* A hang for each group of those whom `key_of` gives a key. */
static bool keep_groups(struct search *search, uint64_t (*key_of)(const struct search *, size_t),
                        bool (*keep_group)(struct search *, size_t)) {
  struct exu_map groups = {0};
  bool memory = true;
  for (size_t i = 0; i < search->count; i++) search->first[i] = false;
  for (size_t i = 0; memory && i < search->count; i++) {
    uint64_t key = key_of(search, i);
    memory = key == 0 || add_to_group(search, &groups, key, i);
  }
  exu_map_deinit(&groups);
  for (size_t i = 0; memory && i < search->count; i++) memory = !search->first[i] || keep_group(search, i);
  return memory;
}

static uint64_t lost_key(const struct search *search, size_t thread) {
  const struct exu_stand *stand = &search->stands[thread];
  return stand->asleep && stand->lost ? stand->address << 8 | (uint64_t)stand->kind << 1 | 1 : 0;
}

static uint64_t join_key(const struct search *search, size_t thread) {
  const struct exu_stand *stand = &search->stands[thread];
  if (!stand->asleep || stand->kind != EXU_WAIT_JOIN || search->fates[thread] != STUCK) return 0;
  return stand->owner >= 0 && (uint64_t)stand->owner < search->count ? (uint64_t)stand->owner + 1 : 0;
}

static enum exu_hang_kind kind_of(enum exu_wait_kind kind) {
  switch (kind) {
  case EXU_WAIT_JOIN: return EXU_HANG_JOIN;
  case EXU_WAIT_QUEUE: return EXU_HANG_QUEUE;
  case EXU_WAIT_BARRIER: return EXU_HANG_BARRIER;
  case EXU_WAIT_RWLOCK: return EXU_HANG_RWLOCK;
  case EXU_WAIT_ONCE: return EXU_HANG_ONCE;
  default: return EXU_HANG_NOBODY;
  }
}

/* Every thread sleeps until another one wakes it. The first with Python comes first. */
static bool keep_nobody(struct search *search) {
  const struct exu_stand *stands = search->stands;
  size_t count = 0, first = 0;
  for (size_t i = 0; i < search->count; i++) {
    if (!stands[i].is_thread) continue;
    if (stands[i].python && !stands[search->threads[first]].python) first = count;
    search->threads[count++] = i;
  }
  if (count == 0) return true;
  size_t leader = search->threads[first];
  for (size_t i = first; i > 0; i--) search->threads[i] = search->threads[i - 1];
  search->threads[0] = leader;
  struct exu_hang hang = {.kind = kind_of(stands[leader].kind), .all_asleep = true};
  hang.evidence = exu_evidence_of(search->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_ALL_ASLEEP});
  return keep(search, hang, count);
}

static bool are_all_asleep(const struct search *search) {
  for (size_t i = 0; i < search->count; i++) {
    if (search->stands[i].is_thread && !search->stands[i].asleep) return false;
  }
  return true;
}

static bool find(struct search *search, enum exu_outside outside, const struct exu_deadlock *deadlocks,
                 size_t deadlock_count) {
  bool any = false;
  for (size_t i = 0; i < deadlock_count; i++) {
    if (!deadlocks[i].certain || deadlocks[i].timed) continue;
    any = true;
    for (size_t j = 0; j < deadlocks[i].thread_count; j++) search->fates[deadlocks[i].threads[j]] = CIRCLE;
  }
  for (size_t i = 0; i < search->count; i++) {
    if (search->fates[i] == UNKNOWN && search->stands[i].asleep && search->stands[i].lost) search->fates[i] = STUCK;
  }
  search->certain = true;
  for (size_t i = 0; i < search->count; i++) follow(search, i);
  if (!keep_groups(search, lost_key, keep_lost) || !keep_groups(search, join_key, keep_join)) return false;
  if (any || search->found.count > 0 || outside == EXU_OUTSIDE_SIGNAL || !are_all_asleep(search)) return true;
  search->certain = outside == EXU_OUTSIDE_NOTHING;
  for (size_t i = 0; i < search->count; i++) search->fates[i] = STUCK;
  if (!keep_groups(search, join_key, keep_join)) return false;
  return search->found.count > 0 || keep_nobody(search);
}

bool exu_hangs_find(struct exu_arena *arena, const struct exu_stand *stands, size_t count, enum exu_outside outside,
                    const struct exu_deadlock *deadlocks, size_t deadlock_count, const struct exu_hang **hangs,
                    size_t *hang_count) {
  *hangs = NULL;
  *hang_count = 0;
  if (count == 0) return true;
  EXU_GUARD(free) enum fate *fates = calloc(count, sizeof *fates);
  EXU_GUARD(free) size_t *threads = calloc(count, sizeof *threads);
  EXU_GUARD(free) size_t *next = calloc(count, sizeof *next);
  EXU_GUARD(free) bool *first = calloc(count, sizeof *first);
  struct search search = {arena, stands, count, fates, threads, first, next, .certain = true};
  if (!fates || !threads || !first || !next || !find(&search, outside, deadlocks, deadlock_count)) return false;
  *hangs = search.found.items;
  *hang_count = search.found.count;
  return true;
}
