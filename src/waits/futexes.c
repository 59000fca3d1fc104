/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that sleeps on a futex which nothing in Python explains: on what of the C library? */
#include <string.h>

#include "base/str.h"
#include "waits/native_code.h"
#include "waits/waits_private.h"

/*
 * Is that the thread of another process, which has mapped what the lock lies in? EXU_NO: that memory is this process's
 * alone, it was copied by fork(2), and the lock with it.
 */
static enum exu_tristate is_outside(const struct exu_finishing *finishing, uint64_t lock, int64_t tid,
                                    struct exu_other *other) {
  const int64_t pid = finishing->waits->process->running_pid;
  struct exu_shared_place place;
  const enum exu_tristate is_shared = pid >= 0 ? exu_shared_place(pid, lock, &place) : EXU_UNKNOWN;
  if (is_shared != EXU_YES) return is_shared;
  /* In another PID namespace the same number may be another thread's. */
  if (exu_tid_inside(pid, pid) != pid || !exu_process_of_thread(tid, other)) return EXU_UNKNOWN;
  return other->pid != pid && exu_has_mapped(other->pid, &place) == EXU_YES ? EXU_YES : EXU_UNKNOWN;
}

static void look_outside(const struct exu_finishing *finishing, struct exu_wait *wait) {
  struct exu_other other;
  const enum exu_tristate outside = is_outside(finishing, wait->address, wait->owner_tid, &other);
  if (outside == EXU_NO) return;
  wait->owner_place = EXU_OWNER_OUTSIDE;
  if (outside != EXU_YES) return;
  wait->owner_place = EXU_OWNER_PROCESS;
  wait->owner_pid = other.pid;
  wait->owner_comm = exu_arena_string(finishing->waits->arena, other.comm, strlen(other.comm));
}

/* A lock of the C library that names its owner by the kernel's number. */
static void set_owner_by_tid(struct exu_finishing *finishing, struct exu_seen *seen, struct exu_string type,
                             int64_t tid) {
  struct exu_wait *wait = &seen->wait;
  struct exu_seen *owner = tid > 0 ? exu_wait_find(&finishing->by_tid, (uint64_t)tid) : NULL;
  exu_wait_set_owner(finishing, wait, owner, tid);
  if (wait->shared && wait->owner_place == EXU_OWNER_NOWHERE) look_outside(finishing, wait);
  seen->lost = wait->owner_place == EXU_OWNER_NOWHERE;
  wait->owner_evidence =
      exu_evidence_of(finishing->waits->arena,
                      (struct exu_evidence){.kind = EXU_EVIDENCE_NAMES, .type = type, .number = (uint64_t)tid});
}

static void explain_mutex(struct exu_finishing *finishing, struct exu_seen *seen, const struct exu_mutex *mutex) {
  struct exu_wait *wait = &seen->wait;
  wait->kind = EXU_WAIT_MUTEX;
  wait->address = mutex->address;
  wait->shared = mutex->shared;
  wait->evidence =
      exu_evidence_of(finishing->waits->arena,
                      (struct exu_evidence){.kind = EXU_EVIDENCE_MUTEX, .number = mutex->word, .name = wait->function});
  set_owner_by_tid(finishing, seen, EXU_STRING_OF("pthread_mutex_t"), mutex->owner_tid);
}

static void explain_rwlock(struct exu_finishing *finishing, struct exu_seen *seen, const struct exu_rwlock *rwlock) {
  struct exu_wait *wait = &seen->wait;
  wait->kind = EXU_WAIT_RWLOCK;
  wait->address = rwlock->address; /* 0: unknown */
  wait->shared = rwlock->shared;
  wait->evidence = exu_evidence_of(finishing->waits->arena,
                                   (struct exu_evidence){.kind = EXU_EVIDENCE_RWLOCK, .name = wait->function});
  if (rwlock->writer_tid > 0) {
    set_owner_by_tid(finishing, seen, EXU_STRING_OF("pthread_rwlock_t"), rwlock->writer_tid);
  } else if (rwlock->readers > 0) {
    wait->detail = EXU_DETAIL_READ_LOCKED;
    wait->readers = rwlock->readers;
  }
}

static void explain_barrier(struct exu_seen *seen) {
  struct exu_barrier barrier = exu_barrier_of(&seen->futex, &seen->around);
  struct exu_wait *wait = &seen->wait;
  wait->kind = EXU_WAIT_BARRIER;
  wait->detail = EXU_DETAIL_PTHREAD;
  wait->address = barrier.address; /* 0: unknown */
  if (!barrier.is_barrier) return;
  wait->arrived = barrier.arrived;
  wait->parties = barrier.parties;
}

/*
 * pthread_join(3): glibc sleeps on the joined thread's own record of its id, which lies right above its thread pointer,
 * and since 2.43 on a state beside it, which is 2 then. The kernel wakes at both, and does so only for those who sleep
 * on it as memory that processes share; the locks in there are private.
 */
static bool is_joined(const struct exu_seen *one, const struct exu_futex *futex) {
  enum { STRUCT_PTHREAD = 2304, JOIN_STATE = 2 };
  const struct exu_registers *registers = &one->subject.os->registers;
  uint64_t self = registers->thread_pointer;
  if (futex->inherits || !registers->has_thread_pointer || futex->address <= self) return false;
  if (futex->expected == one->tid) return futex->address - self < EXU_DESCRIPTOR_MAX;
  return futex->shared && futex->expected == JOIN_STATE && futex->address - self < STRUCT_PTHREAD;
}

static struct exu_seen *joined_thread(const struct exu_finishing *finishing, const struct exu_seen *seen) {
  struct exu_seen *owner = exu_wait_find(&finishing->by_tid, seen->futex.expected);
  if (owner && owner != seen && is_joined(owner, &seen->futex)) return owner;
  for (size_t i = 0; seen->futex.shared && i < finishing->waits->seen.count; i++) {
    owner = &finishing->waits->seen.items[i];
    if (owner != seen && is_joined(owner, &seen->futex)) return owner;
  }
  return NULL;
}

static void explain_join(struct exu_finishing *finishing, struct exu_seen *seen, struct exu_seen *owner) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_wait *wait = &seen->wait;
  bool by_tid = (int64_t)seen->futex.expected == owner->tid;
  wait->kind = EXU_WAIT_JOIN;
  wait->address = 0;
  wait->evidence = exu_evidence_of(
      arena, (struct exu_evidence){.kind = by_tid ? EXU_EVIDENCE_TID_RECORD : EXU_EVIDENCE_STATE_RECORD});
  exu_wait_set_owner(finishing, wait, owner, -1);
  wait->owner_evidence =
      exu_evidence_of(arena, (struct exu_evidence){.kind = by_tid ? EXU_EVIDENCE_PTHREAD_TID : EXU_EVIDENCE_PTHREAD});
}

/* What the name of the native function says, and memory does not. */
static void explain_function(struct exu_seen *seen, enum exu_native_wait native, size_t threads) {
  struct exu_wait *wait = &seen->wait;
  switch (native) {
  case EXU_NATIVE_MUTEX: wait->kind = EXU_WAIT_MUTEX; break;
  case EXU_NATIVE_COND:
    wait->kind = EXU_WAIT_COND;
    wait->address = exu_cond_of(&seen->futex, &seen->around, threads); /* 0: unknown */
    break;
  case EXU_NATIVE_SEMAPHORE: wait->detail = EXU_DETAIL_SEMAPHORE; break;
  case EXU_NATIVE_PYTHON_LOCK:
    wait->kind = EXU_WAIT_LOCK;
    wait->detail = EXU_DETAIL_PYTHON_LOCK;
    wait->address = 0; /* of an object, which is unknown */
    break;
  case EXU_NATIVE_JOIN:
    wait->kind = EXU_WAIT_JOIN;
    wait->address = 0;
    break;
  case EXU_NATIVE_LIBC_LOCK: wait->detail = EXU_DETAIL_LIBC_LOCK; break;
  case EXU_NATIVE_ONCE:
  case EXU_NATIVE_GUARD:
    wait->kind = EXU_WAIT_ONCE;
    wait->detail = native == EXU_NATIVE_GUARD ? EXU_DETAIL_GUARD : EXU_DETAIL_PTHREAD;
    break;
  case EXU_NATIVE_BARRIER: explain_barrier(seen); break;
  case EXU_NATIVE_RWLOCK: /* see below */
  case EXU_NATIVE_OTHER:
  case EXU_NATIVE_NONE: break;
  }
}

/*
 * A few small numbers behind a lock of the program's own look like a mutex of glibc, too: without a function of the C
 * library its owner has to be a thread of the process, or of one that shares it. For a condition variable there is
 * nothing like that.
 */
static bool is_mutex(const struct exu_finishing *finishing, enum exu_native_wait native,
                     const struct exu_mutex *mutex) {
  if (mutex->form == EXU_MUTEX_NOT) return false;
  if (native != EXU_NATIVE_NONE || exu_wait_is_thread(finishing, mutex->owner_tid)) return true;
  struct exu_other other;
  return mutex->shared && is_outside(finishing, mutex->address, mutex->owner_tid, &other) == EXU_YES;
}

/* What memory proves comes first, then what the names of native functions say. */
void exu_wait_in_futex(struct exu_finishing *finishing, struct exu_seen *seen) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_wait *wait = &seen->wait;
  const char *function = NULL;
  enum exu_native_wait native = exu_native_wait(&finishing->threads[seen->subject.thread], &function);
  if (native == EXU_NATIVE_OTHER) return;
  struct exu_mutex mutex = exu_mutex_of(&seen->futex, &seen->around, exu_wait_is_thread, finishing);
  struct exu_seen *joined = joined_thread(finishing, seen);
  if (is_mutex(finishing, native, &mutex)) {
    if (native == EXU_NATIVE_MUTEX) wait->function = exu_string_of(function);
    explain_mutex(finishing, seen, &mutex);
    return;
  }
  if (joined) {
    explain_join(finishing, seen, joined);
    return;
  }
  if (native != EXU_NATIVE_NONE) wait->function = exu_string_of(function);
  struct exu_rwlock rwlock = exu_rwlock_of(&seen->futex, &seen->around);
  if (native == EXU_NATIVE_RWLOCK || (native == EXU_NATIVE_NONE && rwlock.writer_tid > 0 &&
                                      exu_wait_find(&finishing->by_tid, (uint64_t)rwlock.writer_tid))) {
    explain_rwlock(finishing, seen, &rwlock);
    return;
  }
  if (native == EXU_NATIVE_NONE) return;
  wait->evidence = exu_evidence_of(arena, (struct exu_evidence){.kind = EXU_EVIDENCE_FUNCTION, .name = wait->function});
  explain_function(seen, native, finishing->waits->process->thread_count);
}
