/* SPDX-License-Identifier: Apache-2.0 */
#include "process/stop.h"

#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/map.h"
#include "process/task_list.h"

/*
 * How long to wait for a thread: one that sleeps uninterruptibly may never stop, and meanwhile all others stand still.
 * A thread that only lacks a processor gets more. How many of those are looked at in a round: it is they who need the
 * processor. And how often to look after threads that have died.
 */
enum { UNINTERRUPTIBLE_NS = 3 * 1000 * 1000, STARVED_NS = 20 * 1000 * 1000, POLL_NS = 20 * 1000, STARVED_LOOKS = 8 };
enum { COLLECT_NS = 20 * 1000 * 1000, COLLECT_MAX_NS = 160 * 1000 * 1000, TRIES = 3, RELEASE_NS = 100 * 1000 };

struct exu_stop {
  pid_t pid;
  int tasks;
  struct exu_limits *limits;
  struct exu_stopped_thread *items;
  size_t count;
  size_t capacity;
  struct exu_map known; /* by thread id: those that were met; not NULL: seized */

  /* ptrace belongs to the thread that seized: one thread does it all, and its end lets everything go. */
  pthread_t tracer;
  sem_t stopped; /* the tracer has come so far: */
  sem_t released;
  sem_t late;
  sem_t release; /* it may go on: */
  sem_t finish;
  int error; /* errno of the tracer; 0: stopped */
  bool no_memory;
  bool expired;
  struct timespec begin;
  int64_t pause_us;
  sigset_t mask; /* of the caller, before the pause */
};

static int64_t since(const struct timespec *begin) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)(now.tv_sec - begin->tv_sec) * 1000000000 + (now.tv_nsec - begin->tv_nsec);
}

/* ---- Stopping ---------------------------------------------------------------------------------------------------- */

static bool add(struct exu_stop *stop, pid_t tid) {
  if (stop->count == stop->capacity) {
    size_t larger = stop->capacity ? stop->capacity * 2 : 64;
    struct exu_stopped_thread *memory = reallocarray(stop->items, larger, sizeof *memory);
    stop->no_memory = !memory;
    if (!memory) return false;
    stop->items = memory;
    stop->capacity = larger;
  }
  struct exu_stopped_thread *thread = &stop->items[stop->count++];
  memset(thread, 0, sizeof *thread);
  thread->tid = tid;
  thread->state = EXU_STOPPED_NOT;
  return true;
}

/* Is it traced by this program already, under the id that it had before execve(2)? */
static bool is_ours(const struct exu_stop *stop, pid_t tid) {
  char name[32], text[4096];
  int tracer;
  snprintf(name, sizeof name, "%d/status", (int)tid);
  const char *line = exu_proc_read(stop->tasks, name, text, sizeof text) > 0 ? strstr(text, "\nTracerPid:") : NULL;
  return line && sscanf(line, " TracerPid: %d", &tracer) == 1 && tracer == (int)getpid();
}

/*
 * PTRACE_SEIZE. Only a refusal that concerns the whole process is an error. A thread that calls execve(2) takes the
 * main thread's id: who waited for that meanwhile is refused the main thread that is no more, and may have the one that
 * is.
 */
static bool seize(struct exu_stop *stop, pid_t tid) {
  int reason = 0;
  for (int i = 0; i < TRIES; i++) {
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) == 0) return add(stop, tid);
    reason = errno;
    char state = exu_task_state(stop->tasks, tid);
    /* It has ended, or is dead but for those who wait for it. */
    if (reason == ESRCH || state == 'Z' || state == 'X' || state == '\0') return true;
    if (reason == EPERM && is_ours(stop, tid)) return add(stop, tid);
  }
  stop->error = reason;
  return false;
}

/*
 * Seize the threads that are not yet; *some says whether there was any. One that is new and has died since it was
 * listed counts: where a thread ends while the kernel lists them, the list may lack the next one.
 */
static bool seize_new(struct exu_stop *stop, bool *some) {
  struct exu_task_list list;
  *some = false;
  if (!exu_task_list_read(stop->tasks, &list)) {
    stop->error = ESRCH;
    return false;
  }
  bool fine = true;
  for (size_t i = 0; fine && i < list.count && stop->count < EXU_TASKS_MAX; i++) {
    const size_t before = stop->count;
    bool is_new = false;
    void **is_seized = exu_map_insert(&stop->known, (uint64_t)list.tids[i], &is_new);
    if (!is_seized) {
      stop->no_memory = true;
      fine = false;
      break;
    }
    if (*is_seized) continue;
    fine = seize(stop, list.tids[i]);
    if (stop->count > before) *is_seized = stop;
    *some |= is_new || stop->count > before;
  }
  exu_task_list_deinit(&list);
  return fine;
}

/*
 * Calls that a stop interrupts although no handler runs (signal(7)), as long as nothing but what they wait for ends
 * them.
 */
static bool waits_for_ever(const struct exu_registers *registers) {
  switch (exu_arch_call(exu_arch_host(), registers->syscall)) {
  case EXU_SYS_SEMOP: return true;
  case EXU_SYS_RT_SIGTIMEDWAIT: return registers->syscall_args[2] == 0;
  case EXU_SYS_SEMTIMEDOP:
  case EXU_SYS_EPOLL_PWAIT2: return registers->syscall_args[3] == 0;
  case EXU_SYS_EPOLL_WAIT:
  case EXU_SYS_EPOLL_PWAIT: return (int)registers->syscall_args[3] < 0;
  default: return false;
  }
}

/*
 * Ask the kernel to start such a call again, as it does with most others by itself: -ERESTARTNOHAND still is EINTR when
 * a handler runs. Not one with a timeout, which would begin anew.
 */
static void restart_call(struct exu_stopped_thread *thread) {
  enum { ERESTARTNOHAND = 514 };
  const struct exu_arch *host = exu_arch_host();
  struct exu_registers registers;
  int64_t result;
  if (!host || thread->registers_size < host->prstatus_result + sizeof result) return;
  memcpy(&result, thread->registers + host->prstatus_result, sizeof result);
  if (result != -EINTR || !host->decode_registers(thread->registers, thread->registers_size, &registers)) return;
  if (registers.syscall < 0 || !waits_for_ever(&registers)) return;
  /* The registers up to that of the result, the others as they were. */
  uint8_t changed[sizeof thread->registers];
  struct iovec vector = {changed, host->prstatus_result + sizeof result};
  memcpy(changed, thread->registers, vector.iov_len);
  result = -ERESTARTNOHAND;
  memcpy(changed + host->prstatus_result, &result, sizeof result);
  /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
  ptrace(PTRACE_SETREGSET, thread->tid, (void *)(uintptr_t)NT_PRSTATUS, &vector);
}

static void read_registers(struct exu_stopped_thread *thread) {
  struct iovec vector = {thread->registers, sizeof thread->registers};
  thread->registers_size = 0;
  /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
  if (ptrace(PTRACE_GETREGSET, thread->tid, (void *)(uintptr_t)NT_PRSTATUS, &vector) == 0)
    thread->registers_size = vector.iov_len;
}

/* Its id may be another thread's now: execve(2) ends the main thread, and the one that called it becomes that. */
static void mark_gone(struct exu_stop *stop, struct exu_stopped_thread *thread) {
  void **is_seized = exu_map_find(&stop->known, (uint64_t)thread->tid);
  if (is_seized) *is_seized = NULL;
  thread->state = EXU_STOPPED_GONE;
}

static void note_stop(struct exu_stopped_thread *thread, int signal, int event) {
  thread->state = EXU_STOPPED;
  if (event != PTRACE_EVENT_STOP)
    thread->pending = signal;
  else if (signal != SIGTRAP)
    thread->job_signal = signal;
  read_registers(thread);
  restart_call(thread);
}

/*
 * Another thread of this program may have waited for any child (waitpid(-1)), and got this stop: then there is nothing
 * left to wait for, but the kernel still tells what the thread stopped of. It refuses (ESRCH) for one that runs.
 */
static bool was_taken(struct exu_stopped_thread *thread) {
  siginfo_t info;
  if (ptrace(PTRACE_GETSIGINFO, thread->tid, NULL, &info) != 0) return false;
  note_stop(thread, info.si_signo, info.si_code >> 8);
  return true;
}

/*
 * One look at a thread: has it stopped, or ended? The kernel keeps what it told (WNOWAIT): a signal on its way to a
 * thread that was waited for is lost when the tracer is killed, and else delivered.
 */
static bool has_stopped(struct exu_stop *stop, struct exu_stopped_thread *thread) {
  siginfo_t info = {0};
  int answer = waitid(P_PID, (id_t)thread->tid, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL);
  if (answer == 0 && info.si_pid == 0) return was_taken(thread);
  if (answer != 0 || info.si_code != CLD_TRAPPED) {
    mark_gone(stop, thread);
    return true;
  }
  /* As in ptrace(2), which has it in the second byte of waitpid's status. */
  note_stop(thread, info.si_status & 0xff, info.si_status >> 8);
  return true;
}

/* False when it is not traced (any more). */
static bool interrupt(struct exu_stop *stop, struct exu_stopped_thread *thread) {
  if (ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL) == 0) return true;
  mark_gone(stop, thread);
  return false;
}

/*
 * One round of looking at the threads from *first on that have not stopped yet; *first becomes the first of them. Most
 * of those after one that has not stopped have not, either: they are only looked at when there is no hurry.
 */
static void look_round(struct exu_stop *stop, size_t *first, bool hurry, size_t *left, size_t *starved) {
  *left = *starved = 0;
  for (size_t i = *first; i < stop->count && *starved < STARVED_LOOKS; i++) {
    struct exu_stopped_thread *thread = &stop->items[i];
    if (thread->state != EXU_STOPPED_NOT || has_stopped(stop, thread)) {
      if (i == *first) ++*first;
      continue;
    }
    ++*left;
    if (hurry) return;
    /*
     * Once more: a child of this program that took the id of a thread of its own by execve(2) is waited for in vain.
     */
    if (!interrupt(stop, thread))
      --*left;
    else
      *starved += exu_task_state(stop->tasks, thread->tid) != 'D';
  }
}

/* Nobody waits for the rest any more. */
static bool is_finished(struct exu_stop *stop) {
  int value = 0;
  return sem_getvalue(&stop->finish, &value) == 0 && value > 0;
}

/* For `limit` nanoseconds at most, or as long as there is one that does not sleep uninterruptibly. */
static void wait_for(struct exu_stop *stop, size_t first, int64_t limit) {
  struct timespec begin;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (;;) {
    size_t left, starved;
    int64_t waited = since(&begin);
    bool hurry = waited <= UNINTERRUPTIBLE_NS;
    look_round(stop, &first, hurry, &left, &starved);
    if (left == 0 || waited > limit || (!hurry && starved == 0) || is_finished(stop)) return;
    if (exu_limits_reached(stop->limits)) return;
    struct timespec pause = {.tv_nsec = POLL_NS};
    nanosleep(&pause, NULL);
  }
}

static bool pause_is_over(const struct exu_stop *stop) {
  return since(&stop->begin) > EXU_STOP_MAX_MS * INT64_C(1000000) || exu_limits_reached(stop->limits);
}

static bool stop_all(struct exu_stop *stop) {
  size_t first = 0;
  bool some;
  if (!seize_new(stop, &some)) return false;
  clock_gettime(CLOCK_MONOTONIC, &stop->begin);
  /* Threads that the others start before they stop are found by looking again, until there is none. */
  while (some && !pause_is_over(stop)) {
    for (size_t i = first; i < stop->count; i++) interrupt(stop, &stop->items[i]);
    wait_for(stop, first, STARVED_NS);
    first = stop->count;
    if (!seize_new(stop, &some)) return false;
  }
  return true;
}

/* ---- Going on ---------------------------------------------------------------------------------------------------- */

/*
 * A traced thread that has died stays until its tracer has waited for it. execve(2) waits for that, and keeps everybody
 * from tracing the process meanwhile: a PTRACE_SEIZE of the next thread would never return, nor execve. Every thread of
 * the tracer's process can do the waiting. The main thread is left to its parent.
 */
static void collect_dead(const struct exu_stop *stop) {
  struct exu_task_list list;
  siginfo_t any = {0};
  /* Of all that this program traces, and of its children: one question, where one for each of thousands takes long. */
  if (waitid(P_ALL, 0, &any, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && any.si_pid == 0) return;
  if (!exu_task_list_read(stop->tasks, &list)) return;
  for (size_t i = 0; i < list.count; i++) {
    const id_t tid = (id_t)list.tids[i];
    siginfo_t info = {0};
    if (list.tids[i] == stop->pid || waitid(P_PID, tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0) continue;
    if (info.si_pid != 0 && info.si_code != CLD_TRAPPED) waitid(P_PID, tid, &info, WEXITED | WNOHANG | __WALL);
  }
  exu_task_list_deinit(&list);
}

/*
 * Wait until the other thread posts, or at most for *interval nanoseconds, which grows: to look for the dead among
 * thousands of threads costs what it takes from the pause.
 */
static bool wait_a_while(sem_t *semaphore, int64_t *interval) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += *interval;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  if (*interval < COLLECT_MAX_NS) *interval *= 2;
  return sem_timedwait(semaphore, &until) == 0;
}

/*
 * Whatever keeps the reader: a page of the process that a file server, or the process itself, does not deliver. While
 * every thread is stopped there is none that could call execve(2), and none dies but with all the others.
 */
static bool wait_for_reader(struct exu_stop *stop, sem_t *semaphore, bool some_run) {
  int64_t interval = COLLECT_NS;
  bool expired = false;
  while (!expired && !wait_a_while(semaphore, &interval)) {
    if (some_run) collect_dead(stop);
    expired = pause_is_over(stop);
  }
  return expired;
}

/*
 * A thread that is not stopped cannot be detached, nor need it be: the kernel does it when this thread ends, and then
 * forgets that it was to stop.
 */
static void detach(struct exu_stop *stop, bool late) {
  for (size_t i = 0; i < stop->count; i++) {
    struct exu_stopped_thread *thread = &stop->items[i];
    if (thread->state != EXU_STOPPED || thread->late != late) continue;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    ptrace(PTRACE_DETACH, thread->tid, NULL, (void *)(long)thread->pending);
  }
}

static bool some_run(const struct exu_stop *stop) {
  for (size_t i = 0; i < stop->count; i++)
    if (stop->items[i].state == EXU_STOPPED_NOT) return true;
  return false;
}

/* Those that are still to stop. Returns whether there was one. */
static bool mark_late(struct exu_stop *stop) {
  for (size_t i = 0; i < stop->count; i++) stop->items[i].late = stop->items[i].state == EXU_STOPPED_NOT;
  return some_run(stop);
}

/* The others run on meanwhile. */
static void await_late(struct exu_stop *stop) {
  wait_for(stop, 0, EXU_STOP_LATE_MS * INT64_C(1000000));
  clock_gettime(CLOCK_MONOTONIC, &stop->begin);
  sem_post(&stop->late);
  wait_for_reader(stop, &stop->finish, true);
  detach(stop, true);
}

static void *trace(void *context) {
  struct exu_stop *stop = context;
  prctl(PR_SET_TIMERSLACK, 1000UL); /* the default of 50 us would more than double each POLL_NS */
  bool stopped = stop_all(stop);
  if (stopped) {
    sem_post(&stop->stopped);
    stop->expired = wait_for_reader(stop, &stop->release, some_run(stop));
  }
  detach(stop, false);
  if (stop->begin.tv_sec) stop->pause_us = since(&stop->begin) / 1000;
  const bool some_late = stopped && mark_late(stop);
  sem_post(stopped ? &stop->released : &stop->stopped);
  if (some_late)
    await_late(stop);
  else
    sem_post(&stop->late);
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
  sem_t *const semaphores[] = {&stop->stopped, &stop->released, &stop->late, &stop->release, &stop->finish};
  for (size_t i = 0; i < sizeof semaphores / sizeof *semaphores; i++) sem_destroy(semaphores[i]);
  exu_map_deinit(&stop->known);
  free(stop->items);
  free(stop);
}

static void wait_for_tracer(const struct exu_stop *stop, sem_t *semaphore) {
  int64_t interval = COLLECT_NS;
  while (!wait_a_while(semaphore, &interval)) collect_dead(stop);
}

/*
 * The tracer is not asked to wake this thread: it would while it still had a processor for itself, and the thread that
 * it has just let go the other one of two, where the kernel would put this one behind it. Woken by a timer a moment
 * later, this one gets the tracer's.
 */
static void wait_for_release(struct exu_stop *stop) {
  const struct timespec moment = {.tv_nsec = RELEASE_NS};
  for (int i = 0; i < COLLECT_NS / RELEASE_NS; i++) {
    nanosleep(&moment, NULL);
    if (sem_trywait(&stop->released) == 0) return;
  }
  wait_for_tracer(stop, &stop->released);
}

int64_t exu_stop_release(struct exu_stop *stop, bool *expired) {
  sem_post(&stop->release);
  wait_for_release(stop);
  *expired = stop->expired;
  return stop->pause_us;
}

void exu_stop_await_late(struct exu_stop *stop) {
  wait_for_tracer(stop, &stop->late);
  sem_post(&stop->late); /* for who asks again */
}

void exu_stop_end(struct exu_stop *stop) {
  sem_post(&stop->release);
  sem_post(&stop->finish);
  pthread_join(stop->tracer, NULL);
  pthread_sigmask(SIG_SETMASK, &stop->mask, NULL);
  destroy(stop);
}

static bool start(struct exu_stop *stop) {
  block_job_control(stop);
  if (pthread_create(&stop->tracer, NULL, trace, stop) == 0) return true;
  pthread_sigmask(SIG_SETMASK, &stop->mask, NULL);
  return false;
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

static bool some_are_left(const struct exu_stop *stop) {
  for (size_t i = 0; i < stop->count; i++)
    if (stop->items[i].state != EXU_STOPPED_GONE) return true;
  return false;
}

struct exu_stop *exu_stop_begin(pid_t pid, int tasks, struct exu_limits *limits, int *refused,
                                struct exu_error *error) {
  struct exu_stop *stop = calloc(1, sizeof *stop);
  *refused = 0;
  if (!stop) {
    exu_fail(error, EXU_NO_MEMORY, "not enough memory");
    return NULL;
  }
  stop->pid = pid;
  stop->tasks = tasks;
  stop->limits = limits;
  stop->pause_us = -1;
  sem_t *const semaphores[] = {&stop->stopped, &stop->released, &stop->late, &stop->release, &stop->finish};
  for (size_t i = 0; i < sizeof semaphores / sizeof *semaphores; i++) sem_init(semaphores[i], 0, 0);
  if (!start(stop)) {
    exu_fail(error, EXU_NO_MEMORY, "no thread could be started");
    destroy(stop);
    return NULL;
  }
  wait_for_tracer(stop, &stop->stopped);
  if (!stop->error && !stop->no_memory && some_are_left(stop)) return stop;
  explain(stop, refused, error);
  exu_stop_end(stop);
  return NULL;
}

const struct exu_stopped_thread *exu_stop_threads(const struct exu_stop *stop, size_t *count) {
  *count = stop->count;
  return stop->items;
}
