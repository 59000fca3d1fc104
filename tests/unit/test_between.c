/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that wait for each other: what reports of them say when they are put together. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "base/arena.h"
#include "process/processes.h"
#include "waits/python_waits.h"
#include "waits/waits.h"

/* Instead of the C library's: each look at the monotonic clock comes `step` seconds after the one before. */
static time_t step, passed;

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = (int)syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_MONOTONIC) time->tv_sec += passed += step;
  return result;
}

enum { CHILDREN = 2 };

/* Children that each read from a pipe for ever, whose other end the other one has. */
struct family {
  pid_t pids[CHILDREN];
  struct exu_arena arenas[CHILDREN];
  struct exu_wait waits[CHILDREN];
  struct exu_thread threads[CHILDREN];
  struct exu_report reports[CHILDREN];
};

static pid_t start_reader(int ends[CHILDREN][2], int reads, int writes) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  char byte;
  alarm(60);
  signal(SIGSYS, SIG_DFL); /* cmocka's handler */
  close(ends[writes][0]);
  close(ends[reads][1]);
  _exit(read(ends[reads][0], &byte, 1) == 0);
}

/* What its report would say, when it has come to its read(2). */
static void explain(struct family *family, size_t i, int fd) {
  const struct timespec moment = {.tv_nsec = 1000000};
  const pid_t pid = family->pids[i];
  struct exu_task task = {.call = -1};
  while (!exu_task(pid, pid, &task) || task.call != SYS_read || task.arguments[0] != (uint64_t)fd)
    nanosleep(&moment, NULL);
  family->waits[i] = (struct exu_wait)EXU_WAIT_NOTHING;
  family->waits[i].kind = EXU_WAIT_SYSCALL;
  family->waits[i].system_call = task.call;
  family->waits[i].system_call_name = "read";
  family->waits[i].fd = fd;
  memcpy(family->waits[i].system_call_arguments, task.arguments, sizeof task.arguments);
  family->threads[i] = (struct exu_thread){.tid = pid, .wait = &family->waits[i]};
  family->reports[i] = (struct exu_report){.pid = pid, .threads = &family->threads[i], .thread_count = 1};
  exu_arena_init(&family->arenas[i], 1 << 20);
}

static void relate(struct family *family) {
  int ends[CHILDREN][2];
  struct exu_report *const reports[] = {&family->reports[0], &family->reports[1]};
  struct exu_arena *const arenas[] = {&family->arenas[0], &family->arenas[1]};
  for (size_t i = 0; i < CHILDREN; i++) assert_int_equal(pipe(ends[i]), 0);
  for (int i = 0; i < CHILDREN; i++) family->pids[i] = start_reader(ends, i, 1 - i);
  for (size_t i = 0; i < CHILDREN; i++) {
    explain(family, i, ends[i][0]);
    close(ends[i][1]);
  }
  assert_true(exu_waits_between(reports, arenas, CHILDREN));
  for (size_t i = 0; i < CHILDREN; i++) {
    kill(family->pids[i], SIGKILL);
    waitpid(family->pids[i], NULL, 0);
    close(ends[i][0]);
  }
}

static void a_search_for_others_that_took_too_long_is_said(void **state) {
  (void)state;
  for (time_t slow = 0; slow < 2; slow++) {
    struct family family;
    size_t hangs = 0, said = 0;
    step = 10 * slow;
    relate(&family);
    step = 0;
    for (size_t i = 0; i < CHILDREN; i++) {
      hangs += family.reports[i].hang_count;
      for (size_t j = 0; j < family.reports[i].diagnostic_count; j++) {
        assert_string_equal(family.reports[i].diagnostics[j].code, "sharers-limit");
        assert_false(family.reports[i].diagnostics[j].incomplete);
        said++;
      }
      exu_arena_deinit(&family.arenas[i]);
    }
    assert_int_equal(hangs, slow ? 0 : CHILDREN);
    assert_int_equal(said, slow);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_search_for_others_that_took_too_long_is_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
