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

#include "waits/hang.h"

static struct exu_arena arena;

#define TEXT(text)                                                                                                     \
  { text, sizeof text - 1 }
#define STAND(name, waits, ...)                                                                                        \
  { .thread = TEXT(name), .says = TEXT(waits), __VA_ARGS__ }
#define ASLEEP(name, waits, ...) STAND(name, waits, .asleep = true, __VA_ARGS__)

enum { THREADS = 6, SENTENCES = 2 };

/* Threads, the circle of a deadlock among them, and what is said: as text, kinds. */
static const struct {
  const char *fact;
  struct exu_stand stands[THREADS];
  size_t count;
  enum exu_outside outside;
  size_t circle; /* how many of the first threads are in a deadlock */
  enum { CERTAIN, TIMED, UNCERTAIN } deadlock;
  const char *sentences[SENTENCES];
  enum exu_hang_kind kinds[SENTENCES];
} cases[] = {
    {"a lock that a fork copied is never released, whatever other threads do",
     {ASLEEP("\"a\"", "waits for the RLock 0x10 held by thread 9", .lost = true, .address = 16, .owner = -1),
      STAND("\"b\"", "sleeps", .asleep = false, .owner = -1)},
     2,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for the RLock 0x10 held by thread 9."},
     {EXU_HANG_LOST_OWNER}},
    {"those who wait for one lost lock are one hang",
     {ASLEEP("\"a\"", "waits for the mutex 0x10", .lost = true, .address = 16, .holds_gil = true, .owner = -1),
      ASLEEP("\"b\"", "waits for the mutex 0x20", .lost = true, .address = 32, .owner = -1),
      ASLEEP("\"c\"", "waits for the mutex 0x10", .lost = true, .address = 16, .owner = -1)},
     3,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for the mutex 0x10, and has the GIL meanwhile; so does \"c\".",
      "Hangs for ever: \"b\" waits for the mutex 0x20."},
     {EXU_HANG_LOST_OWNER, EXU_HANG_LOST_OWNER}},
    {"a thread that is waited for, and waits for ever",
     {ASLEEP("\"a\"", "waits for \"b\" to end", .kind = EXU_WAIT_JOIN, .owner = 1),
      ASLEEP("\"b\"", "waits for the RLock 0x10", .lost = true, .address = 16, .owner = -1),
      STAND("\"c\"", "sleeps", .asleep = false, .owner = -1)},
     3,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {"Hangs for ever: \"b\" waits for the RLock 0x10.",
      "Hangs for ever: \"a\" waits for \"b\" to end, which waits for the RLock 0x10."},
     {EXU_HANG_LOST_OWNER, EXU_HANG_JOIN}},
    {"a thread that is waited for, and is in a deadlock",
     {ASLEEP("\"a\"", "waits for the RLock 0x10", .owner = 1), ASLEEP("\"b\"", "waits for the RLock 0x20", .owner = 0),
      ASLEEP("\"c\"", "waits for \"a\" to end", .kind = EXU_WAIT_JOIN, .owner = 0),
      STAND("\"d\"", "sleeps", .asleep = false, .owner = -1)},
     4,
     EXU_OUTSIDE_SIGNAL,
     2,
     CERTAIN,
     {"Hangs for ever: \"c\" waits for \"a\" to end, which is in a deadlock."},
     {EXU_HANG_JOIN}},
    {"a deadlock that a time limit ends lets others go on",
     {STAND("\"a\"", "waits for the RLock 0x10", .owner = 1), ASLEEP("\"b\"", "waits for the RLock 0x20", .owner = 0),
      ASLEEP("\"c\"", "waits for \"a\" to end", .kind = EXU_WAIT_JOIN, .owner = 0)},
     3,
     EXU_OUTSIDE_SIGNAL,
     2,
     TIMED,
     {NULL},
     {0}},
    {"a thread that can run could let any other go on",
     {ASLEEP("\"a\"", "waits for the Queue 0x10 (it is empty)", .kind = EXU_WAIT_QUEUE, .owner = -1),
      STAND("\"b\"", "sleeps", .asleep = false, .owner = -1)},
     2,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {NULL},
     {0}},
    {"the only thread waits for another one",
     {ASLEEP("\"a\"", "waits for the Queue 0x10 (it is empty)", .kind = EXU_WAIT_QUEUE, .owner = -1), {.owner = -1}},
     2,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for the Queue 0x10 (it is empty), and is the only thread."},
     {EXU_HANG_QUEUE}},
    {"the end of a thread that nobody is left to wake",
     {ASLEEP("\"a\"", "waits for \"b\" to end", .kind = EXU_WAIT_JOIN, .owner = 1),
      ASLEEP("\"b\"", "waits for the Event 0x10 to be set", .kind = EXU_WAIT_EVENT, .owner = -1)},
     2,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for \"b\" to end, which waits for the Event 0x10 to be set."},
     {EXU_HANG_JOIN}},
    {"the first with Python comes first, and many are counted",
     {ASLEEP("thread 1", "waits for the futex 0x1", .owner = -1),
      ASLEEP("\"a\"", "waits for the Barrier 0x10", .python = true, .kind = EXU_WAIT_BARRIER, .owner = -1),
      ASLEEP("thread 2", "waits for the futex 0x1", .owner = -1),
      ASLEEP("thread 3", "waits for the futex 0x1", .owner = -1),
      ASLEEP("thread 4", "waits for the futex 0x1", .owner = -1),
      ASLEEP("thread 5", "waits for the futex 0x1", .owner = -1)},
     6,
     EXU_OUTSIDE_UNKNOWN,
     0,
     CERTAIN,
     {"Hangs, unless a signal's handler ends it: \"a\" waits for the Barrier 0x10, and every other thread sleeps until "
      "another one wakes it: thread 1 waits for the futex 0x1; thread 2 waits for the futex 0x1; thread 3 waits for "
      "the "
      "futex 0x1; and 2 more."},
     {EXU_HANG_BARRIER}},
    {"a handler of a signal could end it",
     {ASLEEP("\"a\"", "waits for the Event 0x10 to be set", .kind = EXU_WAIT_EVENT, .owner = -1)},
     1,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {NULL},
     {0}},
    {"a circle that is no deadlock for certain is followed once",
     {ASLEEP("\"a\"", "waits for the Lock 0x10", .owner = 1), ASLEEP("\"b\"", "waits for the Lock 0x20", .owner = 0),
      ASLEEP("\"c\"", "waits for \"a\" to end", .kind = EXU_WAIT_JOIN, .owner = 0),
      ASLEEP("\"d\"", "waits for \"x\" to end", .kind = EXU_WAIT_JOIN, .owner = 77)},
     4,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {NULL},
     {0}},
    {"who runs waits for nobody, whatever it waited for",
     {STAND("\"a\"", "waits for the RLock 0x10", .lost = true, .address = 16, .owner = -1),
      ASLEEP("\"b\"", "waits for \"c\" to end", .kind = EXU_WAIT_JOIN, .owner = 2),
      STAND("\"c\"", "waits for \"d\" to end", .kind = EXU_WAIT_JOIN, .owner = 3),
      ASLEEP("\"d\"", "waits for the RLock 0x20", .lost = true, .address = 32, .owner = -1)},
     4,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {"Hangs for ever: \"d\" waits for the RLock 0x20."},
     {EXU_HANG_LOST_OWNER}},
    {"a deadlock that is not certain holds nobody",
     {ASLEEP("\"a\"", "waits for the Lock 0x10", .owner = 1), ASLEEP("\"b\"", "waits for the Lock 0x20", .owner = 0),
      ASLEEP("\"c\"", "waits for \"a\" to end", .kind = EXU_WAIT_JOIN, .owner = 0)},
     3,
     EXU_OUTSIDE_SIGNAL,
     2,
     UNCERTAIN,
     {NULL},
     {0}},
    {"a deadlock of all threads says it all",
     {ASLEEP("\"a\"", "waits for the RLock 0x10", .owner = 1), ASLEEP("\"b\"", "waits for the RLock 0x20", .owner = 0)},
     2,
     EXU_OUTSIDE_NOTHING,
     2,
     CERTAIN,
     {NULL},
     {0}},
    {"and so does a lost lock",
     {ASLEEP("\"a\"", "waits for the RLock 0x10", .lost = true, .address = 16, .owner = -1)},
     1,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for the RLock 0x10."},
     {EXU_HANG_LOST_OWNER}},
    {"nor is what was said said again where no thread can run",
     {ASLEEP("\"a\"", "waits for the RLock 0x10", .lost = true, .address = 16, .owner = -1),
      ASLEEP("\"b\"", "waits for \"a\" to end", .kind = EXU_WAIT_JOIN, .owner = 0)},
     2,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for the RLock 0x10.",
      "Hangs for ever: \"b\" waits for \"a\" to end, which waits for the RLock 0x10."},
     {EXU_HANG_LOST_OWNER, EXU_HANG_JOIN}},
    {"two things at one address are two",
     {ASLEEP("\"a\"", "waits for the RLock 0x10", .lost = true, .kind = EXU_WAIT_RLOCK, .address = 16, .owner = -1),
      ASLEEP("\"b\"", "waits for the mutex 0x10", .lost = true, .kind = EXU_WAIT_MUTEX, .address = 16, .owner = -1)},
     2,
     EXU_OUTSIDE_SIGNAL,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for the RLock 0x10.", "Hangs for ever: \"b\" waits for the mutex 0x10."},
     {EXU_HANG_LOST_OWNER, EXU_HANG_LOST_OWNER}},
    {"a hang has the kind of what the first waits for",
     {ASLEEP("\"a\"", "waits for the read-write lock 0x10", .kind = EXU_WAIT_RWLOCK, .owner = -1)},
     1,
     EXU_OUTSIDE_NOTHING,
     0,
     CERTAIN,
     {"Hangs for ever: \"a\" waits for the read-write lock 0x10, and is the only thread."},
     {EXU_HANG_RWLOCK}},
};

static void hangs_are_said_when_nobody_can_end_them(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    static const size_t threads[] = {0, 1, 2, 3};
    const struct exu_deadlock deadlock = {.certain = cases[i].deadlock != UNCERTAIN,
                                          .timed = cases[i].deadlock == TIMED,
                                          .threads = threads,
                                          .thread_count = cases[i].circle};
    const struct exu_hang *hangs;
    size_t count, expected = 0;
    assert_true(exu_hangs_find(&arena, cases[i].stands, cases[i].count, cases[i].outside, &deadlock,
                               cases[i].circle != 0, &hangs, &count));
    while (expected < SENTENCES && cases[i].sentences[expected]) expected++;
    if (count != expected) fail_msg("%s: %zu hangs, %zu are right", cases[i].fact, count, expected);
    for (size_t j = 0; j < count; j++) {
      assert_string_equal(hangs[j].sentence.data, cases[i].sentences[j]);
      assert_int_equal(hangs[j].kind, cases[i].kinds[j]);
      assert_int_equal(hangs[j].certain, cases[i].outside != EXU_OUTSIDE_UNKNOWN);
      assert_true(hangs[j].thread_count > 0);
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
