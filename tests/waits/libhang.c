/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hanging programs need of C: mutexes that threads hold, with and without the GIL. Called through ctypes, so
 * that one build does for every Python, also in a root with an older glibc: pthread_create, whose symbol has another
 * version there, is handed in.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* All kinds of mutexes: each keeps its owner. */
static pthread_mutex_t mutexes[4] = {
    PTHREAD_MUTEX_INITIALIZER,
    PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
    PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP,
    PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP,
};
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static volatile int held[4];
static volatile int flag;
static volatile int tids[4];
static int *counters;

typedef int create_function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

void *hang_mutex(int number) { return &mutexes[number]; }
void *hang_condition(void) { return &condition; }
int hang_held(int number) { return held[number]; }
int hang_tid(int number) { return tids[number]; }

/* Not a lock of any kind: without the GIL, until hang_raise. */
int hang_wait_flag(void) {
  while (!flag) usleep(500);
  return 1;
}
void hang_raise(void) { flag = 1; }

int hang_lock(int number) {
  int status = pthread_mutex_lock(&mutexes[number]);
  held[number] = 1;
  return status;
}

/* Hold a mutex, and when the flag is raised call back into Python, which needs the GIL. */
int hang_lock_and_call(int number, int (*call)(void)) {
  hang_lock(number);
  hang_wait_flag();
  return call();
}

/* The other side: called with the GIL held. */
int hang_raise_and_lock(int number) {
  flag = 1;
  usleep(20000);
  return hang_lock(number);
}

/* Likewise for a function of the C library that this library must not name. */
int hang_raise_and_call(int (*call)(void *), void *argument) {
  flag = 1;
  usleep(20000);
  return call(argument);
}

/* Computes for ever, in no system call. */
int hang_raise_and_spin(void) {
  flag = 1;
  for (volatile unsigned n = 0;; n++) {}
}

static void *cross(void *argument) {
  int me = (int)(long)argument;
  tids[me] = (int)syscall(SYS_gettid);
  hang_lock(me);
  while (!held[1 - me]) usleep(500);
  hang_lock(1 - me);
  return NULL;
}

static void *wait_condition(void *argument) {
  (void)argument;
  tids[2] = (int)syscall(SYS_gettid);
  pthread_mutex_lock(&mutexes[3]);
  while (pthread_cond_wait(&condition, &mutexes[3]) == 0) {}
  return NULL;
}

/* Two threads that no Python knows lock mutexes 0 and 1 in opposite order; a third waits for a condition variable. */
void hang_start_threads(create_function *create) {
  pthread_t thread;
  create(&thread, NULL, cross, (void *)0L);
  create(&thread, NULL, cross, (void *)1L);
  create(&thread, NULL, wait_condition, NULL);
}

static void *wait_for_ever(void *argument) {
  (void)argument;
  tids[3] = (int)syscall(SYS_gettid);
  for (;;) pause();
  return NULL;
}

/* A thread that no Python knows and that waits for nothing. Returns what to join. */
unsigned long hang_start_thread(create_function *create) {
  pthread_t thread;
  create(&thread, NULL, wait_for_ever, NULL);
  while (!tids[3]) usleep(500);
  return (unsigned long)thread;
}

static void *pool_worker(void *argument) {
  (void)argument;
  pthread_mutex_lock(&mutexes[3]);
  while (pthread_cond_wait(&condition, &mutexes[3]) == 0) {}
  return NULL;
}

static void *pool_owner(void *argument) {
  (void)argument;
  hang_lock(0);
  tids[0] = (int)syscall(SYS_gettid);
  for (;;) pause();
}

/* Threads that no Python knows: some that wait for work, and one that keeps mutex 0. */
void hang_start_pool(create_function *create, int workers) {
  pthread_t thread;
  for (int i = 0; i < workers; i++) create(&thread, NULL, pool_worker, NULL);
  create(&thread, NULL, pool_owner, NULL);
  while (!tids[0]) usleep(500);
}

static void count_signal(int number) { __atomic_add_fetch(&counters[number], 1, __ATOMIC_SEQ_CST); }

/* Count a signal exactly, in memory that others can see: Python's own handler only remembers that there was one. */
void hang_count_signal(int number, int *memory) {
  struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
  counters = memory;
  sigaction(number, &action, NULL);
}

/* A thread that sleeps in the kernel and cannot be interrupted: the parent of a vfork(2) whose child does not end. */
int hang_vfork(void) {
  pid_t child = vfork();
  if (child == 0) {
    struct timespec time = {.tv_sec = 120};
    syscall(SYS_nanosleep, &time, NULL);
    _exit(0);
  }
  return child;
}

/* A child that Python does not know of, once the flag is raised and the GIL taken. Both return. */
int hang_fork_after_flag(void) {
  hang_wait_flag();
  usleep(20000);
  return fork();
}
