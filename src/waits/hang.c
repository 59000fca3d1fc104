/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/hang.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/guard.h"
#include "base/map.h"

/* Threads that a sentence names. */
enum { NAMED = 4 };

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

/* ---- Sentences --------------------------------------------------------------------------------------------------- */

static void add(FILE *out, struct exu_string string) { fwrite(string.data, 1, string.data ? string.size : 0, out); }

static void add_begin(FILE *out, const struct search *search) {
  fputs(search->certain ? "Hangs for ever: " : "Hangs, unless a signal's handler ends it: ", out);
}

static void add_thread(FILE *out, const struct exu_stand *stand) {
  add(out, stand->thread);
  fputc(' ', out);
  add(out, stand->says);
}

/* Of threads that all do the same: all but the first. */
static void add_others(FILE *out, const struct search *search, const size_t *threads, size_t count) {
  if (count < 2) return;
  fputs(count == 2 ? "; so does " : "; so do ", out);
  for (size_t i = 1; i < count && i < NAMED; i++) {
    if (i > 1) fputs(i + 1 == count ? " and " : ", ", out);
    add(out, search->stands[threads[i]].thread);
  }
  if (count > NAMED) fprintf(out, " and %zu more", count - NAMED);
}

/* Keep the hang of `count` of search->threads. Takes the text that was written. */
static bool finish(struct search *search, FILE *out, char **text, size_t *size, enum exu_hang_kind kind,
                   struct exu_string evidence, size_t count) {
  bool written = !ferror(out);
  if (fclose(out) != 0 || !written) return false;
  size_t *threads = exu_arena_array(search->arena, count, sizeof *threads);
  struct exu_hang *hang = EXU_PUSH(search->arena, &search->found);
  if (!threads || !hang) return false;
  for (size_t i = 0; i < count; i++) threads[i] = search->threads[i];
  *hang = (struct exu_hang){.kind = kind,
                            .sentence = exu_arena_string(search->arena, *text, *size),
                            .evidence = evidence,
                            .certain = search->certain,
                            .threads = threads,
                            .thread_count = count};
  return hang->sentence.data != NULL;
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
  void **slot = exu_map_insert(groups, key, &is_new);
  if (!slot) return false;
  search->next[thread] = thread;
  if (is_new) {
    search->first[thread] = true;
  } else {
    search->next[(size_t)((const struct exu_stand *)*slot - search->stands)] = thread;
  }
  *slot = (void *)&search->stands[thread]; /* the last one */
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
static bool say_lost(struct search *search, size_t first) {
  const struct exu_stand *stands = search->stands;
  size_t count = take_group(search, first), size = 0;
  EXU_GUARD(free) char *text = NULL;
  FILE *out = open_memstream(&text, &size);
  if (!out) return false;
  add_begin(out, search);
  add_thread(out, &stands[first]);
  if (stands[first].holds_gil) fputs(", and has the GIL meanwhile", out);
  add_others(out, search, search->threads, count);
  fputc('.', out);
  return finish(search, out, &text, &size, EXU_HANG_LOST_OWNER, stands[first].proof, count);
}

/* All that wait for the end of the same thread, which does not come. */
static bool say_join(struct search *search, size_t first) {
  static const char evidence[] = "the thread that has to end waits for ever itself";
  const struct exu_stand *stands = search->stands;
  size_t count = take_group(search, first), size = 0, joined = (size_t)stands[first].owner;
  EXU_GUARD(free) char *text = NULL;
  FILE *out = open_memstream(&text, &size);
  if (!out) return false;
  add_begin(out, search);
  add_thread(out, &stands[first]);
  fputs(", which ", out);
  if (search->fates[joined] == CIRCLE)
    fputs("is in a deadlock", out);
  else
    add(out, stands[joined].says);
  add_others(out, search, search->threads, count);
  fputc('.', out);
  return finish(search, out, &text, &size, EXU_HANG_JOIN, (struct exu_string){evidence, sizeof evidence - 1}, count);
}

/* A sentence for each group of those whom `key_of` gives a key. */
static bool say_groups(struct search *search, uint64_t (*key_of)(const struct search *, size_t),
                       bool (*say)(struct search *, size_t)) {
  struct exu_map groups = {0};
  bool memory = true;
  for (size_t i = 0; i < search->count; i++) search->first[i] = false;
  for (size_t i = 0; memory && i < search->count; i++) {
    uint64_t key = key_of(search, i);
    memory = key == 0 || add_to_group(search, &groups, key, i);
  }
  exu_map_deinit(&groups);
  for (size_t i = 0; memory && i < search->count; i++) memory = !search->first[i] || say(search, i);
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
static bool say_nobody(struct search *search) {
  static const char evidence[] =
      "every thread of the process sleeps in futex(2), without a time limit, on memory that no "
      "other process wakes it at, and the word there is still the one that it expects";
  const struct exu_stand *stands = search->stands;
  size_t count = 0, first = 0;
  for (size_t i = 0; i < search->count; i++) {
    if (!stands[i].thread.data) continue;
    if (stands[i].python && !stands[search->threads[first]].python) first = count;
    search->threads[count++] = i;
  }
  if (count == 0) return true;
  size_t leader = search->threads[first];
  for (size_t i = first; i > 0; i--) search->threads[i] = search->threads[i - 1];
  search->threads[0] = leader;
  EXU_GUARD(free) char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return false;
  add_begin(out, search);
  add_thread(out, &stands[leader]);
  fputs(count == 1 ? ", and is the only thread" : ", and every other thread sleeps until another one wakes it", out);
  for (size_t i = 1; i < count && i < NAMED; i++) {
    fputs(i == 1 ? ": " : "; ", out);
    add_thread(out, &stands[search->threads[i]]);
  }
  if (count > NAMED) fprintf(out, "; and %zu more", count - NAMED);
  fputc('.', out);
  return finish(search, out, &text, &size, kind_of(stands[leader].kind),
                (struct exu_string){evidence, sizeof evidence - 1}, count);
}

static bool are_all_asleep(const struct search *search) {
  for (size_t i = 0; i < search->count; i++) {
    if (search->stands[i].thread.data && !search->stands[i].asleep) return false;
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
  if (!say_groups(search, lost_key, say_lost) || !say_groups(search, join_key, say_join)) return false;
  if (any || search->found.count > 0 || outside == EXU_OUTSIDE_SIGNAL || !are_all_asleep(search)) return true;
  search->certain = outside == EXU_OUTSIDE_NOTHING;
  for (size_t i = 0; i < search->count; i++) search->fates[i] = STUCK;
  if (!say_groups(search, join_key, say_join)) return false;
  return search->found.count > 0 || say_nobody(search);
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
