/* SPDX-License-Identifier: Apache-2.0 */
/* Which threads hang for ever, from what each waits for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "sentences.h"
#include "waits/hang.h"

static struct exu_arena arena;

/* A thread, what it waits for, and what is known of that. */
struct actor {
  const char *name; /* NULL: it has none */
  bool holds_gil;
  struct exu_stand stand;
};

#define STAND(title, what, ...)                                                                                        \
  {                                                                                                                    \
    .name = (title), .stand = {.is_thread = true, .kind = EXU_WAIT_##what, __VA_ARGS__ }                               \
  }
#define ASLEEP(title, what, ...) STAND(title, what, .asleep = true, __VA_ARGS__)

#define LOST " held by thread 9, which does not exist in this process (copied by fork?)"

enum { THREADS = 6, SENTENCES = 2 };

/* Threads, the circle of a deadlock among them, and what is said: as text, kinds. */
static const struct {
  const char *fact;
  struct actor actors[THREADS];
  size_t count;
  enum exu_outside outside;
  size_t circle; /* how many of the first threads are in a deadlock */
  enum { CERTAIN, TIMED, UNCERTAIN } deadlock;
  const char *sentences[SENTENCES];
  enum exu_hang_kind kinds[SENTENCES];
} cases[] = {
    {"a lock that a fork copied is never released, whatever other threads do",
     {ASLEEP("a", RLOCK, .address = 0x10, .lost = true, .owner = -1),
      STAND("b", SYSCALL, .asleep = false, .owner = -1)},
     2,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for RLock 0x10" LOST "."},
     {EXU_HANG_LOST_OWNER}},
    {"those who wait for one lost lock are one hang",
     {{.name = "a",
       .holds_gil = true,
       .stand =
           {.is_thread = true, .asleep = true, .kind = EXU_WAIT_MUTEX, .address = 0x10, .lost = true, .owner = -1}},
      ASLEEP("b", MUTEX, .address = 0x20, .lost = true, .owner = -1),
      ASLEEP("c", MUTEX, .address = 0x10, .lost = true, .owner = -1)},
     3,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for mutex 0x10" LOST ", and has the GIL meanwhile; so does \"c\".",
      "Hangs for ever: \"b\" waits for mutex 0x20" LOST "."},
     {EXU_HANG_LOST_OWNER, EXU_HANG_LOST_OWNER}},
    {"a thread that is waited for, and waits for ever",
     {ASLEEP("a", JOIN, .owner = 1), ASLEEP("b", RLOCK, .address = 0x10, .lost = true, .owner = -1),
      STAND("c", SYSCALL, .asleep = false, .owner = -1)},
     3,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {"Hangs for ever: \"b\" waits for RLock 0x10" LOST ".",
      "Hangs for ever: \"a\" waits for \"b\" to end, which waits for RLock 0x10" LOST "."},
     {EXU_HANG_LOST_OWNER, EXU_HANG_JOIN}},
    {"a thread that is waited for, and is in a deadlock",
     {ASLEEP("a", RLOCK, .address = 0x10, .owner = 1), ASLEEP("b", RLOCK, .address = 0x20, .owner = 0),
      ASLEEP("c", JOIN, .owner = 0), STAND("d", SYSCALL, .asleep = false, .owner = -1)},
     4,
     EXU_OUTSIDE_SIGNAL,
     2,
     CERTAIN,
     {"Hangs for ever: \"c\" waits for \"a\" to end, which is in a deadlock."},
     {EXU_HANG_JOIN}},
    {"a deadlock that a time limit ends lets others go on",
     {STAND("a", RLOCK, .address = 0x10, .owner = 1), ASLEEP("b", RLOCK, .address = 0x20, .owner = 0),
      ASLEEP("c", JOIN, .owner = 0)},
     3,
     EXU_OUTSIDE_SIGNAL,
     2,
     TIMED,
     {NULL},
     {0}},
    {"a thread that can run could let any other go on",
     {ASLEEP("a", QUEUE, .address = 0x10, .owner = -1), STAND("b", SYSCALL, .asleep = false, .owner = -1)},
     2,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {NULL},
     {0}},
    {"the only thread waits for another one",
     {ASLEEP("a", QUEUE, .address = 0x10, .owner = -1), {.stand = {.owner = -1}}},
     2,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for Queue 0x10 (it is empty), and is the only thread."},
     {EXU_HANG_QUEUE}},
    {"the end of a thread that nobody is left to wake",
     {ASLEEP("a", JOIN, .owner = 1), ASLEEP("b", EVENT, .address = 0x10, .owner = -1)},
     2,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for \"b\" to end, which waits for Event 0x10 to be set."},
     {EXU_HANG_JOIN}},
    {"the first with Python comes first, and many are counted",
     {ASLEEP(NULL, FUTEX, .address = 0x1, .owner = -1),
      ASLEEP("a", BARRIER, .address = 0x10, .python = true, .owner = -1),
      ASLEEP(NULL, FUTEX, .address = 0x1, .owner = -1), ASLEEP(NULL, FUTEX, .address = 0x1, .owner = -1),
      ASLEEP(NULL, FUTEX, .address = 0x1, .owner = -1), ASLEEP(NULL, FUTEX, .address = 0x1, .owner = -1)},
     6,
     EXU_OUTSIDE_UNKNOWN,
     0,
     CERTAIN,
     {"Hangs, unless a signal's handler ends it: \"a\" waits for Barrier 0x10, and every other thread sleeps until "
      "another one wakes it: thread 1 waits for futex 0x1; thread 3 waits for futex 0x1; thread 4 waits for "
      "futex 0x1; and 2 more."},
     {EXU_HANG_BARRIER}},
    {"a handler of a signal could end it",
     {ASLEEP("a", EVENT, .address = 0x10, .owner = -1)},
     1,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {NULL},
     {0}},
    {"a circle that is no deadlock for certain is followed once",
     {ASLEEP("a", LOCK, .address = 0x10, .owner = 1), ASLEEP("b", LOCK, .address = 0x20, .owner = 0),
      ASLEEP("c", JOIN, .owner = 0), ASLEEP("d", JOIN, .owner = 77)},
     4,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {NULL},
     {0}},
    {"who runs waits for nobody, whatever it waited for",
     {STAND("a", RLOCK, .address = 0x10, .lost = true, .owner = -1), ASLEEP("b", JOIN, .owner = 2),
      STAND("c", JOIN, .owner = 3), ASLEEP("d", RLOCK, .address = 0x20, .lost = true, .owner = -1)},
     4,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {"Hangs for ever: \"d\" waits for RLock 0x20" LOST "."},
     {EXU_HANG_LOST_OWNER}},
    {"a deadlock that is not certain holds nobody",
     {ASLEEP("a", LOCK, .address = 0x10, .owner = 1), ASLEEP("b", LOCK, .address = 0x20, .owner = 0),
      ASLEEP("c", JOIN, .owner = 0)},
     3,
     EXU_OUTSIDE_SIGNAL,
     2,
     UNCERTAIN,
     {NULL},
     {0}},
    {"a deadlock of all threads says it all",
     {ASLEEP("a", RLOCK, .address = 0x10, .owner = 1), ASLEEP("b", RLOCK, .address = 0x20, .owner = 0)},
     2,
     EXU_OUTSIDE_NOTHING,
     2,
     CERTAIN,
     {NULL},
     {0}},
    {"and so does a lost lock",
     {ASLEEP("a", RLOCK, .address = 0x10, .lost = true, .owner = -1)},
     1,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for RLock 0x10" LOST "."},
     {EXU_HANG_LOST_OWNER}},
    {"nor is what was said said again where no thread can run",
     {ASLEEP("a", RLOCK, .address = 0x10, .lost = true, .owner = -1), ASLEEP("b", JOIN, .owner = 0)},
     2,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for RLock 0x10" LOST ".",
      "Hangs for ever: \"b\" waits for \"a\" to end, which waits for RLock 0x10" LOST "."},
     {EXU_HANG_LOST_OWNER, EXU_HANG_JOIN}},
    {"two things at one address are two",
     {ASLEEP("a", RLOCK, .address = 0x10, .lost = true, .owner = -1),
      ASLEEP("b", MUTEX, .address = 0x10, .lost = true, .owner = -1)},
     2,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for RLock 0x10" LOST ".", "Hangs for ever: \"b\" waits for mutex 0x10" LOST "."},
     {EXU_HANG_LOST_OWNER, EXU_HANG_LOST_OWNER}},
    {"a hang has the kind of what the first waits for",
     {ASLEEP("a", RWLOCK, .address = 0x10, .owner = -1)},
     1,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for read-write lock 0x10 (owner unknown), and is the only thread."},
     {EXU_HANG_RWLOCK}},
};

/* What the report says of a thread. */
static struct exu_wait wait_of(const struct actor *actors, size_t count, size_t index) {
  const struct exu_stand *stand = &actors[index].stand;
  struct exu_wait wait = {.kind = stand->kind, .address = stand->address, .owner = -1, .owner_tid = -1, .futex = 1};
  if (stand->kind == EXU_WAIT_QUEUE) wait.detail = EXU_DETAIL_EMPTY;
  if (stand->kind == EXU_WAIT_FUTEX) {
    wait.call_class = EXU_CALL_FUTEX;
    wait.system_call_name = "futex";
  }
  if (stand->lost) {
    wait.owner_place = EXU_OWNER_NOWHERE;
    wait.owner_tid = 9;
  } else if (stand->owner >= 0 && (size_t)stand->owner < count) {
    const char *name = actors[stand->owner].name;
    wait.owner_place = EXU_OWNER_THREAD;
    wait.owner = stand->owner;
    wait.owner_name = (struct exu_string){name, strlen(name)};
  }
  return wait;
}

static void hangs_are_said_when_nobody_can_end_them(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    static const size_t circle[] = {0, 1, 2, 3};
    const struct exu_deadlock deadlock = {.certain = cases[i].deadlock != UNCERTAIN,
                                          .timed = cases[i].deadlock == TIMED,
                                          .threads = circle,
                                          .thread_count = cases[i].circle};
    struct exu_stand stands[THREADS];
    struct exu_wait waits[THREADS];
    struct exu_thread threads[THREADS] = {0};
    struct exu_report report = {.threads = threads,
                                .thread_count = cases[i].count,
                                .deadlocks = &deadlock,
                                .deadlock_count = cases[i].circle != 0};
    for (size_t j = 0; j < cases[i].count; j++) {
      const struct actor *actor = &cases[i].actors[j];
      stands[j] = actor->stand;
      waits[j] = wait_of(cases[i].actors, cases[i].count, j);
      threads[j] = (struct exu_thread){.tid = actor->name ? -1 : (int64_t)j + 1,
                                       .name = {actor->name, actor->name ? strlen(actor->name) : 0},
                                       .gil = actor->holds_gil ? EXU_GIL_HOLDS : EXU_GIL_NONE,
                                       .wait = &waits[j]};
    }
    size_t expected = 0;
    assert_true(exu_hangs_find(&arena, stands, cases[i].count, cases[i].outside, report.deadlocks,
                               report.deadlock_count, &report.hangs, &report.hang_count));
    while (expected < SENTENCES && cases[i].sentences[expected]) expected++;
    if (report.hang_count != expected)
      fail_msg("%s: %zu hangs, %zu are right", cases[i].fact, report.hang_count, expected);
    for (size_t j = 0; j < report.hang_count; j++) {
      assert_string_equal(hang_sentence(&report, j), cases[i].sentences[j]);
      assert_int_equal(report.hangs[j].kind, cases[i].kinds[j]);
      assert_int_equal(report.hangs[j].certain, cases[i].outside != EXU_OUTSIDE_UNKNOWN);
      assert_true(report.hangs[j].thread_count > 0);
    }
  }
}

static void no_threads_are_no_hang(void **state) {
  (void)state;
  const struct exu_hang *hangs;
  size_t count = 1;
  assert_true(exu_hangs_find(&arena, NULL, 0, EXU_OUTSIDE_NOTHING, NULL, 0, &hangs, &count));
  assert_int_equal(count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hangs_are_said_when_nobody_can_end_them),
      cmocka_unit_test(no_threads_are_no_hang),
  };
  exu_arena_init(&arena, 1 << 20);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  exu_arena_deinit(&arena);
  return failed;
}
