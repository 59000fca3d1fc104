/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "sentences.h"
#include "waits/deadlock.h"

enum { THREADS = 8 };

/* Owners by thread; the circles that they make, as "0 1 | 3". */
static const struct {
  const char *name;
  int64_t owners[THREADS];
  const char *circles;
} cases[] = {
    {"nobody waits", {-1, -1, -1, -1, -1, -1, -1, -1}, ""},
    {"a chain", {1, 2, 3, -1, -1, -1, -1, -1}, ""},
    {"two", {1, 0, -1, -1, -1, -1, -1, -1}, "0 1"},
    {"itself", {-1, 1, -1, -1, -1, -1, -1, -1}, "1"},
    {"three, against the order", {2, 0, 1, -1, -1, -1, -1, -1}, "0 2 1"},
    {"who waits for a member is none", {1, 0, 0, 2, 3, -1, -1, -1}, "0 1"},
    {"the one that waits comes first", {3, -1, -1, 4, 3, -1, -1, -1}, "3 4"},
    {"two circles", {1, 0, 3, 2, -1, -1, -1, -1}, "0 1 | 2 3"},
    {"all", {1, 2, 3, 4, 5, 6, 7, 0}, "0 1 2 3 4 5 6 7"},
    {"two tails into one circle", {2, 2, 3, 2, 0, 1, -1, -1}, "2 3"},
    {"owners that are none", {8, 99, -5, INT64_MAX, INT64_MIN, -1, -1, -1}, ""},
};

static void circles_are_found_once_and_begin_with_their_first_thread(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct exu_arena arena;
    struct exu_edge edges[THREADS];
    char found[256] = "";
    const struct exu_deadlock *deadlocks;
    size_t count;
    exu_arena_init(&arena, 1 << 20);
    for (int j = 0; j < THREADS; j++) edges[j] = (struct exu_edge){.owner = cases[i].owners[j]};
    assert_true(exu_deadlocks_find(&arena, &(struct exu_waiting){.edges = edges, .count = THREADS, .asleep = false},
                                   &deadlocks, &count));
    for (size_t j = 0; j < count; j++) {
      for (size_t k = 0; k < deadlocks[j].thread_count; k++) {
        size_t used = strlen(found);
        snprintf(found + used, sizeof found - used, "%s%zu", k ? " " : j ? " | " : "", deadlocks[j].threads[k]);
      }
    }
    if (strcmp(found, cases[i].circles) != 0)
      fail_msg("%s: \"%s\", not \"%s\"", cases[i].name, found, cases[i].circles);
    exu_arena_deinit(&arena);
  }
}

/* A thread of a circle, and what it waits for. */
struct member {
  const char *name; /* NULL: thread 12 */
  enum exu_wait_kind kind;
  uint64_t address;
  struct exu_edge edge;
};

enum { MEMBERS = 2 };

/* The one deadlock of them, and what is said of it. */
static void check_circle(const struct member *members, size_t count, bool asleep, bool certain, const char *expected) {
  struct exu_arena arena;
  struct exu_edge edges[MEMBERS];
  struct exu_wait waits[MEMBERS];
  struct exu_taker takers[MEMBERS];
  struct exu_thread threads[MEMBERS];
  struct exu_report report = {.threads = threads, .thread_count = count};
  for (size_t i = 0; i < count; i++) {
    const char *name = members[i].name;
    edges[i] = members[i].edge;
    takers[i] = (struct exu_taker){.thread = (size_t)edges[i].owner};
    waits[i] = (struct exu_wait){.kind = members[i].kind, .address = members[i].address};
    if (edges[i].proof == EXU_PROOF_CERTAIN) {
      waits[i].owner_place = EXU_OWNER_THREAD;
    } else {
      waits[i].takers = &takers[i];
      waits[i].taker_count = 1;
    }
    threads[i] = (struct exu_thread){.tid = name ? -1 : 12, .name = {name, name ? strlen(name) : 0}, .wait = &waits[i]};
  }
  exu_arena_init(&arena, 1 << 20);
  assert_true(exu_deadlocks_find(&arena, &(struct exu_waiting){.edges = edges, .count = count, .asleep = asleep},
                                 &report.deadlocks, &report.deadlock_count));
  assert_int_equal(report.deadlock_count, 1);
  assert_int_equal(report.deadlocks[0].certain, certain);
  assert_string_equal(deadlock_sentence(&report, 0), expected);
  exu_arena_deinit(&arena);
}

static void a_sentence_goes_round_the_circle(void **state) {
  (void)state;
  const struct member two[] = {{"worker-1", EXU_WAIT_RLOCK, 0x7f12, {.owner = 1}},
                               {"worker-2", EXU_WAIT_MUTEX, 0x5510, {.owner = 0}}};
  check_circle(two, 2, false, true,
               "Deadlock: \"worker-1\" waits for RLock 0x7f12 held by \"worker-2\", which waits for mutex 0x5510 "
               "held by \"worker-1\".");
  const struct member one[] = {{NULL, EXU_WAIT_LOCK, 0x10, {.owner = 0}}};
  check_circle(one, 1, false, true, "Deadlock: thread 12 waits for Lock 0x10 held by itself.");
}

static void a_join_waits_for_the_thread_to_end(void **state) {
  (void)state;
  const struct member join[] = {{"a", EXU_WAIT_JOIN, 0, {.owner = 1}}, {"b", EXU_WAIT_GIL, 0, {.owner = 0}}};
  check_circle(join, 2, false, true, "Deadlock: \"a\" waits for \"b\" to end, which waits for the GIL held by \"a\".");
  const struct member itself[] = {{"a", EXU_WAIT_JOIN, 0, {.owner = 0}}};
  check_circle(itself, 1, false, true, "Deadlock: \"a\" waits for itself to end.");
}

static void a_circle_that_a_time_limit_ends_is_said_to_end(void **state) {
  (void)state;
  struct member members[] = {{"a", EXU_WAIT_LOCK, 0x10, {.owner = 1}},
                             {"b", EXU_WAIT_FUTURE, 0x20, {.owner = 0, .timed = true}}};
#define CIRCLE "\"a\" waits for Lock 0x10 held by \"b\", which waits for Future 0x20 computed by \"a\"."
  check_circle(members, 2, false, true, "Deadlock until a time limit passes: " CIRCLE);
  members[1].edge.timed = false;
  check_circle(members, 2, false, true, "Deadlock: " CIRCLE);
#undef CIRCLE
}

static void check_proof(enum exu_proof proof, bool timed, bool asleep, bool certain, const char *expected) {
  const struct member members[] = {{"a", EXU_WAIT_RLOCK, 0x10, {.owner = 1, .timed = timed}},
                                   {"b", EXU_WAIT_LOCK, 0x20, {.owner = 0, .proof = proof}}};
  check_circle(members, 2, asleep, certain, expected);
}

#define BOTH(how) "\"a\" waits for RLock 0x10 held by \"b\", which waits for Lock 0x20 " how " \"a\""
#define TAKEN BOTH("taken by `with` in")

static void a_circle_is_as_certain_as_its_least_certain_owner(void **state) {
  (void)state;
  check_proof(EXU_PROOF_CERTAIN, false, false, true, "Deadlock: " BOTH("held by") ".");
  check_proof(EXU_PROOF_KEPT, false, false, false,
              "Deadlock unless other code releases what it did not take: " TAKEN ".");
  check_proof(EXU_PROOF_KEPT, true, false, false,
              "Deadlock until a time limit passes, unless other code releases what it did not take: " TAKEN ".");
  check_proof(EXU_PROOF_LEAD, false, false, false,
              "Possible deadlock: " TAKEN "; it is none if a lock was released since.");
  check_proof(EXU_PROOF_LEAD, true, false, false,
              "Possible deadlock until a time limit passes: " TAKEN "; it is none if a lock was released since.");
}

static void when_no_thread_can_run_a_circle_is_certain_whoever_has_the_lock(void **state) {
  (void)state;
  check_proof(EXU_PROOF_LEAD, false, true, true,
              "Deadlock: " TAKEN ". All threads of the process sleep until another one wakes them, without a time "
              "limit.");
  check_proof(EXU_PROOF_CERTAIN, false, true, true, "Deadlock: " BOTH("held by") ".");
}

static void a_group_is_locked_when_all_its_threads_wait_for_its_work(void **state) {
  (void)state;
  static const size_t both[] = {0, 1}, one[] = {2};
  const char *direct = "Deadlock: both threads of Pool 0x50 wait for Futures that only it could run.";
  const char *over =
      "Deadlock: both threads of Pool 0x50 wait for Futures that only it could run, or for threads that do.";
  const char *timed =
      "Deadlock until a time limit passes: both threads of Pool 0x50 wait for Futures that only it could "
      "run.";
  /* What threads 0 to 2 wait for: a group from 1 on, an owner, with a time limit, as certain as that. */
  const struct {
    const char *sentence; /* NULL: there is no deadlock */
    size_t group[3];
    int64_t owner[3];
    bool incomplete, timed;
    enum exu_proof proof;
  } groups_of[] = {
      {direct, {1, 1, 0}, {-1, -1, -1}, false, false, EXU_PROOF_CERTAIN},
      {timed, {1, 1, 0}, {-1, -1, -1}, false, true, EXU_PROOF_CERTAIN},
      {NULL, {1, 1, 0}, {-1, -1, -1}, true, false, EXU_PROOF_CERTAIN},
      {NULL, {1, 0, 0}, {-1, -1, -1}, false, false, EXU_PROOF_CERTAIN},
      {NULL, {1, 2, 0}, {-1, -1, -1}, false, false, EXU_PROOF_CERTAIN},
      {over, {1, 0, 0}, {-1, 0, -1}, false, false, EXU_PROOF_CERTAIN},
      {over, {1, 0, 1}, {-1, 2, -1}, false, false, EXU_PROOF_CERTAIN},
      {NULL, {1, 0, 0}, {-1, 0, -1}, false, false, EXU_PROOF_LEAD},
      {NULL, {1, 2, 0}, {-1, 0, -1}, false, false, EXU_PROOF_CERTAIN},
  };
  for (size_t i = 0; i < sizeof groups_of / sizeof *groups_of; i++) {
    struct exu_arena arena;
    struct exu_edge edges[3];
    const struct exu_thread threads[3] = {{.tid = 1}};
    struct exu_report report = {.threads = threads, .thread_count = 3};
    static const struct exu_pool pool = {.type = {"Pool", 4}, .address = 0x50}, other = {.address = 0x60};
    const struct exu_group groups[] = {{&pool, both, 2, !groups_of[i].incomplete}, {&other, one, 1, true}};
    for (size_t j = 0; j < 3; j++) {
      edges[j] = (struct exu_edge){.owner = groups_of[i].owner[j],
                                   .group = groups_of[i].group[j],
                                   .proof = groups_of[i].proof,
                                   .timed = groups_of[i].timed};
    }
    exu_arena_init(&arena, 1 << 20);
    const struct exu_waiting waiting = {edges, 3, groups, 2, false};
    assert_true(exu_deadlocks_find(&arena, &waiting, &report.deadlocks, &report.deadlock_count));
    assert_int_equal(report.deadlock_count, groups_of[i].sentence ? 1 : 0);
    if (report.deadlock_count) {
      assert_string_equal(deadlock_sentence(&report, 0), groups_of[i].sentence);
      assert_int_equal(report.deadlocks[0].timed, groups_of[i].timed);
      assert_true(report.deadlocks[0].certain);
    }
    exu_arena_deinit(&arena);
  }
}

static void a_circle_of_very_many_is_found_and_its_sentence_is_short(void **state) {
  (void)state;
  enum { MANY = 50000 };
  static struct exu_edge edges[MANY];
  static struct exu_thread threads[MANY];
  static const struct exu_wait wait = {.kind = EXU_WAIT_LOCK, .owner_place = EXU_OWNER_THREAD};
  struct exu_arena arena;
  struct exu_report report = {.threads = threads, .thread_count = MANY};
  for (int64_t i = 0; i < MANY; i++) {
    edges[i] = (struct exu_edge){.owner = (i + 1) % MANY};
    threads[i] = (struct exu_thread){.tid = -1, .name = {"w", 1}, .wait = &wait};
  }
  exu_arena_init(&arena, 16 << 20);
  assert_true(exu_deadlocks_find(&arena, &(struct exu_waiting){.edges = edges, .count = MANY, .asleep = false},
                                 &report.deadlocks, &report.deadlock_count));
  assert_int_equal(report.deadlock_count, 1);
  assert_int_equal(report.deadlocks[0].thread_count, MANY);
  const char *sentence = deadlock_sentence(&report, 0);
  assert_true(strlen(sentence) < 2000);
  assert_non_null(strstr(sentence, "over 49967 more threads"));
  exu_arena_deinit(&arena);
}

/* The 32 first threads and the last one are named, and those between them counted. */
static void threads_of_a_circle_that_are_not_named_are_counted(void **state) {
  (void)state;
  enum { MANY = 36 };
  const char *over[] = {[32] = NULL, [33] = NULL, [34] = ", over 1 more thread, ", [35] = ", over 2 more threads, "};
  size_t circle[MANY];
  struct exu_thread threads[MANY];
  static const struct exu_wait wait = {.kind = EXU_WAIT_LOCK, .owner_place = EXU_OWNER_THREAD};
  for (size_t i = 0; i < MANY; i++) {
    circle[i] = i;
    threads[i] = (struct exu_thread){.tid = 100 + (int64_t)i, .wait = &wait};
  }
  for (size_t count = 32; count < MANY; count++) {
    const struct exu_deadlock deadlock = {.certain = true, .threads = circle, .thread_count = count};
    const struct exu_report report = {
        .threads = threads, .thread_count = MANY, .deadlocks = &deadlock, .deadlock_count = 1};
    const char *sentence = deadlock_sentence(&report, 0);
    size_t named = 0;
    char name[16];
    for (size_t i = 0; i < count; i++) {
      snprintf(name, sizeof name, "thread %zu", 100 + i);
      named += strstr(sentence, name) != NULL;
    }
    assert_int_equal(named, count < 33 ? count : 33);
    if (over[count])
      assert_non_null(strstr(sentence, over[count]));
    else
      assert_null(strstr(sentence, "over"));
  }
}

static void without_memory_nothing_is_found_and_that_is_said(void **state) {
  (void)state;
  struct exu_arena arena;
  const struct exu_deadlock *deadlocks;
  size_t found;
  const struct exu_edge one[] = {{.owner = 0}};
  exu_arena_init(&arena, 0);
  assert_false(
      exu_deadlocks_find(&arena, &(struct exu_waiting){.edges = one, .count = 1, .asleep = false}, &deadlocks, &found));
  assert_int_equal(found, 0);
  exu_arena_deinit(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(circles_are_found_once_and_begin_with_their_first_thread),
      cmocka_unit_test(a_sentence_goes_round_the_circle),
      cmocka_unit_test(a_join_waits_for_the_thread_to_end),
      cmocka_unit_test(a_circle_that_a_time_limit_ends_is_said_to_end),
      cmocka_unit_test(a_circle_is_as_certain_as_its_least_certain_owner),
      cmocka_unit_test(when_no_thread_can_run_a_circle_is_certain_whoever_has_the_lock),
      cmocka_unit_test(a_group_is_locked_when_all_its_threads_wait_for_its_work),
      cmocka_unit_test(a_circle_of_very_many_is_found_and_its_sentence_is_short),
      cmocka_unit_test(threads_of_a_circle_that_are_not_named_are_counted),
      cmocka_unit_test(without_memory_nothing_is_found_and_that_is_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
