/* SPDX-License-Identifier: Apache-2.0 */
/* Is the word that a thread sleeps on part of an object of the C library that records who holds it? */
#ifndef EXUVIA_WAITS_MUTEX_H
#define EXUVIA_WAITS_MUTEX_H

#include "process/futex.h"

/*
 * What lies around a futex: bytes [address - EXU_AROUND_BEFORE, address + EXU_AROUND_AFTER), as far as they can be
 * read.
 */
enum { EXU_AROUND_BEFORE = 48, EXU_AROUND_AFTER = 56 };

struct exu_around {
  uint8_t bytes[EXU_AROUND_BEFORE + EXU_AROUND_AFTER];
  size_t before; /* how many right before the address were read */
  size_t after;  /* how many from it on; 0: not even the word itself */
};

/* Read it: the only part that needs the process. */
void exu_around_read(const struct exu_process *process, uint64_t address, struct exu_around *around);

enum exu_mutex_form { EXU_MUTEX_NOT, EXU_MUTEX_GLIBC, EXU_MUTEX_MUSL };

struct exu_mutex {
  enum exu_mutex_form form;
  uint64_t address;  /* of the pthread_mutex_t */
  int64_t owner_tid; /* as the process itself numbers its threads; it may be of no thread that is there */
  uint32_t word;     /* the lock's word */
  bool shared;       /* PTHREAD_PROCESS_SHARED: its owner may be of another process */
};

/*
 * Do the bytes and the way in which the thread sleeps agree with a pthread_mutex_t that is held? `is_thread` says
 * whether a number is that of a thread of the process. An owner that is none is believed only of glibc's form, which
 * has more to check.
 */
typedef bool exu_is_thread(const void *context, int64_t tid);
struct exu_mutex exu_mutex_of(const struct exu_futex *futex, const struct exu_around *around, exu_is_thread *is_thread,
                              const void *context);

/* A read-write lock of glibc for which a thread waits. */
struct exu_rwlock {
  bool is_rwlock;
  bool shared;        /* as exu_mutex.shared */
  uint64_t address;   /* of the pthread_rwlock_t */
  int64_t writer_tid; /* who has it for writing, as the process itself numbers its threads; -1: nobody */
  uint32_t readers;   /* how often it is held for reading; 0 when it is held for writing */
};

/* Do the bytes and the way in which the thread sleeps agree with a pthread_rwlock_t of glibc (2.25 on)? */
struct exu_rwlock exu_rwlock_of(const struct exu_futex *futex, const struct exu_around *around);

/* A barrier of glibc at which a thread waits. */
struct exu_barrier {
  bool is_barrier;
  uint64_t address;          /* of the pthread_barrier_t */
  uint32_t arrived, parties; /* how many threads wait at it, and how many have to */
};

/*
 * Do the bytes and the way in which the thread sleeps agree with a pthread_barrier_t of glibc (2.25 on)? Few words of
 * it must have one certain value: the thread must be known to be in pthread_barrier_wait.
 */
struct exu_barrier exu_barrier_of(const struct exu_futex *futex, const struct exu_around *around);

/*
 * The address of the pthread_cond_t of glibc that the words around the futex agree with, for which at least one thread
 * waits, and at most `threads`; 0: of none, or two layouts fit. Few words of it must have one certain value: the thread
 * must be known to be in a function that waits for one.
 */
uint64_t exu_cond_of(const struct exu_futex *futex, const struct exu_around *around, size_t threads);

#endif
