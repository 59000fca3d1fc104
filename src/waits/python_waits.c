/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/python_waits.h"

#include "base/str.h"
#include "process/system_calls.h"
#include "python/frame/value_stack.h"
#include "python/object/types.h"
#include "python/runtime/find.h"
#include "waits/evidence.h"
#include "waits/locks.h"
#include "waits/python_library.h"
#include "waits/python_lock.h"
#include "waits/semlock.h"

/* The words that people know them by: the type of threading.Lock() is _thread.lock. Classes keep their own names. */
static struct exu_string type_name(struct exu_py *py, uint64_t object) {
  static const struct exu_string lock = {"Lock", 4}, rlock = {"RLock", 5}, simple = {"SimpleQueue", 11};
  struct exu_string name = exu_py_type_name(py, object);
  if (exu_string_is(name, "_queue.SimpleQueue")) return simple;
  if (exu_string_is(name, "_thread.lock") || exu_string_is(name, "thread.lock")) return lock;
  return exu_string_is(name, "_thread.RLock") ? rlock : name;
}

/* ---- Locks ------------------------------------------------------------------------------------------------------- */

static const struct exu_evidence *member(struct exu_py *py, struct exu_string name, struct exu_string type,
                                         uint64_t object) {
  return exu_evidence_of(
      py->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_MEMBER, .name = name, .type = type, .object = object});
}

/*
 * A lock or semaphore of multiprocessing. Those who call `acquire` call that of the SemLock: the object that they know
 * is looked for in their local variables. False: it cannot be read.
 */
static bool set_semlock(struct exu_py *py, const struct exu_py_found_lock *found, struct exu_wait *wait) {
  static const struct exu_string lock = {"multiprocessing.Lock", 20}, rlock = {"multiprocessing.RLock", 21},
                                 semaphore = {"multiprocessing.Semaphore", 25};
  struct exu_py_semlock semlock;
  if (!exu_py_semlock_read(py, found->object, &semlock)) return false;
  wait->kind = semlock.recursive ? EXU_WAIT_RLOCK : semlock.limit == 1 ? EXU_WAIT_LOCK : EXU_WAIT_SEMAPHORE;
  wait->type = semlock.recursive ? rlock : semlock.limit == 1 ? lock : semaphore;
  wait->address = wait->lock = found->object;
  wait->evidence = found->evidence;
  if (semlock.limit == 1 && !semlock.recursive && !found->wrapper)
    exu_evidence_add(py->arena, &wait->evidence, (struct exu_evidence){.kind = EXU_EVIDENCE_BOUNDED});
  wait->shared = true;
  if (found->wrapper) {
    struct exu_string type = exu_py_type_name(py, found->wrapper);
    wait->address = found->wrapper;
    wait->type = exu_arena_printf(py->arena, "multiprocessing.%.*s", (int)type.size, type.data ? type.data : "");
    if (exu_py_is_a(py, found->wrapper, "Semaphore")) wait->kind = EXU_WAIT_SEMAPHORE;
  }
  if (semlock.elsewhere) wait->detail = EXU_DETAIL_ELSEWHERE;
  wait->owner_ident = semlock.owner_ident;
  if (!wait->owner_ident) return true;
  wait->owner_evidence = member(py, EXU_STRING_OF("last_tid and count"), EXU_STRING_OF("SemLock"), found->object);
  return true;
}

/* "io.BufferedWriter", also for subclasses: it stands for the lock that they have inside. */
static void set_buffered(struct exu_py *py, const struct exu_py_found_lock *found, struct exu_wait *wait) {
  struct exu_string type = exu_py_native_type_name(py, found->object);
  wait->kind = EXU_WAIT_LOCK;
  wait->address = wait->lock = found->object;
  if (type.size > 1) wait->type = (struct exu_string){type.data + 1, type.size - 1}; /* without its underscore */
  wait->evidence = found->evidence;
  wait->owner_ident = exu_py_buffered_owner(py, found->object);
  if (!wait->owner_ident) return;
  wait->owner_evidence = member(py, EXU_STRING_OF("owner"), wait->type, found->object);
}

static void set_lock(struct exu_py *py, const struct exu_py_found_lock *found, struct exu_wait *wait) {
  static const enum exu_wait_kind kinds[] = {
      [EXU_PY_LOCK] = EXU_WAIT_LOCK,
      [EXU_PY_RLOCK] = EXU_WAIT_RLOCK,
      [EXU_PY_SIMPLE_QUEUE] = EXU_WAIT_QUEUE,
      [EXU_PY_SEMLOCK] = EXU_WAIT_SEMAPHORE,
  };
  if (found->type == EXU_PY_SEMLOCK && set_semlock(py, found, wait)) return;
  if (found->type == EXU_PY_BUFFERED) {
    set_buffered(py, found, wait);
    return;
  }
  wait->kind = kinds[found->type];
  wait->address = wait->lock = found->object;
  wait->type = type_name(py, found->object);
  wait->evidence = found->evidence;
  if (found->type != EXU_PY_RLOCK) return;
  wait->owner_ident = exu_py_rlock_owner(py, found->object);
  if (!wait->owner_ident) return;
  wait->owner_evidence = member(py, EXU_STRING_OF("owner"), EXU_STRING_OF("RLock"), found->object);
}

/* ---- The import lock of the interpreter -------------------------------------------------------------------------- */

/* Up to 3.11: variables of the library. The owner is -1 while nobody holds it. */
static bool static_import_lock(struct exu_py *py, const struct exu_py_sleep *sleep, uint64_t *owner) {
  uint64_t lock;
  exu_py_find_import_lock(py);
  if (!py->import_lock || !exu_py_word(py, py->import_lock, &lock)) return false;
  if (lock != sleep->futex || lock == 0) return false;
  if (!py->import_lock_owner || !exu_py_word(py, py->import_lock_owner, owner)) *owner = 0;
  if (*owner == UINT64_MAX) *owner = 0;
  return true;
}

/* 3.12: a pointer to a semaphore in the interpreter; 3.13 on: a PyMutex there. */
static bool interpreter_import_lock(struct exu_py *py, const struct exu_py_sleep *sleep, uint64_t *owner) {
  enum { INTERPRETERS_MAX = 256 };
  struct exu_field field = py->runtime->layout.interp_import_lock;
  uint64_t interpreter = py->runtime->interpreters, lock;
  if (!exu_py_has(field)) return false;
  for (int i = 0; i < INTERPRETERS_MAX && exu_py_plausible(interpreter); i++) {
    bool is_it = field.size == 1 ? sleep->parked && sleep->parked == interpreter + field.offset
                                 : exu_py_get(py, interpreter, field, &lock) && lock != 0 && lock == sleep->futex;
    if (is_it) {
      if (!exu_py_get(py, interpreter, py->runtime->layout.interp_import_owner, owner) || *owner == UINT64_MAX)
        *owner = 0;
      return true;
    }
    if (!exu_py_get(py, interpreter, py->runtime->layout.interp_next, &interpreter)) break;
  }
  return false;
}

static bool import_lock(struct exu_py *py, const struct exu_py_sleep *sleep, struct exu_wait *wait) {
  uint64_t owner = 0;
  if (!static_import_lock(py, sleep, &owner) && !interpreter_import_lock(py, sleep, &owner)) return false;
  wait->kind = EXU_WAIT_IMPORT_LOCK;
  wait->evidence =
      exu_evidence_of(py->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_IMPORT_LOCK,
                                                       .address = sleep->parked ? sleep->parked : sleep->futex});
  wait->owner_ident = owner;
  if (owner)
    wait->owner_evidence = exu_evidence_of(py->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_IMPORT_OWNER});
  return true;
}

/* ---- Mutexes of the interpreter ---------------------------------------------------------------------------------- */

/* Free-threaded builds: the object that has the mutex in its header, for critical sections; 0: none has. */
static uint64_t object_of_mutex(struct exu_py *py, uint64_t mutex, struct exu_string *type) {
  struct exu_field field = py->runtime->layout.object_mutex;
  if (!exu_py_has(field) || mutex < field.offset || !exu_py_plausible(mutex - field.offset)) return 0;
  *type = exu_py_type_name(py, mutex - field.offset);
  return type->data ? mutex - field.offset : 0;
}

/* Python/lock.c: locked, and others wait. Events and the like never have both. */
static void py_mutex(struct exu_py *py, const struct exu_py_sleep *sleep, struct exu_wait *wait) {
  enum { LOCKED_HAS_PARKED = 3 };
  uint8_t bits;
  if (!sleep->parked || exu_space_read(py->space, sleep->parked, &bits, 1) != EXU_READABLE) return;
  if (bits != LOCKED_HAS_PARKED) return;
  wait->kind = EXU_WAIT_PYMUTEX;
  wait->lock = sleep->parked;
  wait->evidence =
      exu_evidence_of(py->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_PYMUTEX, .address = sleep->parked});
  wait->address = object_of_mutex(py, sleep->parked, &wait->type);
}

/*
 * 2.7: a wait with a timeout asks again and again and sleeps in between, in another system call. The local `waiter` is
 * there only while it waits; it has to be taken.
 */
static void polling(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_registers *registers,
                    struct exu_wait *wait) {
  uint64_t condition, waiter;
  if (py->runtime->build.version.major > 2 || !registers || registers->syscall < 0) return;
  if (!exu_py_in_condition_wait(py, frame, &condition) || !exu_py_local(py, frame, "waiter", &waiter)) return;
  if (exu_py_lock_type(py, waiter) != EXU_PY_LOCK || exu_py_lock_taken(py, waiter, EXU_PY_LOCK) != EXU_YES) return;
  wait->kind = EXU_WAIT_LOCK;
  wait->address = wait->lock = waiter;
  wait->type = type_name(py, waiter);
  exu_evidence_add(py->arena, &wait->evidence, (struct exu_evidence){.kind = EXU_EVIDENCE_POLLS, .object = waiter});
  exu_evidence_add(
      py->arena, &wait->evidence,
      (struct exu_evidence){.kind = EXU_EVIDENCE_LOCAL, .name = EXU_STRING_OF("waiter"), .place = exu_py_place(frame)});
}

/* ---- Other system calls ------------------------------------------------------------------------------------------ */

/* Those that functions of the standard library wait in. */
static bool may_wait(const struct exu_py *py, const struct exu_registers *registers) {
  if (!registers || registers->syscall < 0) return false;
  const struct exu_system_call *call = exu_system_call_find(py->process->arch, registers->syscall);
  if (!call) return false;
  switch (call->class) {
  case EXU_CALL_READ:
  case EXU_CALL_POLL:
  case EXU_CALL_SELECT:
  case EXU_CALL_EPOLL:
  case EXU_CALL_SLEEP:
  case EXU_CALL_CHILD: return true;
  default: return false;
  }
}

bool exu_py_wait(struct exu_py *py, const struct exu_py_frame *frames, size_t count,
                 const struct exu_registers *registers, struct exu_wait *wait) {
  struct exu_py_sleep sleep = {0};
  struct exu_py_found_lock found;
  if (exu_py_sleep(py, registers, &sleep)) {
    exu_py_find_lock(py, frames, count, &sleep, &found);
    if (found.type) {
      set_lock(py, &found, wait);
      if (found.type == EXU_PY_BUFFERED) return !py->arena->exhausted;
    } else if (!import_lock(py, &sleep, wait)) {
      py_mutex(py, &sleep, wait);
    }
  } else {
    if (count > 0) polling(py, &frames[0], registers, wait);
    if (wait->kind == EXU_WAIT_UNKNOWN && may_wait(py, registers)) wait->kind = EXU_WAIT_SYSCALL;
    if (wait->kind == EXU_WAIT_UNKNOWN) return !py->arena->exhausted;
  }
  exu_py_wait_in_library(py, frames, count, &sleep, wait);
  if (wait->kind == EXU_WAIT_SYSCALL) wait->kind = EXU_WAIT_UNKNOWN; /* the call itself tells as much */
  return !py->arena->exhausted;
}
