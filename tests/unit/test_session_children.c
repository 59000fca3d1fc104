/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface, used by a program that has children of its own. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "exuvia/exuvia.h"
#include "small_core.h"

enum { CHILDREN = 8, WORKERS = 8 };

/* What waitpid(-1) told. */
struct waiter {
  pid_t process; /* that is looked at: the last one to end */
  int statuses[CHILDREN];
  pid_t children[CHILDREN];
  size_t reaped;
  bool process_died;
  bool wrong; /* something ended that was nobody's, or twice */
};

static void *wait_for_any(void *context) {
  struct waiter *waiter = context;
  while (!waiter->process_died) {
    int status;
    const pid_t pid = waitpid(-1, &status, 0);
    if (pid < 0) break;
    if (WIFSTOPPED(status)) continue; /* of the thread that is looked at: none of its business */
    bool known = false;
    if (pid == waiter->process) known = waiter->process_died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    for (size_t i = 0; i < CHILDREN; i++) {
      if (waiter->children[i] != pid || waiter->statuses[i] != -1) continue;
      waiter->statuses[i] = status;
      waiter->reaped++;
      known = true;
    }
    waiter->wrong |= !known;
  }
  return NULL;
}

static void *sleep_for_ever(void *nothing) {
  for (;;) pause();
  return nothing;
}

static pid_t start_sleepers(void) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (size_t i = 1; i < WORKERS; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, sleep_for_ever, NULL) != 0) _exit(1);
  }
  sleep_for_ever(NULL);
  _exit(1);
}

static void test_a_program_may_wait_for_any_child_while_a_process_is_looked_at(void **state) {
  (void)state;
#ifdef __SANITIZE_ADDRESS__
  /* A child has the sanitizer's shadow memory, too: gigabytes, which are searched for a Python. */
  print_message("skipped: with AddressSanitizer the search of a child's memory takes minutes\n");
  skip();
#endif
  enum { REPORTS = 5 };
  struct waiter waiter = {.process = start_sleepers()};
  sigset_t before, after;
  pthread_t thread;
  for (size_t i = 0; i < CHILDREN; i++) {
    waiter.statuses[i] = -1;
    waiter.children[i] = fork();
    if (waiter.children[i] == 0) {
      usleep((useconds_t)(i * 20000));
      _exit((int)i);
    }
  }
  usleep(20000);
  assert_int_equal(pthread_create(&thread, NULL, wait_for_any, &waiter), 0);
  assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
  for (int i = 0; i < REPORTS; i++) {
    struct exu_session *session = NULL;
    struct exu_options options = EXU_OPTIONS_DEFAULT;
    options.native_all = true;
    struct exu_report *report =
        explain_and_close(exu_session_open_process(waiter.process, &options, &session), &session);
    assert_int_equal(report->thread_count, WORKERS);
    assert_false(has_diagnostic(report, "thread-not-stopped"));
    for (size_t k = 0; k < report->thread_count; k++) assert_true(report->threads[k].frame_count > 0);
    /* In the order in which they were started. */
    for (size_t k = 1; k < report->thread_count; k++) assert_true(report->threads[k - 1].tid < report->threads[k].tid);
    exu_report_destroy(report);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int number = 1; number <= SIGRTMAX; number++)
      assert_int_equal(sigismember(&after, number), sigismember(&before, number));
  }
  usleep(CHILDREN * 20000);
  kill(waiter.process, SIGKILL);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(waiter.reaped, CHILDREN);
  assert_true(waiter.process_died && !waiter.wrong);
  for (size_t i = 0; i < CHILDREN; i++) {
    assert_true(WIFEXITED(waiter.statuses[i]));
    assert_int_equal(WEXITSTATUS(waiter.statuses[i]), i);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_program_may_wait_for_any_child_while_a_process_is_looked_at),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
