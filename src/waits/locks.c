/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/locks.h"

#include "base/str.h"
#include "python/object/types.h"

/* ---- Sleeping ---------------------------------------------------------------------------------------------------- */

/* linux/futex.h. A semaphore waits with the first, or with the second when there is a timeout. */
enum { FUTEX_WAIT = 0, FUTEX_WAIT_BITSET = 9, COMMAND_MASK = 0x7f };

/* How far from the stack pointer the entry of a thread that is asleep may be: a few small native frames lie between. */
enum { STACK_MAX = 64 * 1024 };

/*
 * The futex is the first word of the semaphore, in glibc (since 2.21; before that it was the same word) and in musl.
 * The entry is linked into the list of its bucket: both neighbours point back at it, which no other memory does.
 */
static uint64_t parked_on(const struct exu_py *py, const struct exu_registers *registers, uint64_t futex) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t address, next, previous, back, forth;
  if (!exu_py_has(layout->wait_entry_address) || !exu_py_has(layout->wait_entry_semaphore)) return 0;
  if (futex < registers->sp || futex - registers->sp > STACK_MAX) return 0;
  uint64_t entry = futex - layout->wait_entry_semaphore.offset;
  uint64_t node = entry + layout->wait_entry_node.offset;
  if (!exu_py_get(py, entry, layout->wait_entry_address, &address)) return 0;
  if (!exu_py_word(py, node, &next) || !exu_py_word(py, exu_py_at(py, node, 1), &previous)) return 0;
  if (!exu_py_plausible(next) || !exu_py_plausible(previous)) return 0;
  if (!exu_py_word(py, exu_py_at(py, next, 1), &back) || !exu_py_word(py, previous, &forth)) return 0;
  return back == node && forth == node ? address : 0;
}

bool exu_py_sleep(const struct exu_py *py, const struct exu_registers *registers, struct exu_py_sleep *sleep) {
  if (!registers || exu_arch_call(py->process->arch, registers->syscall) != EXU_SYS_FUTEX) return false;
  uint64_t command = registers->syscall_args[1] & COMMAND_MASK;
  if (command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET) return false;
  sleep->futex = registers->syscall_args[0];
  sleep->parked = parked_on(py, registers, sleep->futex);
  return true;
}

/* ---- Locks ------------------------------------------------------------------------------------------------------- */

enum exu_py_lock_type exu_py_lock_type(struct exu_py *py, uint64_t object) {
  static const struct {
    const char *name;
    enum exu_py_lock_type type;
  } types[] = {
      {"_thread.lock", EXU_PY_LOCK},
      {"thread.lock", EXU_PY_LOCK}, /* 2.7 */
      {"_thread.RLock", EXU_PY_RLOCK},
      {"_queue.SimpleQueue", EXU_PY_SIMPLE_QUEUE},
      {"_multiprocessing.SemLock", EXU_PY_SEMLOCK},
      {"_io.BufferedReader", EXU_PY_BUFFERED},
      {"_io.BufferedWriter", EXU_PY_BUFFERED},
      {"_io.BufferedRandom", EXU_PY_BUFFERED},
  };
  struct exu_string name = exu_py_native_type_name(py, object);
  for (size_t i = 0; name.data && i < sizeof types / sizeof *types; i++) {
    if (exu_string_is(name, types[i].name)) return types[i].type;
  }
  return EXU_PY_NO_LOCK;
}

static struct exu_field field_of(const struct exu_py *py, enum exu_py_lock_type type) {
  switch (type) {
  case EXU_PY_LOCK: return py->runtime->layout.lock_lock;
  case EXU_PY_RLOCK: return py->runtime->layout.rlock_lock;
  case EXU_PY_BUFFERED: return py->runtime->layout.buffered_lock;
  default: return (struct exu_field){0};
  }
}

static bool is_mutex(struct exu_field field) { return field.size == 1; }

/* Objects of extension modules have no layout: their first words after the header are compared. */
static bool contains(struct exu_py *py, uint64_t object, const struct exu_py_sleep *sleep) {
  enum { SIZE_MAX_BYTES = 256 };
  uint64_t type, size, head = py->runtime->layout.object_size.size;
  if (!exu_py_get(py, object, py->runtime->layout.object_type, &type)) return false;
  if (!exu_py_get(py, type, py->runtime->layout.type_basicsize, &size) || size > SIZE_MAX_BYTES) return false;
  if (sleep->parked) return sleep->parked >= object + head && sleep->parked < object + size;
  for (uint64_t at = head; at + exu_py_word_size(py) <= size; at += exu_py_word_size(py)) {
    uint64_t word;
    if (exu_py_word(py, object + at, &word) && word == sleep->futex) return true;
  }
  return false;
}

bool exu_py_lock_is(struct exu_py *py, uint64_t object, enum exu_py_lock_type type, const struct exu_py_sleep *sleep) {
  struct exu_field field = field_of(py, type);
  uint64_t semaphore;
  if (type == EXU_PY_NO_LOCK) return false;
  if (type == EXU_PY_SIMPLE_QUEUE || type == EXU_PY_SEMLOCK) return contains(py, object, sleep);
  if (is_mutex(field)) return sleep->parked && sleep->parked == object + field.offset;
  if (!exu_py_get(py, object, field, &semaphore) || semaphore == 0) return false;
  /* What PyThread_allocate_lock makes is a PyMutex since 3.15. */
  return semaphore == (type == EXU_PY_BUFFERED && sleep->parked ? sleep->parked : sleep->futex);
}

enum exu_py_lock_type exu_py_lock_of_mutex(struct exu_py *py, uint64_t address, uint64_t *object) {
  static const enum exu_py_lock_type types[] = {EXU_PY_LOCK, EXU_PY_RLOCK};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    struct exu_field field = field_of(py, types[i]);
    if (!is_mutex(field) || address < field.offset) continue;
    uint64_t candidate = address - field.offset;
    if (exu_py_plausible(candidate) && exu_py_lock_type(py, candidate) == types[i]) {
      *object = candidate;
      return types[i];
    }
  }
  return EXU_PY_NO_LOCK;
}

/* The first word of a sem_t has the value, in glibc and in musl; musl's highest bit says that somebody waits. */
enum exu_tristate exu_py_semaphore_taken(struct exu_py *py, uint64_t address) {
  enum { VALUE = 0x7fffffff };
  uint32_t value;
  if (exu_space_read(py->space, address, &value, sizeof value) != EXU_READABLE) return EXU_UNKNOWN;
  return (value & VALUE) == 0 ? EXU_YES : EXU_NO;
}

uint64_t exu_py_rlock_owner(struct exu_py *py, uint64_t object) {
  uint64_t owner;
  if (exu_py_lock_taken(py, object, EXU_PY_RLOCK) != EXU_YES) return 0;
  return exu_py_get(py, object, py->runtime->layout.rlock_owner, &owner) ? owner : 0;
}

/* Modules/_io/bufferedio.c clears it before it releases the lock. */
uint64_t exu_py_buffered_owner(struct exu_py *py, uint64_t object) {
  uint64_t owner;
  return exu_py_get(py, object, py->runtime->layout.buffered_owner, &owner) ? owner : 0;
}

enum exu_tristate exu_py_lock_taken(struct exu_py *py, uint64_t object, enum exu_py_lock_type type) {
  struct exu_field field = field_of(py, type);
  uint64_t word;
  if (!exu_py_has(field) || !exu_py_get(py, object, field, &word)) return EXU_UNKNOWN;
  if (is_mutex(field)) return word & 1 ? EXU_YES : EXU_NO;
  return exu_py_semaphore_taken(py, word); /* 1 when the lock is free */
}
