/* SPDX-License-Identifier: Apache-2.0 */
/* The second step: reasons, owners and deadlocks, of every thread. */
#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "base/map.h"
#include "process/signal_names.h"
#include "waits/deadlock.h"
#include "waits/waits_private.h"

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

/* "worker-1" in quotes, with its number; thread 1234 without a name. */
static struct exu_string make_label(const struct exu_finishing *finishing, const struct exu_seen *seen) {
  struct exu_string name = finishing->threads[seen->subject.thread].name;
  long long tid = (long long)seen->subject.os->tid;
  if (!name.data || name.size == 0) return exu_arena_printf(finishing->waits->arena, "thread %lld", tid);
  int size = name.size < EXU_WAIT_NAME_SHOWN ? (int)name.size : EXU_WAIT_NAME_SHOWN;
  return exu_arena_printf(finishing->waits->arena, "\"%.*s\" (%lld)", size, name.data, tid);
}

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
  bool elsewhere = pid >= 0 && exu_tid_inside(pid, pid) != pid;
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    const struct exu_registers *registers = &seen->subject.os->registers;
    uint64_t self = registers->has_thread_pointer ? process->arch->pthread_self(registers->thread_pointer) : 0;
    if (elsewhere) seen->tid = exu_tid_inside(pid, seen->tid);
    if (seen->tid > 0 && !put_in_map(&finishing->by_tid, (uint64_t)seen->tid, seen)) return false;
    if (!put_in_map(&finishing->by_ident, seen->subject.ident ? seen->subject.ident : self, seen)) return false;
  }
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    seen->label = make_label(finishing, seen);
    if (!seen->label.data) return false;
  }
  return true;
}

struct exu_seen *exu_wait_find(const struct exu_map *map, uint64_t key) {
  void **slot = key ? exu_map_find(map, key) : NULL;
  return slot ? *slot : NULL;
}

struct exu_string exu_wait_label(const struct exu_finishing *finishing, size_t thread) {
  const struct exu_waits *waits = finishing->waits;
  /* All threads of the operating system come first, in the same order; states without a thread are not seen. */
  if (thread < waits->seen.count && waits->seen.items[thread].subject.thread == thread) {
    return waits->seen.items[thread].label;
  }
  for (size_t i = 0; i < waits->seen.count; i++) {
    if (waits->seen.items[i].subject.thread == thread) return waits->seen.items[i].label;
  }
  return (struct exu_string){NULL, 0};
}

/* Threads beyond those that are shown count, too. */
bool exu_wait_is_thread(const void *context, int64_t tid) {
  const struct exu_finishing *finishing = context;
  const struct exu_process *process = finishing->waits->process;
  if (tid > 0 && exu_wait_find(&finishing->by_tid, (uint64_t)tid)) return true;
  for (size_t i = 0; i < process->thread_count; i++) {
    if (process->threads[i].tid == tid) return true;
  }
  return false;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static void explain(struct exu_finishing *finishing, struct exu_seen *seen) {
  struct exu_wait *wait = seen->wait;
  *wait = (struct exu_wait){.owner = -1, .owner_tid = -1, .system_call = -1, .fd = -1, .child = -1};
  if (seen->subject.os->ran) { /* what was seen may be true no more */
    wait->evidence = exu_arena_printf(finishing->waits->arena, "it ran while it was read");
    return;
  }
  exu_wait_in_call(finishing->waits, seen, wait);
  if (seen->subject.gil != 0) {
    wait->kind = EXU_WAIT_GIL;
  } else if (seen->py.kind != EXU_WAIT_UNKNOWN) {
    exu_wait_by_python(finishing, seen);
  } else if (seen->in_futex) {
    exu_wait_in_futex(finishing, seen);
  }
}

/* A process that is stopped by a signal hangs for that reason first; what its threads waited for is still said. */
static void explain_stop(struct exu_finishing *finishing, struct exu_wait *wait) {
  struct exu_arena *arena = finishing->waits->arena;
  int signal = finishing->waits->process->stop_signal;
  const char *name = exu_signal_name(signal);
  struct exu_string stopped = name ? exu_arena_printf(arena, "is stopped by %s", name)
                                   : exu_arena_printf(arena, "is stopped by signal %d", signal);
  bool waited = wait->kind != EXU_WAIT_RUNNING && wait->kind != EXU_WAIT_UNKNOWN && wait->summary.data;
  wait->kind = EXU_WAIT_STOPPED;
  wait->summary =
      waited ? exu_wait_concat(arena, "", stopped, exu_wait_concat(arena, ", and ", wait->summary, exu_wait_word("")))
             : stopped;
  wait->evidence = exu_arena_printf(arena, "the kernel says that the process is stopped");
}

/*
 * Does the wait end by itself? 2.7 waits with a time limit by asking again and again. So does everybody who waits for
 * the GIL, which ends nothing.
 */
static bool is_timed(const struct exu_seen *seen) {
  return seen->wait->kind != EXU_WAIT_GIL && (!seen->in_futex || seen->futex.timed);
}

/* A child that called os.fork() with a lock of multiprocessing believes that it has it. So does its parent. */
static bool is_proved(const struct exu_finishing *finishing, const struct exu_seen *seen) {
  if (!seen->py.shared || seen->wait->owner < 0) return true;
  return !finishing->threads[seen->wait->owner].main;
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

static struct exu_edge make_edge(const struct exu_finishing *finishing, const struct exu_seen *seen) {
  const struct exu_wait *wait = seen->wait;
  struct exu_edge edge = {.owner = is_proved(finishing, seen) ? wait->owner : -1,
                          .thread = seen->label,
                          .what = seen->what,
                          .relation = seen->relation,
                          .group = seen->queued_in,
                          .timed = is_timed(seen)};
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
    edges[seen->subject.thread] = make_edge(finishing, seen);
  }
  const struct exu_group *groups;
  size_t group_count;
  if (!exu_wait_groups(waits, &groups, &group_count)) return false;
  const struct exu_waiting waiting = {edges, report->thread_count, groups, group_count, all_asleep(finishing)};
  return exu_deadlocks_find(waits->arena, &waiting, &report->deadlocks, &report->deadlock_count);
}

static bool finish(struct exu_finishing *finishing, struct exu_report *report) {
  struct exu_waits *waits = finishing->waits;
  struct exu_wait *list = exu_arena_array(waits->arena, waits->seen.count, sizeof *list);
  if (!list || !index_threads(finishing)) return false;
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    seen->wait = &list[i];
    explain(finishing, seen);
    finishing->threads[seen->subject.thread].wait = seen->wait;
  }
  finishing->gil_is_lost = exu_wait_gil_is_lost(waits);
  for (size_t i = 0; i < waits->seen.count; i++) {
    if (waits->seen.items[i].wait->kind == EXU_WAIT_GIL) exu_wait_for_gil(finishing, &waits->seen.items[i]);
  }
  if (!find_deadlocks(finishing, report) || !exu_wait_find_hangs(finishing, report)) return false;
  for (size_t i = 0; waits->process->stop_signal && i < waits->seen.count; i++)
    explain_stop(finishing, waits->seen.items[i].wait);
  return !waits->arena->exhausted;
}

bool exu_waits_finish(struct exu_waits *waits, struct exu_report *report, struct exu_thread *threads) {
  struct exu_finishing finishing = {.waits = waits, .report = report, .threads = threads};
  bool memory = finish(&finishing, report);
  exu_map_deinit(&finishing.by_tid);
  exu_map_deinit(&finishing.by_ident);
  return memory;
}
