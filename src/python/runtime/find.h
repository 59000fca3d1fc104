/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways to find an interpreter in a process. Each that returns true has set py->runtime->interpreters, which leads
 * to living thread states.
 */
#ifndef EXUVIA_PYTHON_RUNTIME_FIND_H
#define EXUVIA_PYTHON_RUNTIME_FIND_H

#include "base/error.h"
#include "python/runtime/candidate.h"

/* A copy of the interpreter that was found, and does not count. */
struct exu_py_copy {
  enum exu_py_copy_state {
    EXU_PY_COPY_UNUSED,      /* it has no interpreter: not yet, or no longer initialised */
    EXU_PY_COPY_DAMAGED,     /* it names an interpreter, but that cannot be read or is none */
    EXU_PY_COPY_UNSUPPORTED, /* there is no layout for its version */
  } state;
  uint64_t address;         /* of its runtime; 0: unknown, or there is none */
  struct exu_string module; /* path; unknown */
  struct exu_string version;
};

enum { EXU_PY_COPIES_MAX = 16 };

/* What was found besides what runs; the orchestrator turns it into sentences. */
struct exu_py_attempts {
  struct exu_py_copy copies[EXU_PY_COPIES_MAX];
  size_t count;
  bool no_descriptors; /* a search wanted to know where threads have their descriptors, and of none it is known */
};

void exu_py_add_copy(struct exu_py_attempts *attempts, const struct exu_py *py, enum exu_py_copy_state state,
                     uint64_t runtime);

/* What a module's file says about a runtime in it. */
enum exu_py_sight {
  EXU_PY_UNKNOWN, /* the file is not there, or has neither symbols nor the section: only memory can tell */
  EXU_PY_ABSENT,  /* there is none */
  EXU_PY_SEEN,    /* there is one, but it does not run or cannot be read */
  EXU_PY_RUNS,
};

/* By a symbol of the module's file, else by its section .PyRuntime. */
enum exu_py_sight exu_py_find_in_file(struct exu_py_candidate *candidate, struct exu_binary *module,
                                      struct exu_py_attempts *attempts);

/*
 * Up to 3.11: find out where the import lock is (py->runtime->variables), the first time that it is asked for. Only a
 * full symbol table has it, and to search one takes long.
 */
void exu_py_find_import_lock(struct exu_py *py);

/*
 * 3.13 and later: the cookie of _Py_DebugOffsets in saved writable memory, of the module or, without one, anywhere.
 */
bool exu_py_find_by_cookie(struct exu_py_candidate *candidate, const struct exu_binary *module,
                           struct exu_py_attempts *attempts);

/*
 * Any version that is known already (py->runtime->build.version): a thread's pthread_self(), repeated in its thread
 * state. With a module only an interpreter whose types lie in it counts.
 */
bool exu_py_find_by_thread_pointer(struct exu_py_candidate *candidate, const struct exu_binary *module,
                                   struct exu_py_attempts *attempts);

/*
 * The same with the layout that is known already: py->runtime->layout. Sets what it finds in *py, but for the module.
 */
bool exu_py_search_thread_states(struct exu_py_candidate *candidate, const struct exu_binary *module,
                                 struct exu_py_attempts *attempts);

/*
 * Is there an interpreter at `interpreter` whose thread states lead back to it? Checks the first thread state; an
 * interpreter without any is accepted only when `may_be_empty`.
 */
bool exu_py_is_interpreter(const struct exu_py *py, uint64_t interpreter, bool may_be_empty);

#endif
