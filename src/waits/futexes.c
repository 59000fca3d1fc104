/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that sleeps on a futex which nothing in Python explains: on what of the C library? */
#include <inttypes.h>

#include "waits/native_code.h"
#include "waits/waits_private.h"

/*
 * The thread of another process that holds a lock which processes share: which process that is, when it has mapped what
 * the lock lies in. Memory that is this process's alone was copied by fork(2), and the lock with it.
 */
static void look_outside(const struct exu_finishing *finishing, struct exu_seen *seen, uint64_t lock, int64_t tid) {
  const int64_t pid = finishing->waits->process->running_pid;
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_shared_place place;
  struct exu_other other;
  if (exu_wait_is_thread(finishing, tid)) return;
  seen->other =
      exu_arena_printf(arena, "thread %lld, which is not of this process (processes share it)", (long long)tid);
  if (pid < 0) return;
  if (!exu_shared_place(pid, lock, &place)) {
    seen->other = (struct exu_string){NULL, 0};
    return;
  }
  /* In another PID namespace the same number may be another thread's. */
  if (exu_tid_inside(pid, pid) != pid || !exu_process_of_thread(tid, &other)) return;
  if (other.pid == pid || exu_has_mapped(other.pid, &place) != EXU_YES) return;
  seen->other = other.pid == tid ? exu_arena_printf(arena, "process %lld (%s)", (long long)tid, other.comm)
                                 : exu_arena_printf(arena, "thread %lld of process %lld (%s)", (long long)tid,
                                                    (long long)other.pid, other.comm);
}

/* A lock of the C library that names its owner by the kernel's number. */
static void set_owner_by_tid(struct exu_finishing *finishing, struct exu_seen *seen, const char *type, int64_t tid,
                             bool shared) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_seen *owner = tid > 0 ? exu_wait_find(&finishing->by_tid, (uint64_t)tid) : NULL;
  if (shared && !owner) look_outside(finishing, seen, seen->wait->address, tid);
  seen->lost = tid > 0 && !seen->other.data && !exu_wait_is_thread(finishing, tid);
  exu_wait_set_owner(seen->wait, owner, tid,
                     exu_arena_printf(arena, "the %s names thread %lld as its owner", type, (long long)tid));
  exu_wait_say(finishing, seen, owner, tid > 0);
}

static void explain_mutex(struct exu_finishing *finishing, struct exu_seen *seen, const struct exu_mutex *mutex,
                          const char *function) {
  struct exu_wait *wait = seen->wait;
  wait->kind = EXU_WAIT_MUTEX;
  wait->address = mutex->address;
  wait->evidence = exu_arena_printf(finishing->waits->arena, "futex(2) on a pthread_mutex_t%s whose word is 0x%x%s%s",
                                    mutex->shared ? " that processes share" : "", mutex->word, function ? ", in " : "",
                                    function ? function : "");
  set_owner_by_tid(finishing, seen, "pthread_mutex_t", mutex->owner_tid, mutex->shared);
}

static void explain_rwlock(struct exu_finishing *finishing, struct exu_seen *seen, const struct exu_rwlock *rwlock,
                           const char *function) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_wait *wait = seen->wait;
  wait->kind = EXU_WAIT_RWLOCK;
  wait->address = rwlock->address; /* 0: unknown */
  wait->evidence =
      exu_arena_printf(arena, "futex(2) on a pthread_rwlock_t%s%s", function ? ", in " : "", function ? function : "");
  if (rwlock->writer_tid > 0) {
    seen->relation = "held for writing by";
    set_owner_by_tid(finishing, seen, "pthread_rwlock_t", rwlock->writer_tid, rwlock->shared);
  } else if (rwlock->readers > 0) {
    wait->summary = exu_arena_printf(arena, "waits for the read-write lock 0x%" PRIx64 ", held for reading%s",
                                     wait->address, rwlock->readers > 1 ? " more than once" : "");
  } else {
    exu_wait_say(finishing, seen, NULL, false);
  }
}

static void explain_barrier(struct exu_finishing *finishing, struct exu_seen *seen) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_barrier barrier = exu_barrier_of(&seen->futex, &seen->around);
  struct exu_wait *wait = seen->wait;
  wait->kind = EXU_WAIT_BARRIER;
  wait->address = barrier.address; /* 0: unknown */
  wait->summary = exu_arena_printf(arena, "waits at a barrier");
  if (barrier.is_barrier)
    wait->summary = exu_arena_printf(arena, "waits at the barrier 0x%" PRIx64 " (%u of %u threads have come)",
                                     barrier.address, barrier.arrived, barrier.parties);
}

static void explain_once(struct exu_finishing *finishing, struct exu_seen *seen, bool is_guard) {
  struct exu_wait *wait = seen->wait;
  wait->kind = EXU_WAIT_ONCE;
  wait->summary =
      exu_arena_printf(finishing->waits->arena, "waits for the initialisation %s0x%" PRIx64 "), which is under way",
                       is_guard ? "of a static variable (guard " : "by pthread_once (", wait->address);
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
  bool by_tid = (int64_t)seen->futex.expected == owner->tid;
  seen->wait->kind = EXU_WAIT_JOIN;
  seen->wait->address = 0;
  seen->wait->evidence =
      exu_arena_printf(arena, "pthread_join: futex(2) on the record of that thread's %s", by_tid ? "id" : "state");
  exu_wait_set_owner(
      seen->wait, owner, -1,
      exu_arena_printf(arena, "the futex lies in its struct pthread%s", by_tid ? " and holds its id" : ""));
  exu_wait_say(finishing, seen, owner, true);
}

static void say_cond(struct exu_finishing *finishing, struct exu_seen *seen, const struct exu_cond *cond) {
  struct exu_wait *wait = seen->wait;
  wait->kind = EXU_WAIT_COND;
  wait->address = cond->address; /* 0: unknown */
  wait->summary = exu_wait_concat(finishing->waits->arena, "waits for ", exu_wait_what(finishing->waits, wait),
                                  exu_wait_word(" to be signalled"));
}

/* What memory proves comes first, then what the names of native functions say. */
void exu_wait_in_futex(struct exu_finishing *finishing, struct exu_seen *seen) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_wait *wait = seen->wait;
  const char *function = NULL;
  enum exu_native_wait native = exu_native_wait(&finishing->threads[seen->subject.thread], &function);
  struct exu_mutex mutex = exu_mutex_of(&seen->futex, &seen->around, exu_wait_is_thread, finishing);
  struct exu_seen *joined = joined_thread(finishing, seen);
  if (mutex.form != EXU_MUTEX_NOT) {
    explain_mutex(finishing, seen, &mutex, native == EXU_NATIVE_MUTEX ? function : NULL);
    return;
  }
  if (joined) {
    explain_join(finishing, seen, joined);
    return;
  }
  struct exu_rwlock rwlock = exu_rwlock_of(&seen->futex, &seen->around);
  if (native == EXU_NATIVE_RWLOCK || (native == EXU_NATIVE_NONE && rwlock.writer_tid > 0 &&
                                      exu_wait_find(&finishing->by_tid, (uint64_t)rwlock.writer_tid))) {
    explain_rwlock(finishing, seen, &rwlock, function);
    return;
  }
  struct exu_cond cond = exu_cond_of(&seen->futex, &seen->around, finishing->waits->process->thread_count);
  if (native == EXU_NATIVE_NONE && cond.is_cond) {
    wait->evidence =
        exu_arena_printf(arena, "futex(2), with the words of a pthread_cond_t around it, which has %u waiter%s",
                         cond.waiters, cond.waiters == 1 ? "" : "s");
    say_cond(finishing, seen, &cond);
    return;
  }
  if (native == EXU_NATIVE_NONE) return;
  wait->evidence = exu_arena_printf(arena, "futex(2) in %s", function);
  switch (native) {
  case EXU_NATIVE_MUTEX:
    wait->kind = EXU_WAIT_MUTEX;
    exu_wait_say(finishing, seen, NULL, false);
    break;
  case EXU_NATIVE_COND: say_cond(finishing, seen, &cond); break;
  case EXU_NATIVE_SEMAPHORE:
    wait->summary =
        exu_arena_printf(arena, "waits for the POSIX semaphore 0x%" PRIx64 " (%s)", wait->address, function);
    break;
  case EXU_NATIVE_PYTHON_LOCK:
    wait->kind = EXU_WAIT_LOCK;
    wait->summary = exu_arena_printf(arena, "waits for a lock of Python, whose semaphore is 0x%" PRIx64 " (%s)",
                                     wait->address, function);
    wait->address = 0; /* of an object, which is unknown */
    break;
  case EXU_NATIVE_JOIN:
    wait->kind = EXU_WAIT_JOIN;
    wait->address = 0;
    exu_wait_say(finishing, seen, NULL, false);
    break;
  case EXU_NATIVE_LIBC_LOCK:
    wait->summary =
        exu_arena_printf(arena, "waits for a lock of the C library, 0x%" PRIx64 " (owner unknown)", wait->address);
    break;
  case EXU_NATIVE_ONCE:
  case EXU_NATIVE_GUARD: explain_once(finishing, seen, native == EXU_NATIVE_GUARD); break;
  case EXU_NATIVE_BARRIER: explain_barrier(finishing, seen); break;
  case EXU_NATIVE_RWLOCK: /* see above */
  case EXU_NATIVE_NONE: break;
  }
}
