/* SPDX-License-Identifier: Apache-2.0 */
#include "python/runtime/threads.h"

#include "process/futex.h"

/* More than any process has; a list that is longer is damaged. */
enum { INTERPRETERS_MAX = 4096, THREADS_MAX = 65536 };

static bool nonzero(struct exu_py *py, uint64_t structure, struct exu_field field, enum exu_tristate *answer) {
  uint64_t value;
  if (!exu_py_get(py, structure, field, &value)) return false;
  *answer = value != 0 ? EXU_YES : EXU_NO;
  return true;
}

static enum exu_tristate gc_collecting(struct exu_py *py, uint64_t interpreter) {
  enum exu_tristate answer = EXU_UNKNOWN;
  uint32_t variable;
  if (nonzero(py, interpreter, py->runtime->layout.interp_gc_collecting, &answer)) return answer; /* 3.9 and later */
  if (nonzero(py, py->runtime->address, py->runtime->layout.runtime_gc_collecting, &answer))
    return answer; /* 3.7 and 3.8 */
  if (py->runtime->variables.gc_collecting &&
      exu_space_read(py->space, py->runtime->variables.gc_collecting, &variable, sizeof variable) == EXU_READABLE) {
    return variable != 0 ? EXU_YES : EXU_NO;
  }
  return EXU_UNKNOWN;
}

/* ---- The GIL ----------------------------------------------------------------------------------------------------- */

/*
 * Who holds it: up to 3.11 the current thread state is a variable, NULL while nobody holds it. From 3.12 on each
 * interpreter points to its GIL, whose last_holder is stale unless it is locked. Free-threaded builds have the
 * structure, disabled.
 */
static void read_gil(struct exu_py *py, struct exu_py_interpreter *interpreter) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t holder = 0, locked = 0, enabled = 1;
  interpreter->gil_locked = EXU_UNKNOWN;
  interpreter->gil_key =
      py->runtime->variables.current_tstate ? py->runtime->variables.current_tstate : py->runtime->address;
  if (py->runtime->variables.current_tstate) {
    if (!exu_py_word(py, py->runtime->variables.current_tstate, &holder)) return;
  } else if (exu_py_get(py, py->runtime->address, layout->runtime_tstate_current, &holder)) {
    interpreter->gil = exu_py_has(layout->runtime_gil) ? py->runtime->address + layout->runtime_gil.offset : 0;
  } else if (exu_py_get(py, interpreter->address, layout->interp_gil, &interpreter->gil) && interpreter->gil) {
    interpreter->gil_key = interpreter->gil;
    if (exu_py_get(py, interpreter->gil, layout->gil_enabled, &enabled) && !enabled) {
      interpreter->gil_locked = EXU_NO;
      return;
    }
    if (!exu_py_get(py, interpreter->gil, layout->gil_locked, &locked)) return;
    if ((int32_t)locked == 1 && !exu_py_get(py, interpreter->gil, layout->gil_last_holder, &holder)) return;
  } else {
    return;
  }
  interpreter->gil_holder = holder;
  interpreter->gil_locked = holder ? EXU_YES : EXU_NO;
}

static bool within(uint64_t address, uint64_t start, uint64_t size) {
  return start != 0 && address >= start && address - start < size;
}

/*
 * A thread in take_gil sleeps on the GIL's condition variable, or on the mutex that protects it. One that was asked to
 * drop the GIL first sleeps on a second pair until somebody took it (FORCE_SWITCHING, ceval_gil.h), then asks for it
 * again: it waits, too.
 */
static bool waits_for_gil(struct exu_py *py, const struct exu_py_interpreter *interpreter, uint64_t futex) {
  const struct exu_py_variables *variables = &py->runtime->variables;
  enum { COND = 48, MUTEX = 40, SEMAPHORE = 32 }; /* sizes of glibc's pthread_cond_t, pthread_mutex_t and sem_t */
  uint64_t lock = 0;
  if (interpreter->gil) return within(futex, interpreter->gil, py->runtime->layout.gil_size.size);
  if (within(futex, variables->gil_cond, COND) || within(futex, variables->gil_mutex, MUTEX)) return true;
  if (within(futex, variables->switch_cond, COND) || within(futex, variables->switch_mutex, MUTEX)) return true;
  if (variables->gil_lock) exu_py_word(py, variables->gil_lock, &lock);
  return within(futex, lock, SEMAPHORE);
}

static bool can_tell_waiters(const struct exu_py *py, const struct exu_py_interpreter *interpreter) {
  return (interpreter->gil && exu_py_has(py->runtime->layout.gil_size)) || py->runtime->variables.gil_cond ||
         py->runtime->variables.gil_lock;
}

/* Asleep in futex(2), not waking somebody else, which a thread that drops the GIL does with the same address. */
static bool waits_for_futex(const struct exu_py *py, const struct exu_registers *registers, struct exu_futex *futex) {
  struct exu_call call;
  if (!registers) return false;
  exu_call_look(py->process, registers, &call);
  return exu_futex_of(&call, futex);
}

enum exu_gil exu_py_gil(struct exu_py *py, const struct exu_py_threads *threads, const struct exu_py_thread *thread,
                        const struct exu_registers *registers) {
  const struct exu_py_interpreter *interpreter = &threads->interpreters.items[thread->interpreter];
  uint64_t holds;
  if (interpreter->gil_holder == thread->tstate && interpreter->gil_locked == EXU_YES) return EXU_GIL_HOLDS;
  if (interpreter->gil_locked == EXU_UNKNOWN) {
    if (exu_py_get(py, thread->tstate, py->runtime->layout.tstate_holds_gil, &holds) && holds) return EXU_GIL_HOLDS;
    return EXU_GIL_UNKNOWN;
  }
  struct exu_futex futex;
  bool in_futex = waits_for_futex(py, registers, &futex);
  if (in_futex && waits_for_gil(py, interpreter, futex.address)) return EXU_GIL_WAITS;
  /* Another thread holds it, or nobody does; but is this one waiting? */
  if (in_futex && interpreter->gil_locked == EXU_YES && !can_tell_waiters(py, interpreter)) return EXU_GIL_UNKNOWN;
  return EXU_GIL_NONE;
}

/* ---- The lists --------------------------------------------------------------------------------------------------- */

/* Follow a list; says when it is damaged. Returns false at its end. */
static bool next_of_list(struct exu_py *py, struct exu_map *seen, uint64_t address, size_t limit, const char *what) {
  bool is_new;
  if (address == 0) return false;
  if (!exu_py_plausible(address)) {
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_LIST_DAMAGED, -1,
                   "the list of %s leads to 0x%llx, which cannot be one: the rest is missing", what,
                   (unsigned long long)address);
    return false;
  }
  if (seen->count >= limit) {
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_LIST_DAMAGED, -1,
                   "the list of %s has more than %zu entries: the rest is missing", what, limit);
    return false;
  }
  if (!exu_map_insert(seen, address, &is_new)) return false;
  if (!is_new) {
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_LIST_DAMAGED, -1,
                   "the list of %s leads back to 0x%llx: the rest is missing", what, (unsigned long long)address);
  }
  return is_new;
}

static bool read_thread_states(struct exu_py *py, struct exu_py_threads *threads, size_t index, struct exu_map *seen) {
  const struct exu_layout *layout = &py->runtime->layout;
  const struct exu_py_interpreter *interpreter = &threads->interpreters.items[index];
  uint64_t tstate = 0;
  if (!exu_py_get(py, interpreter->address, layout->interp_threads_head, &tstate)) {
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_INTERPRETER_UNREADABLE, -1,
                   "the interpreter at 0x%llx cannot be read", (unsigned long long)interpreter->address);
    return true;
  }
  while (next_of_list(py, seen, tstate, THREADS_MAX, "thread states")) {
    struct exu_py_thread thread = {.tstate = tstate, .interpreter = index};
    uint64_t next;
    if (!exu_py_get(py, tstate, layout->tstate_thread_id, &thread.ident) ||
        !exu_py_get(py, tstate, layout->tstate_next, &next)) {
      exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_THREAD_STATE_UNREADABLE, -1,
                     "the thread state at 0x%llx cannot be read: it and those after it are missing",
                     (unsigned long long)tstate);
      return true;
    }
    exu_py_get(py, tstate, layout->tstate_native_thread_id, &thread.native_id);
    struct exu_py_thread *slot = EXU_PUSH(py->arena, &threads->threads);
    if (!slot) return false;
    *slot = thread;
    tstate = next;
  }
  return true;
}

static bool read_interpreters(struct exu_py *py, size_t runtime, struct exu_py_threads *threads) {
  struct exu_map seen = {0};
  const size_t first = threads->interpreters.count;
  uint64_t address = py->runtime->interpreters;
  bool memory = true, whole = false;
  while (memory && next_of_list(py, &seen, address, INTERPRETERS_MAX, "interpreters")) {
    struct exu_py_interpreter *interpreter = EXU_PUSH(py->arena, &threads->interpreters);
    uint64_t id;
    memory = interpreter != NULL;
    if (!memory) break;
    *interpreter = (struct exu_py_interpreter){.py = py, .runtime = runtime, .address = address, .id = -1};
    if (exu_py_get(py, address, py->runtime->layout.interp_id, &id)) interpreter->id = (int64_t)id;
    interpreter->gc_collecting = gc_collecting(py, address);
    read_gil(py, interpreter);
    if (!exu_py_get(py, address, py->runtime->layout.interp_next, &address)) {
      exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_INTERPRETER_UNREADABLE, -1,
                     "the interpreter at 0x%llx cannot be read: those after it are missing",
                     (unsigned long long)address);
      break;
    }
    whole = address == 0;
  }
  exu_map_deinit(&seen);
  const size_t count = threads->interpreters.count - first;
  if (count > 0 && threads->interpreters.items) {
    struct exu_py_interpreter *last = &threads->interpreters.items[first + count - 1];
    if (count == 1 && last->id == -1) last->id = 0;
    last->main = last->id >= 0 ? last->id == 0 : whole; /* new ones are put before the others */
  }
  return memory;
}

/* The variables of 2.7 and 3.6, a field of the runtime since 3.7. */
static enum exu_tristate read_finalizing(const struct exu_py *py) {
  uint64_t value;
  uint32_t initialized;
  if (exu_py_get(py, py->runtime->address, py->runtime->layout.runtime_finalizing, &value) ||
      (py->runtime->variables.finalizing && exu_py_word(py, py->runtime->variables.finalizing, &value)))
    return value != 0 ? EXU_YES : EXU_NO;
  if (py->runtime->variables.initialized &&
      exu_space_read(py->space, py->runtime->variables.initialized, &initialized, sizeof initialized) == EXU_READABLE)
    return initialized == 0 ? EXU_YES : EXU_NO;
  return EXU_UNKNOWN;
}

bool exu_py_threads(struct exu_py *py, size_t runtime, struct exu_py_threads *threads) {
  struct exu_map seen = {0};
  const size_t first = threads->interpreters.count;
  bool memory = read_interpreters(py, runtime, threads);
  for (size_t i = first; memory && i < threads->interpreters.count; i++)
    memory = read_thread_states(py, threads, i, &seen);
  py->finalizing = read_finalizing(py);
  exu_map_deinit(&seen);
  return memory;
}
