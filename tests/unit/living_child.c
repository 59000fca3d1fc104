/* SPDX-License-Identifier: Apache-2.0 */
#include "living_child.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

void sleep_ms(long milliseconds) {
  struct timespec left = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0) {}
}

struct child_shared *shared;

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

void run_child(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGRTMIN, &action, NULL);
  for (size_t i = 1; i < CHILD_THREADS; i++) {
    pthread_t thread;
    pthread_create(&thread, NULL, count, &shared->counts[i]);
  }
  count(&shared->counts[0]);
}

struct child start_child(void) {
  struct child child;
  char path[64];
  shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(shared != MAP_FAILED);
  shared->number = 0x1122334455667788;
  child.pid = fork();
  if (child.pid == 0) run_child();
  while (atomic_load(&shared->ready) < CHILD_THREADS) sleep_ms(1);
  snprintf(path, sizeof path, "/proc/%d/task", (int)child.pid);
  child.tasks = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_true(child.tasks >= 0);
  return child;
}

void end_child(struct child *child) {
  kill(child->pid, SIGKILL);
  waitpid(child->pid, NULL, __WALL);
  close(child->tasks);
  munmap(shared, PAGE);
}

unsigned long total(void) {
  unsigned long sum = 0;
  for (size_t i = 0; i < CHILD_THREADS; i++) sum += atomic_load(&shared->counts[i]);
  return sum;
}

bool all_run(void) {
  unsigned long before[CHILD_THREADS];
  for (size_t i = 0; i < CHILD_THREADS; i++) before[i] = atomic_load(&shared->counts[i]);
  for (int tries = 0; tries < 500; tries++) {
    size_t moved = 0;
    for (size_t i = 0; i < CHILD_THREADS; i++) moved += atomic_load(&shared->counts[i]) != before[i];
    if (moved == CHILD_THREADS) return true;
    sleep_ms(2);
  }
  return false;
}
