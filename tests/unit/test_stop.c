/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping the threads of a child of the test, and that it runs on as before. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "living_child.h"
#include "process/stop.h"
#include "process/task_list.h"

/* ---- What happens between two calls of ptrace -------------------------------------------------------------------- */

/* Called before the first call with `at`, and forgotten then. */
static struct {
  enum __ptrace_request at;
  void (*call)(pid_t tid);
} meanwhile;

/* In place of the C library's, which passes on what is used here just so. */
long ptrace(enum __ptrace_request request, ...) {
  va_list arguments;
  va_start(arguments, request);
  const pid_t tid = va_arg(arguments, pid_t);
  void *address = va_arg(arguments, void *), *data = va_arg(arguments, void *);
  va_end(arguments);
  if (meanwhile.call && request == meanwhile.at) {
    void (*call)(pid_t) = meanwhile.call;
    meanwhile.call = NULL;
    call(tid);
  }
  return syscall(SYS_ptrace, request, tid, address, data);
}
static int64_t let_go(struct exu_stop *stop, bool *expired) {
  int64_t pause = exu_stop_release(stop, expired);
  exu_stop_end(stop);
  return pause;
}

static void test_stop(void **state) {
  (void)state;
  struct child child = start_child();
  struct exu_error error;
  int refused;
  bool expired;
  size_t threads;
  struct exu_stop *stop = exu_stop_begin(child.pid, child.tasks, NULL, &refused, &error);
  assert_non_null(stop);
  const struct exu_stopped_thread *list = exu_stop_threads(stop, &threads);
  assert_int_equal(threads, CHILD_THREADS);
  for (size_t i = 0; i < threads; i++) {
    assert_int_equal(list[i].state, EXU_STOPPED);
    assert_int_equal(list[i].job_signal, 0);
    assert_true(list[i].registers_size > 100);
    assert_int_equal(exu_task_state(child.tasks, list[i].tid), 't');
  }
  unsigned long before = total();
  sleep_ms(20);
  assert_int_equal(total(), before);
  assert_true(let_go(stop, &expired) >= 20 * 1000);
  assert_false(expired);
  assert_true(all_run());
  for (int i = 0; i < 100; i++) {
    stop = exu_stop_begin(child.pid, child.tasks, NULL, &refused, &error);
    assert_non_null(stop);
    assert_true(let_go(stop, &expired) >= 0);
  }
  assert_true(all_run());
  end_child(&child);
}

static void test_no_signal_is_lost(void **state) {
  (void)state;
  enum { SIGNALS = 400 };
  struct child child = start_child();
  pid_t sender = fork();
  if (sender == 0) {
    for (int i = 0; i < SIGNALS; i++) {
      while (sigqueue(child.pid, SIGRTMIN, (union sigval){0}) != 0) usleep(100);
      usleep(50);
    }
    _exit(0);
  }
  struct exu_error error;
  int refused, status;
  bool expired;
  for (int i = 0; i < 200; i++) {
    struct exu_stop *stop = exu_stop_begin(child.pid, child.tasks, NULL, &refused, &error);
    assert_non_null(stop);
    let_go(stop, &expired);
  }
  waitpid(sender, &status, 0);
  for (int i = 0; i < 500 && atomic_load(&shared->signals) < SIGNALS; i++) sleep_ms(2);
  assert_int_equal(atomic_load(&shared->signals), SIGNALS);
  assert_true(all_run());
  end_child(&child);
}

/* It stops to be told to its tracer, which has not interrupted it yet. */
static void send_signal(pid_t pid) {
  sigqueue(pid, SIGRTMIN, (union sigval){0});
  sleep_ms(5);
}

static void test_no_signal_is_lost_when_the_tracer_is_killed(void **state) {
  (void)state;
  struct child child = start_child();
  int status;
  pid_t tracer = fork();
  if (tracer == 0) {
    struct exu_error error;
    int refused;
    meanwhile.at = PTRACE_INTERRUPT;
    meanwhile.call = send_signal;
    if (exu_stop_begin(child.pid, child.tasks, NULL, &refused, &error)) raise(SIGKILL);
    _exit(1);
  }
  waitpid(tracer, &status, 0);
  assert_true(WIFSIGNALED(status));
  for (int i = 0; i < 500 && atomic_load(&shared->signals) == 0; i++) sleep_ms(2);
  assert_int_equal(atomic_load(&shared->signals), 1);
  assert_true(all_run());
  end_child(&child);
}

static void test_pause_that_is_too_long_ends(void **state) {
  (void)state;
  struct child child = start_child();
  struct exu_error error;
  int refused;
  bool expired;
  struct exu_stop *stop = exu_stop_begin(child.pid, child.tasks, NULL, &refused, &error);
  assert_non_null(stop);
  unsigned long before = total();
  sleep_ms(EXU_STOP_MAX_MS / 2);
  assert_int_equal(total(), before);
  sleep_ms(EXU_STOP_MAX_MS);
  assert_true(all_run());
  int64_t pause = let_go(stop, &expired);
  assert_true(expired);
  assert_in_range(pause, EXU_STOP_MAX_MS * 1000, EXU_STOP_MAX_MS * 1500);
  assert_true(all_run());
  end_child(&child);
}

static void test_stopped_stays_stopped(void **state) {
  (void)state;
  struct child child = start_child();
  struct exu_error error;
  int refused;
  bool expired;
  size_t threads;
  kill(child.pid, SIGSTOP);
  while (exu_task_state(child.tasks, child.pid) != 'T') sleep_ms(1);
  struct exu_stop *stop = exu_stop_begin(child.pid, child.tasks, NULL, &refused, &error);
  assert_non_null(stop);
  const struct exu_stopped_thread *list = exu_stop_threads(stop, &threads);
  assert_int_equal(threads, CHILD_THREADS);
  for (size_t i = 0; i < threads; i++) assert_int_equal(list[i].job_signal, SIGSTOP);
  let_go(stop, &expired);
  unsigned long before = total();
  sleep_ms(20);
  assert_int_equal(total(), before);
  assert_int_equal(exu_task_state(child.tasks, child.pid), 'T');
  kill(child.pid, SIGCONT);
  assert_true(all_run());
  end_child(&child);
}

static void test_ended(void **state) {
  (void)state;
  struct child child = start_child();
  struct exu_error error;
  int refused;
  kill(child.pid, SIGKILL);
  while (exu_task_state(child.tasks, child.pid) != 'Z') sleep_ms(1);
  assert_null(exu_stop_begin(child.pid, child.tasks, NULL, &refused, &error)); /* a zombie */
  assert_int_equal(refused, 0);
  assert_int_equal(error.status, EXU_NOT_FOUND);
  waitpid(child.pid, NULL, __WALL);
  assert_null(exu_stop_begin(child.pid, child.tasks, NULL, &refused, &error));
  assert_int_equal(error.status, EXU_NOT_FOUND);
  end_child(&child);
}

/* ---- A child that waits ------------------------------------------------------------------------------------------ */

static void *wait_in_epoll(void *unused) {
  struct epoll_event event;
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  atomic_fetch_add(&shared->ready, 1);
  epoll_wait(epoll, &event, 1, -1);
  atomic_fetch_add(&shared->signals, 1);
  return unused;
}

static void *wait_for_semaphore(void *unused) {
  struct sembuf take = {.sem_op = -1};
  int semaphores = semget(IPC_PRIVATE, 1, 0600);
  atomic_store(&shared->number, (uint64_t)semaphores);
  atomic_fetch_add(&shared->ready, 1);
  semop(semaphores, &take, 1);
  atomic_fetch_add(&shared->signals, 1);
  return unused;
}

static void *wait_for_signal(void *unused) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  atomic_fetch_add(&shared->ready, 1);
  sigwaitinfo(&set, NULL);
  atomic_fetch_add(&shared->signals, 1);
  return unused;
}

static void wait_for_ever(void) {
  pthread_t thread;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pthread_create(&thread, NULL, wait_for_semaphore, NULL);
  pthread_create(&thread, NULL, wait_for_signal, NULL);
  wait_in_epoll(NULL);
  for (;;) pause();
}

/* Nobody who is not traced wakes up for it. */
static void send_ignored_signal(pid_t pid) {
  kill(pid, SIGCHLD);
  sleep_ms(5);
}

/* One processor for the thread that is to be starved, the others for everything else. False: there are not enough. */
static bool share_processors(cpu_set_t *one, cpu_set_t *others, cpu_set_t *before) {
  CPU_ZERO(one);
  sched_getaffinity(0, sizeof *before, before);
  *others = *before;
  for (size_t i = 0; CPU_COUNT(one) == 0; i++)
    if (CPU_ISSET(i, before)) CPU_SET(i, one);
  CPU_XOR(others, others, one);
  return CPU_COUNT(others) > 0 && sched_setaffinity(0, sizeof *others, others) == 0;
}

/* Nothing else runs on this processor meanwhile. Only root may do that. */
static pid_t start_hog(const cpu_set_t *where) {
  const struct sched_param first = {.sched_priority = 1};
  pid_t hog = fork();
  if (hog != 0) return hog;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (sched_setaffinity(0, sizeof *where, where) != 0 || sched_setscheduler(0, SCHED_FIFO, &first) != 0) _exit(1);
  alarm(1);
  for (;;) atomic_fetch_add(&shared->signals, 1);
}

static size_t count_state(const struct exu_stop *stop, enum exu_stopped state, bool late) {
  size_t count, found = 0;
  const struct exu_stopped_thread *threads = exu_stop_threads(stop, &count);
  for (size_t i = 0; i < count; i++)
    found += threads[i].state == state && threads[i].late == late &&
             (state == EXU_STOPPED_NOT || threads[i].registers_size > 100);
  return found;
}

/*
 * It must not keep the others, and does nothing before it has stopped itself. Returns whether there was such a thread.
 */
static bool stop_with_starved(const struct child *child, pid_t hog) {
  struct exu_error error;
  int refused;
  bool expired;
  struct exu_stop *stop = exu_stop_begin(child->pid, child->tasks, NULL, &refused, &error);
  assert_non_null(stop);
  const bool starved = count_state(stop, EXU_STOPPED_NOT, false) == 1;
  if (starved) {
    assert_int_equal(count_state(stop, EXU_STOPPED, false), CHILD_THREADS - 1);
    unsigned long before[CHILD_THREADS], all = total();
    for (size_t i = 0; i < CHILD_THREADS; i++) before[i] = atomic_load(&shared->counts[i]);
    sleep_ms(5);
    assert_int_equal(total(), all);
    assert_in_range(exu_stop_release(stop, &expired), 20 * 1000, 400 * 1000);
    for (int i = 0; i < 500 && total() == all; i++) sleep_ms(1);
    kill(hog, SIGKILL);
    exu_stop_await_late(stop);
    assert_int_equal(count_state(stop, EXU_STOPPED, true), 1);
    sleep_ms(5);
    size_t still = 0;
    for (size_t i = 0; i < CHILD_THREADS; i++) still += before[i] == atomic_load(&shared->counts[i]);
    assert_int_equal(still, 1);
  }
  exu_stop_end(stop);
  return starved;
}

static void test_a_thread_without_a_processor_stops_after_the_others(void **state) {
  (void)state;
  cpu_set_t one, others, before;
  struct exu_task_list list;
  int rounds = 0;
  if (!share_processors(&one, &others, &before)) skip();
  struct child child = start_child();
  assert_true(exu_task_list_read(child.tasks, &list));
  assert_int_equal(sched_setaffinity(list.tids[list.count - 1], sizeof one, &one), 0);
  for (int tries = 0; tries < 10 && rounds < 2; tries++) {
    pid_t hog = start_hog(&one);
    sleep_ms(5);
    rounds += stop_with_starved(&child, hog);
    kill(hog, SIGKILL);
    waitpid(hog, NULL, 0);
    assert_true(all_run());
  }
  if (rounds == 0) print_message("no thread could be starved here\n");
  exu_task_list_deinit(&list);
  end_child(&child);
  sched_setaffinity(0, sizeof before, &before);
}

static void test_calls_without_a_timeout_are_not_interrupted(void **state) {
  (void)state;
  char path[64];
  shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(shared != MAP_FAILED);
  struct child child = {.pid = fork()};
  if (child.pid == 0) wait_for_ever();
  snprintf(path, sizeof path, "/proc/%d/task", (int)child.pid);
  child.tasks = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (atomic_load(&shared->ready) < 3) sleep_ms(1);
  sleep_ms(20);
  for (int i = 0; i < 10; i++) {
    struct exu_error error;
    int refused;
    bool expired;
    meanwhile.at = PTRACE_INTERRUPT;
    meanwhile.call = i % 2 ? send_ignored_signal : NULL;
    struct exu_stop *stop = exu_stop_begin(child.pid, child.tasks, NULL, &refused, &error);
    assert_non_null(stop);
    let_go(stop, &expired);
    sleep_ms(20); /* all sleep again: one that does not yet may take the signal for which another one was woken */
    assert_int_equal(atomic_load(&shared->signals), 0);
  }
  semctl((int)atomic_load(&shared->number), 0, IPC_RMID);
  end_child(&child);
}

/* ---- A child that becomes another program ------------------------------------------------------------------------ */

enum { EXECS = 12 };
static char **own_arguments;

static void *sleep_for_ever(void *unused) {
  for (;;) pause();
  return unused;
}

static void *execute(void *left) {
  sleep_ms(20);
  if (strcmp(left, "0") == 0) _exit(5);
  char number[12];
  snprintf(number, sizeof number, "%d", atoi(left) - 1);
  execl("/proc/self/exe", own_arguments[0], "--execute", number, NULL);
  return NULL;
}

/* A thread that is not the main one executes this program again, and so ends all others. */
static void run_executing_child(char *left) {
  pthread_t thread;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (size_t i = 0; i < CHILD_THREADS; i++) pthread_create(&thread, NULL, sleep_for_ever, NULL);
  pthread_create(&thread, NULL, execute, left);
  sleep_for_ever(NULL);
}

/*
 * The main thread and another one are seized: that one, dead, keeps execve from ending, and that the next from being
 * seized.
 */
static void let_it_execute(pid_t tid) {
  (void)tid;
  sleep_ms(25);
}

static void seize_second(pid_t tid) {
  (void)tid;
  meanwhile.call = let_it_execute;
}

static void seize_first(pid_t tid) {
  (void)tid;
  meanwhile.call = seize_second;
}

static void test_execve_of_a_thread_goes_on_while_the_process_is_stopped(void **state) {
  (void)state;
  char path[64], left[12];
  snprintf(left, sizeof left, "%d", EXECS);
  struct child child = {.pid = fork()};
  if (child.pid == 0) {
    execl("/proc/self/exe", own_arguments[0], "--execute", left, NULL);
    _exit(1);
  }
  snprintf(path, sizeof path, "/proc/%d/task", (int)child.pid);
  child.tasks = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct exu_error error = {0};
  int refused = 0, status = 0, stops = 0;
  alarm(60); /* what this is about may hang */
  for (;; stops++) {
    bool expired;
    meanwhile.at = PTRACE_SEIZE;
    meanwhile.call = stops % 2 ? seize_first : NULL;
    struct exu_stop *stop = exu_stop_begin(child.pid, child.tasks, NULL, &refused, &error);
    if (!stop) break;
    let_go(stop, &expired);
    sleep_ms(1);
  }
  alarm(0);
  assert_int_equal(error.status, EXU_NOT_FOUND);
  assert_int_equal(refused, 0);
  assert_true(stops > EXECS / 2);
  assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 5);
  close(child.tasks);
}
int main(int argc, char **argv) {
  own_arguments = argv;
  if (argc > 2) run_executing_child(argv[2]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_stop),
      cmocka_unit_test(test_no_signal_is_lost),
      cmocka_unit_test(test_no_signal_is_lost_when_the_tracer_is_killed),
      cmocka_unit_test(test_pause_that_is_too_long_ends),
      cmocka_unit_test(test_a_thread_without_a_processor_stops_after_the_others),
      cmocka_unit_test(test_calls_without_a_timeout_are_not_interrupted),
      cmocka_unit_test(test_execve_of_a_thread_goes_on_while_the_process_is_stopped),
      cmocka_unit_test(test_stopped_stays_stopped),
      cmocka_unit_test(test_ended),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
