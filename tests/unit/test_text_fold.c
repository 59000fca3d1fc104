/* SPDX-License-Identifier: Apache-2.0 */
/* What the text leaves out: frames that say less than a line, threads whose stacks nobody asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the four above */
#include <cmocka.h>

#include "sample_report.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { PYTHON, LIBC, FOO, ARROW, MODULES };
static const struct exu_module modules[MODULES] = {
    [PYTHON] = {.path = TEXT("/usr/bin/python3.11"), .start = 0x1000},
    [LIBC] = {.path = TEXT("/lib/libc.so.6"), .start = 0x2000},
    [FOO] = {.path = TEXT("/opt/libfoo.so"), .start = 0x3000},
    [ARROW] = {.path = TEXT("/opt/libarrow.so.15"), .start = 0x4000},
};

struct request {
  const struct exu_report *report;
  struct exu_text_options options;
};

static bool write_text(FILE *out, const void *context) {
  const struct request *request = context;
  return exu_write_text(request->report, &request->options, out);
}

static char *text_of(const struct exu_thread *threads, size_t count, struct exu_text_options options) {
  const struct exu_report report = {
      .pid = 1, .threads = threads, .thread_count = count, .modules = modules, .module_count = MODULES};
  const struct request request = {&report, options};
  size_t size;
  return printed(write_text, &request, &size);
}

static void check_frames(const struct exu_thread *thread, struct exu_text_options options, const char *expected) {
  char *text = text_of(thread, 1, options);
  const char *block = strstr(text, "most recent call last:\n");
  assert_non_null(block);
  assert_string_equal(block + strlen("most recent call last:\n"), expected);
  free(text);
}

/* What follows the stacks, or the end of the text. */
static void check_end(const struct exu_thread *threads, size_t count, struct exu_text_options options,
                      const char *expected) {
  char *text = text_of(threads, count, options);
  const size_t size = strlen(text), wanted = strlen(expected);
  assert_true(size >= wanted);
  assert_string_equal(text + size - wanted, expected);
  free(text);
}

#define PY(name, path, number)                                                                                         \
  {                                                                                                                    \
    .kind = EXU_FRAME_PYTHON, .function = TEXT(name), .file = TEXT(path), .position = { number, -1, -1, -1 }           \
  }
#define NATIVE(name, where, at)                                                                                        \
  {                                                                                                                    \
    .kind = EXU_FRAME_NATIVE, .function = TEXT(name), .module = where, .address = at, .interpreter = -1, .position = { \
      -1,                                                                                                              \
      -1,                                                                                                              \
      -1,                                                                                                              \
      -1                                                                                                               \
    }                                                                                                                  \
  }
#define NAMELESS(where, at)                                                                                            \
  {                                                                                                                    \
    .kind = EXU_FRAME_NATIVE, .module = where, .address = at, .interpreter = -1, .position = { -1, -1, -1, -1 }        \
  }
#define WAIT(what, ...)                                                                                                \
  { .kind = what, .owner = -1, .owner_tid = -1, .fd = -1, .child = -1, .system_call = -1, __VA_ARGS__ }
#define THREAD(list, ...)                                                                                              \
  {                                                                                                                    \
    .tid = 1, .native_complete = EXU_UNKNOWN, .frames_complete = true, .frames = list, .frame_count = COUNT(list),     \
    __VA_ARGS__                                                                                                        \
  }

static const struct exu_text_options plain = {0}, verbose = {.verbose = true}, all = {.native_all = true};

/* ---- frames ---- */

static void the_start_of_a_thread_is_one_line(void **state) {
  (void)state;
  const struct exu_frame frames[] = {PY("work", "/app.py", 7), PY("run", "/lib/threading.py", 975),
                                     PY("_bootstrap_inner", "/lib/threading.py", 1038),
                                     PY("_bootstrap", "/lib/threading.py", 995)};
  const struct exu_thread thread = THREAD(frames, .python = true);
  check_frames(&thread, plain, "  [3 calls in threading.py start the thread]\n  File \"/app.py\", line 7, in work\n");
  const char *whole = "  File \"/lib/threading.py\", line 995, in _bootstrap\n"
                      "  File \"/lib/threading.py\", line 1038, in _bootstrap_inner\n"
                      "  File \"/lib/threading.py\", line 975, in run\n  File \"/app.py\", line 7, in work\n";
  check_frames(&thread, all, whole);
}

static void a_run_of_ones_own_is_no_start(void **state) {
  (void)state;
  const struct exu_frame frames[] = {PY("wait", "/lib/threading.py", 320), PY("run", "/app.py", 9),
                                     PY("__bootstrap_inner", "/lib/threading.py", 801),
                                     PY("__bootstrap", "/lib/threading.py", 774)};
  const struct exu_thread thread = THREAD(frames, .python = true);
  check_frames(&thread, plain,
               "  [2 calls in threading.py start the thread]\n  File \"/app.py\", line 9, in run\n"
               "  File \"/lib/threading.py\", line 320, in wait\n");
}

static void functions_of_the_same_names_elsewhere_are_no_start(void **state) {
  (void)state;
  const struct exu_frame frames[] = {PY("work", "/app.py", 7), PY("run", "/app/threads.py", 9),
                                     PY("_bootstrap", "/app/threads.py", 5)};
  const struct exu_thread thread = THREAD(frames, .python = true);
  check_frames(&thread, plain,
               "  File \"/app/threads.py\", line 5, in _bootstrap\n  File \"/app/threads.py\", line 9, in run\n"
               "  File \"/app.py\", line 7, in work\n");
}

static void where_a_thread_is_stays_when_it_is_part_of_its_start(void **state) {
  (void)state;
  const struct exu_frame frames[] = {PY("_bootstrap_inner", "/lib/threading.py", 1038),
                                     PY("_bootstrap", "/lib/threading.py", 995)};
  const struct exu_thread thread = THREAD(frames, .python = true);
  check_frames(&thread, plain,
               "  File \"/lib/threading.py\", line 995, in _bootstrap\n"
               "  File \"/lib/threading.py\", line 1038, in _bootstrap_inner\n");
}

static const struct exu_frame waiting[] = {
    NATIVE("__futex_abstimed_wait_common64", LIBC, 0x2010),
    NATIVE("__new_sem_wait_slow64.constprop.0", LIBC, 0x2020),
    NATIVE("PyThread_acquire_lock_timed", PYTHON, 0x1010),
    NAMELESS(PYTHON, 0x1020),
    NAMELESS(PYTHON, 0x1030),
    PY("work", "/app.py", 7),
};

static void how_a_thread_waits_is_one_line(void **state) {
  (void)state;
  const struct exu_wait lock = WAIT(EXU_WAIT_LOCK, .address = 0x10);
  const struct exu_thread thread = THREAD(waiting, .python = true, .wait = &lock);
  check_frames(&thread, plain,
               "  Waiting for Lock 0x10 (owner unknown)\n  File \"/app.py\", line 7, in work\n"
               "  (native) 5 frames that wait, from ?? to __futex_abstimed_wait_common64\n");
}

static void frames_wait_only_where_the_thread_is_said_to(void **state) {
  (void)state;
  const struct exu_wait running = WAIT(EXU_WAIT_RUNNING, .address = 0);
  const struct exu_thread threads[] = {THREAD(waiting, .python = true),
                                       THREAD(waiting, .python = true, .wait = &running)};
  for (size_t i = 0; i < COUNT(threads); i++) {
    char *text = text_of(&threads[i], 1, plain);
    assert_non_null(strstr(text, "in PyThread_acquire_lock_timed\n"));
    assert_null(strstr(text, "frames that wait"));
    free(text);
  }
}

static void where_a_thread_that_waits_crashed_is_shown(void **state) {
  (void)state;
  const struct exu_wait lock = WAIT(EXU_WAIT_LOCK, .address = 0x10);
  const struct exu_thread thread = THREAD(waiting, .python = true, .crashed = true, .wait = &lock);
  char *text = text_of(&thread, 1, plain);
  assert_non_null(strstr(text, "in __futex_abstimed_wait_common64\n"));
  assert_null(strstr(text, "frames that wait"));
  free(text);
}

/* Two functions that wait, and what ends them. */
static void check_not_folded(struct exu_frame third) {
  const struct exu_frame frames[] = {NATIVE("futex_wait", LIBC, 0x2010), NATIVE("do_futex_wait", LIBC, 0x2020), third,
                                     PY("work", "/app.py", 7)};
  const struct exu_wait lock = WAIT(EXU_WAIT_LOCK, .address = 0x10);
  const struct exu_thread thread = THREAD(frames, .python = true, .wait = &lock);
  char *text = text_of(&thread, 1, plain);
  assert_non_null(strstr(text, "in do_futex_wait\n"));
  assert_non_null(strstr(text, "in futex_wait\n"));
  assert_null(strstr(text, "frames that wait"));
  free(text);
}

static void only_functions_that_wait_and_those_without_names_beside_them_are_folded(void **state) {
  (void)state;
  check_not_folded((struct exu_frame)NATIVE("sem_waiting_room", FOO, 0x3010)); /* its name only begins like theirs */
  check_not_folded((struct exu_frame)NAMELESS(FOO, 0x3010));                   /* of another library */
  struct exu_frame interrupted = NATIVE("sem_wait", LIBC, 0x2030);
  interrupted.signal = true;
  check_not_folded(interrupted);
  check_not_folded((struct exu_frame)PY("sem_wait", "/app.py", 8)); /* two are not worth a line */
}

static void a_function_that_does_more_than_wait_is_shown(void **state) {
  (void)state;
  const struct exu_frame frames[] = {NATIVE("futex_wait", LIBC, 0x2010), NATIVE("do_futex_wait", LIBC, 0x2020),
                                     NATIVE("sem_wait", LIBC, 0x2030), NATIVE("fill_cache", FOO, 0x3010),
                                     PY("work", "/app.py", 7)};
  const struct exu_wait lock = WAIT(EXU_WAIT_LOCK, .address = 0x10);
  const struct exu_thread thread = THREAD(frames, .python = true, .wait = &lock);
  check_frames(
      &thread, plain,
      "  Waiting for Lock 0x10 (owner unknown)\n  File \"/app.py\", line 7, in work\n"
      "  (native) libfoo.so+0x10, in fill_cache\n  (native) 3 frames that wait, from sem_wait to futex_wait\n");
}

static void functions_without_names_are_counted_by_library(void **state) {
  (void)state;
  const struct exu_frame frames[] = {NAMELESS(FOO, 0x3010),   NAMELESS(FOO, 0x3020),   NAMELESS(FOO, 0x3030),
                                     NAMELESS(FOO, 0x3040),   NAMELESS(ARROW, 0x4010), NAMELESS(ARROW, 0x4020),
                                     NATIVE("g", FOO, 0x3050)};
  const struct exu_thread thread = THREAD(frames, .python = true);
  check_frames(&thread, plain,
               "  (native) libfoo.so+0x50, in g\n  (native) libarrow.so.15+0x20, in ??\n"
               "  (native) libarrow.so.15+0x10, in ??\n  (native) 4 frames without names in libfoo.so\n");
  char *text = text_of(&thread, 1, verbose);
  assert_null(strstr(text, "without names"));
  free(text);
}

static void the_frame_of_a_signal_without_a_name_is_shown(void **state) {
  (void)state;
  struct exu_frame frames[] = {NAMELESS(FOO, 0x3010), NAMELESS(FOO, 0x3020), NAMELESS(FOO, 0x3030),
                               PY("f", "/a.py", 1)};
  frames[1].signal = true;
  const struct exu_thread thread = THREAD(frames, .python = true);
  char *text = text_of(&thread, 1, plain);
  assert_null(strstr(text, "without names"));
  free(text);
}

static void where_a_thread_crashed_is_shown_with_its_offset(void **state) {
  (void)state;
  const struct exu_frame frames[] = {NAMELESS(FOO, 0x3010), NAMELESS(FOO, 0x3020), NAMELESS(FOO, 0x3030),
                                     NAMELESS(FOO, 0x3040)};
  const struct exu_thread thread = THREAD(frames, .python = true, .crashed = true);
  check_frames(&thread, plain, "  (native) 3 frames without names in libfoo.so\n  (native) libfoo.so+0x10, in ??\n");
}

#define CYTHON(name, in_file, path, number)                                                                            \
  {                                                                                                                    \
    .kind = EXU_FRAME_NATIVE, .function = TEXT(name), .symbol = &(const struct exu_string)TEXT(in_file),               \
    .file = TEXT(path), .module = FOO, .address = 0x3040, .interpreter = -1, .position = {                             \
      number,                                                                                                          \
      -1,                                                                                                              \
      -1,                                                                                                              \
      -1                                                                                                               \
    }                                                                                                                  \
  }

static void a_function_of_cython_is_one_frame_with_the_line_of_its_source(void **state) {
  (void)state;
  const struct exu_frame frames[] = {CYTHON("m.Loop.go", "__pyx_f_1m_4Loop_go", "m.c", 5120),
                                     CYTHON("m.Loop.go", "__pyx_pf_1m_4Loop_4go", "m.c", 5200),
                                     CYTHON("m.Loop.go", "__pyx_pw_1m_4Loop_5go", "m.c", 5190),
                                     CYTHON("m.run", "__pyx_pf_1m_run", "m.pyx", 12),
                                     CYTHON("m.run", "__pyx_pw_1m_1run", "m.pyx", 11),
                                     CYTHON("m.again", "__pyx_pf_1m_2again", "m.pyx", 14),
                                     CYTHON("m.again", "__pyx_pf_1m_2again", "m.pyx", 15),
                                     PY("f", "/app.py", 1)};
  const struct exu_thread thread = THREAD(frames, .python = true);
  check_frames(&thread, plain,
               "  File \"/app.py\", line 1, in f\n"
               "  (native) File \"m.pyx\", line 15, in m.again (libfoo.so) [cython]\n"
               "  (native) File \"m.pyx\", line 14, in m.again (libfoo.so) [cython]\n"
               "  (native) File \"m.pyx\", line 12, in m.run (libfoo.so) [cython]\n"
               "  (native) libfoo.so+0x40, in m.Loop.go [cython]\n");
  char *text = text_of(&thread, 1, all);
  assert_int_equal(count_lines(text, "  (native) "), 7);
  free(text);
}

static void a_wrapper_of_cython_that_runs_another_function_is_shown(void **state) {
  (void)state;
  const struct exu_frame frames[] = {CYTHON("m.other", "__pyx_pf_1m_2other", "m.pyx", 14),
                                     CYTHON("m.run", "__pyx_pw_1m_1run", "m.pyx", 11), PY("f", "/app.py", 1)};
  const struct exu_thread thread = THREAD(frames, .python = true);
  check_frames(&thread, plain,
               "  File \"/app.py\", line 1, in f\n"
               "  (native) File \"m.pyx\", line 11, in m.run (libfoo.so) [cython]\n"
               "  (native) File \"m.pyx\", line 14, in m.other (libfoo.so) [cython]\n");
}

/* ---- threads without Python ---- */

static const struct exu_frame pool[] = {NATIVE("pthread_cond_wait", LIBC, 0x2010), NAMELESS(ARROW, 0x4010),
                                        NATIVE("WorkerLoop", ARROW, 0x4020), NATIVE("start_thread", LIBC, 0x2020)};
static const struct exu_frame busy[] = {NATIVE("worker", FOO, 0x3010)};
static const struct exu_frame python[] = {PY("f", "/app.py", 1)};

static void threads_that_do_the_same_share_a_line(void **state) {
  (void)state;
  const struct exu_wait cond = WAIT(EXU_WAIT_COND, .address = 0x10), running = WAIT(EXU_WAIT_RUNNING, .address = 0);
  struct exu_thread threads[] = {THREAD(busy, .wait = &running), THREAD(pool, .wait = &cond),
                                 THREAD(python, .python = true), THREAD(pool, .wait = &cond),
                                 THREAD(pool, .wait = &cond)};
  for (size_t i = 0; i < COUNT(threads); i++) threads[i].tid = 101 + (int64_t)i;
  check_end(threads, COUNT(threads), plain,
            "\n\n3 threads without Python frames wait in libarrow.so.15, in WorkerLoop (condition variable): 102, 104 "
            "and 105\n"
            "1 thread without Python frames: 101 in libfoo.so, in worker; running, in no system call\n");
  char *text = text_of(threads, COUNT(threads), all);
  assert_int_equal(count_lines(text, "Thread"), 3);
  free(text);
}

static void threads_that_may_run_python_are_not_said_to_run_none(void **state) {
  (void)state;
  struct exu_thread threads[] = {THREAD(busy), THREAD(busy, .python_unknown = true), THREAD(busy)};
  check_end(threads, 2, plain,
            "\n\n1 thread without Python frames: 1 in libfoo.so, in worker\n"
            "1 thread without known Python frames: 1 in libfoo.so, in worker\n");
  threads[2].python_unknown = true;
  check_end(&threads[1], 2, plain, "\n\n2 threads without known Python frames in libfoo.so, in worker: 1 and 1\n");
  char *text = text_of(threads, COUNT(threads), all);
  assert_int_equal(count_lines(text, "Thread 1 (no Python frames), most recent call last:"), 1);
  assert_int_equal(count_lines(text, "Threads 1 and 1, all with this stack (no Python frames are known), "), 1);
  free(text);
}

static void threads_are_said_to_wait_only_when_they_do(void **state) {
  (void)state;
  struct exu_wait runs = WAIT(EXU_WAIT_STOPPED, .resumes_as = EXU_WAIT_RUNNING),
                  waits = WAIT(EXU_WAIT_STOPPED, .resumes_as = EXU_WAIT_COND),
                  call = WAIT(EXU_WAIT_SYSCALL, .system_call_name = "fstat"),
                  nameless = WAIT(EXU_WAIT_SYSCALL, .call_class = EXU_CALL_OTHER),
                  reads = WAIT(EXU_WAIT_SYSCALL, .call_class = EXU_CALL_READ, .system_call_name = "read");
  const struct {
    const struct exu_wait *wait;
    const char *said;
  } cases[] = {{&runs, " are stopped in libfoo.so, in worker: 1 and 2\n"},
               {&waits, " are stopped in libfoo.so, in worker (condition variable): 1 and 2\n"},
               {&call, " are in a system call in libfoo.so, in worker (fstat): 1 and 2\n"},
               {&nameless, " are in a system call in libfoo.so, in worker: 1 and 2\n"},
               {&reads, " wait in libfoo.so, in worker (read): 1 and 2\n"}};
  for (size_t i = 0; i < COUNT(cases); i++) {
    struct exu_thread threads[] = {THREAD(busy, .wait = cases[i].wait), THREAD(busy, .wait = cases[i].wait)};
    for (size_t k = 0; k < COUNT(threads); k++) threads[k].tid = 1 + (int64_t)k;
    check_end(threads, COUNT(threads), plain, cases[i].said);
  }
}

static void an_owner_is_shown_with_its_stack_and_so_is_the_one_it_waits_for(void **state) {
  (void)state;
  struct exu_wait first = WAIT(EXU_WAIT_MUTEX, .address = 0x1, .owner_place = EXU_OWNER_THREAD),
                  second = WAIT(EXU_WAIT_MUTEX, .address = 0x2, .owner_place = EXU_OWNER_THREAD),
                  other = WAIT(EXU_WAIT_MUTEX, .address = 0x3, .owner_place = EXU_OWNER_THREAD);
  first.owner = 1;
  second.owner = 2;
  other.owner = 4;
  struct exu_thread threads[] = {THREAD(python, .python = true, .wait = &first), THREAD(busy, .wait = &second),
                                 THREAD(pool), THREAD(pool, .wait = &other), THREAD(busy)};
  for (size_t i = 0; i < COUNT(threads); i++) threads[i].tid = 1 + (int64_t)i;
  char *text = text_of(threads, COUNT(threads), plain);
  assert_non_null(strstr(text, "\nThread 2 (no Python frames), most recent call last:\n"));
  assert_non_null(strstr(text, "\nThread 3 (no Python frames), most recent call last:\n"));
  assert_null(strstr(text, "\nThread 4"));
  assert_null(strstr(text, "\nThread 5"));
  free(text);
  second.owner = 0; /* a circle ends */
  free(text_of(threads, COUNT(threads), plain));
}

static void many_kinds_of_threads_are_a_few_lines(void **state) {
  (void)state;
  enum { THREADS = 40 };
  static char names[THREADS][3];
  struct exu_frame frames[THREADS];
  struct exu_thread threads[THREADS];
  for (int i = 0; i < THREADS; i++) {
    names[i][0] = (char)('a' + i / 10);
    names[i][1] = (char)('0' + i % 10);
    frames[i] = (struct exu_frame)NATIVE("", FOO, 0x3000);
    frames[i].function = (struct exu_string){names[i], 2};
    threads[i] = (struct exu_thread){.tid = i, .frames = &frames[i], .frame_count = 1, .frames_complete = true};
  }
  check_end(threads, THREADS, plain, "\n32 more threads without Python frames\n");
  char *text = text_of(threads, THREADS, verbose);
  assert_int_equal(count_lines(text, "1 thread without Python frames: "), THREADS);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_start_of_a_thread_is_one_line),
      cmocka_unit_test(a_run_of_ones_own_is_no_start),
      cmocka_unit_test(functions_of_the_same_names_elsewhere_are_no_start),
      cmocka_unit_test(where_a_thread_that_waits_crashed_is_shown),
      cmocka_unit_test(only_functions_that_wait_and_those_without_names_beside_them_are_folded),
      cmocka_unit_test(the_frame_of_a_signal_without_a_name_is_shown),
      cmocka_unit_test(a_wrapper_of_cython_that_runs_another_function_is_shown),
      cmocka_unit_test(where_a_thread_is_stays_when_it_is_part_of_its_start),
      cmocka_unit_test(how_a_thread_waits_is_one_line),
      cmocka_unit_test(frames_wait_only_where_the_thread_is_said_to),
      cmocka_unit_test(a_function_that_does_more_than_wait_is_shown),
      cmocka_unit_test(functions_without_names_are_counted_by_library),
      cmocka_unit_test(where_a_thread_crashed_is_shown_with_its_offset),
      cmocka_unit_test(a_function_of_cython_is_one_frame_with_the_line_of_its_source),
      cmocka_unit_test(threads_that_do_the_same_share_a_line),
      cmocka_unit_test(threads_that_may_run_python_are_not_said_to_run_none),
      cmocka_unit_test(threads_are_said_to_wait_only_when_they_do),
      cmocka_unit_test(an_owner_is_shown_with_its_stack_and_so_is_the_one_it_waits_for),
      cmocka_unit_test(many_kinds_of_threads_are_a_few_lines),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
