/* SPDX-License-Identifier: Apache-2.0 */
#include "report/stacks.h"

#include <stdlib.h>
#include <string.h>

#include "python/frames.h"
#include "python/names.h"
#include "python/threads.h"
#include "report/splice.h"

/* What a thread's stack is made of, until all addresses are symbolized. */
struct pending {
  struct exu_splice splice;
  struct exu_native_thread native;
};

struct joining {
  struct exu_report *report;
  const struct exu_target *target;
  struct exu_py *py;
  const struct exu_options *options;
  struct exu_diagnostics *diagnostics;
  struct exu_arena *arena;
  struct exu_py_threads python;
  struct exu_py_names *names; /* one for each interpreter */
  struct exu_map by_ident;    /* ident -> the first struct exu_py_thread */
  size_t *next_same;          /* thread state -> index + 1 of the next with the same ident */
  bool *joined;               /* thread states that belong to a thread of the operating system */
  struct exu_py_stack stack;  /* used again for every thread */
  EXU_VECTOR(struct exu_chain) chains;
  struct exu_native *native; /* NULL: Python frames only */
  struct exu_splicer splicer;
  struct exu_map watched;       /* frame objects of the thread at hand, to look for in its native frames */
  EXU_VECTOR(uint64_t) markers; /* of the thread at hand */
  struct exu_thread *threads;   /* the report's, while they are written */
  struct pending *pending;      /* one for each thread of the report; NULL: Python frames only */
};

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

static int32_t interpreter_id(const struct joining *joining, size_t index) {
  return (int32_t)joining->python.interpreters.items[index].id;
}

/* The frames of a thread state that were read since there were `first`. */
static bool add_chain(struct joining *joining, size_t first, size_t interpreter) {
  if (joining->stack.frames.count == first) return true;
  struct exu_chain *chain = EXU_PUSH(joining->arena, &joining->chains);
  if (!chain) return false;
  *chain = (struct exu_chain){
      .first = first, .end = joining->stack.frames.count, .interpreter = interpreter_id(joining, interpreter)};
  return true;
}

/* What the vectors of the joining hold until they are used again for the next thread. */
static struct exu_splice current_splice(const struct joining *joining) {
  return (struct exu_splice){
      .python = joining->stack.frames.items, .chains = joining->chains.items, .chain_count = joining->chains.count};
}

/* Keep what the vectors hold: a copy, or where that would be large the storage itself, in exchange for new one. */
static bool keep(struct joining *joining, struct exu_splice *kept) {
  enum { LARGE = 4096 };
  size_t frames = joining->stack.frames.count, chains = joining->chains.count;
  struct exu_chain *chain = exu_arena_array(joining->arena, chains, sizeof *chain);
  if (!chain) return false;
  if (chains) memcpy(chain, joining->chains.items, chains * sizeof *chain);
  *kept = (struct exu_splice){.python = joining->stack.frames.items, .chains = chain, .chain_count = chains};
  if (frames > LARGE) {
    joining->stack.frames.items = NULL;
    joining->stack.frames.capacity = 0;
    return true;
  }
  struct exu_py_frame *python = exu_arena_array(joining->arena, frames, sizeof *python);
  if (!python) return false;
  if (frames) memcpy(python, joining->stack.frames.items, frames * sizeof *python);
  kept->python = python;
  return true;
}

/* Before 3.10 a native frame of the eval loop is known by the frame object that it keeps. */
static bool watch(struct joining *joining) {
  exu_map_clear(&joining->watched);
  for (size_t i = 0; i < joining->stack.frames.count; i++) {
    bool is_new;
    if (!exu_map_insert(&joining->watched, joining->stack.frames.items[i].address, &is_new)) return false;
  }
  return true;
}

static int by_address(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* Since 3.10 the markers tell where unwinding can go on when it breaks. */
static bool show_markers(struct joining *joining) {
  joining->markers.count = 0;
  for (size_t i = 0; i < joining->stack.frames.count; i++) {
    uint64_t marker = joining->stack.frames.items[i].marker;
    if (marker == 0) continue;
    uint64_t *shown = EXU_PUSH(joining->arena, &joining->markers);
    if (!shown) return false;
    *shown = marker;
  }
  if (joining->markers.count > 1) qsort(joining->markers.items, joining->markers.count, sizeof(uint64_t), by_address);
  exu_native_markers(joining->native, joining->markers.items, joining->markers.count);
  return true;
}

/* The frames of a thread: now without native ones, or by finish_threads with them. */
static bool set_frames(struct joining *joining, struct exu_thread *thread, const struct exu_os_thread *os) {
  bool wanted = os && (thread->python || thread->crashed || joining->options->native_all);
  struct exu_splice now = current_splice(joining);
  if (!joining->native || !wanted) return exu_splice(&joining->splicer, &now, thread);
  struct pending *pending = &joining->pending[thread - joining->report->threads];
  bool by_pointer = !joining->splicer.by_marker;
  if (by_pointer ? !watch(joining) : !show_markers(joining)) return false;
  if (!exu_native_thread(joining->native, os, by_pointer ? &joining->watched : NULL, &pending->native) ||
      !keep(joining, &pending->splice)) {
    /* Too large with native frames; without them it may still fit. */
    return exu_splice(&joining->splicer, &now, thread);
  }
  pending->splice.native = &pending->native;
  thread->native_complete = pending->native.end == EXU_UNWIND_START ? EXU_YES : EXU_NO;
  return true;
}

static bool finish_threads(struct joining *joining) {
  if (!joining->native) return true;
  bool symbolized = exu_native_symbolize(joining->native);
  for (size_t i = 0; i < joining->report->thread_count; i++) {
    struct pending *pending = &joining->pending[i];
    struct exu_thread *thread = &joining->threads[i];
    if (!pending->splice.native) continue;
    if (symbolized && exu_splice(&joining->splicer, &pending->splice, thread)) continue;
    pending->splice.native = NULL;
    thread->native_complete = EXU_NO;
    if (!exu_splice(&joining->splicer, &pending->splice, thread)) return false;
  }
  return true;
}

static struct exu_splicer make_splicer(const struct joining *joining) {
  const struct exu_py *py = joining->py;
  const struct exu_modules *modules = joining->native ? joining->native->symbolizer.modules : NULL;
  bool in_module = modules && py && py->module && modules == py->modules;
  return (struct exu_splicer){
      .arena = joining->arena,
      .diagnostics = joining->diagnostics,
      .target = joining->target,
      .modules = modules,
      .interpreter_module = in_module ? (int32_t)(py->module - modules->items) : -1,
      .by_marker = !py || !exu_py_has(py->layout.tstate_frame) || exu_py_has(py->layout.tstate_cframe),
      .python2 = py && py->build.version.major < 3,
      .all = joining->options->native_all,
  };
}

/* ---- Joining ----------------------------------------------------------------------------------------------------- */

/*
 * In 2.7 a forked child keeps the thread states of its parent's other threads (Python 3 deletes them), and a new
 * thread easily gets the stack, and so the ident, of one of those. New thread states are put first in the list: of two
 * in one interpreter with the same ident the later one in the list is a leftover.
 */
static bool is_leftover(const struct joining *joining, const struct exu_py_thread *state,
                        const struct exu_py_thread *later) {
  return joining->py->build.version.major < 3 && later && later->interpreter == state->interpreter;
}

static bool index_thread_states(struct joining *joining) {
  struct exu_py_thread *states = joining->python.threads.items;
  size_t count = joining->python.threads.count;
  joining->next_same = exu_arena_array(joining->arena, count, sizeof *joining->next_same);
  joining->joined = exu_arena_array(joining->arena, count, sizeof *joining->joined);
  if (!joining->next_same || !joining->joined) return false;
  for (size_t i = count; i-- > 0;) {
    bool is_new;
    if (states[i].ident == 0) continue; /* not started yet */
    void **slot = exu_map_insert(&joining->by_ident, states[i].ident, &is_new);
    if (!slot) return false;
    const struct exu_py_thread *later = *slot;
    joining->next_same[i] = later ? (size_t)(later - states) + 1 : 0;
    if (is_leftover(joining, &states[i], later)) joining->next_same[i] = joining->next_same[later - states];
    *slot = &states[i];
  }
  return true;
}

/*
 * Index + 1 of the first thread state of a thread: its thread_id is the thread pointer. Where the machine does not tell
 * that, the kernel's thread id decides; it is wrong in a child that forked, and only there.
 */
static size_t first_thread_state(const struct joining *joining, const struct exu_os_thread *os) {
  const struct exu_registers *registers = &os->registers;
  uint64_t self = registers->has_thread_pointer ? joining->target->arch->pthread_self(registers->thread_pointer) : 0;
  if (self) {
    void **slot = exu_map_find(&joining->by_ident, self);
    return slot ? (size_t)((const struct exu_py_thread *)*slot - joining->python.threads.items) + 1 : 0;
  }
  for (size_t i = 0; i < joining->python.threads.count; i++) {
    if (joining->python.threads.items[i].native_id == (uint64_t)os->tid && os->tid > 0) return i + 1;
  }
  return 0;
}

/* The name that threading gives; without threading the main thread still is what threading would call it. */
static struct exu_string thread_name(const struct joining *joining, const struct exu_py_thread *state, bool main) {
  const struct exu_py_names *names = &joining->names[state->interpreter];
  struct exu_string name = exu_py_name(names, state->ident);
  if (!name.data && main && names->by_ident.count == 0) name = (struct exu_string){"MainThread", strlen("MainThread")};
  return name;
}

static bool add_thread_state(struct joining *joining, size_t index, struct exu_thread *thread,
                             const struct exu_registers *registers) {
  const struct exu_py_thread *state = &joining->python.threads.items[index];
  size_t first = joining->stack.frames.count;
  joining->joined[index] = true;
  thread->python = true;
  if (!thread->name.data) thread->name = thread_name(joining, state, thread->main);
  enum exu_gil gil = exu_py_gil(joining->py, &joining->python, state, registers);
  if (thread->gil == EXU_GIL_UNKNOWN || gil == EXU_GIL_HOLDS || (gil == EXU_GIL_WAITS && thread->gil == EXU_GIL_NONE)) {
    thread->gil = gil;
  }
  if (!exu_py_frames(joining->py, state->tstate, thread->tid, joining->options->max_frames, &joining->stack))
    return false;
  thread->frames_complete &= joining->stack.complete;
  return add_chain(joining, first, state->interpreter);
}

static bool add_frames(struct joining *joining, size_t state, struct exu_thread *thread,
                       const struct exu_registers *registers) {
  thread->frames_complete = true;
  for (; state; state = joining->next_same[state - 1]) {
    if (!add_thread_state(joining, state - 1, thread, registers)) return false;
  }
  return true;
}

static bool add_os_thread(struct joining *joining, const struct exu_os_thread *os, struct exu_thread *thread) {
  *thread = (struct exu_thread){.tid = os->tid,
                                .interpreter = -1,
                                .main = os->tid == joining->target->pid,
                                .crashed = os->crashed && joining->target->crash,
                                .native_complete = EXU_UNKNOWN,
                                .frames_complete = true};
  if (thread->main) thread->comm = joining->target->comm;
  size_t state = joining->py ? first_thread_state(joining, os) : 0;
  joining->stack.frames.count = joining->chains.count = 0;
  if (state) {
    thread->interpreter = interpreter_id(joining, joining->python.threads.items[state - 1].interpreter);
    if (!add_frames(joining, state, thread, &os->registers)) return false;
  }
  return set_frames(joining, thread, os);
}

/*
 * Thread states that no thread of the operating system claims: their thread ended without cleaning up, or the core
 * does not have it.
 * They are shown when they have frames, because those are what somebody looks for.
 */
static bool add_orphans(struct joining *joining, struct exu_thread *threads, size_t *count) {
  for (size_t i = 0; i < joining->python.threads.count; i++) {
    if (joining->joined[i]) continue;
    struct exu_thread thread = {.tid = -1, .interpreter = -1, .native_complete = EXU_UNKNOWN, .frames_complete = true};
    joining->stack.frames.count = joining->chains.count = 0;
    if (!add_thread_state(joining, i, &thread, NULL)) return false;
    if (joining->stack.frames.count == 0) continue;
    thread.interpreter = interpreter_id(joining, joining->python.threads.items[i].interpreter);
    if (!set_frames(joining, &thread, NULL)) return false;
    exu_note(joining->diagnostics, "thread-not-in-core", -1,
             "the thread state at 0x%llx belongs to no thread of the process (thread ident 0x%llx)",
             (unsigned long long)joining->python.threads.items[i].tstate,
             (unsigned long long)joining->python.threads.items[i].ident);
    threads[(*count)++] = thread;
  }
  return true;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static bool read_python(struct joining *joining) {
  struct exu_report *report = joining->report;
  if (!exu_py_threads(joining->py, &joining->python)) return false;
  size_t count = joining->python.interpreters.count;
  struct exu_interpreter *interpreters = exu_arena_array(joining->arena, count, sizeof *interpreters);
  joining->names = exu_arena_array(joining->arena, count, sizeof *joining->names);
  if (!interpreters || !joining->names) return false;
  for (size_t i = 0; i < count; i++) {
    const struct exu_py_interpreter *interpreter = &joining->python.interpreters.items[i];
    interpreters[i] = (struct exu_interpreter){
        .id = interpreter->id, .address = interpreter->address, .gc_collecting = interpreter->gc_collecting};
    if (!exu_py_names_read(joining->py, interpreter->address, &joining->names[i])) return false;
  }
  report->interpreters = interpreters;
  report->interpreter_count = count;
  return index_thread_states(joining);
}

static void add_threads(struct joining *joining) {
  const struct exu_target *target = joining->target;
  size_t limit = joining->options->max_threads ? joining->options->max_threads : SIZE_MAX;
  size_t shown = target->thread_count < limit ? target->thread_count : limit;
  struct exu_thread *threads = exu_arena_array(joining->arena, shown + joining->python.threads.count, sizeof *threads);
  size_t count = 0;
  joining->pending = exu_arena_array(joining->arena, shown + joining->python.threads.count, sizeof *joining->pending);
  if (!threads || !joining->pending) return;
  joining->report->threads = joining->threads = threads;
  while (count < shown && add_os_thread(joining, &target->threads[count], &threads[count])) {
    joining->report->thread_count = ++count;
  }
  if (shown < target->thread_count) {
    exu_note(joining->diagnostics, "max-threads", -1, "%zu of %zu threads are shown, as asked for", shown,
             target->thread_count);
  } else if (joining->py && count == shown) {
    add_orphans(joining, threads, &count);
    joining->report->thread_count = count;
  }
  finish_threads(joining);
}

void exu_report_threads(struct exu_report *report, const struct exu_target *target, struct exu_py *py,
                        struct exu_native *native, const struct exu_options *options,
                        struct exu_diagnostics *diagnostics) {
  struct joining joining = {.report = report,
                            .target = target,
                            .py = py,
                            .native = native,
                            .options = options,
                            .diagnostics = diagnostics,
                            .arena = diagnostics->arena};
  joining.splicer = make_splicer(&joining);
  if (!py || read_python(&joining)) add_threads(&joining);
  for (size_t i = 0; joining.names && i < joining.python.interpreters.count; i++)
    exu_py_names_deinit(&joining.names[i]);
  exu_map_deinit(&joining.by_ident);
  exu_map_deinit(&joining.watched);
  exu_map_deinit(&joining.splicer.classes);
}
