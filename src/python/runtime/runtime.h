/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the interpreters in a process, and deciding how to read them. */
#ifndef EXUVIA_PYTHON_RUNTIME_RUNTIME_H
#define EXUVIA_PYTHON_RUNTIME_RUNTIME_H

#include "base/error.h"
#include "python/reader.h"

/*
 * Every runtime that is initialised. Nearly always there is one; a process that embeds Python twice, or whose Python
 * loads libpython of another version, has more. A copy that nobody initialised is none.
 */
enum { EXU_RUNTIMES_MAX = 8 };

struct exu_runtimes {
  struct exu_py *items;         /* a reader of each; in the arena, they do not move, nor do these: */
  struct exu_py_runtime *found; /* what they read */
  size_t count;
  bool no_descriptors; /* there may be more: it is known of no thread where its descriptor is */
};

/*
 * Find them: by a symbol or the section .PyRuntime of a file, and where no file tells by the cookie of _Py_DebugOffsets
 * or the descriptor (the thread pointer of a thread, which its thread state repeats). That of the main program comes
 * first.
 *
 * False, with the reason in *error: EXU_NOT_FOUND no Python or none that is initialised, EXU_UNSUPPORTED a version that
 * cannot be read. Then there is nothing to release.
 */
bool exu_runtimes_find(struct exu_runtimes *runtimes, const struct exu_process *process, struct exu_modules *modules,
                       struct exu_arena *arena, struct exu_diagnostics *diagnostics, struct exu_error *error);
void exu_runtimes_deinit(struct exu_runtimes *runtimes);

/* Forget the code objects that were read: a live process has gone on meanwhile. */
void exu_runtimes_invalidate_code(struct exu_runtimes *runtimes);

/* The same for one reader. */
void exu_py_invalidate_code(struct exu_py *py);

#endif
