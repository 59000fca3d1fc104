/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/native_code.h"

#include <string.h>

#include "base/str.h"

/* The C library's own frames between the system call and the function that was called. */
enum { FRAMES = 6 };

static const struct {
  const char *name; /* without leading underscores and without a version */
  enum exu_native_wait wait;
  const char *public; /* the function of the C library that it is a part of; NULL: itself */
} functions[] = {
    {"pthread_mutex_lock", EXU_NATIVE_MUTEX, NULL},
    {"pthread_mutex_lock_full", EXU_NATIVE_MUTEX, "pthread_mutex_lock"},
    {"pthread_mutex_timedlock", EXU_NATIVE_MUTEX, NULL},
    {"pthread_mutex_clocklock", EXU_NATIVE_MUTEX, NULL},
    {"pthread_mutex_cond_lock", EXU_NATIVE_MUTEX, NULL},
    {"pthread_cond_wait", EXU_NATIVE_COND, NULL},
    {"pthread_cond_timedwait", EXU_NATIVE_COND, NULL},
    {"pthread_cond_clockwait", EXU_NATIVE_COND, NULL},
    {"sem_wait", EXU_NATIVE_SEMAPHORE, NULL},
    {"sem_timedwait", EXU_NATIVE_SEMAPHORE, NULL},
    {"sem_clockwait", EXU_NATIVE_SEMAPHORE, NULL},
    {"new_sem_wait", EXU_NATIVE_SEMAPHORE, "sem_wait"},
    {"new_sem_wait_slow64", EXU_NATIVE_SEMAPHORE, "sem_wait"},
    {"pthread_rwlock_rdlock", EXU_NATIVE_RWLOCK, NULL},
    {"pthread_rwlock_timedrdlock", EXU_NATIVE_RWLOCK, NULL},
    {"pthread_rwlock_clockrdlock", EXU_NATIVE_RWLOCK, NULL},
    {"pthread_rwlock_rdlock_full", EXU_NATIVE_RWLOCK, "pthread_rwlock_rdlock"},
    {"pthread_rwlock_rdlock_full64", EXU_NATIVE_RWLOCK, "pthread_rwlock_rdlock"},
    {"pthread_rwlock_wrlock", EXU_NATIVE_RWLOCK, NULL},
    {"pthread_rwlock_timedwrlock", EXU_NATIVE_RWLOCK, NULL},
    {"pthread_rwlock_clockwrlock", EXU_NATIVE_RWLOCK, NULL},
    {"pthread_rwlock_wrlock_full", EXU_NATIVE_RWLOCK, "pthread_rwlock_wrlock"},
    {"pthread_rwlock_wrlock_full64", EXU_NATIVE_RWLOCK, "pthread_rwlock_wrlock"},
    {"pthread_barrier_wait", EXU_NATIVE_BARRIER, NULL},
    {"pthread_once", EXU_NATIVE_ONCE, NULL},
    {"pthread_once_slow", EXU_NATIVE_ONCE, "pthread_once"},
    {"cxa_guard_acquire", EXU_NATIVE_GUARD, "__cxa_guard_acquire"},
    {"pthread_join", EXU_NATIVE_JOIN, NULL},
    {"pthread_timedjoin_np", EXU_NATIVE_JOIN, NULL},
    {"pthread_clockjoin_np", EXU_NATIVE_JOIN, NULL},
    {"pthread_clockjoin_ex", EXU_NATIVE_JOIN, NULL},
};

static const char *plain(struct exu_string function, size_t *size) {
  const char *name = function.data;
  const char *end = name + function.size;
  while (name < end && *name == '_') name++;
  /* "sem_wait@@GLIBC_2.34"; "new_sem_wait_slow64.constprop.0" is a copy that the compiler made. */
  for (*size = 0; name + *size < end && name[*size] != '@' && name[*size] != '.';) ++*size;
  return name;
}

/* Python/thread_pthread.h: a lock is a semaphore, and this is who waits for it. NULL: somebody else does. */
static const char *python_lock(const struct exu_thread *thread, size_t from) {
  static const char *const names[] = {"PyThread_acquire_lock_timed", "PyThread_acquire_lock"};
  for (size_t i = from; i < thread->frame_count && i < from + 3; i++) {
    const struct exu_frame *frame = &thread->frames[i];
    size_t size;
    if (frame->kind != EXU_FRAME_NATIVE) break;
    if (!frame->function.data) continue;
    const char *name = plain(frame->function, &size);
    for (size_t j = 0; j < sizeof names / sizeof *names; j++) {
      if (strlen(names[j]) == size && memcmp(names[j], name, size) == 0) return names[j];
    }
  }
  return NULL;
}

/* The C library itself never calls syscall(2); of what is known here only that of C++ does. */
static bool calls_syscall(const struct exu_thread *thread) {
  const struct exu_frame *frame = thread->frames;
  return thread->frame_count > 0 && frame->kind == EXU_FRAME_NATIVE && exu_string_is(frame->function, "syscall");
}

enum exu_native_wait exu_native_wait(const struct exu_thread *thread, const char **function) {
  static const char lock_wait[] = "lll_lock_wait", system_call[] = "syscall";
  const bool other = calls_syscall(thread);
  enum exu_native_wait found = other ? EXU_NATIVE_OTHER : EXU_NATIVE_NONE;
  if (other) *function = system_call;
  for (size_t i = 0; i < thread->frame_count && i < FRAMES; i++) {
    const struct exu_frame *frame = &thread->frames[i];
    size_t size;
    if (frame->kind != EXU_FRAME_NATIVE) break;
    if (!frame->function.data) continue;
    const char *name = plain(frame->function, &size);
    for (size_t j = 0; j < sizeof functions / sizeof *functions; j++) {
      if (other && functions[j].wait != EXU_NATIVE_GUARD) continue;
      if (strlen(functions[j].name) != size || memcmp(functions[j].name, name, size) != 0) continue;
      *function = functions[j].public ? functions[j].public : functions[j].name;
      const char *lock = functions[j].wait == EXU_NATIVE_SEMAPHORE ? python_lock(thread, i + 1) : NULL;
      if (lock) *function = lock;
      return lock ? EXU_NATIVE_PYTHON_LOCK : functions[j].wait;
    }
    if (!other && size >= strlen(lock_wait) && memcmp(name, lock_wait, strlen(lock_wait)) == 0) {
      found = EXU_NATIVE_LIBC_LOCK;
      *function = lock_wait;
    }
  }
  return found;
}
