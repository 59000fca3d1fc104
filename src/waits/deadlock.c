/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/deadlock.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/guard.h"

/* Threads of a circle that its sentence names. */
enum { NAMED = 32 };

/* ---- The sentence ------------------------------------------------------------------------------------------------ */

static void add(FILE *out, struct exu_string string) { fwrite(string.data, 1, string.size, out); }

/* "waits for the RLock 0x7f12 held by NAME", "waits for NAME to end" */
static void add_wait(FILE *out, const struct exu_edge *edges, size_t thread, const char *owner_word) {
  const struct exu_edge *edge = &edges[thread];
  fputs("waits for ", out);
  if (edge->what.data) {
    add(out, edge->what);
    fprintf(out, " %s ", edge->relation ? edge->relation : "held by");
  }
  if (owner_word) {
    fputs(owner_word, out);
  } else {
    add(out, edges[edge->owner].thread);
  }
  if (!edge->what.data) fputs(" to end", out);
}

/* What is said around the circle. None of it is true of more than what was proved. */
static const struct {
  const char *before, *timed_before, *after;
} words[] = {
    [EXU_PROOF_CERTAIN] = {"Deadlock: ", "Deadlock until a time limit passes: ", "."},
    [EXU_PROOF_KEPT] = {"Deadlock unless other code releases what it did not take: ",
                        "Deadlock until a time limit passes, unless other code releases what it did not take: ", "."},
    [EXU_PROOF_LEAD] = {"Possible deadlock: ", "Possible deadlock until a time limit passes: ",
                        "; it is none if a lock was released since."},
};

static struct exu_string sentence(struct exu_arena *arena, const struct exu_edge *edges, const size_t *threads,
                                  size_t count, bool timed, enum exu_proof proof, bool asleep) {
  EXU_GUARD(free) char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return (struct exu_string){NULL, 0};
  enum exu_proof said = asleep ? EXU_PROOF_CERTAIN : proof;
  fputs(timed ? words[said].timed_before : words[said].before, out);
  add(out, edges[threads[0]].thread);
  fputc(' ', out);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) fputs(", which ", out);
    if (count > NAMED && i == NAMED - 1) {
      fprintf(out, "waits, over %zu more threads, for ", count - NAMED);
      add(out, edges[threads[count - 1]].thread);
      i = count - 2;
      continue;
    }
    add_wait(out, edges, threads[i], count == 1 ? "itself" : NULL);
  }
  fputs(words[said].after, out);
  if (said != proof)
    fputs(" All threads of the process sleep until another one wakes them, without a time limit.", out);
  bool written = !ferror(out);
  if (fclose(out) != 0 || !written) return (struct exu_string){NULL, 0};
  return exu_arena_string(arena, text, size);
}

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
      .sentence = sentence(arena, edges, threads, length, timed, proof, asleep),
      .certain = proof == EXU_PROOF_CERTAIN || asleep,
      .timed = timed,
      .threads = threads,
      .thread_count = length,
  };
  return deadlock->sentence.data != NULL;
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

static struct exu_string group_sentence(struct exu_arena *arena, const struct exu_group *group, bool direct,
                                        bool timed) {
  char how_many[40];
  snprintf(how_many, sizeof how_many, "all %zu threads", group->thread_count);
  const char *which = group->thread_count == 1   ? "the only thread"
                      : group->thread_count == 2 ? "both threads"
                                                 : how_many;
  return exu_arena_printf(arena, "%s%s of %.*s %s for %s%s.",
                          timed ? words[EXU_PROOF_CERTAIN].timed_before : words[EXU_PROOF_CERTAIN].before, which,
                          (int)group->name.size, group->name.data, group->thread_count == 1 ? "waits" : "wait",
                          group->work, direct ? "" : ", or for threads that do");
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
    *deadlock = (struct exu_deadlock){.sentence = group_sentence(arena, group, direct, timed),
                                      .certain = true,
                                      .timed = timed,
                                      .threads = group->threads,
                                      .thread_count = group->thread_count};
    if (!deadlock->sentence.data) return false;
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
