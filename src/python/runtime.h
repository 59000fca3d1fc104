/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the interpreter in a target, and deciding how to read it. */
#ifndef EXUVIA_PYTHON_RUNTIME_H
#define EXUVIA_PYTHON_RUNTIME_H

#include "base/error.h"
#include "python/process.h"

/*
 * Find the interpreter: by a symbol, by the section .PyRuntime, by the cookie of _Py_DebugOffsets, by the anchor (the
 * thread pointer of a thread, which its thread state repeats); the first that leads to a living interpreter wins.
 *
 * False, with the reason in *error: EXU_NOT_FOUND no Python or none that is initialised, EXU_UNSUPPORTED a version
 * that cannot be read. What was found out (the version) is in *py all the same. Call exu_py_deinit in any case.
 */
bool exu_py_init(struct exu_py *py, const struct exu_target *target, struct exu_modules *modules,
                 struct exu_arena *arena, struct exu_diagnostics *diagnostics, struct exu_error *error);
void exu_py_deinit(struct exu_py *py);

/* Forget the code objects that were read: a live process has gone on meanwhile. */
void exu_py_forget_code(struct exu_py *py);

#endif
