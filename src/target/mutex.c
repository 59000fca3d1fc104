/* SPDX-License-Identifier: Apache-2.0 */
#include "target/mutex.h"

#include <string.h>

void exu_around_read(const struct exu_target *target, uint64_t address, struct exu_around *around) {
  *around = (struct exu_around){0};
  around->has_after =
      exu_space_read(target->space, address, around->bytes + EXU_AROUND_BEFORE, EXU_AROUND_AFTER) == EXU_READABLE;
  around->has_before = address >= EXU_AROUND_BEFORE && exu_space_read(target->space, address - EXU_AROUND_BEFORE,
                                                                      around->bytes, EXU_AROUND_BEFORE) == EXU_READABLE;
}

static uint32_t word_at(const struct exu_around *around, int offset) {
  uint32_t word;
  memcpy(&word, around->bytes + EXU_AROUND_BEFORE + offset, sizeof word);
  return word;
}

static uint64_t long_at(const struct exu_around *around, int offset) {
  uint64_t word;
  memcpy(&word, around->bytes + EXU_AROUND_BEFORE + offset, sizeof word);
  return word;
}

/* FUTEX_WAITERS, FUTEX_OWNER_DIED and the thread id of a word that names its owner (linux/futex.h). */
#define WAITERS 0x80000000u
#define TID_MASK 0x3fffffffu
enum { TID_MAX = 1 << 22 }; /* PID_MAX_LIMIT */

/*
 * glibc on 64-bit machines (nptl/pthreadP.h, struct __pthread_mutex_s): int __lock, unsigned __count, int __owner,
 * unsigned __nusers, int __kind, short __spins, short __elision, then the list of robust mutexes. A plain lock's word
 * is 2 when somebody waits; that of a robust one, or of one that inherits priority, is its owner's id and
 * FUTEX_WAITERS.
 */
enum { COUNT = 4, OWNER = 8, USERS = 12, KIND = 16, LIST_PREVIOUS = 24, LIST_NEXT = 32 };
enum {
  TYPE_MASK = 3, /* normal, recursive, error checking, adaptive */
  RECURSIVE = 1,
  ROBUST = 0x10,
  INHERITS = 0x20,
  PROTECTS = 0x40,
  SHARED = 0x80,
  ELISION = 0x300,
};

static bool is_glibc(const struct exu_futex *futex, const struct exu_around *around) {
  uint32_t lock = word_at(around, 0), kind = word_at(around, KIND), owner = word_at(around, OWNER);
  uint32_t count = word_at(around, COUNT), users = word_at(around, USERS);
  if (kind & ~(uint32_t)(TYPE_MASK | ROBUST | INHERITS | PROTECTS | SHARED | ELISION)) return false;
  if (owner == 0 || owner > TID_MAX || users == 0 || users > TID_MAX) return false;
  if (kind & PROTECTS) return false; /* its word is a priority: nothing to hold it against */
  if (kind & (ROBUST | INHERITS)) {
    if ((lock & TID_MASK) != owner || !(lock & WAITERS)) return false;
    return kind & INHERITS ? futex->inherits : !futex->inherits && futex->expected == lock;
  }
  /* Those above count in every type. */
  if ((kind & TYPE_MASK) == RECURSIVE ? count == 0 || count > INT32_MAX : count != 0) return false;
  return !futex->inherits && lock == 2 && futex->expected == 2 && long_at(around, LIST_PREVIOUS) == 0 &&
         long_at(around, LIST_NEXT) == 0;
}

/*
 * musl (src/internal/pthread_impl.h): int _m_type, int _m_lock, int _m_waiters. Only types other than the normal one
 * have the owner's id in _m_lock, which is the futex.
 */
static bool is_musl(const struct exu_futex *futex, const struct exu_around *around) {
  enum { TYPE = -4, WAITING = 4, TYPES = 0x8f };
  if (!around->has_before || futex->inherits) return false;
  uint32_t type = word_at(around, TYPE), lock = word_at(around, 0), waiting = word_at(around, WAITING);
  return (type & ~(uint32_t)TYPES) == 0 && (type & TYPE_MASK) != 0 && lock & WAITERS && lock == futex->expected &&
         waiting > 0 && waiting <= TID_MAX;
}

struct exu_mutex exu_mutex_of(const struct exu_futex *futex, const struct exu_around *around, exu_is_thread *is_thread,
                              const void *context) {
  struct exu_mutex mutex = {.form = EXU_MUTEX_NOT, .owner_tid = -1};
  if (!around->has_after) return mutex;
  mutex.word = word_at(around, 0);
  if (futex->address % 8 == 0 && is_glibc(futex, around)) {
    mutex.form = EXU_MUTEX_GLIBC;
    mutex.address = futex->address;
    mutex.owner_tid = word_at(around, OWNER);
  } else if (futex->address % 8 == 4 && is_musl(futex, around) && is_thread(context, mutex.word & TID_MASK)) {
    mutex.form = EXU_MUTEX_MUSL;
    mutex.address = futex->address - 4;
    mutex.owner_tid = mutex.word & TID_MASK;
  }
  return mutex;
}

/*
 * glibc since 2.25 (struct __pthread_cond_s): __wseq, __g1_start (64 bits each, the lowest bit is a flag), __g_refs[2]
 * (waiters times two; gone since 2.41), __g_size[2], __g1_orig_size, __wrefs (waiters times eight, and flags),
 * __g_signals[2]. A thread sleeps on one of the last two, which is that of its group. Positions of the first three,
 * from __g_signals:
 */
struct cond_layout {
  int sequence, start, references; /* 0: there is none */
};
static const struct cond_layout layouts[] = {{-40, -32, -24}, {-32, -24, 0}};

static bool fits(const struct exu_around *around, int signals, int group, const struct cond_layout *layout,
                 uint32_t waiters) {
  uint64_t sequence = long_at(around, signals + layout->sequence) >> 1;
  uint64_t start = long_at(around, signals + layout->start) >> 1;
  if (sequence < waiters || sequence >> 48 != 0 || start > sequence) return false;
  if (layout->references == 0) return true;
  uint32_t references = word_at(around, signals + layout->references + 4 * group) >> 1;
  return references > 0 && references <= waiters;
}

struct exu_cond exu_cond_of(const struct exu_futex *futex, const struct exu_around *around, size_t threads) {
  struct exu_cond cond = {.is_cond = false};
  int group = futex->address % 8 == 4;
  if (!around->has_before || !around->has_after || futex->address % 4 != 0 || futex->inherits) return cond;
  int signals = -4 * group;
  uint32_t waiters = word_at(around, signals - 4) >> 3;
  if (waiters == 0 || waiters > threads) return cond;
  for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
    if (!fits(around, signals, group, &layouts[i], waiters)) continue;
    cond.address = cond.is_cond ? 0 : futex->address + (uint64_t)(int64_t)(signals + layouts[i].sequence);
    cond.is_cond = true;
    cond.waiters = waiters;
  }
  return cond;
}
