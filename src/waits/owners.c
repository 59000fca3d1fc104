/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds what a thread waits for, as Python and frames tell. */
#include <string.h>

#include "waits/waits_private.h"

/* A thread that is left out of the report may be the owner. */
static const struct exu_os_thread *thread_by_ident(const struct exu_process *process, uint64_t ident) {
  for (size_t i = 0; ident != 0 && i < process->thread_count; i++) {
    if (exu_wait_self(process, &process->threads[i]) == ident) return &process->threads[i];
  }
  return NULL;
}

/* Are all threads known by what the owner is known by? */
static bool is_complete(const struct exu_finishing *finishing, int64_t tid) {
  if (tid < 0) return finishing->all_idents;
  return !finishing->elsewhere || exu_wait_sees_all(finishing->waits);
}

static void find_unseen(const struct exu_finishing *finishing, struct exu_wait *wait) {
  const struct exu_os_thread *thread = thread_by_ident(finishing->waits->process, wait->owner_ident);
  if (thread) wait->owner_tid = thread->tid;
  if (thread || exu_wait_is_thread(finishing, wait->owner_tid)) {
    wait->owner_place = EXU_OWNER_THREAD;
  } else if (is_complete(finishing, wait->owner_tid)) {
    wait->owner_place = EXU_OWNER_NOWHERE;
  }
}

void exu_wait_set_owner(struct exu_finishing *finishing, struct exu_wait *wait, const struct exu_seen *owner,
                        int64_t tid) {
  wait->owner = -1;
  wait->owner_tid = tid;
  if (owner) {
    wait->owner = (int64_t)owner->subject.thread;
    wait->owner_tid = owner->subject.os->tid;
    wait->owner_name = finishing->threads[owner->subject.thread].name;
    wait->owner_place = EXU_OWNER_THREAD;
  } else if (tid >= 0 || wait->owner_ident != 0) {
    find_unseen(finishing, wait);
  }
}

static const struct exu_py_held *held_at(const struct exu_finishing *finishing, uint64_t number) {
  return number ? &finishing->waits->held.items.items[number - 1] : NULL;
}

static const struct exu_py_held *first_held(const struct exu_finishing *finishing, uint64_t object) {
  const uint64_t *first = object ? exu_map_find_number(&finishing->by_held, object) : NULL;
  return first ? held_at(finishing, *first) : NULL;
}

/* The next one after `last` (NULL: the first) that concerns what `seen` waits for; NULL: there is none. */
static const struct exu_py_held *next_held(const struct exu_finishing *finishing, const struct exu_seen *seen,
                                           const struct exu_py_held *last) {
  const struct exu_wait *wait = &seen->wait;
  const struct exu_py_held *next = last ? held_at(finishing, last->next) : first_held(finishing, wait->address);
  const bool of_lock = wait->lock == wait->address || (last && last->object == wait->lock);
  return next || of_lock ? next : first_held(finishing, wait->lock);
}

/* A Future is computed by one thread. */
static const struct exu_py_held *computed_by(const struct exu_finishing *finishing, const struct exu_seen *seen) {
  const struct exu_py_held *found = next_held(finishing, seen, NULL);
  return found && !next_held(finishing, seen, found) ? found : NULL;
}

/* Those who took a lock that records nobody, each thread once. */
static void set_takers(struct exu_finishing *finishing, struct exu_seen *seen) {
  enum { TAKERS = 8 };
  struct exu_waits *waits = finishing->waits;
  struct exu_taker found[TAKERS];
  size_t count = 0;
  for (const struct exu_py_held *held = next_held(finishing, seen, NULL); held && count < TAKERS;
       held = next_held(finishing, seen, held)) {
    size_t thread = waits->seen.items[held->thread].subject.thread, i = 0;
    while (i < count && found[i].thread != thread) i++;
    if (i < count) continue;
    found[count++] = (struct exu_taker){
        .thread = thread, .by = held->by, .place = held->place, .kept = held->kept, .by_name = held->by_name};
  }
  struct exu_taker *takers = count > 0 ? exu_arena_array(waits->arena, count, sizeof *takers) : NULL;
  if (!takers) return;
  memcpy(takers, found, count * sizeof *takers);
  seen->wait.takers = takers;
  seen->wait.taker_count = count;
}

/*
 * A lock of multiprocessing, which this process has taken and not released, for what it counts. So does the other one
 * after os.fork(), where the threads that forked have the same ident. When it was taken by a thread that is not here,
 * nobody here has it.
 */
static void set_counted(struct exu_finishing *finishing, struct exu_wait *wait) {
  struct exu_waits *waits = finishing->waits;
  const struct exu_seen *owner = exu_wait_find(&finishing->by_ident, wait->owner_ident);
  struct exu_taker *taker = owner ? exu_arena_array(waits->arena, 1, sizeof *taker) : NULL;
  wait->owner_ident = 0;
  wait->owner_evidence = NULL;
  if (!owner && finishing->all_idents) wait->detail = EXU_DETAIL_ELSEWHERE;
  if (!taker) return;
  const size_t thread = owner->subject.thread;
  *taker = (struct exu_taker){.thread = thread, .by = EXU_TAKEN_BY_COUNT, .kept = !finishing->threads[thread].main};
  wait->takers = taker;
  wait->taker_count = 1;
}

/* Who computes a result, or in whose queue it lies. */
static struct exu_seen *find_worker(struct exu_finishing *finishing, struct exu_seen *seen) {
  struct exu_waits *waits = finishing->waits;
  struct exu_wait *wait = &seen->wait;
  const struct exu_py_held *held = computed_by(finishing, seen);
  if (held) {
    wait->owner_evidence =
        exu_evidence_of(waits->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_COMPUTES, .place = held->place});
    return &waits->seen.items[held->thread];
  }
  if (seen->queued_in) {
    wait->detail = seen->in_parts ? EXU_DETAIL_PARTS_QUEUED : EXU_DETAIL_QUEUED;
    wait->pool = &waits->pools.items[seen->queued_in - 1].known;
    exu_evidence_add(waits->arena, &wait->evidence, (struct exu_evidence){.kind = EXU_EVIDENCE_QUEUED});
  }
  return NULL;
}

/* Kinds of locks that record who holds them, wherever that is. */
static bool is_recorded(enum exu_wait_kind kind) {
  return kind == EXU_WAIT_LOCK || kind == EXU_WAIT_RLOCK || kind == EXU_WAIT_IMPORT_LOCK || kind == EXU_WAIT_PYMUTEX;
}

void exu_wait_by_python(struct exu_finishing *finishing, struct exu_seen *seen) {
  struct exu_wait *wait = &seen->wait;
  const int64_t tid = wait->owner_tid > 0 ? wait->owner_tid : -1;
  if (wait->shared && wait->owner_ident != 0) set_counted(finishing, wait);
  bool is_lock = wait->kind == EXU_WAIT_LOCK || wait->kind == EXU_WAIT_RLOCK;
  bool is_known = tid > 0 || wait->owner_ident != 0;
  if (wait->kind == EXU_WAIT_CHILD) { /* that is no object of Python */
    wait->detail = EXU_DETAIL_PYTHON;
    wait->address = 0;
    wait->type = (struct exu_string){NULL, 0};
  }
  if (wait->address == 0 && wait->kind != EXU_WAIT_FUTURE) wait->address = wait->lock;
  struct exu_seen *owner = exu_wait_find(&finishing->by_ident, wait->owner_ident);
  if (!owner && tid > 0) owner = exu_wait_find(&finishing->by_tid, (uint64_t)tid);
  if (!is_known && is_lock && !wait->shared) set_takers(finishing, seen);
  if (!is_known && wait->kind == EXU_WAIT_FUTURE) owner = find_worker(finishing, seen);
  exu_wait_set_owner(finishing, wait, owner, tid);
  seen->lost = is_recorded(wait->kind) && !wait->shared && wait->owner_place == EXU_OWNER_NOWHERE;
}
