/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "waits/mutex.h"

enum { ADDRESS = 0x1000, OWNER = 77, STRANGER = 99 };
#define WAITERS 0x80000000u

static bool is_thread(const void *context, int64_t tid) {
  (void)context;
  return tid == OWNER;
}

/*
 * glibc's pthread_mutex_t as ten words of 32 bits: __lock, __count, __owner, __nusers, __kind, spins, then two
 * pointers.
 */
static const struct {
  const char *name;
  uint32_t words[10];
  uint32_t expected;
  bool inherits;
  int64_t owner; /* -1: it is no mutex */
} glibc[] = {
    {"normal", {2, 0, OWNER, 1, 0}, 2, false, OWNER},
    {"error checking", {2, 0, OWNER, 1, 2}, 2, false, OWNER},
    {"adaptive, shared", {2, 0, OWNER, 2, 0x83, 7}, 2, false, OWNER},
    {"recursive", {2, 3, OWNER, 1, 1}, 2, false, OWNER},
    {"recursive, never counted", {2, 0, OWNER, 1, 1}, 2, false, -1},
    {"of a thread that is not there", {2, 0, STRANGER, 1, 0}, 2, false, STRANGER},
    {"robust", {OWNER | WAITERS, 1, OWNER, 1, 0x10, 0, 5, 0, 5}, OWNER | WAITERS, false, OWNER},
    {"robust, of another word", {STRANGER | WAITERS, 1, OWNER, 1, 0x10}, STRANGER | WAITERS, false, -1},
    {"inherits priority", {OWNER | WAITERS, 1, OWNER, 1, 0x20}, 0, true, OWNER},
    {"inherits priority, but the thread only waits", {OWNER | WAITERS, 1, OWNER, 1, 0x20}, OWNER | WAITERS, false, -1},
    {"free", {0, 0, 0, 0, 0}, 2, false, -1},
    {"held, but nobody waits by its word", {1, 0, OWNER, 1, 0}, 1, false, -1},
    {"released in between", {0, 0, 0, 0, 0}, 2, false, -1},
    {"the thread waits for another value", {2, 0, OWNER, 1, 0}, 0, false, -1},
    {"no users", {2, 0, OWNER, 0, 0}, 2, false, -1},
    {"a kind that there is not", {2, 0, OWNER, 1, 0x1000}, 2, false, -1},
    {"protected by priority", {2, 0, OWNER, 1, 0x40}, 2, false, -1},
    {"an owner that is no id", {2, 0, 0x7f001234, 1, 0}, 2, false, -1},
    {"a list where there is none", {2, 0, OWNER, 1, 0, 0, 5, 0, 0, 0}, 2, false, -1},
    {"counted where that is not done", {2, 9, OWNER, 1, 0}, 2, false, -1},
};

static struct exu_around around_of(const uint32_t *words) {
  struct exu_around around = {.after = 40};
  memcpy(around.bytes + EXU_AROUND_BEFORE, words, 40);
  return around;
}

static void a_mutex_of_glibc_is_believed_when_everything_agrees(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof glibc / sizeof *glibc; i++) {
    const struct exu_around around = around_of(glibc[i].words);
    const struct exu_futex futex = {.address = ADDRESS, .expected = glibc[i].expected, .inherits = glibc[i].inherits};
    struct exu_mutex mutex = exu_mutex_of(&futex, &around, is_thread, NULL);
    bool is_mutex = mutex.form == EXU_MUTEX_GLIBC;
    if (is_mutex != (glibc[i].owner >= 0) || mutex.owner_tid != glibc[i].owner) fail_msg("%s", glibc[i].name);
    if (is_mutex) assert_int_equal(mutex.address, ADDRESS);
    assert_true(mutex.shared == (is_mutex && glibc[i].words[4] & 0x80));
  }
}

static void memory_that_cannot_be_read_is_no_mutex(void **state) {
  (void)state;
  struct exu_around around = around_of(glibc[0].words);
  const struct exu_futex futex = {.address = ADDRESS, .expected = 2};
  around.after = 39;
  assert_int_equal(exu_mutex_of(&futex, &around, is_thread, NULL).form, EXU_MUTEX_NOT);
}

#if defined(__x86_64__) && defined(__GLIBC__)
static void *lock_again(void *mutex) {
  pthread_mutex_lock(mutex);
  pthread_mutex_unlock(mutex);
  return NULL;
}

/* The C library of this machine, not what a header says of it. */
static void the_layout_is_that_of_a_real_mutex(void **state) {
  (void)state;
  static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    _Alignas(8) pthread_mutex_t mutex;
    pthread_mutexattr_t attributes;
    pthread_t thread;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, types[i]);
    pthread_mutex_init(&mutex, &attributes);
    pthread_mutex_lock(&mutex);
    assert_int_equal(pthread_create(&thread, NULL, lock_again, &mutex), 0);
    volatile const int *word = (volatile const int *)&mutex;
    for (int wait = 0; *word != 2 && wait < 5000; wait++) usleep(1000);
    struct exu_around around = {.after = sizeof mutex};
    memcpy(around.bytes + EXU_AROUND_BEFORE, &mutex, sizeof mutex);
    const struct exu_futex futex = {.address = ADDRESS, .expected = 2};
    struct exu_mutex found = exu_mutex_of(&futex, &around, is_thread, NULL);
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
    assert_int_equal(found.form, EXU_MUTEX_GLIBC);
    assert_int_equal(found.owner_tid, gettid());
  }
}
#endif

static void a_mutex_of_musl_names_its_owner_when_it_is_not_of_the_normal_type(void **state) {
  (void)state;
  static const struct {
    uint32_t type, lock, waiting;
    int64_t owner;
  } cases[] = {
      {1, OWNER | WAITERS, 1, OWNER}, {2, OWNER | WAITERS, 3, OWNER}, {0, 16 | WAITERS, 1, -1},       {1, OWNER, 1, -1},
      {1, OWNER | WAITERS, 0, -1},    {1, STRANGER | WAITERS, 1, -1}, {0x500, OWNER | WAITERS, 1, -1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct exu_around around = {.before = EXU_AROUND_BEFORE, .after = EXU_AROUND_AFTER};
    memcpy(around.bytes + EXU_AROUND_BEFORE - 4, &cases[i], 12);
    const struct exu_futex futex = {.address = ADDRESS + 4, .expected = cases[i].lock};
    struct exu_mutex mutex = exu_mutex_of(&futex, &around, is_thread, NULL);
    assert_int_equal(mutex.owner_tid, cases[i].owner);
    assert_int_equal(mutex.form, cases[i].owner < 0 ? EXU_MUTEX_NOT : EXU_MUTEX_MUSL);
    if (cases[i].owner >= 0) assert_int_equal(mutex.address, ADDRESS);
  }
}

/* Words from 48 bytes before __g_signals on: of glibc 2.25 to 2.40, and of 2.41. */
static const struct {
  const char *name;
  uint32_t words[12];
  int address; /* from __g_signals; 0: none, or two */
} conds[] = {
    {"first use", {0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 8}, -40},
    {"used before", {9, 9, 14, 0, 5, 0, 4, 0, 1, 0, 4, 2 << 3 | 2}, 0},
    {"first use, 2.41", {0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 8}, -32},
    {"nobody waits", {0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 3}, 0},
    {"more waiters than threads", {0, 0, 200, 0, 0, 0, 2, 0, 0, 0, 0, 90 << 3}, 0},
    {"more waiters than ever came", {0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 2 << 3}, 0},
    {"began after its end", {0, 0, 2, 0, 8, 0, 20, 0, 0, 0, 0, 8}, 0},
    {"zeros", {0}, 0},
};

static void a_condition_variable_is_found_from_the_words_around_it(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof conds / sizeof *conds; i++) {
    struct exu_around around = {.before = EXU_AROUND_BEFORE, .after = EXU_AROUND_AFTER};
    const struct exu_futex futex = {.address = ADDRESS};
    memcpy(around.bytes, conds[i].words, EXU_AROUND_BEFORE);
    uint64_t address = conds[i].address ? (uint64_t)(ADDRESS + conds[i].address) : 0;
    if (exu_cond_of(&futex, &around, 8) != address) fail_msg("%s", conds[i].name);
    around.before--;
    assert_int_equal(exu_cond_of(&futex, &around, 8), 0);
  }
}

#if defined(__x86_64__) && defined(__GLIBC__)
struct waiting {
  pthread_cond_t cond;
  pthread_mutex_t mutex;
  bool waits, go;
};

static void *wait_for(void *argument) {
  struct waiting *waiting = argument;
  pthread_mutex_lock(&waiting->mutex);
  waiting->waits = true;
  while (!waiting->go) pthread_cond_wait(&waiting->cond, &waiting->mutex);
  pthread_mutex_unlock(&waiting->mutex);
  return NULL;
}

static bool is_found(const pthread_cond_t *cond) {
  for (int signals = 32; signals <= 40; signals += 8) {
    struct exu_around around = {.before = EXU_AROUND_BEFORE, .after = EXU_AROUND_AFTER};
    memcpy(around.bytes, (const uint8_t *)cond + signals - EXU_AROUND_BEFORE, sizeof around.bytes);
    const struct exu_futex futex = {.address = ADDRESS + (uint64_t)signals};
    if (exu_cond_of(&futex, &around, 2) == ADDRESS) return true;
  }
  return false;
}

/*
 * The first waiter sleeps on the first of the two words, wherever that is in the layout of this machine's C library. It
 * counts itself only after it has let go of the mutex.
 */
static void the_layout_is_that_of_a_real_condition_variable(void **state) {
  (void)state;
  enum { LOOKS = 5000 };
  const struct timespec millisecond = {.tv_nsec = 1000 * 1000};
  struct {
    uint8_t before[64];
    struct waiting waiting;
    uint8_t after[64];
  } memory = {.waiting = {.cond = PTHREAD_COND_INITIALIZER, .mutex = PTHREAD_MUTEX_INITIALIZER}};
  struct waiting *waiting = &memory.waiting;
  pthread_t thread;
  bool found = false;
  assert_int_equal(pthread_create(&thread, NULL, wait_for, waiting), 0);
  for (int look = 0; look < LOOKS && !found; look++) {
    nanosleep(&millisecond, NULL);
    pthread_mutex_lock(&waiting->mutex);
    found = waiting->waits && is_found(&waiting->cond);
    pthread_mutex_unlock(&waiting->mutex);
  }
  pthread_mutex_lock(&waiting->mutex);
  waiting->go = true;
  pthread_cond_broadcast(&waiting->cond);
  pthread_mutex_unlock(&waiting->mutex);
  pthread_join(thread, NULL);
  assert_true(found);
}
#endif

/*
 * glibc's pthread_rwlock_t as fourteen words: __readers, __writers, __wrphase_futex, __writers_futex, two of padding,
 * __cur_writer, __shared, elision and padding, __flags. A thread sleeps on the one that is named.
 */
static const struct {
  const char *name;
  uint32_t words[14];
  size_t futex;
  bool shared, is_rwlock;
  int64_t writer;
  uint32_t readers;
} rwlocks[] = {
    {"a reader while a writer has it", {3 | 1 << 3, 0, 3, 1, 0, 0, OWNER}, 2, false, true, OWNER, 0},
    {"a second writer", {3, 1, 1, 3, 0, 0, OWNER}, 3, false, true, OWNER, 0},
    {"a writer while two readers have it", {2 | 2 << 3, 0, 2, 1}, 2, false, true, -1, 2},
    {"a reader behind a preferred writer", {6 | 1 << 3, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 2}, 0, false, true, -1, 1},
    {"of processes", {3, 1, 1, 3, 0, 0, STRANGER, 1}, 3, true, true, STRANGER, 0},
    {"of processes, but the call is not", {3, 1, 1, 3, 0, 0, STRANGER, 1}, 3, false, false, -1, 0},
    {"another word than expected", {3, 1, 1, 1, 0, 0, OWNER}, 3, false, false, -1, 0},
    {"a writer, but nobody writes", {2 | 2 << 3, 0, 2, 1, 0, 0, OWNER}, 2, false, false, -1, 0},
    {"flags that there are not", {3, 1, 1, 3, 0, 0, OWNER, 0, 0, 0, 0, 0, 9}, 3, false, false, -1, 0},
    {"something where nothing is", {3, 1, 1, 3, 0, 0, OWNER, 0, 0, 0, 7}, 3, false, false, -1, 0},
    {"zeros", {0}, 2, false, false, -1, 0},
};

static void a_read_write_lock_of_glibc_names_its_writer_or_how_often_it_is_read(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rwlocks / sizeof *rwlocks; i++) {
    struct exu_around around = {.before = EXU_AROUND_BEFORE, .after = EXU_AROUND_AFTER};
    size_t at = 4 * rwlocks[i].futex;
    uint32_t expected = rwlocks[i].words[rwlocks[i].futex];
    memcpy(around.bytes + EXU_AROUND_BEFORE - at, rwlocks[i].words, sizeof rwlocks[i].words);
    if (strstr(rwlocks[i].name, "expected")) expected = 3;
    struct exu_futex futex = {.address = ADDRESS + at, .expected = expected, .shared = rwlocks[i].shared};
    struct exu_rwlock rwlock = exu_rwlock_of(&futex, &around);
    if (rwlock.is_rwlock != rwlocks[i].is_rwlock || rwlock.writer_tid != rwlocks[i].writer ||
        rwlock.readers != rwlocks[i].readers || rwlock.shared != (rwlocks[i].shared && rwlocks[i].is_rwlock))
      fail_msg("%s", rwlocks[i].name);
    if (rwlock.is_rwlock) assert_int_equal(rwlock.address, ADDRESS);
    around.after = 56 - at - 1;
    assert_false(exu_rwlock_of(&futex, &around).is_rwlock);
  }
}

static void a_barrier_of_glibc_says_how_many_came(void **state) {
  (void)state;
  static const struct {
    uint32_t words[5]; /* in, current_round, count, shared, out */
    bool shared;
    uint32_t arrived; /* 0: it is no barrier */
  } barriers[] = {{{2, 0, 3, 0, 0}, false, 2}, {{8, 6, 3, 0, 6}, false, 2},  {{3, 0, 3, 0, 0}, false, 0},
                  {{0, 0, 3, 0, 0}, false, 0}, {{1, 0, 2, 128, 0}, true, 1}, {{1, 0, 2, 128, 0}, false, 0},
                  {{1, 0, 2, 7, 0}, false, 0}};
  for (size_t i = 0; i < sizeof barriers / sizeof *barriers; i++) {
    struct exu_around around = {.before = 4, .after = 16};
    memcpy(around.bytes + EXU_AROUND_BEFORE - 4, barriers[i].words, sizeof barriers[i].words);
    const struct exu_futex futex = {
        .address = ADDRESS + 4, .expected = barriers[i].words[1], .shared = barriers[i].shared};
    struct exu_barrier barrier = exu_barrier_of(&futex, &around);
    assert_int_equal(barrier.is_barrier, barriers[i].arrived != 0);
    assert_int_equal(barrier.arrived, barriers[i].arrived);
    if (barrier.is_barrier) assert_int_equal(barrier.address, ADDRESS);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_mutex_of_glibc_is_believed_when_everything_agrees),
    cmocka_unit_test(memory_that_cannot_be_read_is_no_mutex),
#if defined(__x86_64__) && defined(__GLIBC__)
    cmocka_unit_test(the_layout_is_that_of_a_real_mutex),
#endif
    cmocka_unit_test(a_mutex_of_musl_names_its_owner_when_it_is_not_of_the_normal_type),
    cmocka_unit_test(a_read_write_lock_of_glibc_names_its_writer_or_how_often_it_is_read),
    cmocka_unit_test(a_barrier_of_glibc_says_how_many_came),
    cmocka_unit_test(a_condition_variable_is_found_from_the_words_around_it),
#if defined(__x86_64__) && defined(__GLIBC__)
    cmocka_unit_test(the_layout_is_that_of_a_real_condition_variable),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
