/* SPDX-License-Identifier: Apache-2.0 */
#include "python/waits.h"

#include "python/locks.h"
#include "python/types.h"
#include "python/value_stack.h"
#include "python/waits_library.h"
#include "python/waits_lock.h"

/* The words that people know them by: the type of threading.Lock() is _thread.lock. Classes keep their own names. */
static struct exu_string type_name(struct exu_py *py, uint64_t object) {
  static const struct exu_string lock = {"Lock", 4}, rlock = {"RLock", 5};
  struct exu_string name = exu_py_type_name(py, object);
  if (exu_py_string_is(name, "_thread.lock") || exu_py_string_is(name, "thread.lock")) return lock;
  return exu_py_string_is(name, "_thread.RLock") ? rlock : name;
}

static void set_lock(struct exu_py *py, const struct exu_py_found_lock *found, struct exu_py_wait *wait) {
  static const enum exu_wait_kind kinds[] = {
      [EXU_PY_LOCK] = EXU_WAIT_LOCK,
      [EXU_PY_RLOCK] = EXU_WAIT_RLOCK,
      [EXU_PY_SIMPLE_QUEUE] = EXU_WAIT_QUEUE,
      [EXU_PY_SEMLOCK] = EXU_WAIT_SEMAPHORE,
  };
  wait->kind = kinds[found->type];
  wait->object = wait->lock = found->object;
  wait->type = type_name(py, found->object);
  wait->evidence = found->evidence;
  if (found->type != EXU_PY_RLOCK) return;
  wait->owner_ident = exu_py_rlock_owner(py, found->object);
  if (!wait->owner_ident) return;
  wait->owner_evidence = exu_arena_printf(py->arena, "owner in the RLock at 0x%llx", (unsigned long long)found->object);
}

/* ---- The import lock of the interpreter -------------------------------------------------------------------------- */

/* Up to 3.11: variables of the library. The owner is -1 while nobody holds it. */
static bool static_import_lock(struct exu_py *py, const struct exu_py_sleep *sleep, uint64_t *owner) {
  uint64_t lock;
  if (!py->variables.import_lock || !exu_py_word(py, py->variables.import_lock, &lock)) return false;
  if (lock != sleep->futex || lock == 0) return false;
  if (!py->variables.import_lock_owner || !exu_py_word(py, py->variables.import_lock_owner, owner)) *owner = 0;
  if (*owner == UINT64_MAX) *owner = 0;
  return true;
}

/* 3.12: a pointer to a semaphore in the interpreter; 3.13 on: a PyMutex there. */
static bool interpreter_import_lock(struct exu_py *py, const struct exu_py_sleep *sleep, uint64_t *owner) {
  enum { INTERPRETERS_MAX = 256 };
  struct exu_field field = py->layout.interp_import_lock;
  uint64_t interpreter = py->interpreters, lock;
  if (!exu_py_has(field)) return false;
  for (int i = 0; i < INTERPRETERS_MAX && exu_py_plausible(interpreter); i++) {
    bool is_it = field.size == 1 ? sleep->parked && sleep->parked == interpreter + field.offset
                                 : exu_py_get(py, interpreter, field, &lock) && lock != 0 && lock == sleep->futex;
    if (is_it) {
      if (!exu_py_get(py, interpreter, py->layout.interp_import_owner, owner) || *owner == UINT64_MAX) *owner = 0;
      return true;
    }
    if (!exu_py_get(py, interpreter, py->layout.interp_next, &interpreter)) break;
  }
  return false;
}

static bool import_lock(struct exu_py *py, const struct exu_py_sleep *sleep, struct exu_py_wait *wait) {
  uint64_t owner = 0;
  if (!static_import_lock(py, sleep, &owner) && !interpreter_import_lock(py, sleep, &owner)) return false;
  wait->kind = EXU_WAIT_IMPORT_LOCK;
  wait->evidence = exu_arena_printf(py->arena, "0x%llx is the import lock of the interpreter",
                                    (unsigned long long)(sleep->parked ? sleep->parked : sleep->futex));
  wait->owner_ident = owner;
  if (owner) wait->owner_evidence = exu_arena_printf(py->arena, "the interpreter records who holds its import lock");
  return true;
}

/* ---- Mutexes of the interpreter ---------------------------------------------------------------------------------- */

/* Python/lock.c: locked, and others wait. Events and the like never have both. */
static void py_mutex(struct exu_py *py, const struct exu_py_sleep *sleep, struct exu_py_wait *wait) {
  enum { LOCKED_HAS_PARKED = 3 };
  uint8_t bits;
  if (!sleep->parked || exu_space_read(py->space, sleep->parked, &bits, 1) != EXU_READABLE) return;
  if (bits != LOCKED_HAS_PARKED) return;
  wait->kind = EXU_WAIT_PYMUTEX;
  wait->lock = sleep->parked;
  wait->evidence = exu_arena_printf(py->arena, "parked on the PyMutex at 0x%llx, which is locked",
                                    (unsigned long long)sleep->parked);
}

/*
 * 2.7: a wait with a timeout asks again and again and sleeps in between, in another system call. The local `waiter` is
 * there only while it waits; it has to be taken.
 */
static void polling(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_registers *registers,
                    struct exu_py_wait *wait) {
  uint64_t condition, waiter;
  if (py->build.version.major > 2 || !registers || registers->syscall < 0) return;
  if (!exu_py_in_condition_wait(py, frame, &condition) || !exu_py_local(py, frame, "waiter", &waiter)) return;
  if (exu_py_lock_type(py, waiter) != EXU_PY_LOCK || exu_py_lock_taken(py, waiter, EXU_PY_LOCK) != EXU_YES) return;
  struct exu_string text = exu_py_frame_text(py, frame);
  wait->kind = EXU_WAIT_LOCK;
  wait->object = wait->lock = waiter;
  wait->type = type_name(py, waiter);
  wait->evidence = exu_arena_printf(py->arena, "asks again and again for the lock at 0x%llx, local `waiter` of %.*s",
                                    (unsigned long long)waiter, (int)text.size, text.data ? text.data : "");
}

bool exu_py_wait(struct exu_py *py, const struct exu_py_frame *frames, size_t count,
                 const struct exu_registers *registers, struct exu_py_wait *wait) {
  struct exu_py_sleep sleep = {0};
  struct exu_py_found_lock found;
  *wait = (struct exu_py_wait){.kind = EXU_WAIT_UNKNOWN};
  if (exu_py_sleep(py, registers, &sleep)) {
    exu_py_find_lock(py, frames, count, &sleep, &found);
    if (found.type) {
      set_lock(py, &found, wait);
    } else if (!import_lock(py, &sleep, wait)) {
      py_mutex(py, &sleep, wait);
    }
  } else {
    if (count > 0) polling(py, &frames[0], registers, wait);
    if (wait->kind == EXU_WAIT_UNKNOWN) return !py->arena->exhausted;
  }
  exu_py_wait_in_library(py, frames, count, &sleep, wait);
  return !py->arena->exhausted;
}
