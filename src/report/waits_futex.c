/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that sleeps on a futex which nothing in Python explains: on what of the C library? */
#include <inttypes.h>

#include "report/waits_native.h"
#include "report/waits_private.h"

static void explain_mutex(struct exu_finishing *finishing, struct exu_seen *seen, const struct exu_mutex *mutex,
                          const char *function) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_wait *wait = seen->wait;
  struct exu_seen *owner = mutex->owner_tid > 0 ? exu_wait_find(&finishing->by_tid, (uint64_t)mutex->owner_tid) : NULL;
  wait->kind = EXU_WAIT_MUTEX;
  wait->address = mutex->address;
  wait->evidence = exu_arena_printf(arena, "futex(2) on a pthread_mutex_t whose word is 0x%x%s%s", mutex->word,
                                    function ? ", in " : "", function ? function : "");
  exu_wait_set_owner(
      wait, owner, mutex->owner_tid,
      exu_arena_printf(arena, "the pthread_mutex_t names thread %lld as its owner", (long long)mutex->owner_tid));
  exu_wait_say(finishing, seen, owner, mutex->owner_tid > 0);
}

/*
 * pthread_join(3): glibc sleeps on the joined thread's own record of its id, which lies right above its thread pointer.
 */
static struct exu_seen *joined_thread(const struct exu_finishing *finishing, const struct exu_seen *seen) {
  enum { STRUCT_PTHREAD = 4096 };
  struct exu_seen *owner = exu_wait_find(&finishing->by_tid, seen->futex.expected);
  if (!owner || owner == seen || seen->futex.inherits) return NULL;
  const struct exu_registers *registers = &owner->subject.os->registers;
  uint64_t self = registers->thread_pointer;
  bool inside =
      registers->has_thread_pointer && seen->futex.address > self && seen->futex.address - self < STRUCT_PTHREAD;
  return inside && (int64_t)seen->futex.expected == owner->tid ? owner : NULL;
}

static void explain_join(struct exu_finishing *finishing, struct exu_seen *seen, struct exu_seen *owner) {
  struct exu_arena *arena = finishing->waits->arena;
  seen->wait->kind = EXU_WAIT_JOIN;
  seen->wait->address = 0;
  seen->wait->evidence = exu_arena_printf(arena, "pthread_join: futex(2) on the record of that thread's id");
  exu_wait_set_owner(seen->wait, owner, -1,
                     exu_arena_printf(arena, "the futex lies in its struct pthread and holds its id"));
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
  struct exu_cond cond = exu_cond_of(&seen->futex, &seen->around, finishing->waits->target->thread_count);
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
  case EXU_NATIVE_JOIN:
    wait->kind = EXU_WAIT_JOIN;
    wait->address = 0;
    exu_wait_say(finishing, seen, NULL, false);
    break;
  case EXU_NATIVE_LIBC_LOCK:
    wait->summary =
        exu_arena_printf(arena, "waits for a lock of the C library, 0x%" PRIx64 " (owner unknown)", wait->address);
    break;
  case EXU_NATIVE_NONE: break;
  }
}
