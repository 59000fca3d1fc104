/* SPDX-License-Identifier: Apache-2.0 */
#include "report/stacks.h"

#include <stdlib.h>
#include <string.h>

#include "process/crash.h"
#include "python/runtime/find.h"
#include "python/runtime/runtime.h"
#include "report/stacks_private.h"

enum { PREFETCH_MIB = 64 };

/* While stacks are put together. */
struct finishing {
  struct exu_stacks *stacks;
  struct exu_native *native;
  struct exu_stack_builder builder;
  struct exu_map watched;        /* frame objects of the thread at hand, to look for in its native frames */
  EXU_VECTOR(uint64_t) markers;  /* of the thread at hand */
  EXU_VECTOR(uint64_t) contexts; /* of the thread at hand: signal handlers */
};

/* Before 3.10 a native frame of the eval loop is known by the frame object that it keeps. */
static bool watch(struct finishing *finishing, const struct exu_stack_parts *parts) {
  exu_map_clear(&finishing->watched);
  for (size_t c = 0; c < parts->chain_count; c++) {
    const struct exu_chain *chain = &parts->chains[c];
    if (finishing->builder.runtimes[chain->runtime].by_marker) continue;
    for (size_t i = chain->first; i < chain->end; i++) {
      bool is_new;
      if (!exu_map_insert(&finishing->watched, parts->python[i].address, &is_new)) return false;
    }
  }
  return true;
}

static int by_address(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* Since 3.10 the markers tell where unwinding can go on when it breaks. */
static bool show_markers(struct finishing *finishing, const struct exu_stack_parts *parts) {
  const size_t count = exu_merged_stack_frames(parts);
  finishing->markers.count = 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t marker = parts->python[i].marker;
    if (marker == 0) continue;
    uint64_t *shown = EXU_PUSH(finishing->stacks->arena, &finishing->markers);
    if (!shown) return false;
    *shown = marker;
  }
  if (finishing->markers.count > 1)
    qsort(finishing->markers.items, finishing->markers.count, sizeof(uint64_t), by_address);
  exu_native_markers(finishing->native, finishing->markers.items, finishing->markers.count);
  return true;
}

/* Threads without Python are looked at last, and take nothing away from the others. */
static bool is_needed(const struct finishing *finishing, size_t index) {
  const struct exu_thread *thread = &finishing->stacks->threads[index];
  const struct exu_process *process = finishing->stacks->process;
  const bool got_signal =
      process->crash && process->thread_count > 0 && finishing->stacks->joined[index].os == process->threads;
  return thread->python || thread->crashed || got_signal || finishing->stacks->options->native_all;
}

static bool unwind(struct finishing *finishing, size_t index) {
  struct exu_joined *joined = &finishing->stacks->joined[index];
  struct exu_thread *thread = &finishing->stacks->threads[index];
  if (!joined->os || !joined->os->registers.valid) return true;
  if (exu_process_is_over(finishing->stacks->process)) {
    thread->native_complete = EXU_NO;
    return true;
  }
  if (!watch(finishing, &joined->parts) || !show_markers(finishing, &joined->parts)) return false;
  const struct exu_map *watched = finishing->watched.count > 0 ? &finishing->watched : NULL;
  const size_t markers = finishing->markers.count;
  const struct exu_unwind_python python = {.known = thread->python && thread->frames_complete,
                                           .frames = exu_merged_stack_frames(&joined->parts),
                                           .outermost = markers ? finishing->markers.items[markers - 1] : 0};
  exu_native_python(finishing->native, &python);
  /* Without memory it is too large with native frames; without them it may still fit. */
  if (!exu_native_thread(finishing->native, joined->os, watched, is_needed(finishing, index), &joined->native))
    return true;
  joined->parts.native = &joined->native;
  thread->native_complete = exu_unwind_is_whole(joined->native.end) ? EXU_YES : EXU_NO;
  return true;
}

/* The signal handlers that run on a thread's stack. */
static bool find_handlers(struct finishing *finishing, const struct exu_joined *joined, struct exu_handlers *handlers) {
  const struct exu_native_thread *native = joined->parts.native;
  finishing->contexts.count = 0;
  for (size_t i = 0; i < native->count; i++) {
    if (!native->frames[i].signal) continue;
    uint64_t *context = EXU_PUSH(finishing->stacks->arena, &finishing->contexts);
    if (!context) return false;
    *context = native->frames[i].sp; /* a handler returns with the stack pointer at the context */
  }
  *handlers = (struct exu_handlers){.thread = joined->os,
                                    .contexts = finishing->contexts.items,
                                    .count = finishing->contexts.count,
                                    .complete = exu_unwind_is_whole(native->end) && native->gap_count == 0};
  return true;
}

/*
 * A process that raised the signal itself may have done so in the handler of another one, or of the same, in any of its
 * threads.
 */
static void look_into_handlers(struct finishing *finishing) {
  struct exu_stacks *stacks = finishing->stacks;
  if (!exu_crash_handlers_tell(stacks->process)) return;
  bool known = true;
  for (size_t i = 0; i < stacks->report->thread_count; i++) {
    struct exu_joined *joined = &stacks->joined[i];
    struct exu_handlers handlers = {.complete = false};
    if (!joined->os || !exu_crash_may_handle(stacks->process, joined->os)) continue;
    if (joined->parts.native && !find_handlers(finishing, joined, &handlers)) return;
    known = known && handlers.complete && handlers.count == 0;
    if (joined->parts.native && exu_crash_handled(stacks->process, &handlers)) break;
  }
  if (known) exu_crash_unhandled(stacks->process);
  for (size_t i = 0; i < stacks->report->thread_count; i++)
    stacks->threads[i].crashed = stacks->joined[i].os && stacks->joined[i].os->crashed;
}

static void say_given_up(struct exu_stacks *stacks) {
  const struct exu_scene *scene = &stacks->process->scene;
  if (scene->thread || !scene->given_up) return;
  exu_incomplete(stacks->diagnostics, EXU_DIAGNOSTIC_CRASH_SEARCH_BUDGET, -1,
                 "signal handlers were not searched for in all memory, so that it is not known whose the crash is");
}

static bool build(struct finishing *finishing, size_t index, bool symbolized) {
  struct exu_stack_parts *parts = &finishing->stacks->joined[index].parts;
  struct exu_thread *thread = &finishing->stacks->threads[index];
  if ((symbolized || !parts->native) && exu_build_stack(&finishing->builder, parts, thread)) return true;
  if (!parts->native) return false;
  parts->native = NULL;
  thread->native_complete = EXU_NO;
  return exu_build_stack(&finishing->builder, parts, thread);
}

/* `runtimes` has room for EXU_RUNTIMES_MAX. */
static struct exu_stack_builder make_builder(const struct exu_stacks *stacks, const struct exu_native *native,
                                             struct exu_stack_runtime *runtimes) {
  const struct exu_modules *modules = native ? native->symbolizer.modules : NULL;
  const size_t count = stacks->runtimes ? stacks->runtimes->count : 0;
  for (size_t i = 0; i < count; i++) {
    struct exu_py *py = &stacks->runtimes->items[i];
    bool in_module = modules && py->runtime->module && modules == py->modules;
    runtimes[i] = (struct exu_stack_runtime){
        .py = py,
        .module = in_module ? (int32_t)(py->runtime->module - modules->items) : -1,
        .by_marker = !exu_py_has(py->runtime->layout.tstate_frame) || exu_py_has(py->runtime->layout.tstate_cframe),
        .python2 = py->runtime->build.version.major < 3,
    };
  }
  return (struct exu_stack_builder){
      .arena = stacks->arena,
      .diagnostics = stacks->diagnostics,
      .process = stacks->process,
      .modules = modules,
      .runtimes = runtimes,
      .runtime_count = count,
      .all = stacks->options->native_all,
      .max_frames = stacks->options->max_frames,
      .questions_left = EXU_MERGE_QUESTIONS_MAX,
  };
}

static void describe_threads(struct exu_stacks *stacks) {
  for (size_t i = 0; i < stacks->report->thread_count; i++) {
    const struct exu_os_thread *os = stacks->joined[i].os;
    if (!os || stacks->process->running_pid < 0) continue;
    stacks->threads[i].comm = os->comm;
    stacks->threads[i].cpu_us = os->cpu_us;
  }
}

void exu_stacks_finish(struct exu_stacks *stacks, struct exu_native *native) {
  const size_t count = stacks->report->thread_count;
  struct exu_stack_runtime runtimes[EXU_RUNTIMES_MAX];
  struct finishing finishing = {.stacks = stacks, .native = native, .builder = make_builder(stacks, native, runtimes)};
  bool memory = true, symbolized = false, fits = true;
  for (int needed = 1; native && needed >= 0; needed--) {
    for (size_t i = 0; memory && i < count; i++) memory = is_needed(&finishing, i) != needed || unwind(&finishing, i);
  }
  if (native && memory) look_into_handlers(&finishing);
  say_given_up(stacks);
  if (native) symbolized = exu_native_symbolize(native);
  for (size_t i = 0; i < count; i++) {
    fits = fits && build(&finishing, i, symbolized);
    if (fits) continue;
    stacks->threads[i].frames_complete = false;
    stacks->threads[i].native_complete = EXU_NO;
  }
  describe_threads(stacks);
  if (stacks->waits) exu_waits_finish(stacks->waits, stacks->report, stacks->threads);
  exu_map_deinit(&finishing.watched);
  exu_map_deinit(&finishing.builder.classes);
  exu_builtins_deinit(&finishing.builder.builtins);
}

/* Of one runtime. */
static void prefetch(struct exu_py *py) {
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  exu_arena_init(&arena, (size_t)PREFETCH_MIB << 20);
  exu_diagnostics_init(&diagnostics, &arena);
  struct exu_py trial = exu_py_reader(py->runtime, py->process, py->modules, &arena, &diagnostics);
  struct exu_py_threads threads = {0};
  struct exu_py_stack stack = {0};
  bool memory = exu_py_threads(&trial, 0, &threads);
  if (threads.threads.count > 1) exu_py_find_import_lock(py); /* what one waits for, another holds */
  for (size_t i = 0; memory && i < threads.interpreters.count && !exu_process_is_over(py->process); i++) {
    struct exu_py_names names = {0};
    memory = exu_py_names_read(&trial, threads.interpreters.items[i].address, &names);
    exu_py_names_deinit(&names);
  }
  for (size_t i = 0; memory && i < threads.threads.count && !exu_process_is_over(py->process); i++) {
    stack.frames.count = 0;
    memory = exu_py_frames(&trial, threads.threads.items[i].tstate, -1, 0, &stack);
  }
  exu_py_deinit(&trial);
  exu_arena_deinit(&arena);
}

void exu_stacks_prefetch(struct exu_runtimes *runtimes) {
  for (size_t i = 0; i < runtimes->count; i++) prefetch(&runtimes->items[i]);
}

struct exu_stacks *exu_stacks_read(struct exu_report *report, struct exu_process *process,
                                   struct exu_runtimes *runtimes, const struct exu_options *options,
                                   struct exu_diagnostics *diagnostics) {
  struct exu_stacks *stacks = calloc(1, sizeof *stacks);
  if (!stacks) return NULL;
  stacks->report = report;
  stacks->process = process;
  stacks->runtimes = runtimes;
  stacks->options = options;
  stacks->diagnostics = diagnostics;
  stacks->arena = diagnostics->arena;
  stacks->waits = exu_waits_create(process, stacks->arena, diagnostics);
  exu_join(stacks);
  return stacks;
}

void exu_stacks_read_late_waits(struct exu_stacks *stacks) {
  if (stacks && stacks->waits) exu_waits_read_late(stacks->waits);
}

void exu_stacks_doubt_python(struct exu_stacks *stacks) {
  for (size_t i = 0; stacks && i < stacks->report->thread_count; i++)
    stacks->threads[i].python_unknown |= !stacks->threads[i].python;
}

void exu_stacks_destroy(struct exu_stacks *stacks) {
  if (!stacks) return;
  for (size_t i = 0; stacks->names && i < stacks->python.interpreters.count; i++)
    exu_py_names_deinit(&stacks->names[i]);
  exu_map_deinit(&stacks->by_ident);
  exu_waits_destroy(stacks->waits);
  free(stacks);
}
