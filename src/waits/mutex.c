/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/mutex.h"

#include <string.h>

/* All of them or, where the memory ends nearby, those on the same page as the word. */
void exu_around_read(const struct exu_process *process, uint64_t address, struct exu_around *around) {
  enum { PAGE = 4096 };
  uint8_t *word = around->bytes + EXU_AROUND_BEFORE;
  uint64_t before = address % PAGE, after = PAGE - before;
  *around = (struct exu_around){.before = 0};
  if (process->arch->word_size != sizeof(uint64_t)) return; /* the C libraries' structures here are those of 64 bits */
  around->before = EXU_AROUND_BEFORE;
  around->after = EXU_AROUND_AFTER;
  if (exu_space_read(process->space, address - EXU_AROUND_BEFORE, around->bytes, sizeof around->bytes) == EXU_READABLE)
    return;
  if (before < EXU_AROUND_BEFORE) around->before = (size_t)before;
  if (after < EXU_AROUND_AFTER) around->after = (size_t)after;
  if (exu_space_read(process->space, address, word, around->after) != EXU_READABLE) around->after = 0;
  if (exu_space_read(process->space, address - around->before, word - around->before, around->before) != EXU_READABLE)
    around->before = 0;
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
enum { COUNT = 4, OWNER = 8, USERS = 12, KIND = 16, LIST_PREVIOUS = 24, LIST_NEXT = 32, MUTEX_SIZE = 40 };
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
  if (around->before < 4 || futex->inherits) return false;
  uint32_t type = word_at(around, TYPE), lock = word_at(around, 0), waiting = word_at(around, WAITING);
  return (type & ~(uint32_t)TYPES) == 0 && (type & TYPE_MASK) != 0 && lock & WAITERS && lock == futex->expected &&
         waiting > 0 && waiting <= TID_MAX;
}

struct exu_mutex exu_mutex_of(const struct exu_futex *futex, const struct exu_around *around, exu_is_thread *is_thread,
                              const void *context) {
  struct exu_mutex mutex = {.form = EXU_MUTEX_NOT, .owner_tid = -1};
  if (around->after < MUTEX_SIZE) return mutex;
  mutex.word = word_at(around, 0);
  if (futex->address % 8 == 0 && is_glibc(futex, around)) {
    mutex.form = EXU_MUTEX_GLIBC;
    mutex.address = futex->address;
    mutex.owner_tid = word_at(around, OWNER);
    mutex.shared = word_at(around, KIND) & SHARED;
  } else if (futex->address % 8 == 4 && is_musl(futex, around) && is_thread(context, mutex.word & TID_MASK)) {
    mutex.form = EXU_MUTEX_MUSL;
    mutex.address = futex->address - 4;
    mutex.owner_tid = mutex.word & TID_MASK;
    mutex.shared = word_at(around, -4) & SHARED;
  }
  return mutex;
}

/*
 * glibc since 2.25 (sysdeps/nptl/bits/struct_rwlock.h, nptl/pthread_rwlock_common.c): unsigned __readers, __writers,
 * __wrphase_futex, __writers_futex, two of padding, int __cur_writer, __shared, padding, and at last __flags. Readers
 * sleep until a write phase ends (its futex is 1, and 2 says that somebody sleeps on it), or, where writers are
 * preferred, until __readers changes; a writer until it is its turn among the writers, and then until a write phase
 * begins (0 and 2).
 */
enum {
  READERS = 0,
  WRITERS = 4,
  PHASE = 8,
  TURN = 12,
  PAD = 16,
  WRITER = 24,
  IS_SHARED = 28,
  REST = 33,
  FLAGS = 48,
  RWLOCK_SIZE = 56
};
enum { WRITE_PHASE = 1, WRITE_LOCKED = 2, READER_WAITS = 4, READER_SHIFT = 3, FUTEX_USED = 2, RWLOCK_TYPES = 3 };

/* Where in it the thread sleeps, by what it expects there; -1: nowhere. */
static int sleeps_at(const struct exu_futex *futex) {
  if (futex->inherits) return -1;
  if (futex->address % 8 == 4) return futex->expected == (FUTEX_USED | 1) ? TURN : -1;
  if (futex->expected == FUTEX_USED || futex->expected == (FUTEX_USED | 1)) return PHASE;
  return futex->expected & READER_WAITS && futex->expected >> READER_SHIFT > 0 ? READERS : -1;
}

struct exu_rwlock exu_rwlock_of(const struct exu_futex *futex, const struct exu_around *around) {
  struct exu_rwlock rwlock = {.writer_tid = -1};
  int at = sleeps_at(futex);
  if (at < 0 || futex->address % 4 != 0) return rwlock;
  if (around->before < (size_t)at || around->after < (size_t)(RWLOCK_SIZE - at)) return rwlock;
  const uint8_t *start = around->bytes + EXU_AROUND_BEFORE - at;
  uint32_t readers = word_at(around, READERS - at), writer = word_at(around, WRITER - at);
  uint32_t shared = word_at(around, IS_SHARED - at);
  if (word_at(around, 0) != futex->expected || word_at(around, WRITERS - at) > TID_MAX || writer > TID_MAX)
    return rwlock;
  if (word_at(around, PHASE - at) > 3 || word_at(around, TURN - at) > 3 || long_at(around, PAD - at) != 0)
    return rwlock;
  if (shared > 1 || (shared != 0) != futex->shared || word_at(around, FLAGS - at) >= RWLOCK_TYPES) return rwlock;
  for (size_t i = REST; i < FLAGS; i++) {
    if (start[i] != 0) return rwlock;
  }
  bool writes = readers & WRITE_PHASE;
  if (writer != 0 && (!writes || !(readers & WRITE_LOCKED))) return rwlock;
  rwlock.is_rwlock = true;
  rwlock.shared = shared;
  rwlock.address = futex->address - (uint64_t)at;
  if (writer != 0) rwlock.writer_tid = writer;
  if (!writes) rwlock.readers = readers >> READER_SHIFT;
  return rwlock;
}

/*
 * glibc since 2.25 (nptl/pthread_barrier_wait.c): unsigned in, current_round, count; int shared; unsigned out. `in`
 * counts the threads that came, `current_round` how many of those a full round let go; they sleep on that.
 */
struct exu_barrier exu_barrier_of(const struct exu_futex *futex, const struct exu_around *around) {
  enum { CAME = -4, PARTIES = 4, PROCESSES = 8, SHARED_FUTEX = 0x80 };
  struct exu_barrier barrier = {.is_barrier = false};
  if (around->before < 4 || around->after < 16 || futex->address % 4 != 0 || futex->inherits) return barrier;
  uint32_t round = word_at(around, 0), arrived = word_at(around, CAME) - round, parties = word_at(around, PARTIES);
  if (round != futex->expected || word_at(around, PROCESSES) != (futex->shared ? SHARED_FUTEX : 0)) return barrier;
  if (arrived == 0 || arrived >= parties || parties > INT32_MAX) return barrier;
  return (struct exu_barrier){true, futex->address - 4, arrived, parties};
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

uint64_t exu_cond_of(const struct exu_futex *futex, const struct exu_around *around, size_t threads) {
  uint64_t address = 0;
  bool found = false;
  int group = futex->address % 8 == 4;
  if (around->before < EXU_AROUND_BEFORE || around->after < 8) return 0;
  if (futex->address % 4 != 0 || futex->inherits) return 0;
  int signals = -4 * group;
  uint32_t waiters = word_at(around, signals - 4) >> 3;
  if (waiters == 0 || waiters > threads) return 0;
  for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
    if (!fits(around, signals, group, &layouts[i], waiters)) continue;
    address = found ? 0 : futex->address + (uint64_t)(int64_t)(signals + layouts[i].sequence);
    found = true;
  }
  return address;
}
