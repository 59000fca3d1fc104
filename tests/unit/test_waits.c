/* SPDX-License-Identifier: Apache-2.0 */
/* From registers and memory to reasons, owners and deadlocks, without Python. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "sentences.h"
#include "small_process.h"
#include "waits/waits.h"
#include "waits/waits_private.h"

enum { X86_64 = 62, FUTEX = 202, READ = 0, TGKILL = 234, MISSING = 199 };
enum { FIRST = SMALL_BASE + 0x100, SECOND = SMALL_BASE + 0x200, THIRD = SMALL_BASE + 0x300, NOWHERE = 0x10 };

/* Threads of a process, and the report that they become. */
struct scene {
  struct small_process small;
  struct exu_thread threads[SMALL_THREADS];
  uint64_t gil[SMALL_THREADS];     /* that it waits for */
  uint64_t has_gil[SMALL_THREADS]; /* that it holds */
  uint64_t gil_holder;             /* the thread state that has what they wait for */
  const char *gil_of[SMALL_THREADS];
  struct exu_diagnostics diagnostics;
  struct exu_waits *waits;
  struct exu_report report;
};

static void scene_create(struct scene *scene) {
  *scene = (struct scene){0};
  small_process_create(&scene->small, X86_64);
  exu_diagnostics_init(&scene->diagnostics, &scene->small.arena);
}

static void scene_destroy(struct scene *scene) {
  exu_waits_destroy(scene->waits);
  small_process_destroy(&scene->small);
}

static struct exu_os_thread *add(struct scene *scene, const char *name, int64_t number, const uint64_t args[6]) {
  size_t index = scene->small.process.thread_count;
  int64_t tid = 100 + (int64_t)index;
  scene->threads[index] = (struct exu_thread){.tid = tid, .gil = EXU_GIL_NONE};
  if (name) scene->threads[index].name = (struct exu_string){name, strlen(name)};
  return small_process_thread(&scene->small, tid, number, args);
}

/* A thread that waits for mutex at that address. */
static struct exu_os_thread *add_waiter(struct scene *scene, const char *name, uint64_t mutex) {
  return add(scene, name, FUTEX, (const uint64_t[6]){mutex, 0x80, 2});
}

static void put_mutex(struct scene *scene, uint64_t address, int32_t owner) {
  const int32_t words[10] = {2, 0, owner, 1};
  small_process_write(&scene->small, address, words, sizeof words);
}

static void look(struct scene *scene) {
  const struct exu_process *process = &scene->small.process;
  scene->waits = exu_waits_create(process, &scene->small.arena, &scene->diagnostics);
  assert_non_null(scene->waits);
  for (size_t i = 0; i < process->thread_count; i++) {
    const struct exu_wait_subject subject = {
        .thread = i,
        .os = &process->threads[i],
        .gil = scene->gil[i],
        .gil_holder = scene->gil[i] ? scene->gil_holder : 0,
        .gil_of = {scene->gil_of[i], scene->gil_of[i] ? strlen(scene->gil_of[i]) : 0},
        .gils = {scene->has_gil[i]}};
    assert_true(exu_waits_read_thread(scene->waits, &subject));
  }
}

static const struct exu_wait *finish(struct scene *scene) {
  assert_true(exu_waits_find_holders(scene->waits));
  scene->report.threads = scene->threads;
  scene->report.thread_count = scene->small.process.thread_count;
  assert_true(exu_waits_finish(scene->waits, &scene->report, scene->threads));
  return scene->threads[0].wait;
}

static const struct exu_wait *explain(struct scene *scene) {
  look(scene);
  return finish(scene);
}

static void check(const struct scene *scene, size_t thread, enum exu_wait_kind kind, int64_t owner,
                  const char *summary) {
  const struct exu_wait *wait = scene->threads[thread].wait;
  assert_non_null(wait);
  assert_int_equal(wait->kind, kind);
  assert_int_equal(wait->owner, owner);
  assert_string_equal(wait_sentence(&scene->report, thread), summary);
}

static void mutexes_held_crosswise_are_a_deadlock(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene);
  put_mutex(&scene, FIRST, 101);
  put_mutex(&scene, SECOND, 100);
  add_waiter(&scene, "left", FIRST);
  add_waiter(&scene, NULL, SECOND);
  add_waiter(&scene, "late", SECOND);
  explain(&scene);
  check(&scene, 0, EXU_WAIT_MUTEX, 1, "Waiting for mutex 0x100100 held by thread 101");
  check(&scene, 1, EXU_WAIT_MUTEX, 0, "Waiting for mutex 0x100200 held by \"left\" (100)");
  check(&scene, 2, EXU_WAIT_MUTEX, 0, "Waiting for mutex 0x100200 held by \"left\" (100)");
  assert_int_equal(scene.threads[0].wait->owner_evidence->kind, EXU_EVIDENCE_NAMES);
  assert_int_equal(scene.report.deadlock_count, 1);
  assert_int_equal(scene.report.deadlocks[0].thread_count, 2);
  assert_string_equal(deadlock_sentence(&scene.report, 0),
                      "Deadlock: \"left\" (100) waits for mutex 0x100100 held by thread 101, which waits for mutex "
                      "0x100200 held by \"left\" (100).");
  scene_destroy(&scene);
}

static void a_mutex_that_a_thread_holds_itself_is_a_deadlock_of_one(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene);
  put_mutex(&scene, FIRST, 100);
  add_waiter(&scene, "selfish", FIRST);
  explain(&scene);
  check(&scene, 0, EXU_WAIT_MUTEX, 0, "Waiting for mutex 0x100100 held by itself");
  assert_int_equal(scene.report.deadlock_count, 1);
  scene_destroy(&scene);
}

static void a_time_limit_ends_a_deadlock(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene);
  put_mutex(&scene, FIRST, 101);
  put_mutex(&scene, SECOND, 100);
  add_waiter(&scene, "left", FIRST);
  add(&scene, "right", FUTEX, (const uint64_t[6]){SECOND, 0x80, 2, FIRST});
  explain(&scene);
  assert_int_equal(scene.report.deadlock_count, 1);
  assert_true(scene.report.deadlocks[0].timed);
  scene_destroy(&scene);
}

static void set_function(struct scene *scene, size_t thread, struct exu_frame *frame, const char *function) {
  *frame = (struct exu_frame){.kind = EXU_FRAME_NATIVE, .function = {function, strlen(function)}};
  scene->threads[thread].frames = frame;
  scene->threads[thread].frame_count = 1;
}

static void an_owner_that_is_not_there_is_said_and_is_no_edge(void **state) {
  (void)state;
  struct scene scene;
  struct exu_frame frame;
  scene_create(&scene);
  put_mutex(&scene, FIRST, 77);
  add_waiter(&scene, "child", FIRST);
  set_function(&scene, 0, &frame, "___pthread_mutex_lock");
  const struct exu_wait *wait = explain(&scene);
  check(&scene, 0, EXU_WAIT_MUTEX, -1,
        "Waiting for mutex 0x100100 held by thread 77, which does not exist in this process (copied by fork?)");
  assert_int_equal(wait->owner_tid, 77);
  assert_int_equal(scene.report.deadlock_count, 0);
  scene_destroy(&scene);
}

static void what_only_looks_like_a_mutex_is_a_futex(void **state) {
  (void)state;
  struct scene scene;
  static const int32_t shared[10] = {2, 0, 77, 1, 0x80};
  struct exu_frame frame;
  scene_create(&scene);
  put_mutex(&scene, FIRST, 77);
  put_mutex(&scene, SECOND, 100);
  add_waiter(&scene, "no name", FIRST);
  add_waiter(&scene, "own lock", SECOND);
  set_function(&scene, 1, &frame, "syscall");
  small_process_write(&scene.small, THIRD, shared, sizeof shared);
  add_waiter(&scene, "no name, shared", THIRD);
  explain(&scene);
  check(&scene, 0, EXU_WAIT_FUTEX, -1, "Waiting for futex 0x100100");
  check(&scene, 1, EXU_WAIT_FUTEX, -1, "Waiting for futex 0x100200");
  check(&scene, 2, EXU_WAIT_FUTEX, -1, "Waiting for futex 0x100300");
  scene_destroy(&scene);
}

static void what_only_looks_like_a_condition_variable_is_a_futex(void **state) {
  (void)state;
  struct scene scene;
  static const uint32_t words[] = {0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 8, 7};
  scene_create(&scene);
  small_process_write(&scene.small, FIRST - 12 * sizeof *words, words, sizeof words);
  add(&scene, NULL, FUTEX, (const uint64_t[6]){FIRST, 0x80, 7});
  explain(&scene);
  check(&scene, 0, EXU_WAIT_FUTEX, -1, "Waiting for futex 0x100100");
  scene_destroy(&scene);
}

/* An RLock whose owner is known by its ident, of which another thread is left out of the report. */
static void check_ident(uint64_t ident, bool has_pointer, bool left_out, const char *summary) {
  struct scene scene;
  scene_create(&scene);
  put_mutex(&scene, FIRST, 0);
  struct exu_os_thread *thread = add_waiter(&scene, "waits", FIRST);
  thread->registers.has_thread_pointer = true;
  thread->registers.thread_pointer = 0x7000;
  if (left_out) look(&scene);
  thread = add(&scene, "other", -1, NULL);
  thread->registers.has_thread_pointer = has_pointer;
  thread->registers.thread_pointer = 0x8000;
  if (!left_out) look(&scene);
  struct exu_wait *wait = &scene.waits->seen.items[0].wait;
  wait->kind = EXU_WAIT_RLOCK;
  wait->address = FIRST;
  wait->owner_ident = ident;
  finish(&scene);
  assert_string_equal(wait_sentence(&scene.report, 0), summary);
  assert_int_equal(scene.report.hang_count, wait->owner_place == EXU_OWNER_NOWHERE);
  scene_destroy(&scene);
}

static void an_owner_is_missing_only_where_every_thread_is_known(void **state) {
  static const char nowhere[] = "Waiting for RLock 0x100100 held by a thread that does not exist in this process "
                                "(copied by fork?)",
                    other[] = "Waiting for RLock 0x100100 held by \"other\" (101)",
                    left_out[] = "Waiting for RLock 0x100100 held by thread 101",
                    somebody[] = "Waiting for RLock 0x100100 (owner unknown)";
  (void)state;
  check_ident(0x8000, true, false, other);
  check_ident(0x9000, true, false, nowhere);
  check_ident(0x8000, true, true, left_out);
  check_ident(0x9000, true, true, somebody);
  check_ident(0x8000, false, false, somebody);
  check_ident(0x8000, false, true, somebody);
}

static void the_gil_and_a_mutex_are_a_deadlock_but_the_gil_alone_is_none(void **state) {
  (void)state;
  for (int with_mutex = 0; with_mutex < 2; with_mutex++) {
    struct scene scene;
    scene_create(&scene);
    put_mutex(&scene, FIRST, 100);
    add(&scene, "asks", FUTEX, (const uint64_t[6]){SECOND, 0x80, 0, SECOND}); /* again and again */
    add(&scene, "has", with_mutex ? FUTEX : -1, (const uint64_t[6]){FIRST, 0x80, 2});
    scene.gil[0] = scene.has_gil[1] = 0x10;
    explain(&scene);
    check(&scene, 0, EXU_WAIT_GIL, 1,
          with_mutex
              ? "Waiting for the GIL held by \"has\" (101), which waits for mutex 0x100100 held by \"asks\" (100)"
              : "Waiting for the GIL held by \"has\" (101)");
    assert_int_equal(scene.report.deadlock_count, with_mutex);
    assert_false(with_mutex && scene.report.deadlocks[0].timed);
    scene_destroy(&scene);
  }
}

static void the_holder_of_the_gil_holds_the_one_that_is_waited_for(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene);
  add(&scene, "other", -1, NULL);
  add(&scene, "mine", READ, (const uint64_t[6]){5});
  add(&scene, "asks", FUTEX, (const uint64_t[6]){SECOND, 0x80, 0});
  add(&scene, "asks for a third", FUTEX, (const uint64_t[6]){SECOND, 0x80, 0});
  scene.has_gil[0] = 0x10;
  scene.has_gil[1] = scene.gil[2] = 0x20;
  scene.gil[3] = 0x30;
  explain(&scene);
  check(&scene, 2, EXU_WAIT_GIL, 1, "Waiting for the GIL held by \"mine\" (101), which reads from fd 5 (read)");
  check(&scene, 3, EXU_WAIT_GIL, -1, "Waiting for the GIL"); /* either may be it: not guessed */
  scene_destroy(&scene);
}

static void two_threads_that_hold_a_gil_and_wait_for_the_other_are_a_deadlock(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene);
  add(&scene, "new", FUTEX, (const uint64_t[6]){SECOND, 0x80, 0});
  add(&scene, "old", FUTEX, (const uint64_t[6]){SECOND, 0x80, 0});
  scene.has_gil[0] = scene.gil[1] = 0x10;
  scene.has_gil[1] = scene.gil[0] = 0x20;
  scene.gil_of[0] = "3.9.18";
  scene.gil_of[1] = "3.11.7";
  explain(&scene);
  assert_int_equal(scene.threads[0].wait->owner, 1);
  assert_int_equal(scene.threads[1].wait->owner, 0);
  assert_non_null(
      strstr(wait_sentence(&scene.report, 0), "Waiting for the GIL of Python 3.9.18 held by \"old\" (101)"));
  assert_int_equal(scene.report.deadlock_count, 1);
  scene_destroy(&scene);
}

static void threads_of_the_same_name_are_told_apart_by_number(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene);
  put_mutex(&scene, FIRST, 101);
  add_waiter(&scene, "worker", FIRST);
  add(&scene, "worker", -1, NULL);
  explain(&scene);
  check(&scene, 0, EXU_WAIT_MUTEX, 1, "Waiting for mutex 0x100100 held by \"worker\" (101)");
  check(&scene, 1, EXU_WAIT_RUNNING, -1, "Running, in no system call");
  scene_destroy(&scene);
}

static void a_join_is_known_by_the_record_of_the_thread_id(void **state) {
  (void)state;
  enum { SELF = SMALL_BASE + 0x400, RECORD = SELF + 0x2d0 };
  const int32_t tid = 101;
  struct scene scene;
  scene_create(&scene);
  small_process_write(&scene.small, RECORD, &tid, sizeof tid);
  add(&scene, "waiter", FUTEX, (const uint64_t[6]){RECORD, 0x109, 101});
  struct exu_os_thread *joined = add(&scene, "joined", READ, (const uint64_t[6]){3});
  joined->registers.thread_pointer = SELF;
  joined->registers.has_thread_pointer = true;
  explain(&scene);
  check(&scene, 0, EXU_WAIT_JOIN, 1, "Waiting for \"joined\" (101) to end");
  scene_destroy(&scene);
  /* The same number, but elsewhere. */
  scene_create(&scene);
  add(&scene, "waiter", FUTEX, (const uint64_t[6]){RECORD, 0x109, 101});
  add(&scene, "joined", READ, (const uint64_t[6]){3});
  explain(&scene);
  check(&scene, 0, EXU_WAIT_FUTEX, -1, "Waiting for futex 0x1006d0");
  scene_destroy(&scene);
}

static void native_names_explain_what_memory_does_not(void **state) {
  (void)state;
  static const struct {
    const char *function;
    enum exu_wait_kind kind;
    const char *summary;
  } cases[] = {
      {"__lll_lock_wait", EXU_WAIT_FUTEX, "Waiting for a lock of the C library, 0x100100 (owner unknown)"},
      {"___pthread_mutex_lock", EXU_WAIT_MUTEX, "Waiting for mutex 0x100100 (owner unknown)"},
      {"pthread_cond_timedwait@@GLIBC_2.3.2", EXU_WAIT_COND, "Waiting for a condition variable to be signalled"},
      {"__new_sem_wait_slow64.constprop.0", EXU_WAIT_FUTEX, "Waiting for POSIX semaphore 0x100100 (sem_wait)"},
      {"__pthread_clockjoin_ex", EXU_WAIT_JOIN, "Waiting for a thread to end"},
      {"my_pthread_mutex_lock", EXU_WAIT_FUTEX, "Waiting for futex 0x100100"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct scene scene;
    scene_create(&scene);
    struct exu_frame frame;
    add(&scene, NULL, FUTEX, (const uint64_t[6]){FIRST, 0x80, 7});
    set_function(&scene, 0, &frame, cases[i].function);
    explain(&scene);
    check(&scene, 0, cases[i].kind, -1, cases[i].summary);
    scene_destroy(&scene);
  }
}

static void a_semaphore_that_the_interpreter_waits_for_is_one_of_its_locks(void **state) {
  (void)state;
#define CALL(name)                                                                                                     \
  {                                                                                                                    \
    .kind = EXU_FRAME_NATIVE, .function = { name, sizeof(name) - 1 }                                                   \
  }
  struct exu_frame frames[] = {CALL("__futex_abstimed_wait_common"), CALL("__new_sem_wait_slow64.constprop.0"),
                               CALL("PyThread_acquire_lock_timed"), CALL("lock_PyThread_acquire_lock")};
  struct scene scene;
  scene_create(&scene);
  add(&scene, NULL, FUTEX, (const uint64_t[6]){FIRST, 0x80, 7});
  scene.threads[0].frames = frames;
  scene.threads[0].frame_count = 4;
  const struct exu_wait *wait = explain(&scene);
  check(&scene, 0, EXU_WAIT_LOCK, -1,
        "Waiting for a lock of Python, whose semaphore is 0x100100 (PyThread_acquire_lock_timed)");
  assert_int_equal(wait->address, 0);
  scene_destroy(&scene);
}

static void system_calls_are_told_with_their_descriptor(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene);
  add(&scene, NULL, READ, (const uint64_t[6]){7, NOWHERE, 1});
  add(&scene, NULL, TGKILL, (const uint64_t[6]){1, 2, 6});
  add(&scene, NULL, MISSING, NULL);
  const struct exu_wait *wait = explain(&scene);
  check(&scene, 0, EXU_WAIT_SYSCALL, -1, "Reading from fd 7 (read)");
  assert_int_equal(wait->fd, 7);
  assert_null(wait->descriptor); /* nobody is left to be asked */
  assert_string_equal(wait->system_call_name, "read");
  check(&scene, 1, EXU_WAIT_RUNNING, -1, "Running (in system call tgkill, which does not wait)");
  check(&scene, 2, EXU_WAIT_SYSCALL, -1, "In system call 199");
  assert_null(scene.threads[2].wait->system_call_name);
  scene_destroy(&scene);
}

static void without_registers_nothing_is_said(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene);
  add(&scene, NULL, -1, NULL)->registers.valid = 0;
  const struct exu_wait *wait = explain(&scene);
  assert_int_equal(wait->kind, EXU_WAIT_UNKNOWN);
  assert_string_equal(wait_sentence(&scene.report, 0), "");
  assert_int_equal(wait->system_call, -1);
  scene_destroy(&scene);
}

static void a_stopped_process_is_stopped_first_and_still_deadlocked(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene);
  put_mutex(&scene, FIRST, 100);
  add_waiter(&scene, "selfish", FIRST);
  add(&scene, "busy", -1, NULL);
  scene.small.process.stopped = true;
  scene.small.process.stop_signal = 19;
  explain(&scene);
  check(&scene, 0, EXU_WAIT_STOPPED, 0, "Stopped by SIGSTOP, and waiting for mutex 0x100100 held by itself");
  check(&scene, 1, EXU_WAIT_STOPPED, -1, "Stopped by SIGSTOP");
  assert_int_equal(scene.report.deadlock_count, 1);
  scene_destroy(&scene);
}

/* ---- Threads that were not read at the same moment as the others ------------------------------------------------- */

/* One that ran while it was read, or that stopped only after the others had gone on. */
static void make_late(struct exu_os_thread *thread, int how) {
  thread->ran = how == 1;
  thread->unstopped = how == 2;
}

enum { AT_ONCE, RAN, UNSTOPPED, WAYS };

static void a_circle_through_a_thread_of_another_moment_is_no_deadlock(void **state) {
  (void)state;
  for (int how = AT_ONCE; how < WAYS; how++) {
    struct scene scene;
    scene_create(&scene);
    put_mutex(&scene, FIRST, 101);
    put_mutex(&scene, SECOND, 100);
    add_waiter(&scene, "left", FIRST);
    make_late(add_waiter(&scene, "right", SECOND), how);
    explain(&scene);
    assert_int_equal(scene.report.deadlock_count, how == AT_ONCE);
    assert_int_equal(scene.threads[0].wait->owner, 1);
    scene_destroy(&scene);
  }
}

/* Two threads sleep in a futex of their process until another one changes it. */
struct sleep {
  uint64_t operation, timeout;
  int32_t word;
  bool no_pointer; /* it may be no thread of the C library */
  bool more;       /* there is a thread that was not looked at */
};

static size_t hangs_of(const struct sleep *sleep) {
  struct scene scene;
  scene_create(&scene);
  small_process_write(&scene.small, FIRST, &sleep->word, sizeof sleep->word);
  for (uint64_t i = 0; i < 2; i++) {
    struct exu_os_thread *thread =
        add(&scene, NULL, FUTEX, (const uint64_t[6]){FIRST, sleep->operation, 2, sleep->timeout});
    thread->registers.has_thread_pointer = !sleep->no_pointer;
    thread->registers.thread_pointer = SECOND + 64 * i;
  }
  look(&scene);
  scene.small.process.thread_count += sleep->more;
  finish(&scene);
  const size_t count = scene.report.hang_count;
  scene_destroy(&scene);
  return count;
}

static void all_threads_hang_that_only_they_could_wake(void **state) {
  enum { WAIT = 0x80, SHARED = 0 };
  (void)state;
  assert_int_equal(hangs_of(&(struct sleep){.operation = WAIT, .word = 2}), 1);
  assert_int_equal(hangs_of(&(struct sleep){.operation = WAIT, .word = 3}), 0); /* somebody is about to wake them */
  assert_int_equal(hangs_of(&(struct sleep){.operation = WAIT, .word = 2, .timeout = SECOND}), 0);
  assert_int_equal(hangs_of(&(struct sleep){.operation = SHARED, .word = 2}), 0);
  assert_int_equal(hangs_of(&(struct sleep){.operation = WAIT, .word = 2, .no_pointer = true}), 0);
  assert_int_equal(hangs_of(&(struct sleep){.operation = WAIT, .word = 2, .more = true}), 0);
}

static size_t hangs_for_gils(uint64_t one, uint64_t other, uint64_t holder) {
  struct scene scene;
  scene_create(&scene);
  add(&scene, "one", FUTEX, (const uint64_t[6]){SECOND, 0x80, 0});
  add(&scene, "other", FUTEX, (const uint64_t[6]){SECOND, 0x80, 0});
  scene.gil[0] = one;
  scene.gil[1] = other;
  scene.gil_holder = holder;
  explain(&scene);
  const size_t count = scene.report.hang_count;
  scene_destroy(&scene);
  return count;
}

static void the_gil_is_lost_when_all_threads_wait_for_one_that_somebody_has(void **state) {
  (void)state;
  assert_int_equal(hangs_for_gils(0x10, 0x10, 0x5000), 1);
  assert_int_equal(hangs_for_gils(0x10, 0x20, 0x5000), 0);
  assert_int_equal(hangs_for_gils(0x10, 0x10, 0), 0);
  assert_int_equal(hangs_for_gils(0x10, 0, 0x5000), 0);
}

/* The child of a fork believes that it has the parent's locks. */
static void a_lock_that_processes_share_proves_no_deadlock(void **state) {
  (void)state;
  for (int main = 0; main < 2; main++) {
    struct scene scene;
    scene_create(&scene);
    add(&scene, "selfish", FUTEX, (const uint64_t[6]){FIRST, 0, 2});
    scene.threads[0].main = main;
    look(&scene);
    struct exu_seen *seen = &scene.waits->seen.items[0];
    seen->subject.ident = seen->wait.owner_ident = 0x7000;
    seen->wait.kind = EXU_WAIT_RLOCK;
    seen->wait.address = FIRST;
    seen->wait.shared = true;
    finish(&scene);
    check(&scene, 0, EXU_WAIT_RLOCK, -1, "Waiting for RLock 0x100100 taken by acquire() in itself");
    assert_int_equal(scene.report.deadlock_count, 1);
    assert_false(scene.report.deadlocks[0].certain);
    assert_int_equal(scene.report.deadlocks[0].proof, main ? EXU_PROOF_LEAD : EXU_PROOF_KEPT);
    scene_destroy(&scene);
  }
}

/* Every thread sleeps until another one wakes it. */
static void a_thread_of_another_moment_may_have_woken_the_others(void **state) {
  (void)state;
  for (int how = AT_ONCE; how < WAYS; how++) {
    const int32_t word = 2;
    struct scene scene;
    scene_create(&scene);
    small_process_write(&scene.small, FIRST, &word, sizeof word);
    for (int i = 0; i < 3; i++) {
      struct exu_os_thread *thread = add_waiter(&scene, NULL, FIRST);
      thread->registers.has_thread_pointer = true;
      thread->registers.thread_pointer = SECOND + 64 * (uint64_t)i;
      if (i == 2) make_late(thread, how);
    }
    explain(&scene);
    assert_int_equal(scene.report.hang_count, how == AT_ONCE);
    assert_true(scene.threads[0].wait->asleep);
    assert_int_equal(scene.threads[2].wait->asleep, how == AT_ONCE);
    scene_destroy(&scene);
  }
}

static void a_thread_of_another_moment_may_have_the_gil(void **state) {
  (void)state;
  for (int how = AT_ONCE; how < WAYS; how++) {
    struct scene scene;
    scene_create(&scene);
    add(&scene, "one", FUTEX, (const uint64_t[6]){SECOND, 0x80, 0});
    make_late(add(&scene, "other", FUTEX, (const uint64_t[6]){SECOND, 0x80, 0}), how);
    scene.gil[0] = scene.gil[1] = 0x10;
    scene.gil_holder = 0x5000;
    explain(&scene);
    assert_int_equal(scene.report.hang_count, how == AT_ONCE);
    scene_destroy(&scene);
  }
}

/* Another process may have been met at the same futex; a thread that went on is not there any more. */
static void a_thread_of_another_moment_waits_for_no_other_process(void **state) {
  (void)state;
  for (int how = AT_ONCE; how < WAYS; how++) {
    const int32_t word = 7;
    struct scene scene;
    scene_create(&scene);
    small_process_write(&scene.small, FIRST, &word, sizeof word);
    make_late(add(&scene, "waits", FUTEX, (const uint64_t[6]){FIRST, 0, 7}), how);
    explain(&scene);
    assert_int_equal(scene.threads[0].wait->shared_futex, how == AT_ONCE ? FIRST : 0);
    scene_destroy(&scene);
  }
}

static void what_a_late_thread_waits_for_is_said_and_it_stays_a_thread_of_its_pool(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene);
  put_mutex(&scene, FIRST, 101);
  struct exu_os_thread *late = add(&scene, "late", -1, NULL);
  add(&scene, "other", -1, NULL);
  late->unstopped = true;
  late->registers.valid = 0;
  look(&scene);
  for (size_t i = 0; i < 2; i++) scene.waits->seen.items[i].works_for = 1;
  late->registers = (struct exu_registers){.valid = 1, .syscall = FUTEX, .syscall_args = {FIRST, 0x80, 2}};
  assert_true(exu_waits_read_late(scene.waits));
  finish(&scene);
  check(&scene, 0, EXU_WAIT_MUTEX, 1, "Waiting for mutex 0x100100 held by \"other\" (101)");
  for (size_t i = 0; i < 2; i++) assert_int_equal(scene.waits->seen.items[i].works_for, 1);
  scene_destroy(&scene);
}

/* All threads of a pool wait for what only it could run: so does one that stopped late, but perhaps no more. */
static size_t deadlocks_of_pool(int how, uint64_t limit, bool more) {
  struct scene scene;
  scene_create(&scene);
  for (int i = 0; i < 2; i++) {
    struct exu_os_thread *thread = add(&scene, "worker", FUTEX, (const uint64_t[6]){SECOND, 0x80, 0});
    if (i == 1) make_late(thread, how);
  }
  look(&scene);
  for (size_t i = 0; i < 2; i++) scene.waits->seen.items[i].works_for = scene.waits->seen.items[i].queued_in = 1;
  struct exu_wait_pool *pool = EXU_PUSH(&scene.small.arena, &scene.waits->pools);
  assert_non_null(pool);
  *pool = (struct exu_wait_pool){.of = {.limit = limit, .object = 0x10}, .workers = 2};
  scene.small.process.thread_count += more;
  finish(&scene);
  const size_t count = scene.report.deadlock_count;
  scene_destroy(&scene);
  return count;
}

static void a_pool_one_of_whose_threads_is_late_is_no_deadlock(void **state) {
  (void)state;
  assert_int_equal(deadlocks_of_pool(AT_ONCE, 2, false), 1);
  assert_int_equal(deadlocks_of_pool(UNSTOPPED, 2, false), 0);
}

static void a_pool_that_has_or_may_start_another_thread_is_no_deadlock(void **state) {
  (void)state;
  assert_int_equal(deadlocks_of_pool(AT_ONCE, UINT64_MAX, false), 1);
  assert_int_equal(deadlocks_of_pool(AT_ONCE, 3, false), 0);
  assert_int_equal(deadlocks_of_pool(AT_ONCE, 0, false), 0);
  assert_int_equal(deadlocks_of_pool(AT_ONCE, 2, true), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mutexes_held_crosswise_are_a_deadlock),
      cmocka_unit_test(a_mutex_that_a_thread_holds_itself_is_a_deadlock_of_one),
      cmocka_unit_test(a_time_limit_ends_a_deadlock),
      cmocka_unit_test(an_owner_that_is_not_there_is_said_and_is_no_edge),
      cmocka_unit_test(what_only_looks_like_a_mutex_is_a_futex),
      cmocka_unit_test(what_only_looks_like_a_condition_variable_is_a_futex),
      cmocka_unit_test(an_owner_is_missing_only_where_every_thread_is_known),
      cmocka_unit_test(the_gil_and_a_mutex_are_a_deadlock_but_the_gil_alone_is_none),
      cmocka_unit_test(the_holder_of_the_gil_holds_the_one_that_is_waited_for),
      cmocka_unit_test(two_threads_that_hold_a_gil_and_wait_for_the_other_are_a_deadlock),
      cmocka_unit_test(threads_of_the_same_name_are_told_apart_by_number),
      cmocka_unit_test(a_join_is_known_by_the_record_of_the_thread_id),
      cmocka_unit_test(native_names_explain_what_memory_does_not),
      cmocka_unit_test(a_semaphore_that_the_interpreter_waits_for_is_one_of_its_locks),
      cmocka_unit_test(system_calls_are_told_with_their_descriptor),
      cmocka_unit_test(without_registers_nothing_is_said),
      cmocka_unit_test(a_stopped_process_is_stopped_first_and_still_deadlocked),
      cmocka_unit_test(all_threads_hang_that_only_they_could_wake),
      cmocka_unit_test(the_gil_is_lost_when_all_threads_wait_for_one_that_somebody_has),
      cmocka_unit_test(a_lock_that_processes_share_proves_no_deadlock),
      cmocka_unit_test(a_pool_that_has_or_may_start_another_thread_is_no_deadlock),
      cmocka_unit_test(a_circle_through_a_thread_of_another_moment_is_no_deadlock),
      cmocka_unit_test(a_thread_of_another_moment_may_have_woken_the_others),
      cmocka_unit_test(a_thread_of_another_moment_may_have_the_gil),
      cmocka_unit_test(a_thread_of_another_moment_waits_for_no_other_process),
      cmocka_unit_test(what_a_late_thread_waits_for_is_said_and_it_stays_a_thread_of_its_pool),
      cmocka_unit_test(a_pool_one_of_whose_threads_is_late_is_no_deadlock),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
