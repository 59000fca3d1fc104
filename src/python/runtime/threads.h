/* SPDX-License-Identifier: Apache-2.0 */
/* Interpreters, their thread states, and who holds or waits for the GIL. */
#ifndef EXUVIA_PYTHON_RUNTIME_THREADS_H
#define EXUVIA_PYTHON_RUNTIME_THREADS_H

#include "python/reader.h"

struct exu_py_interpreter {
  struct exu_py *py; /* the runtime that it belongs to */
  size_t runtime;    /* the caller's number for that */
  bool main;         /* the runtime's first interpreter */
  uint64_t address;
  int64_t id; /* -1 unknown: 2.7 and 3.6 do not number them, unless there is only one (0) */
  enum exu_tristate gc_collecting;
  uint64_t gil;                 /* address of its struct _gil_runtime_state; 0: none or unknown */
  uint64_t gil_key;             /* the same for all interpreters that share a GIL, and for no others; 0: unknown */
  uint64_t gil_holder;          /* thread state that holds its GIL; 0: nobody, or unknown */
  enum exu_tristate gil_locked; /* EXU_NO also when there is no GIL to hold (free-threaded) */
};

struct exu_py_thread {
  uint64_t tstate;
  uint64_t ident;     /* what pthread_self() returned */
  uint64_t native_id; /* the kernel's thread id when the thread state was made (3.11 on); 0 unknown. Stale after fork */
  size_t interpreter; /* index */
};

struct exu_py_threads {
  EXU_VECTOR(struct exu_py_interpreter) interpreters;
  EXU_VECTOR(struct exu_py_thread) threads;
};

/*
 * Append the lists of one runtime, and set py->finalizing. Damage is reported and what was read before it is kept.
 * False only without memory.
 */
bool exu_py_threads(struct exu_py *py, size_t runtime, struct exu_py_threads *threads);

/* What a thread of the operating system has to do with the GIL of its thread state's interpreter. */
enum exu_gil exu_py_gil(struct exu_py *py, const struct exu_py_threads *threads, const struct exu_py_thread *thread,
                        const struct exu_registers *registers);

#endif
