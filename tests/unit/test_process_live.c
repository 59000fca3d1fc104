/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live process: its memory, its threads, and that it runs on as before. The processes here are children of the test.
 */
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

#include "memory/pages.h"
#include "process/live.h"
#include "process/stop.h"
#include "process/task_list.h"

enum { PAGE = 4096, THREADS = 5 };

static void sleep_ms(long milliseconds) {
  struct timespec left = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0) {}
}

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

/* ---- Pages ------------------------------------------------------------------------------------------------------- */

static uint8_t *map_pages(size_t count) {
  uint8_t *pages = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(pages != MAP_FAILED);
  return pages;
}

static void test_pages(void **state) {
  (void)state;
  int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  uint8_t *memory = map_pages(4), bytes[2 * PAGE];
  memset(memory, 'a', 4 * PAGE);
  struct exu_pages *pages = exu_pages_create(fd, 8 << 20);
  assert_non_null(pages);
  const uint64_t address = (uintptr_t)memory;

  /* Across a border of pages; what was read stays. */
  assert_int_equal(exu_pages_read(pages, address + PAGE - 3, bytes, 6), EXU_READABLE);
  assert_memory_equal(bytes, "aaaaaa", 6);
  memset(memory, 'b', 4 * PAGE);
  assert_int_equal(exu_pages_read(pages, address + PAGE - 3, bytes, 6), EXU_READABLE);
  assert_memory_equal(bytes, "aaaaaa", 6);
  /* What was not read yet is as it is now. */
  assert_int_equal(exu_pages_read(pages, address + 2 * PAGE - 1, bytes, 2), EXU_READABLE);
  assert_memory_equal(bytes, "ab", 2);

  exu_pages_refresh(pages, (pid_t)syscall(SYS_gettid));
  assert_int_equal(exu_pages_read(pages, address + PAGE - 3, bytes, 6), EXU_READABLE);
  assert_memory_equal(bytes, "bbbbbb", 6);

  exu_pages_capture(pages, address, address + 4 * PAGE);
  exu_pages_mark_running(pages);
  memset(memory, 'c', 4 * PAGE);
  assert_int_equal(exu_pages_read(pages, address + 3 * PAGE, bytes, PAGE), EXU_READABLE);
  assert_int_equal(bytes[0], 'b');
  assert_false(exu_pages_late(pages, address + 3 * PAGE));
  uint8_t *more = map_pages(1);
  assert_int_equal(exu_pages_read(pages, (uintptr_t)more, bytes, 8), EXU_READABLE);
  assert_true(exu_pages_late(pages, (uintptr_t)more + 100));

  exu_pages_invalidate(pages);
  assert_int_equal(exu_pages_read(pages, address, bytes, 1), EXU_READABLE);
  assert_int_equal(bytes[0], 'c');
  exu_pages_destroy(pages);
  munmap(more, PAGE);
  munmap(memory, 4 * PAGE);
  close(fd);
}

static void test_pages_that_are_not_there(void **state) {
  (void)state;
  int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  uint8_t *memory = map_pages(3), bytes[PAGE];
  const uint64_t address = (uintptr_t)memory;
  struct exu_pages *pages = exu_pages_create(fd, 8 << 20);
  memset(memory, 'a', 3 * PAGE);
  munmap(memory + PAGE, PAGE);
  assert_int_equal(exu_pages_read(pages, address + PAGE, bytes, 1), EXU_READ_FAILED);
  assert_int_equal(exu_pages_read(pages, address + PAGE - 4, bytes, 8), EXU_READ_FAILED);
  assert_int_equal(exu_pages_read(pages, address + PAGE - 4, bytes, 4), EXU_READABLE);
  assert_int_equal(exu_pages_read(pages, address + 2 * PAGE, bytes, PAGE), EXU_READABLE);
  assert_int_equal(exu_pages_read(pages, 0, bytes, 8), EXU_READ_FAILED);

  /* A page that goes away is missing when everything is read anew; those around it are not. */
  munmap(memory + 2 * PAGE, PAGE);
  memset(memory, 'z', PAGE);
  exu_pages_refresh(pages, (pid_t)syscall(SYS_gettid));
  assert_int_equal(exu_pages_read(pages, address + 2 * PAGE, bytes, 1), EXU_READ_FAILED);
  assert_int_equal(exu_pages_read(pages, address, bytes, 1), EXU_READABLE);
  assert_int_equal(bytes[0], 'z');
  exu_pages_destroy(pages);
  munmap(memory, PAGE);
  close(fd);
}

static void test_budget_of_pages(void **state) {
  (void)state;
  enum { COUNT = 1024, BUDGET = 1 << 20 };
  int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  uint8_t *memory = map_pages(COUNT), byte;
  struct exu_pages *pages = exu_pages_create(fd, BUDGET);
  exu_pages_capture(pages, (uintptr_t)memory, (uintptr_t)memory + COUNT * PAGE);
  size_t readable = 0;
  for (size_t i = 0; i < COUNT; i++)
    readable += exu_pages_read(pages, (uintptr_t)memory + i * PAGE, &byte, 1) == EXU_READABLE;
  assert_int_equal(readable, BUDGET / PAGE);
  exu_pages_destroy(pages);
  munmap(memory, COUNT * PAGE);
  close(fd);
}

/* ---- A child with threads ---------------------------------------------------------------------------------------- */

struct shared {
  atomic_int ready;
  atomic_ulong counts[THREADS];
  atomic_ulong signals;
  _Atomic uint64_t number;
};

static struct shared *shared;

static void *count(void *context) {
  atomic_ulong *counter = context;
  atomic_fetch_add(&shared->ready, 1);
  for (;;) {
    atomic_fetch_add(counter, 1);
    usleep(200);
  }
  return NULL;
}

static void on_signal(int signal) {
  (void)signal;
  atomic_fetch_add(&shared->signals, 1);
}

static void run_child(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGRTMIN, &action, NULL);
  for (size_t i = 1; i < THREADS; i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, count, &shared->counts[i]);
  }
  count(&shared->counts[0]);
}

struct child {
  pid_t pid;
  int tasks;
};

static struct child start_child(void) {
  struct child child;
  char path[64];
  shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(shared != MAP_FAILED);
  shared->number = 0x1122334455667788;
  child.pid = fork();
  if (child.pid == 0) run_child();
  while (atomic_load(&shared->ready) < THREADS) sleep_ms(1);
  snprintf(path, sizeof path, "/proc/%d/task", (int)child.pid);
  child.tasks = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_true(child.tasks >= 0);
  return child;
}

static void end_child(struct child *child) {
  kill(child->pid, SIGKILL);
  waitpid(child->pid, NULL, __WALL);
  close(child->tasks);
  munmap(shared, PAGE);
}

static unsigned long total(void) {
  unsigned long sum = 0;
  for (size_t i = 0; i < THREADS; i++) sum += atomic_load(&shared->counts[i]);
  return sum;
}

static int64_t let_go(struct exu_stop *stop, bool *expired) {
  int64_t pause = exu_stop_release(stop, expired);
  exu_stop_end(stop);
  return pause;
}

static bool all_run(void) {
  unsigned long before[THREADS];
  for (size_t i = 0; i < THREADS; i++) before[i] = atomic_load(&shared->counts[i]);
  for (int tries = 0; tries < 500; tries++) {
    size_t moved = 0;
    for (size_t i = 0; i < THREADS; i++) moved += atomic_load(&shared->counts[i]) != before[i];
    if (moved == THREADS) return true;
    sleep_ms(2);
  }
  return false;
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
  assert_int_equal(threads, THREADS);
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
  assert_int_equal(threads, THREADS);
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
    assert_int_equal(count_state(stop, EXU_STOPPED, false), THREADS - 1);
    unsigned long before[THREADS], all = total();
    for (size_t i = 0; i < THREADS; i++) before[i] = atomic_load(&shared->counts[i]);
    sleep_ms(5);
    assert_int_equal(total(), all);
    assert_in_range(exu_stop_release(stop, &expired), 20 * 1000, 400 * 1000);
    for (int i = 0; i < 500 && total() == all; i++) sleep_ms(1);
    kill(hog, SIGKILL);
    exu_stop_await_late(stop);
    assert_int_equal(count_state(stop, EXU_STOPPED, true), 1);
    sleep_ms(5);
    size_t still = 0;
    for (size_t i = 0; i < THREADS; i++) still += before[i] == atomic_load(&shared->counts[i]);
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
  for (size_t i = 0; i < THREADS; i++) pthread_create(&thread, NULL, sleep_for_ever, NULL);
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

/* ---- The process ------------------------------------------------------------------------------------------------- */

static void test_target(void **state) {
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
  assert_int_equal(process.thread_count, THREADS);
  assert_int_equal(process.threads[0].tid, child.pid);
  for (size_t i = 0; i < THREADS; i++) {
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

  /* The copy is of then, and so are the stacks; what was not copied is late. */
  shared->number = 1;
  assert_int_equal(exu_space_read(process.space, (uintptr_t)&shared->number, &number, sizeof number), EXU_READABLE);
  assert_int_equal(number, 0x1122334455667788);
  for (size_t i = 0; i < THREADS; i++)
    assert_int_equal(exu_space_read(process.space, process.threads[i].registers.sp, &word, sizeof word), EXU_READABLE);
  for (size_t i = 0; i < THREADS; i++)
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

int main(int argc, char **argv) {
  own_arguments = argv;
  if (argc > 2) run_executing_child(argv[2]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pages),
      cmocka_unit_test(test_pages_that_are_not_there),
      cmocka_unit_test(test_budget_of_pages),
      cmocka_unit_test(test_stop),
      cmocka_unit_test(test_no_signal_is_lost),
      cmocka_unit_test(test_no_signal_is_lost_when_the_tracer_is_killed),
      cmocka_unit_test(test_pause_that_is_too_long_ends),
      cmocka_unit_test(test_a_thread_without_a_processor_stops_after_the_others),
      cmocka_unit_test(test_calls_without_a_timeout_are_not_interrupted),
      cmocka_unit_test(test_execve_of_a_thread_goes_on_while_the_process_is_stopped),
      cmocka_unit_test(test_stopped_stays_stopped),
      cmocka_unit_test(test_ended),
      cmocka_unit_test(test_target),
      cmocka_unit_test(test_reserved_memory_that_gets_contents_is_read),
      cmocka_unit_test(test_no_such_process),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
