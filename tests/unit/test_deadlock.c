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

static void fill(struct exu_edge *edges, const int64_t *owners, char (*names)[16]) {
  for (int i = 0; i < THREADS; i++) {
    snprintf(names[i], sizeof names[i], "\"w%d\"", i);
    edges[i] = (struct exu_edge){.owner = owners[i], .thread = {names[i], strlen(names[i])}, .what = {"the Lock", 8}};
  }
}

static void circles_are_found_once_and_begin_with_their_first_thread(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct exu_arena arena;
    struct exu_edge edges[THREADS];
    char names[THREADS][16], found[256] = "";
    const struct exu_deadlock *deadlocks;
    size_t count;
    exu_arena_init(&arena, 1 << 20);
    fill(edges, cases[i].owners, names);
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

static void check_sentence(const struct exu_edge *edges, size_t count, const char *expected) {
  struct exu_arena arena;
  const struct exu_deadlock *deadlocks;
  size_t found;
  exu_arena_init(&arena, 1 << 20);
  assert_true(exu_deadlocks_find(&arena, &(struct exu_waiting){.edges = edges, .count = count, .asleep = false},
                                 &deadlocks, &found));
  assert_int_equal(found, 1);
  assert_string_equal(deadlocks[0].sentence.data, expected);
  exu_arena_deinit(&arena);
}

#define TEXT(literal)                                                                                                  \
  { literal, sizeof(literal) - 1 }
#define EDGE(index, name, object)                                                                                      \
  { .owner = (index), .thread = TEXT(name), .what = TEXT(object) }

static void a_sentence_goes_round_the_circle(void **state) {
  (void)state;
  const struct exu_edge two[] = {EDGE(1, "\"worker-1\"", "the RLock 0x7f12"),
                                 EDGE(0, "\"worker-2\"", "the mutex 0x5510")};
  check_sentence(
      two, 2,
      "Deadlock: \"worker-1\" waits for the RLock 0x7f12 held by \"worker-2\", which waits for the mutex 0x5510 "
      "held by \"worker-1\".");
  const struct exu_edge one[] = {EDGE(0, "thread 12", "the Lock 0x10")};
  check_sentence(one, 1, "Deadlock: thread 12 waits for the Lock 0x10 held by itself.");
}

static void a_join_waits_for_the_thread_to_end(void **state) {
  (void)state;
  const struct exu_edge join[] = {{.owner = 1, .thread = TEXT("\"a\"")}, EDGE(0, "\"b\"", "the GIL")};
  check_sentence(join, 2, "Deadlock: \"a\" waits for \"b\" to end, which waits for the GIL held by \"a\".");
  const struct exu_edge itself[] = {{.owner = 0, .thread = TEXT("\"a\"")}};
  check_sentence(itself, 1, "Deadlock: \"a\" waits for itself to end.");
}

static void a_circle_that_a_time_limit_ends_is_said_to_end(void **state) {
  (void)state;
  struct exu_edge edges[] = {EDGE(1, "\"a\"", "the Lock 0x10"), EDGE(0, "\"b\"", "the Future 0x20")};
  edges[1].timed = true;
  edges[1].relation = "computed by";
  check_sentence(edges, 2,
                 "Deadlock until a time limit passes: \"a\" waits for the Lock 0x10 held by \"b\", which waits for the "
                 "Future 0x20 computed by \"a\".");
  struct exu_arena arena;
  const struct exu_deadlock *deadlocks;
  size_t found;
  exu_arena_init(&arena, 1 << 20);
  assert_true(exu_deadlocks_find(&arena, &(struct exu_waiting){.edges = edges, .count = 2, .asleep = false}, &deadlocks,
                                 &found));
  assert_true(deadlocks[0].timed);
  edges[1].timed = false;
  assert_true(exu_deadlocks_find(&arena, &(struct exu_waiting){.edges = edges, .count = 2, .asleep = false}, &deadlocks,
                                 &found));
  assert_false(deadlocks[0].timed);
  exu_arena_deinit(&arena);
}

static void check_proof(enum exu_proof proof, bool timed, bool asleep, bool certain, const char *expected) {
  struct exu_arena arena;
  struct exu_edge edges[] = {EDGE(1, "\"a\"", "the RLock 0x10"), EDGE(0, "\"b\"", "the Lock 0x20")};
  const struct exu_deadlock *deadlocks;
  size_t found;
  edges[1].relation = "taken by `with` in";
  edges[1].proof = proof;
  edges[0].timed = timed;
  exu_arena_init(&arena, 1 << 20);
  assert_true(exu_deadlocks_find(&arena, &(struct exu_waiting){.edges = edges, .count = 2, .asleep = asleep},
                                 &deadlocks, &found));
  assert_int_equal(found, 1);
  assert_string_equal(deadlocks[0].sentence.data, expected);
  assert_int_equal(deadlocks[0].certain, certain);
  exu_arena_deinit(&arena);
}

#define CIRCLE "\"a\" waits for the RLock 0x10 held by \"b\", which waits for the Lock 0x20 taken by `with` in \"a\""

static void a_circle_is_as_certain_as_its_least_certain_owner(void **state) {
  (void)state;
  check_proof(EXU_PROOF_CERTAIN, false, false, true, "Deadlock: " CIRCLE ".");
  check_proof(EXU_PROOF_KEPT, false, false, false,
              "Deadlock unless other code releases what it did not take: " CIRCLE ".");
  check_proof(EXU_PROOF_KEPT, true, false, false,
              "Deadlock until a time limit passes, unless other code releases what it did not take: " CIRCLE ".");
  check_proof(EXU_PROOF_LEAD, false, false, false,
              "Possible deadlock: " CIRCLE "; it is none if a lock was released since.");
  check_proof(EXU_PROOF_LEAD, true, false, false,
              "Possible deadlock until a time limit passes: " CIRCLE "; it is none if a lock was released since.");
}

static void when_no_thread_can_run_a_circle_is_certain_whoever_has_the_lock(void **state) {
  (void)state;
  check_proof(EXU_PROOF_LEAD, false, true, true,
              "Deadlock: " CIRCLE ". All threads of the process sleep until another one wakes them, without a time "
              "limit.");
  check_proof(EXU_PROOF_CERTAIN, false, true, true, "Deadlock: " CIRCLE ".");
}

static void a_group_is_locked_when_all_its_threads_wait_for_its_work(void **state) {
  (void)state;
  static const size_t both[] = {0, 1}, one[] = {2};
  const char *direct = "Deadlock: both threads of the Pool wait for Futures that only it could run.";
  const char *over =
      "Deadlock: both threads of the Pool wait for Futures that only it could run, or for threads that do.";
  const char *timed =
      "Deadlock until a time limit passes: both threads of the Pool wait for Futures that only it could "
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
    const struct exu_deadlock *deadlocks;
    size_t found;
    const struct exu_group groups[] = {
        {TEXT("the Pool"), "Futures that only it could run", both, 2, !groups_of[i].incomplete},
        {TEXT("the other"), "Futures that only it could run", one, 1, true},
    };
    for (size_t j = 0; j < 3; j++) {
      edges[j] = (struct exu_edge){.owner = groups_of[i].owner[j],
                                   .thread = TEXT("\"a\""),
                                   .what = TEXT("the Future 0x10"),
                                   .group = groups_of[i].group[j],
                                   .proof = groups_of[i].proof,
                                   .timed = groups_of[i].timed};
    }
    exu_arena_init(&arena, 1 << 20);
    const struct exu_waiting waiting = {edges, 3, groups, 2, false};
    assert_true(exu_deadlocks_find(&arena, &waiting, &deadlocks, &found));
    assert_int_equal(found, groups_of[i].sentence ? 1 : 0);
    if (found) {
      assert_string_equal(deadlocks[0].sentence.data, groups_of[i].sentence);
      assert_int_equal(deadlocks[0].timed, groups_of[i].timed);
      assert_true(deadlocks[0].certain);
    }
    exu_arena_deinit(&arena);
  }
}

static void a_circle_of_very_many_is_found_and_its_sentence_is_short(void **state) {
  (void)state;
  enum { MANY = 50000 };
  struct exu_arena arena;
  const struct exu_deadlock *deadlocks;
  size_t found;
  struct exu_edge *edges = calloc(MANY, sizeof *edges);
  assert_non_null(edges);
  for (int64_t i = 0; i < MANY; i++) edges[i] = (struct exu_edge)EDGE((i + 1) % MANY, "\"w\"", "the Lock");
  exu_arena_init(&arena, 16 << 20);
  assert_true(exu_deadlocks_find(&arena, &(struct exu_waiting){.edges = edges, .count = MANY, .asleep = false},
                                 &deadlocks, &found));
  assert_int_equal(found, 1);
  assert_int_equal(deadlocks[0].thread_count, MANY);
  assert_true(deadlocks[0].sentence.size < 2000);
  assert_non_null(strstr(deadlocks[0].sentence.data, "over 49968 more threads"));
  exu_arena_deinit(&arena);
  free(edges);
}

static void without_memory_nothing_is_found_and_that_is_said(void **state) {
  (void)state;
  struct exu_arena arena;
  const struct exu_deadlock *deadlocks;
  size_t found;
  const struct exu_edge one[] = {EDGE(0, "thread 12", "the Lock 0x10")};
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
      cmocka_unit_test(without_memory_nothing_is_found_and_that_is_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
