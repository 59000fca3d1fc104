/* SPDX-License-Identifier: Apache-2.0 */
#include "target/stop.h"

#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "base/map.h"
#include "target/task_list.h"

/*
 * How long to wait for a thread: one that sleeps uninterruptibly may never stop, and meanwhile all others stand still. A
 * thread that only lacks a processor gets more.
 */
enum { UNINTERRUPTIBLE_NS = 3 * 1000 * 1000, STARVED_NS = 250 * 1000 * 1000, POLL_NS = 20 * 1000, THREADS_MAX = 65536 };

struct traced {
  struct exu_stopped_thread thread;
  int pending; /* a signal that was on its way to the thread when it stopped: it is delivered when it goes on */
};

struct exu_stop {
  pid_t pid;
  int tasks;
  struct traced *items;
  size_t count;
  size_t capacity;
  struct exu_map known;            /* by thread id: those that were seized, or need not be */
  struct exu_stopped_thread *view; /* what exu_stop_threads shows */

  pthread_t
      tracer; /* ptrace belongs to the thread that seized: one thread does it all, and its end lets everything go */
  sem_t stopped;
  sem_t release;
  int error; /* errno of the tracer; 0: stopped */
  bool no_memory;
  struct timespec begin;
  int64_t pause_us;
  sigset_t mask; /* of the caller, before the pause */
};

static int64_t since(const struct timespec *begin) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)(now.tv_sec - begin->tv_sec) * 1000000000 + (now.tv_nsec - begin->tv_nsec);
}

/* ---- Stopping ------------------------------------------------------------------------------------------------------ */

static struct traced *add(struct exu_stop *stop, pid_t tid) {
  if (stop->count == stop->capacity) {
    size_t larger = stop->capacity ? stop->capacity * 2 : 64;
    struct traced *memory = larger <= THREADS_MAX ? reallocarray(stop->items, larger, sizeof *memory) : NULL;
    if (!memory) return NULL;
    stop->items = memory;
    stop->capacity = larger;
  }
  struct traced *traced = &stop->items[stop->count++];
  memset(traced, 0, sizeof *traced);
  traced->thread.tid = tid;
  traced->thread.state = EXU_STOPPED_NOT;
  return traced;
}

/* PTRACE_SEIZE a thread that is not known yet. Only a refusal that concerns the whole process is an error. */
static bool seize(struct exu_stop *stop, pid_t tid) {
  bool is_new;
  if (!exu_map_insert(&stop->known, (uint64_t)tid, &is_new)) {
    stop->no_memory = true;
    return false;
  }
  if (!is_new) return true;
  if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) == 0) {
    stop->no_memory = !add(stop, tid);
    return !stop->no_memory;
  }
  const int reason = errno;
  char state = exu_task_state(stop->tasks, tid);
  /* It has ended, or is dead but for those who wait for it. */
  if (reason == ESRCH || state == 'Z' || state == 'X' || state == '\0') return true;
  stop->error = reason;
  return false;
}

static bool seize_new(struct exu_stop *stop, size_t *first_new) {
  *first_new = stop->count;
  struct exu_task_list list;
  if (!exu_task_list_read(stop->tasks, &list)) {
    stop->error = ESRCH;
    return false;
  }
  bool fine = true;
  for (size_t i = 0; fine && i < list.count; i++) fine = seize(stop, list.tids[i]);
  exu_task_list_deinit(&list);
  return fine;
}

/*
 * epoll_wait and its like give up with EINTR when a thread is stopped, although no handler ran (signal(7)). Ask the kernel to
 * start the call again, as it does for most others: -ERESTARTNOHAND still is EINTR if a handler runs. Not with a timeout, which
 * would begin anew.
 */
static void restart_epoll(struct exu_stopped_thread *thread) {
#if defined(__x86_64__)
  enum { EPOLL_WAIT = 232, EPOLL_PWAIT = 281, ERESTARTNOHAND = 514 };
  struct user_regs_struct registers;
  if (thread->registers_size != sizeof registers) return;
  memcpy(&registers, thread->registers, sizeof registers);
  bool epoll = registers.orig_rax == EPOLL_WAIT || registers.orig_rax == EPOLL_PWAIT;
  if (!epoll || (long)registers.rax != -EINTR || (int)registers.r10 >= 0) return;
  /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
  ptrace(PTRACE_POKEUSER, thread->tid, offsetof(struct user_regs_struct, rax), (void *)(long)-ERESTARTNOHAND);
#else
  (void)thread;
#endif
}

static void read_registers(struct exu_stopped_thread *thread) {
  struct iovec vector = {thread->registers, sizeof thread->registers};
  thread->registers_size = 0;
  /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
  if (ptrace(PTRACE_GETREGSET, thread->tid, (void *)(uintptr_t)NT_PRSTATUS, &vector) == 0)
    thread->registers_size = vector.iov_len;
}

/* One look at a thread: has it stopped, or ended? */
static bool has_stopped(struct traced *traced) {
  int status;
  pid_t got = waitpid(traced->thread.tid, &status, __WALL | WNOHANG);
  if (got == 0) return false;
  if (got < 0 || !WIFSTOPPED(status)) {
    traced->thread.state = EXU_STOPPED_GONE;
    return true;
  }
  bool event = status >> 16 == PTRACE_EVENT_STOP;
  int signal = WSTOPSIG(status);
  if (event && signal != SIGTRAP) traced->thread.job_signal = signal;
  if (!event) traced->pending = signal;
  traced->thread.state = EXU_STOPPED;
  read_registers(&traced->thread);
  if (event) restart_epoll(&traced->thread);
  return true;
}

static void interrupt(struct exu_stop *stop, size_t first) {
  for (size_t i = first; i < stop->count; i++) ptrace(PTRACE_INTERRUPT, stop->items[i].thread.tid, NULL, NULL);
}

static void wait_for(struct exu_stop *stop, size_t first) {
  struct timespec begin;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (;;) {
    size_t left = 0, starved = 0;
    int64_t waited = since(&begin);
    for (size_t i = first; i < stop->count; i++) {
      struct traced *traced = &stop->items[i];
      if (traced->thread.state != EXU_STOPPED_NOT || has_stopped(traced)) continue;
      left++;
      starved += waited > UNINTERRUPTIBLE_NS && exu_task_state(stop->tasks, traced->thread.tid) != 'D';
    }
    if (left == 0 || waited > STARVED_NS || (waited > UNINTERRUPTIBLE_NS && starved == 0)) return;
    struct timespec pause = {.tv_nsec = POLL_NS};
    nanosleep(&pause, NULL);
  }
}

static bool stop_all(struct exu_stop *stop) {
  size_t first = 0;
  if (!seize_new(stop, &first)) return false;
  clock_gettime(CLOCK_MONOTONIC, &stop->begin);
  /* Threads that the others start before they stop are found by looking again, until there is none. */
  while (stop->count > first) {
    interrupt(stop, first);
    wait_for(stop, first);
    if (!seize_new(stop, &first)) return false;
  }
  return true;
}

/* ---- Going on ------------------------------------------------------------------------------------------------------ */

/*
 * A thread that is not stopped cannot be detached, nor need it be: the kernel does it when this thread ends, and then forgets
 * that it was to stop.
 */
static void let_go(struct exu_stop *stop) {
  for (size_t i = 0; i < stop->count; i++) {
    struct traced *traced = &stop->items[i];
    if (traced->thread.state != EXU_STOPPED) continue;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    ptrace(PTRACE_DETACH, traced->thread.tid, NULL, (void *)(long)traced->pending);
  }
  if (stop->begin.tv_sec) stop->pause_us = since(&stop->begin) / 1000;
}

static void *trace(void *context) {
  struct exu_stop *stop = context;
  prctl(PR_SET_TIMERSLACK, 1000UL); /* the default of 50 us would more than double each POLL_NS */
  bool stopped = stop_all(stop);
  if (stopped) {
    sem_post(&stop->stopped);
    while (sem_wait(&stop->release) != 0) {}
  }
  let_go(stop);
  if (!stopped) sem_post(&stop->stopped);
  return NULL;
}

/* A terminal must not stop this program while it holds another one; what ends it, is let through. */
static void block_job_control(struct exu_stop *stop) {
  sigset_t job_control;
  sigemptyset(&job_control);
  sigaddset(&job_control, SIGTSTP);
  sigaddset(&job_control, SIGTTIN);
  sigaddset(&job_control, SIGTTOU);
  pthread_sigmask(SIG_BLOCK, &job_control, &stop->mask);
}

static void destroy(struct exu_stop *stop) {
  sem_destroy(&stop->stopped);
  sem_destroy(&stop->release);
  exu_map_deinit(&stop->known);
  free(stop->items);
  free(stop->view);
  free(stop);
}

int64_t exu_stop_end(struct exu_stop *stop) {
  sem_post(&stop->release);
  pthread_join(stop->tracer, NULL);
  int64_t pause = stop->pause_us;
  pthread_sigmask(SIG_SETMASK, &stop->mask, NULL);
  destroy(stop);
  return pause;
}

static bool start(struct exu_stop *stop) {
  block_job_control(stop);
  if (pthread_create(&stop->tracer, NULL, trace, stop) == 0) return true;
  pthread_sigmask(SIG_SETMASK, &stop->mask, NULL);
  return false;
}

static bool show(struct exu_stop *stop) {
  stop->view = calloc(stop->count + 1, sizeof *stop->view);
  if (!stop->view) return false;
  for (size_t i = 0; i < stop->count; i++) stop->view[i] = stop->items[i].thread;
  return true;
}

static void explain(const struct exu_stop *stop, int *refused, struct exu_error *error) {
  if (stop->no_memory) {
    exu_fail(error, EXU_NO_MEMORY, "not enough memory for the threads of process %d", (int)stop->pid);
  } else if (stop->error && stop->error != ESRCH) {
    *refused = stop->error;
    exu_fail(error, EXU_IO, "process %d cannot be stopped: %s", (int)stop->pid, strerror(stop->error));
  } else {
    exu_fail(error, EXU_NOT_FOUND, "process %d has ended", (int)stop->pid);
  }
}

struct exu_stop *exu_stop_begin(pid_t pid, int tasks, int *refused, struct exu_error *error) {
  struct exu_stop *stop = calloc(1, sizeof *stop);
  *refused = 0;
  if (!stop) {
    exu_fail(error, EXU_NO_MEMORY, "not enough memory");
    return NULL;
  }
  stop->pid = pid;
  stop->tasks = tasks;
  stop->pause_us = -1;
  sem_init(&stop->stopped, 0, 0);
  sem_init(&stop->release, 0, 0);
  if (!start(stop)) {
    exu_fail(error, EXU_NO_MEMORY, "no thread could be started");
    destroy(stop);
    return NULL;
  }
  while (sem_wait(&stop->stopped) != 0) {}
  bool fine = !stop->error && !stop->no_memory && stop->count > 0;
  if (fine && !show(stop)) {
    fine = false;
    stop->no_memory = true;
  }
  if (fine) return stop;
  explain(stop, refused, error);
  exu_stop_end(stop);
  return NULL;
}

const struct exu_stopped_thread *exu_stop_threads(const struct exu_stop *stop, size_t *count) {
  *count = stop->count;
  return stop->view;
}
