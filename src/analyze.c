/* SPDX-License-Identifier: Apache-2.0 */
#include "analyze.h"

#include <inttypes.h>
#include <stdio.h>

#include "binary/abort_message.h"
#include "binary/debug_file.h"
#include "binary/mapped_file.h"
#include "binary/modules.h"
#include "binary/thread_ids.h"
#include "process/crash.h"
#include "process/live.h"
#include "process/system_calls.h"

static void describe_process(struct exu_analysis *analysis) {
  const struct exu_process *process = &analysis->process;
  struct exu_report *report = analysis->report;
  report->source_bytes = process->bytes;
  report->source_truncated = process->truncated;
  report->source_missing_bytes = process->missing_bytes;
  report->pause_us = process->pause_us;
  report->pid = process->pid;
  report->arguments = process->arguments;
  report->arch = process->arch->name;
  report->crash = process->crash;
  report->directory = process->directory;
  report->sources_as_of = process->sources_as_of;
  if (process->running_pid >= 0) report->root = exu_live_root_for_later(process, analysis->arena).data;
}

/* Is there no time for more? finish() says that it was so. */
static bool is_over(const struct exu_analysis *analysis) { return exu_limits_reached(analysis->limits); }

static struct exu_string build_id_text(struct exu_arena *arena, const struct exu_build_id *id) {
  char text[2 * EXU_BUILD_ID_MAX + 1];
  if (id->size == 0) return (struct exu_string){NULL, 0};
  for (size_t i = 0; i < id->size; i++) snprintf(text + 2 * i, 3, "%02x", id->bytes[i]);
  return exu_arena_string(arena, text, 2 * id->size);
}

static void describe_modules(struct exu_analysis *analysis) {
  struct exu_modules *modules = &analysis->modules;
  struct exu_module *list = exu_arena_array(analysis->arena, modules->count, sizeof *list);
  if (!list) return;
  for (size_t i = 0; i < modules->count; i++) {
    struct exu_binary *module = &modules->items[i];
    const bool checks = analysis->options.check_modules && !is_over(analysis);
    struct exu_elf_file *file = checks ? exu_modules_file(modules, module) : module->file;
    if (!file) file = exu_binary_image_file(module);
    list[i] = (struct exu_module){.path = module->path,
                                  .build_id = build_id_text(analysis->arena, &module->build_id),
                                  .start = module->start,
                                  .end = module->end,
                                  .file = module->file_state,
                                  .symbols = exu_binary_symbols(module, file)};
    if (module->main && !analysis->report->executable.data) analysis->report->executable = module->path;
  }
  analysis->report->modules = list;
  analysis->report->module_count = modules->count;
}

static void describe_runtime(struct exu_analysis *analysis, const struct exu_py *py, struct exu_python *python) {
  const struct exu_modules *modules = &analysis->modules;
  *python = (struct exu_python){.version = py->runtime->version_text,
                                .debug = py->runtime->debug,
                                .free_threaded = py->runtime->build.free_threaded ? EXU_YES : EXU_NO,
                                .runtime = py->runtime->address,
                                .found_by = py->runtime->found_by,
                                .layout_from = py->runtime->layout_from,
                                .finalizing = py->finalizing,
                                .module = py->runtime->module ? (int32_t)(py->runtime->module - modules->items) : -1};
  if (!py->runtime->layout_known) {
    exu_info(&analysis->diagnostics, EXU_DIAGNOSTIC_LAYOUT_NEWER, -1,
             "CPython %.*s is newer than any release that this program knows; it is read like the newest of them",
             (int)py->runtime->version_text.size, py->runtime->version_text.data);
  }
}

static void describe_python(struct exu_analysis *analysis, const struct exu_runtimes *runtimes) {
  struct exu_python *pythons = exu_arena_array(analysis->arena, runtimes->count, sizeof *pythons);
  if (!pythons) return;
  for (size_t i = 0; i < runtimes->count; i++) describe_runtime(analysis, &runtimes->items[i], &pythons[i]);
  analysis->report->python = analysis->report->runtimes = pythons;
  analysis->report->runtime_count = runtimes->count;
}

/* NULL when native frames are not asked for, or there is no time for them. */
static struct exu_native *unwinding(struct exu_analysis *analysis) {
  if (analysis->options.python_only || is_over(analysis)) return NULL;
  analysis->has_native = exu_native_init(&analysis->native, &analysis->process, &analysis->modules, analysis->arena,
                                         &analysis->diagnostics);
  if (analysis->has_native) return &analysis->native;
  exu_incomplete(&analysis->diagnostics, EXU_DIAGNOSTIC_NATIVE_UNAVAILABLE, -1, "the native stacks cannot be unwound");
  return NULL;
}

static bool try_find_python(struct exu_analysis *analysis, struct exu_error *error) {
  exu_runtimes_deinit(&analysis->runtimes);
  return exu_runtimes_find(&analysis->runtimes, &analysis->process, &analysis->modules, analysis->arena,
                           &analysis->diagnostics, error);
}

static void say_no_python(struct exu_analysis *analysis, const struct exu_error *error) {
  /* Who did not look everywhere cannot say that there is none. */
  if (is_over(analysis) || analysis->arena->exhausted) return;
  const enum exu_diagnostic_code code =
      error->status == EXU_UNSUPPORTED ? EXU_DIAGNOSTIC_PYTHON_UNSUPPORTED : EXU_DIAGNOSTIC_PYTHON_NOT_FOUND;
  exu_incomplete(&analysis->diagnostics, code, -1, "%s", error->message);
}

/* Find what runs. NULL, with a diagnostic, when there is nothing that can be read. */
static struct exu_runtimes *find_python(struct exu_analysis *analysis) {
  struct exu_error error;
  if (try_find_python(analysis, &error)) return &analysis->runtimes;
  say_no_python(analysis, &error);
  return NULL;
}

static void read_stacks(struct exu_analysis *analysis, struct exu_runtimes *runtimes) {
  analysis->stacks =
      exu_stacks_read(analysis->report, &analysis->process, runtimes, &analysis->options, &analysis->diagnostics);
}

/* What needs no more of the process's changing memory than its stacks. */
static enum exu_outcome finish_stacks(struct exu_analysis *analysis, const struct exu_runtimes *runtimes) {
  if (!analysis->stacks) return EXU_OUTCOME_NOTHING;
  exu_stacks_finish(analysis->stacks, unwinding(analysis));
  if (!runtimes || (analysis->has_native && analysis->native.lacks_files)) exu_modules_say_missing(&analysis->modules);
  if (!runtimes) return EXU_OUTCOME_NOTHING;
  describe_python(analysis, runtimes);
  return EXU_OUTCOME_COMPLETE;
}

static bool find_modules(struct exu_analysis *analysis) {
  analysis->has_modules = exu_modules_init(&analysis->modules, &analysis->process, &analysis->options, analysis->arena,
                                           &analysis->diagnostics);
  if (analysis->has_modules)
    exu_space_set_backing(analysis->process.space, exu_modules_back_region, &analysis->modules);
  return analysis->has_modules;
}

/* ---- A core ------------------------------------------------------------------------------------------------------ */

static bool open_core(struct exu_analysis *analysis, struct exu_error *error) {
  const struct exu_core_input *input = &analysis->core;
  struct exu_arena *arena = analysis->arena;
  struct exu_diagnostics *diagnostics = &analysis->diagnostics;
  struct exu_process *process = &analysis->process;
  if (input->path) return exu_process_open_core(input->path, arena, diagnostics, process, error);
  if (input->source.ops) return exu_process_open_source(input->source, arena, diagnostics, process, error);
  return exu_process_open_fd(input->fd, arena, diagnostics, process, error);
}

static enum exu_outcome explain_core(struct exu_analysis *analysis) {
  struct exu_error error;
  enum exu_outcome outcome = EXU_OUTCOME_NOTHING;
  analysis->has_process = open_core(analysis, &error);
  if (!analysis->has_process) {
    exu_incomplete(&analysis->diagnostics, EXU_DIAGNOSTIC_SOURCE_UNREADABLE, -1, "%s", error.message);
    return outcome;
  }
  analysis->process.limits = analysis->limits;
  if (find_modules(analysis)) {
    exu_calls_check(&analysis->process);
    exu_crash_describe(&analysis->process);
    struct exu_runtimes *runtimes = find_python(analysis);
    exu_thread_ids_find(&analysis->process, &analysis->modules);
    read_stacks(analysis, runtimes);
    outcome = finish_stacks(analysis, runtimes);
    exu_abort_message_find(&analysis->process, &analysis->modules, analysis->arena);
    exu_mapped_file_measure(&analysis->process, analysis->options.sysroot);
    describe_modules(analysis);
  }
  describe_process(analysis);
  return outcome;
}

/* ---- A live process ---------------------------------------------------------------------------------------------- */

/*
 * The interpreter is looked for while the process runs: where it is does not change, and files take time. When nothing
 * but a thread's descriptor leads to it, a sample of the threads tells where those are. Only where the kernel does not
 * know that either are the registers of stopped threads needed.
 */
static struct exu_runtimes *find_live_python(struct exu_analysis *analysis, struct exu_error *error) {
  if (try_find_python(analysis, error) && !analysis->runtimes.no_descriptors) return &analysis->runtimes;
  struct exu_runtimes *found = analysis->runtimes.count > 0 ? &analysis->runtimes : NULL;
  struct exu_error ended;
  if (!exu_process_sample(&analysis->process, analysis->arena, &ended)) return found;
  if (!exu_live_knows_descriptors(&analysis->process)) return found;
  return try_find_python(analysis, error) ? &analysis->runtimes : NULL;
}

static bool stop(struct exu_analysis *analysis, struct exu_error *error) {
  if (analysis->options.no_stop) return exu_process_sample(&analysis->process, analysis->arena, error);
  if (!exu_process_pause(&analysis->process, analysis->arena, error)) return false;
  if (!analysis->options.python_only) exu_process_capture_stacks(&analysis->process);
  return true;
}

static enum exu_outcome explain_stopped(struct exu_analysis *analysis) {
  struct exu_error error, missing;
  struct exu_runtimes *runtimes = find_live_python(analysis, &missing);
  const bool registers_help = !analysis->options.no_stop && !exu_live_knows_descriptors(&analysis->process);
  if (runtimes && !analysis->options.no_stop) exu_stacks_prefetch(runtimes);
  if (is_over(analysis)) return EXU_OUTCOME_NOTHING;
  if (!stop(analysis, &error)) {
    exu_incomplete(&analysis->diagnostics, EXU_DIAGNOSTIC_SOURCE_UNREADABLE, -1, "%s", error.message);
    return EXU_OUTCOME_NOTHING;
  }
  if (runtimes)
    exu_runtimes_invalidate_code(runtimes); /* it may have changed since */
  else if (registers_help)
    runtimes = find_python(analysis);
  else
    say_no_python(analysis, &missing);
  read_stacks(analysis, runtimes);
  if (analysis->options.no_stop) exu_process_check_samples(&analysis->process);
  exu_process_resume(&analysis->process);
  exu_process_read_late_threads(&analysis->process);
  exu_stacks_read_late_waits(analysis->stacks);
  exu_process_describe_threads(&analysis->process, analysis->arena);
  enum exu_outcome outcome = finish_stacks(analysis, runtimes);
  describe_modules(analysis);
  return outcome;
}

static enum exu_outcome explain_process(struct exu_analysis *analysis) {
  struct exu_error error;
  enum exu_outcome outcome = EXU_OUTCOME_NOTHING;
  analysis->has_process =
      exu_process_open_live(analysis->report->pid, analysis->arena, &analysis->diagnostics, &analysis->process, &error);
  if (!analysis->has_process) {
    exu_incomplete(&analysis->diagnostics, EXU_DIAGNOSTIC_SOURCE_UNREADABLE, -1, "%s", error.message);
    return outcome;
  }
  analysis->process.limits = analysis->limits;
  if (!analysis->options.sysroot) analysis->options.sysroot = exu_process_root(&analysis->process);
  if (find_modules(analysis)) outcome = explain_stopped(analysis);
  describe_process(analysis);
  return outcome;
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

/* Bytes beside the budget, in which room is for a diagnostic or two. */
enum { LAST_WORDS = 64 * 1024 };

static void say_limits(struct exu_analysis *analysis) {
  switch (exu_limits_look(analysis->limits)) {
  case EXU_LIMIT_NONE: break;
  case EXU_LIMIT_TIME:
    exu_incomplete(&analysis->diagnostics, EXU_DIAGNOSTIC_TIME_LIMIT, -1,
                   "the report is not complete: it was to be made within %" PRIu64 " ms",
                   analysis->options.time_limit_ms);
    break;
  case EXU_LIMIT_CANCELLED:
    exu_incomplete(&analysis->diagnostics, EXU_DIAGNOSTIC_CANCELLED, -1,
                   "the report is not complete: it was cancelled");
    break;
  }
}

static void say_memory(struct exu_analysis *analysis, size_t budget) {
  const size_t mib = budget >> 20;
  exu_incomplete(&analysis->diagnostics, EXU_DIAGNOSTIC_MEMORY_BUDGET, -1,
                 "the report is not complete: it needs more than %zu %s of memory", mib ? mib : budget,
                 mib ? "MiB" : "bytes");
}

void exu_analyze(struct exu_analysis *analysis) {
  exu_diagnostics_init(&analysis->diagnostics, analysis->arena);
  const bool live = analysis->report->source_kind == EXU_SOURCE_LIVE;
  analysis->report->outcome = live ? explain_process(analysis) : explain_core(analysis);
}

static bool was_cut_short(const struct exu_analysis *analysis) {
  return analysis->arena->exhausted || is_over(analysis);
}

bool exu_analysis_is_whole(const struct exu_analysis *analysis) {
  return analysis->report->outcome == EXU_OUTCOME_COMPLETE && !analysis->diagnostics.incomplete &&
         !was_cut_short(analysis);
}

static bool was_running(const struct exu_report *report, int64_t tid) {
  for (size_t i = 0; i < report->thread_count; i++) {
    const struct exu_thread *thread = &report->threads[i];
    if (thread->tid == tid) return thread->wait && thread->wait->kind == EXU_WAIT_RUNNING;
  }
  return false;
}

/* Does it tell of what a running thread passes through? */
static bool may_pass(const struct exu_report *report, const struct exu_diagnostic *diagnostic) {
  static const enum exu_diagnostic_code passing[] = {EXU_DIAGNOSTIC_NATIVE_GAP,       EXU_DIAGNOSTIC_NATIVE_INCOMPLETE,
                                                     EXU_DIAGNOSTIC_MERGE_INCOMPLETE, EXU_DIAGNOSTIC_FRAME_UNREADABLE,
                                                     EXU_DIAGNOSTIC_FRAME_CYCLE,      EXU_DIAGNOSTIC_CODE_UNREADABLE,
                                                     EXU_DIAGNOSTIC_CALL_NOT_BEGUN};
  return exu_diagnostic_is_among(diagnostic, passing, sizeof passing / sizeof *passing) &&
         was_running(report, diagnostic->tid);
}

bool exu_analysis_may_become_whole(const struct exu_analysis *analysis) {
  const struct exu_report *report = analysis->report;
  const struct exu_diagnostics *diagnostics = &analysis->diagnostics;
  if (report->outcome != EXU_OUTCOME_COMPLETE || report->pause_us < 0 || was_cut_short(analysis)) return false;
  if (!diagnostics->incomplete || diagnostics->suppressed > 0) return false;
  for (size_t i = 0; i < diagnostics->list.count; i++) {
    const struct exu_diagnostic *one = &diagnostics->list.items[i];
    if (one->incomplete && !may_pass(report, one)) return false;
  }
  return true;
}

/* Who did not read all thread states cannot say of a thread that it has none. */
static bool lacks_thread_states(const struct exu_analysis *analysis) {
  static const enum exu_diagnostic_code codes[] = {
      EXU_DIAGNOSTIC_CANCELLED,     EXU_DIAGNOSTIC_INTERPRETER_UNREADABLE,  EXU_DIAGNOSTIC_LIST_DAMAGED,
      EXU_DIAGNOSTIC_MEMORY_BUDGET, EXU_DIAGNOSTIC_PYTHON_UNREADABLE,       EXU_DIAGNOSTIC_PYTHON_UNSUPPORTED,
      EXU_DIAGNOSTIC_TIME_LIMIT,    EXU_DIAGNOSTIC_THREAD_STATE_UNREADABLE,
  };
  const struct exu_diagnostics *diagnostics = &analysis->diagnostics;
  for (size_t i = 0; i < diagnostics->list.count; i++) {
    const struct exu_diagnostic *one = &diagnostics->list.items[i];
    if (one->incomplete && one->tid < 0 && exu_diagnostic_is_among(one, codes, sizeof codes / sizeof *codes))
      return true;
  }
  return false;
}

void exu_analysis_finish(struct exu_analysis *analysis) {
  struct exu_report *report = analysis->report;
  const bool exhausted = analysis->arena->exhausted;
  const size_t budget = analysis->arena->budget;
  /* That something is missing can always be said. */
  analysis->arena->budget += LAST_WORDS;
  say_limits(analysis);
  if (exhausted) say_memory(analysis, budget);
  if (lacks_thread_states(analysis)) exu_stacks_doubt_python(analysis->stacks);
  exu_diagnostics_finish(&analysis->diagnostics);
  report->diagnostics = analysis->diagnostics.list.items;
  report->diagnostic_count = analysis->diagnostics.list.count;
  if (report->outcome == EXU_OUTCOME_COMPLETE && analysis->diagnostics.incomplete)
    report->outcome = EXU_OUTCOME_PARTIAL;
}

void exu_analysis_deinit(struct exu_analysis *analysis) {
  exu_stacks_destroy(analysis->stacks);
  exu_runtimes_deinit(&analysis->runtimes);
  if (analysis->has_native) exu_native_deinit(&analysis->native);
  if (analysis->has_modules) exu_modules_deinit(&analysis->modules);
  if (analysis->has_process) exu_process_close(&analysis->process);
  *analysis = (struct exu_analysis){.arena = analysis->arena};
}
