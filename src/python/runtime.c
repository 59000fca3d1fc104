/* SPDX-License-Identifier: Apache-2.0 */
#include "python/runtime.h"

#include <string.h>

#include "python/dict.h"
#include "python/find.h"
#include "python/frames.h"
#include "python/version.h"

/* Files that are opened in search of a runtime when no module is named like an interpreter. */
enum { FILES_MAX = 512 };

/*
 * Where a runtime is to be expected: in the library before the program (a program that links the library has no
 * runtime of its own), then in the main program (many embed Python), then anywhere.
 */
enum rank { RANK_LIBRARY, RANK_PYTHON, RANK_MAIN, RANK_OTHER, RANKS };

static enum rank rank_of(const struct exu_binary *module) {
  if (exu_python_like(module->path))
    return memmem(module->path.data, module->path.size, "libpython", 9) ? RANK_LIBRARY : RANK_PYTHON;
  return module->main ? RANK_MAIN : RANK_OTHER;
}

static bool find_in_files(struct exu_py *py, enum exu_found_by by, struct exu_py_attempts *attempts) {
  size_t opened = 0;
  for (int rank = 0; rank < RANKS; rank++) {
    for (size_t i = 0; i < py->modules->count && opened < FILES_MAX; i++) {
      struct exu_binary *module = &py->modules->items[i];
      if ((int)rank_of(module) != rank) continue;
      opened++;
      if (exu_py_find_in_file(py, module, by, attempts)) return true;
    }
    /* A runtime without an interpreter is an answer; opening every other file would not give a better one. */
    if (attempts->found_runtime) return false;
  }
  return false;
}

/* Is there any sign of Python at all? Searching the memory of every other program for its version would be a waste. */
static struct exu_binary *python_module(const struct exu_py *py) {
  struct exu_binary *best = NULL;
  for (size_t i = 0; i < py->modules->count; i++) {
    struct exu_binary *module = &py->modules->items[i];
    if (exu_python_like(module->path) && (!best || rank_of(module) < rank_of(best))) best = module;
  }
  return best;
}

static void forget(struct exu_py *py) {
  py->build = (struct exu_build){0};
  py->version_text = (struct exu_string){NULL, 0};
  py->version_exact = false;
  py->debug = EXU_UNKNOWN;
  py->layout = (struct exu_layout){0};
  py->layout_from = EXU_LAYOUT_NONE;
  py->runtime = py->interpreters = 0;
  py->module = NULL;
  py->variables = (struct exu_py_variables){0};
}

/* From the core alone. The text of the version decides which layout the anchor is searched with. */
static bool find_in_memory(struct exu_py *py, struct exu_py_attempts *attempts) {
  forget(py);
  if (exu_py_find_by_cookie(py, attempts)) return true;
  struct exu_binary *module = python_module(py);
  forget(py);
  bool known = (module && exu_py_version_from_text(py, module)) || exu_py_version_from_text(py, NULL) ||
               (module && exu_py_version_from_path(py, module->path));
  if (!known) return false;
  if (module) py->debug = exu_py_debug_of_path(module->path);
  return exu_py_find_by_anchor(py, attempts);
}

static bool give_up(const struct exu_py *py, const struct exu_py_attempts *attempts, struct exu_error *error) {
  if (attempts->unsupported) {
    return exu_fail(error, EXU_UNSUPPORTED, "CPython %s is not supported: there is no layout for it",
                    attempts->unsupported_version);
  }
  const bool live = py->target->kind == EXU_SOURCE_LIVE;
  if (attempts->damaged) {
    return exu_fail(error, EXU_NOT_FOUND,
                    "Python is there, but its interpreter and thread states cannot be read: %stheir "
                    "memory was overwritten",
                    live ? "" : "the core lacks them, or ");
  }
  if (attempts->found_runtime) {
    return exu_fail(error, EXU_NOT_FOUND,
                    "Python is there, but not running: it was not initialised yet, or already shut down");
  }
  if (python_module(py)) {
    return exu_fail(error, EXU_NOT_FOUND,
                    "no Python interpreter was found in the memory of the process, although a file of it is mapped: "
                    "it was not initialised yet, or %s",
                    live ? "it has shut down" : "the core lacks its data");
  }
  return exu_fail(error, EXU_NOT_FOUND, "this is not a Python process: no interpreter was found in it");
}

bool exu_py_init(struct exu_py *py, const struct exu_target *target, struct exu_modules *modules,
                 struct exu_arena *arena, struct exu_diagnostics *diagnostics, struct exu_error *error) {
  struct exu_py_attempts attempts = {0};
  *py = (struct exu_py){.target = target,
                        .space = target->space,
                        .modules = modules,
                        .arena = arena,
                        .diagnostics = diagnostics,
                        .debug = EXU_UNKNOWN,
                        .frames_left = EXU_PY_FRAMES_MAX,
                        .entries_left = EXU_PY_ENTRIES_MAX};
  if (find_in_files(py, EXU_FOUND_BY_SYMBOL, &attempts)) return true;
  if (attempts.found_runtime) return give_up(py, &attempts, error);
  forget(py);
  if (find_in_files(py, EXU_FOUND_BY_SECTION, &attempts)) return true;
  if (attempts.found_runtime) return give_up(py, &attempts, error);
  if (find_in_memory(py, &attempts)) return true;
  return give_up(py, &attempts, error);
}

void exu_py_forget_code(struct exu_py *py) {
  exu_map_clear(&py->codes);
  exu_map_clear(&py->types);
}

void exu_py_deinit(struct exu_py *py) {
  exu_map_deinit(&py->codes);
  exu_map_deinit(&py->types);
}
