/* SPDX-License-Identifier: Apache-2.0 */
/* The second step: reasons, owners and deadlocks, of every thread. */
#include <stdlib.h>

#include "base/guard.h"
#include "base/map.h"
#include "process/signal_names.h"
#include "waits/deadlock.h"
#include "waits/waits_private.h"

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

static bool put_in_map(struct exu_map *map, uint64_t key, struct exu_seen *seen) {
  bool is_new;
  if (key == 0) return true;
  void **slot = exu_map_insert(map, key, &is_new);
  if (slot && is_new) *slot = seen;
  return slot != NULL;
}

static bool index_threads(struct exu_finishing *finishing) {
  struct exu_waits *waits = finishing->waits;
  const struct exu_process *process = waits->process;
  const int64_t pid = process->running_pid;
  finishing->elsewhere = pid >= 0 && exu_tid_inside(pid, pid) != pid;
  finishing->all_idents = exu_wait_sees_all(waits);
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    const uint64_t self = exu_wait_self(process, seen->subject.os);
    const uint64_t ident = seen->subject.ident ? seen->subject.ident : self;
    finishing->all_idents &= ident != 0;
    if (finishing->elsewhere) seen->tid = exu_tid_inside(pid, seen->tid);
    if (seen->tid > 0 && !put_in_map(&finishing->by_tid, (uint64_t)seen->tid, seen)) return false;
    if (!put_in_map(&finishing->by_ident, ident, seen)) return false;
    for (size_t k = 0; k < EXU_WAIT_PARTS && seen->subject.gils[k] != 0; k++) {
      if (!put_in_map(&finishing->by_gil, seen->subject.gils[k], seen)) return false;
    }
  }
  return true;
}

uint64_t exu_wait_self(const struct exu_process *process, const struct exu_os_thread *thread) {
  const struct exu_registers *registers = &thread->registers;
  return registers->has_thread_pointer ? process->arch->pthread_self(registers->thread_pointer) : 0;
}

static bool index_held(struct exu_finishing *finishing) {
  struct exu_py_held_list *held = &finishing->waits->held;
  for (size_t i = held->items.count; i-- > 0;) {
    bool is_new;
    uint64_t *first = exu_map_insert_number(&finishing->by_held, held->items.items[i].object, &is_new);
    if (!first) return false;
    held->items.items[i].next = (size_t)*first;
    *first = i + 1;
  }
  return true;
}

struct exu_seen *exu_wait_find(const struct exu_map *map, uint64_t key) {
  void **slot = key ? exu_map_find(map, key) : NULL;
  return slot ? *slot : NULL;
}

/* Threads beyond those that are shown count, too. */
bool exu_wait_is_thread(const void *context, int64_t tid) {
  const struct exu_finishing *finishing = context;
  const struct exu_process *process = finishing->waits->process;
  if (tid > 0 && exu_wait_find(&finishing->by_tid, (uint64_t)tid)) return true;
  for (size_t i = 0; !finishing->elsewhere && i < process->thread_count; i++) {
    if (process->threads[i].tid == tid) return true;
  }
  return false;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static void explain(struct exu_finishing *finishing, struct exu_seen *seen) {
  struct exu_waits *waits = finishing->waits;
  struct exu_wait *wait = &seen->wait;
  if (seen->subject.os->ran) { /* what was seen may be true no more */
    *wait = (struct exu_wait)EXU_WAIT_NOTHING;
    wait->evidence = exu_evidence_of(waits->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_RAN});
    return;
  }
  exu_wait_put_call(waits, seen);
  if (seen->subject.gil != 0) {
    wait->kind = EXU_WAIT_GIL;
  } else if (wait->kind != EXU_WAIT_UNKNOWN) {
    exu_wait_by_python(finishing, seen);
  } else {
    exu_wait_by_call(waits, seen);
    if (seen->in_futex) exu_wait_in_futex(finishing, seen);
  }
}

/* A process that is stopped by a signal hangs for that reason first; what its threads waited for is still said. */
static void explain_stop(struct exu_finishing *finishing, struct exu_wait *wait) {
  wait->stop_signal = finishing->waits->process->stop_signal;
  wait->stop_name = exu_signal_name(wait->stop_signal);
  wait->resumes_as = wait->kind;
  wait->kind = EXU_WAIT_STOPPED;
  wait->evidence = exu_evidence_of(finishing->waits->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_STOPPED});
}

/*
 * Does the wait end by itself? 2.7 waits with a time limit by asking again and again. So does everybody who waits for
 * the GIL, which ends nothing.
 */
static bool is_timed(const struct exu_seen *seen) {
  return seen->wait.kind != EXU_WAIT_GIL && (!seen->in_futex || seen->futex.timed);
}

/* Signals aside, no thread can ever run again when all of them sleep until another one wakes them. */
static bool all_asleep(const struct exu_finishing *finishing) {
  const struct exu_waits *waits = finishing->waits;
  if (!exu_wait_sees_all(waits)) return false;
  for (size_t i = 0; i < waits->seen.count; i++) {
    if (!exu_wait_is_asleep(finishing, &waits->seen.items[i])) return false;
  }
  return true;
}

static struct exu_edge make_edge(const struct exu_seen *seen) {
  const struct exu_wait *wait = &seen->wait;
  struct exu_edge edge = {.owner = wait->owner, .group = seen->queued_in, .timed = is_timed(seen)};
  if (wait->owner_tid >= 0 || wait->taker_count != 1) return edge;
  edge.owner = (int64_t)wait->takers[0].thread;
  edge.proof = wait->takers[0].kept ? EXU_PROOF_KEPT : EXU_PROOF_LEAD;
  return edge;
}

static bool find_deadlocks(struct exu_finishing *finishing, struct exu_report *report) {
  struct exu_waits *waits = finishing->waits;
  if (report->thread_count == 0) return true;
  EXU_GUARD(free) struct exu_edge *edges = calloc(report->thread_count, sizeof *edges);
  if (!edges) return false;
  for (size_t i = 0; i < report->thread_count; i++) edges[i].owner = -1;
  for (size_t i = 0; i < waits->seen.count; i++) {
    const struct exu_seen *seen = &waits->seen.items[i];
    if (seen->subject.thread >= report->thread_count) continue;
    /* One that stopped after the others had gone on is not of the same moment. */
    if (seen->subject.os->unstopped) continue;
    edges[seen->subject.thread] = make_edge(seen);
  }
  const struct exu_group *groups;
  size_t group_count;
  if (!exu_wait_groups(waits, &groups, &group_count)) return false;
  const struct exu_waiting waiting = {edges, report->thread_count, groups, group_count, all_asleep(finishing)};
  return exu_deadlocks_find(waits->arena, &waiting, &report->deadlocks, &report->deadlock_count);
}

static bool finish(struct exu_finishing *finishing, struct exu_report *report) {
  struct exu_waits *waits = finishing->waits;
  if (!index_threads(finishing) || !index_held(finishing)) return false;
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    explain(finishing, seen);
    finishing->threads[seen->subject.thread].wait = &seen->wait;
  }
  finishing->gil_is_lost = exu_wait_gil_is_lost(waits);
  for (size_t i = 0; i < waits->seen.count; i++) {
    if (waits->seen.items[i].wait.kind == EXU_WAIT_GIL) exu_wait_for_gil(finishing, &waits->seen.items[i]);
  }
  if (!find_deadlocks(finishing, report) || !exu_wait_find_hangs(finishing, report)) return false;
  for (size_t i = 0; waits->process->stopped && i < waits->seen.count; i++)
    explain_stop(finishing, &waits->seen.items[i].wait);
  return !waits->arena->exhausted;
}

bool exu_waits_finish(struct exu_waits *waits, struct exu_report *report, struct exu_thread *threads) {
  struct exu_finishing finishing = {.waits = waits, .report = report, .threads = threads};
  bool memory = finish(&finishing, report);
  exu_map_deinit(&finishing.by_tid);
  exu_map_deinit(&finishing.by_ident);
  exu_map_deinit(&finishing.by_gil);
  exu_map_deinit(&finishing.by_held);
  return memory;
}
