/* SPDX-License-Identifier: Apache-2.0 */
#include "python/runtime/runtime.h"

#include <string.h>

#include "python/frame/frames.h"
#include "python/object/dict.h"
#include "python/runtime/find.h"
#include "python/runtime/version.h"

/* Files that are opened in search of a runtime when no module is named like an interpreter. */
enum { FILES_MAX = 512 };

/* Where a runtime is to be expected: in the program, in files that are named like it, then anywhere. */
enum rank { RANK_MAIN, RANK_LIBRARY, RANK_PYTHON, RANK_OTHER, RANKS };

static enum rank rank_of(const struct exu_binary *module) {
  if (module->main) return RANK_MAIN;
  if (!exu_python_like(module->path)) return RANK_OTHER;
  return memmem(module->path.data, module->path.size, "libpython", 9) ? RANK_LIBRARY : RANK_PYTHON;
}

struct finding {
  struct exu_runtimes *runtimes;
  const struct exu_process *process;
  struct exu_modules *modules;
  struct exu_arena *arena;
  struct exu_diagnostics *diagnostics;
  struct exu_py_attempts attempts;
  const struct exu_binary *hidden[EXU_RUNTIMES_MAX]; /* modules whose files do not tell whether they have a runtime */
  size_t hidden_count;
};

static void start(const struct finding *finding, struct exu_py_candidate *candidate) {
  candidate->runtime = (struct exu_py_runtime){.debug = EXU_UNKNOWN};
  candidate->py =
      exu_py_reader(&candidate->runtime, finding->process, finding->modules, finding->arena, finding->diagnostics);
}

/* What its damaged variables said of a runtime that was found in another way does not count any more. */
static void forget_copies(struct exu_py_attempts *attempts, uint64_t runtime) {
  size_t kept = 0;
  for (size_t i = 0; i < attempts->count; i++) {
    if (runtime == 0 || attempts->copies[i].address != runtime) attempts->copies[kept++] = attempts->copies[i];
  }
  attempts->count = kept;
}

static void add(struct finding *finding, const struct exu_py_runtime *found) {
  struct exu_runtimes *runtimes = finding->runtimes;
  forget_copies(&finding->attempts, found->address);
  for (size_t i = 0; i < runtimes->count; i++) {
    if (runtimes->items[i].runtime->interpreters == found->interpreters) return;
  }
  if (runtimes->count == EXU_RUNTIMES_MAX) {
    exu_incomplete(finding->diagnostics, EXU_DIAGNOSTIC_TOO_MANY_RUNTIMES, -1,
                   "more than %d interpreters run in the process: the others are missing", EXU_RUNTIMES_MAX);
    return;
  }
  struct exu_py_runtime *runtime = &runtimes->found[runtimes->count];
  *runtime = *found;
  runtimes->items[runtimes->count++] =
      exu_py_reader(runtime, finding->process, finding->modules, finding->arena, finding->diagnostics);
}

static void look_in_file(struct finding *finding, struct exu_binary *module, enum rank rank) {
  struct exu_py_candidate candidate;
  start(finding, &candidate);
  switch (exu_py_find_in_file(&candidate, module, &finding->attempts)) {
  case EXU_PY_RUNS: add(finding, &candidate.runtime); break;
  case EXU_PY_UNKNOWN:
    if (rank != RANK_OTHER && finding->hidden_count < EXU_RUNTIMES_MAX)
      finding->hidden[finding->hidden_count++] = module;
    break;
  case EXU_PY_ABSENT:
  case EXU_PY_SEEN: break;
  }
}

static bool is_over(const struct finding *finding) { return exu_process_is_over(finding->process); }

/* A copy that does not run is no reason to stop: another may. */
static void look_in_files(struct finding *finding) {
  struct exu_modules *modules = finding->modules;
  size_t opened = 0;
  for (int rank = 0; rank < RANKS; rank++) {
    if (rank == RANK_OTHER && finding->runtimes->count > 0) break;
    for (size_t i = 0; i < modules->count && opened < FILES_MAX && !is_over(finding); i++) {
      if ((int)rank_of(&modules->items[i]) != rank) continue;
      opened++;
      look_in_file(finding, &modules->items[i], (enum rank)rank);
    }
  }
}

/*
 * In the memory of a module whose file does not tell: its cookie, or the text of its version, which only an interpreter
 * that was initialised has there, and which decides what layout thread states are searched with.
 */
static void look_in_memory_of(struct finding *finding, const struct exu_binary *module) {
  struct exu_py_candidate candidate;
  start(finding, &candidate);
  if (exu_py_find_by_cookie(&candidate, module, &finding->attempts)) {
    add(finding, &candidate.runtime);
    return;
  }
  start(finding, &candidate);
  if (!exu_py_version_from_text(&candidate, module)) return;
  candidate.runtime.debug = exu_py_debug_of_path(module->path);
  if (exu_py_find_by_thread_pointer(&candidate, module, &finding->attempts)) add(finding, &candidate.runtime);
}

/* Is there any sign of Python at all? Searching the memory of every other program for its version would be a waste. */
static const struct exu_binary *python_module(const struct exu_modules *modules) {
  const struct exu_binary *best = NULL;
  for (size_t i = 0; i < modules->count; i++) {
    const struct exu_binary *module = &modules->items[i];
    if (!exu_python_like(module->path)) continue;
    bool is_library = rank_of(module) == RANK_LIBRARY;
    if (!best || (is_library && rank_of(best) != RANK_LIBRARY)) best = module;
  }
  return best;
}

/* From the core alone, wherever it may be. */
static void look_in_memory(struct finding *finding) {
  struct exu_py_candidate candidate;
  start(finding, &candidate);
  if (exu_py_find_by_cookie(&candidate, NULL, &finding->attempts)) {
    add(finding, &candidate.runtime);
    return;
  }
  const struct exu_binary *module = python_module(finding->modules);
  start(finding, &candidate);
  bool known = (module && exu_py_version_from_text(&candidate, module)) || exu_py_version_from_text(&candidate, NULL) ||
               (module && exu_py_version_from_path(&candidate, module->path));
  if (!known) return;
  if (module) candidate.runtime.debug = exu_py_debug_of_path(module->path);
  if (exu_py_find_by_thread_pointer(&candidate, NULL, &finding->attempts)) add(finding, &candidate.runtime);
}

/* ---- What is said ------------------------------------------------------------------------------------------------ */

static const struct exu_py_copy *copy_in_state(const struct finding *finding, enum exu_py_copy_state state) {
  for (size_t i = 0; i < finding->attempts.count; i++) {
    if (finding->attempts.copies[i].state == state) return &finding->attempts.copies[i];
  }
  return NULL;
}

/* Another release of the version may be known for this machine, or nothing at all. */
static bool is_known_machine(const struct exu_arch *arch) {
  for (size_t i = 0; i < exu_layout_table_count; i++) {
    if (exu_layout_tables[i]->machine == arch->machine) return true;
  }
  return false;
}

static bool give_up(const struct finding *finding, struct exu_error *error) {
  const struct exu_process *process = finding->process;
  const struct exu_py_copy *unsupported = copy_in_state(finding, EXU_PY_COPY_UNSUPPORTED);
  const bool here = process->running_pid >= 0;
  if (unsupported && !is_known_machine(process->arch)) {
    return exu_fail(error, EXU_UNSUPPORTED,
                    "Python on this machine, %s, is not supported: there is no layout of CPython %.*s for it",
                    process->arch->name, (int)unsupported->version.size, unsupported->version.data);
  }
  if (unsupported) {
    if (unsupported->version.size == 0)
      return exu_fail(error, EXU_UNSUPPORTED, "this version of CPython is not supported: there is no layout for it");
    return exu_fail(error, EXU_UNSUPPORTED, "CPython %.*s is not supported: there is no layout for it",
                    (int)unsupported->version.size, unsupported->version.data);
  }
  if (copy_in_state(finding, EXU_PY_COPY_DAMAGED)) {
    return exu_fail(error, EXU_NOT_FOUND,
                    "Python is there, but its interpreter and thread states cannot be read: %stheir "
                    "memory was overwritten",
                    here ? "" : "the core lacks them, or ");
  }
  if (copy_in_state(finding, EXU_PY_COPY_UNUSED)) {
    return exu_fail(error, EXU_NOT_FOUND,
                    "Python is there, but not running: it was not initialised yet, or already shut down");
  }
  if (python_module(finding->modules)) {
    return exu_fail(error, EXU_NOT_FOUND,
                    "no Python interpreter was found in the memory of the process, although a file of it is mapped: "
                    "it was not initialised yet, or %s",
                    here ? "it has shut down" : "the core lacks its data");
  }
  return exu_fail(error, EXU_NOT_FOUND, "this is not a Python process: no interpreter was found in it");
}

/* Beside one that runs. */
static void say_copies(const struct finding *finding) {
  struct exu_diagnostics *diagnostics = finding->diagnostics;
  for (size_t i = 0; i < finding->attempts.count; i++) {
    const struct exu_py_copy *copy = &finding->attempts.copies[i];
    const char *name = copy->module.data ? copy->module.data : "a module without a name";
    int size = copy->module.data ? (int)copy->module.size : (int)strlen(name);
    int version_size = copy->version.data ? (int)copy->version.size : 0;
    const char *version = copy->version.data ? copy->version.data : "";
    switch (copy->state) {
    case EXU_PY_COPY_UNUSED:
      exu_info(
          diagnostics, EXU_DIAGNOSTIC_PYTHON_UNUSED, -1,
          "%.*s has a CPython %.*s of its own, which is not running: it was not initialised yet, or already shut down",
          size, name, version_size, version);
      break;
    case EXU_PY_COPY_DAMAGED:
      exu_incomplete(diagnostics, EXU_DIAGNOSTIC_PYTHON_UNREADABLE, -1,
                     "%.*s has a CPython %.*s of its own, whose interpreter cannot be read: what it runs is missing",
                     size, name, version_size, version);
      break;
    case EXU_PY_COPY_UNSUPPORTED:
      exu_incomplete(diagnostics, EXU_DIAGNOSTIC_PYTHON_UNSUPPORTED, -1,
                     "%.*s has a CPython %.*s of its own, for which there is no layout: what it may run is missing",
                     size, name, version_size, version);
      break;
    }
  }
}

bool exu_runtimes_find(struct exu_runtimes *runtimes, const struct exu_process *process, struct exu_modules *modules,
                       struct exu_arena *arena, struct exu_diagnostics *diagnostics, struct exu_error *error) {
  struct finding finding = {
      .runtimes = runtimes, .process = process, .modules = modules, .arena = arena, .diagnostics = diagnostics};
  *runtimes = (struct exu_runtimes){.items = exu_arena_array(arena, EXU_RUNTIMES_MAX, sizeof *runtimes->items),
                                    .found = exu_arena_array(arena, EXU_RUNTIMES_MAX, sizeof *runtimes->found)};
  if (!runtimes->items || !runtimes->found) return exu_fail(error, EXU_NO_MEMORY, "out of memory");
  look_in_files(&finding);
  for (size_t i = 0; i < finding.hidden_count; i++) look_in_memory_of(&finding, finding.hidden[i]);
  if (runtimes->count == 0) look_in_memory(&finding);
  runtimes->no_descriptors = finding.attempts.no_descriptors;
  if (runtimes->count == 0) return give_up(&finding, error);
  if (!runtimes->no_descriptors) say_copies(&finding);
  return true;
}

void exu_runtimes_deinit(struct exu_runtimes *runtimes) {
  for (size_t i = 0; i < runtimes->count; i++) exu_py_deinit(&runtimes->items[i]);
  runtimes->count = 0;
}

void exu_runtimes_invalidate_code(struct exu_runtimes *runtimes) {
  for (size_t i = 0; i < runtimes->count; i++) exu_py_invalidate_code(&runtimes->items[i]);
}

void exu_py_invalidate_code(struct exu_py *py) {
  exu_map_clear(&py->codes);
  exu_map_clear(&py->types);
}
