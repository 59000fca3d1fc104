/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways to find the interpreter in a target. Each returns true when py->interpreters leads to living thread states.
 */
#ifndef EXUVIA_PYTHON_FIND_H
#define EXUVIA_PYTHON_FIND_H

#include "base/error.h"
#include "python/process.h"

/* What an attempt found besides success; the orchestrator turns it into one sentence. */
struct exu_py_attempts {
  bool found_runtime; /* a runtime was found, but it has no interpreter: not yet, or no longer initialised */
  bool damaged;       /* a runtime was found, and it names an interpreter, but that cannot be read or is none */
  bool unsupported;   /* a runtime was found, but no layout for its version */
  char unsupported_version[16];
};

/* Through a symbol of the module's file; `by` EXU_FOUND_BY_SECTION: through its section .PyRuntime. */
bool exu_py_find_in_file(struct exu_py *py, struct exu_binary *module, enum exu_found_by by,
                         struct exu_py_attempts *attempts);

/*
 * Up to 3.11: find out where the import lock is (py->variables), the first time that it is asked for. Only a full symbol
 * table has it, and to search one takes long.
 */
void exu_py_find_import_lock(struct exu_py *py);

/* 3.13 and later: the cookie of _Py_DebugOffsets in saved writable memory. */
bool exu_py_find_by_cookie(struct exu_py *py, struct exu_py_attempts *attempts);

/* Any version that is known already (py->build.version): a thread's pthread_self(), repeated in its thread state. */
bool exu_py_find_by_anchor(struct exu_py *py, struct exu_py_attempts *attempts);

/*
 * Is there an interpreter at `interpreter` whose thread states lead back to it? Checks the first thread state; an
 * interpreter without any is accepted only when `may_be_empty`.
 */
bool exu_py_is_interpreter(const struct exu_py *py, uint64_t interpreter, bool may_be_empty);

#endif
