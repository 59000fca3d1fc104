/* SPDX-License-Identifier: Apache-2.0 */
#include "report/stacks.h"

#include <stdlib.h>
#include <string.h>

#include "python/frames.h"
#include "python/names.h"
#include "python/threads.h"

/* A run of the eval loop: consecutive frames of one thread state, the last of which is the entry. */
struct run {
  size_t first;
  size_t count;
  uint64_t marker;
  size_t interpreter;
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
  EXU_VECTOR(struct run) runs;
};

/* ---- Frames ------------------------------------------------------------------------------------------------------- */

static bool add_runs(struct joining *joining, size_t first, size_t interpreter) {
  const struct exu_py_stack *stack = &joining->stack;
  for (size_t i = first; i < stack->frames.count; i++) {
    const struct exu_py_frame *frame = &stack->frames.items[i];
    if (!frame->entry && i + 1 < stack->frames.count) continue;
    struct run *run = EXU_PUSH(joining->arena, &joining->runs);
    if (!run) return false;
    *run = (struct run){.first = first, .count = i + 1 - first, .marker = frame->marker, .interpreter = interpreter};
    first = i + 1;
  }
  return true;
}

static int by_marker(const void *a, const void *b) {
  const struct run *x = a, *y = b;
  if (x->marker != y->marker) return x->marker < y->marker ? -1 : 1;
  return x->first < y->first ? -1 : x->first > y->first;
}

/*
 * Thread states of several interpreters on one thread interleave: the stack grows down, so the run with the lowest
 * marker is the innermost. Before 3.10 there are no markers, and only which one is current is known.
 */
static void order_runs(struct joining *joining, int64_t tid) {
  bool all_marked = true;
  for (size_t i = 0; i < joining->runs.count; i++) all_marked &= joining->runs.items[i].marker != 0;
  if (all_marked) {
    qsort(joining->runs.items, joining->runs.count, sizeof *joining->runs.items, by_marker);
  } else {
    exu_note(joining->diagnostics, "interpreter-order", tid,
             "several interpreters have frames on this thread, and how they interleave is not known: the frames of "
             "each are together");
  }
}

static void convert_frame(struct exu_frame *out, const struct exu_py_frame *in, int32_t interpreter) {
  *out = (struct exu_frame){.kind = EXU_FRAME_PYTHON,
                            .entry = in->entry,
                            .interpreter = interpreter,
                            .function = in->code->function,
                            .qualname = in->code->qualname,
                            .file = in->code->file,
                            .position = in->position,
                            .address = in->address,
                            .module = -1};
}

static int32_t interpreter_id(const struct joining *joining, size_t index) {
  return (int32_t)joining->python.interpreters.items[index].id;
}

static bool convert_runs(struct joining *joining, struct exu_thread *thread) {
  struct exu_frame *frames = exu_arena_array(joining->arena, joining->stack.frames.count, sizeof *frames);
  size_t count = 0;
  if (!frames) return false;
  for (size_t i = 0; i < joining->runs.count; i++) {
    const struct run *run = &joining->runs.items[i];
    for (size_t k = 0; k < run->count; k++) {
      convert_frame(&frames[count++], &joining->stack.frames.items[run->first + k],
                    interpreter_id(joining, run->interpreter));
    }
  }
  thread->frames = frames;
  thread->frame_count = count;
  return true;
}

/* ---- Joining --------------------------------------------------------------------------------------------------------- */

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
  return add_runs(joining, first, state->interpreter);
}

static bool add_frames(struct joining *joining, size_t state, struct exu_thread *thread,
                       const struct exu_registers *registers) {
  size_t states_with_frames = 0;
  joining->stack.frames.count = 0;
  joining->runs.count = 0;
  thread->frames_complete = true;
  for (; state; state = joining->next_same[state - 1]) {
    size_t before = joining->stack.frames.count;
    if (!add_thread_state(joining, state - 1, thread, registers)) return false;
    states_with_frames += joining->stack.frames.count > before;
  }
  if (states_with_frames > 1) order_runs(joining, thread->tid);
  if (joining->runs.count > 0) thread->interpreter = interpreter_id(joining, joining->runs.items[0].interpreter);
  return convert_runs(joining, thread);
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
  if (!state) return true;
  thread->interpreter = interpreter_id(joining, joining->python.threads.items[state - 1].interpreter);
  return add_frames(joining, state, thread, &os->registers);
}

/*
 * Thread states that no thread of the operating system claims: their thread ended without cleaning up, or the core does not have it.
 * They are shown when they have frames, because those are what somebody looks for.
 */
static bool add_orphans(struct joining *joining, struct exu_thread *threads, size_t *count) {
  for (size_t i = 0; i < joining->python.threads.count; i++) {
    if (joining->joined[i]) continue;
    struct exu_thread thread = {.tid = -1, .interpreter = -1, .native_complete = EXU_UNKNOWN, .frames_complete = true};
    joining->stack.frames.count = joining->runs.count = 0;
    if (!add_thread_state(joining, i, &thread, NULL)) return false;
    if (joining->stack.frames.count == 0) continue;
    thread.interpreter = interpreter_id(joining, joining->python.threads.items[i].interpreter);
    if (!convert_runs(joining, &thread)) return false;
    exu_note(joining->diagnostics, "thread-not-in-core", -1,
             "the thread state at 0x%llx belongs to no thread of the process (thread ident 0x%llx)",
             (unsigned long long)joining->python.threads.items[i].tstate,
             (unsigned long long)joining->python.threads.items[i].ident);
    threads[(*count)++] = thread;
  }
  return true;
}

/* ---- All of it --------------------------------------------------------------------------------------------------------- */

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
  if (!threads) return;
  joining->report->threads = threads;
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
}

void exu_report_threads(struct exu_report *report, const struct exu_target *target, struct exu_py *py,
                        const struct exu_options *options, struct exu_diagnostics *diagnostics) {
  struct joining joining = {.report = report,
                            .target = target,
                            .py = py,
                            .options = options,
                            .diagnostics = diagnostics,
                            .arena = diagnostics->arena};
  if (!py || read_python(&joining)) add_threads(&joining);
  for (size_t i = 0; joining.names && i < joining.python.interpreters.count; i++)
    exu_py_names_deinit(&joining.names[i]);
  exu_map_deinit(&joining.by_ident);
}
