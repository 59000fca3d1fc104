/* SPDX-License-Identifier: Apache-2.0 */
/* A live process as a whole: its memory and its threads. The processes here are children of the test. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "living_child.h"
#include "process/live_private.h"
#include "process/task_list.h"

static void test_process(void **state) {
  (void)state;
  struct child child = start_child();
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_process process;
  struct exu_error error;
  exu_arena_init(&arena, 16 << 20);
  exu_diagnostics_init(&diagnostics, &arena);
  assert_true(exu_process_open_live(child.pid, &arena, &diagnostics, &process, &error));
  assert_int_equal(process.running_pid, process.pid);
  assert_int_equal(process.pid, child.pid);
  assert_null(exu_process_root(&process)); /* it is this process's own */
  assert_true(process.auxv.phdr != 0 && process.auxv.vdso != 0);
  assert_non_null(exu_process_mapping(&process, (uintptr_t)run_child));
  int fd = exu_process_open_mapping(&process, exu_process_mapping(&process, (uintptr_t)run_child));
  if (fd >= 0) close(fd); /* not everybody may */

  assert_true(exu_process_pause(&process, &arena, &error));
  assert_int_equal(process.thread_count, CHILD_THREADS);
  assert_int_equal(process.threads[0].tid, child.pid);
  for (size_t i = 0; i < CHILD_THREADS; i++) {
    assert_true(process.threads[i].registers.valid != 0);
    assert_true(process.threads[i].registers.has_thread_pointer);
  }
  exu_process_capture_stacks(&process);
  uint64_t number = 0, word = 0;
  assert_int_equal(exu_space_read(process.space, (uintptr_t)&shared->number, &number, sizeof number), EXU_READABLE);
  assert_int_equal(number, 0x1122334455667788);
  exu_process_resume(&process);
  assert_true(process.pause_us >= 0);
  assert_true(all_run());

  /* No process has such addresses, whatever its pointers say. */
  assert_int_equal(exu_space_read(process.space, UINT64_MAX - 3, &word, sizeof word), EXU_UNMAPPED);
  assert_int_equal(exu_space_read(process.space, INT64_MAX, &word, sizeof word), EXU_UNMAPPED);
  assert_int_not_equal(exu_space_read(process.space, 8, &word, sizeof word), EXU_READABLE);

  /* The copy is of then, and so are the stacks; what was not copied is read on demand. */
  shared->number = 1;
  assert_int_equal(exu_space_read(process.space, (uintptr_t)&shared->number, &number, sizeof number), EXU_READABLE);
  assert_int_equal(number, 0x1122334455667788);
  for (size_t i = 0; i < CHILD_THREADS; i++)
    assert_int_equal(exu_space_read(process.space, process.threads[i].registers.sp, &word, sizeof word), EXU_READABLE);
  for (size_t i = 0; i < CHILD_THREADS; i++)
    assert_true(exu_process_is_consistent(&process, process.threads[i].registers.sp));
  exu_process_describe_threads(&process, &arena);
  assert_true(process.threads[0].comm.size > 0 && process.threads[0].cpu_us >= 0);
  exu_process_close(&process);
  exu_arena_deinit(&arena);
  end_child(&child);
}

/* As glibc's heaps grow: what was reserved when the mappings were read has contents a moment later. */
static void test_reserved_memory_that_gets_contents_is_read(void **state) {
  (void)state;
  uint64_t *reserved = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), number = 0;
  atomic_int *step = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(reserved != MAP_FAILED && step != MAP_FAILED);
  pid_t child = fork();
  if (child == 0) {
    while (atomic_load(step) < 1) sleep_ms(1);
    if (mprotect(reserved, 16 * PAGE, PROT_READ | PROT_WRITE) != 0) _exit(1);
    *reserved = 42;
    atomic_store(step, 2);
    for (;;) pause();
  }
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_process process;
  struct exu_error error;
  exu_arena_init(&arena, 16 << 20);
  exu_diagnostics_init(&diagnostics, &arena);
  assert_true(exu_process_open_live(child, &arena, &diagnostics, &process, &error));
  atomic_store(step, 1);
  for (int i = 0; i < 5000 && atomic_load(step) < 2; i++) sleep_ms(1);
  assert_int_equal(atomic_load(step), 2);
  assert_int_equal(exu_space_read(process.space, (uintptr_t)reserved, &number, sizeof number), EXU_READABLE);
  assert_int_equal(number, 42);
  exu_process_close(&process);
  exu_arena_deinit(&arena);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  munmap(reserved, 16 * PAGE);
  munmap(step, PAGE);
}

static void *run_on(void *waiting) {
  for (*(atomic_int *)waiting = 1;;) pause();
  return NULL;
}

/* A thread on memory that was not there before, and no main thread any more. */
static void run_on_without_main_thread(atomic_int *waiting) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 << 20);
  pthread_create(&thread, &attributes, run_on, waiting);
  while (!*waiting) sleep_ms(1);
  pthread_exit(NULL);
}

static void test_process_whose_main_thread_has_ended_since_is_read(void **state) {
  (void)state;
  atomic_int *waiting = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int go[2];
  char byte = 0;
  assert_true(waiting != MAP_FAILED);
  assert_int_equal(pipe(go), 0);
  pid_t child = fork();
  if (child == 0) {
    if (read(go[0], &byte, 1) == 1) run_on_without_main_thread(waiting);
    _exit(1);
  }
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_process process;
  struct exu_error error;
  exu_arena_init(&arena, 16 << 20);
  exu_diagnostics_init(&diagnostics, &arena);
  assert_true(exu_process_open_live(child, &arena, &diagnostics, &process, &error));
  assert_int_equal(write(go[1], &byte, 1), 1);
  for (int i = 0; i < 2000 && exu_task_state(process.live->tasks, child) != 'Z'; i++) sleep_ms(1);
  error.message[0] = '\0';
  const bool paused = exu_process_pause(&process, &arena, &error);
  if (!paused) kill(child, SIGKILL); /* it would keep the test's output open */
  if (!paused) fail_msg("%s", error.message);
  uint64_t word;
  const struct exu_os_thread *thread = &process.threads[process.thread_count - 1];
  assert_int_equal(exu_space_read(process.space, thread->registers.sp, &word, sizeof word), EXU_READABLE);
  exu_process_resume(&process);
  exu_process_close(&process);
  exu_arena_deinit(&arena);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(go[0]);
  close(go[1]);
  munmap(waiting, PAGE);
}

static void test_no_such_process(void **state) {
  (void)state;
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_process process;
  struct exu_error error;
  exu_arena_init(&arena, 1 << 20);
  exu_diagnostics_init(&diagnostics, &arena);
  const int64_t pids[] = {-1, 0, INT32_MAX, (int64_t)INT32_MAX + 1};
  for (size_t i = 0; i < sizeof pids / sizeof *pids; i++) {
    assert_false(exu_process_open_live(pids[i], &arena, &diagnostics, &process, &error));
    assert_int_equal(error.status, EXU_NOT_FOUND);
  }
  exu_arena_deinit(&arena);
}
int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_process),
      cmocka_unit_test(test_reserved_memory_that_gets_contents_is_read),
      cmocka_unit_test(test_process_whose_main_thread_has_ended_since_is_read),
      cmocka_unit_test(test_no_such_process),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
