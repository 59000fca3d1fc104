/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that uses the library as others do, with something going on beside it. It prints the report as JSON, and
 * what else it saw as lines "NAME VALUE" on the standard error.
 *
 *     host cancel PID|CORE MICROSECONDS    another thread cancels the session then
 *     host signal PID|CORE MICROSECONDS    a signal handler does
 *     host limit PID|CORE MILLISECONDS     the time limit
 *     host memory PID|CORE BYTES           the memory limit
 *     host stop PID COUNT                  the session is cancelled when it stops the process for that time
 *
 * With one argument more the process is only stopped for the second time when there is a file of that name.
 */
#include <exuvia/exuvia.h>
#include <inttypes.h>
#include <linux/ptrace.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct exu_session *session;
static long process; /* 0: it is a core */
static uint64_t stops, last_stop;
static const char *awaited;

/* The library's, which stops each thread once when it stops a process. */
long ptrace(int request, ...) {
  va_list arguments;
  va_start(arguments, request);
  const pid_t tid = va_arg(arguments, pid_t);
  void *address = va_arg(arguments, void *), *data = va_arg(arguments, void *);
  va_end(arguments);
  if (request == PTRACE_SEIZE && tid == process && ++stops == last_stop) exu_session_cancel(session);
  while (stops == 2 && awaited && access(awaited, F_OK) != 0) usleep(1000);
  return syscall(SYS_ptrace, request, tid, address, data);
}

static int64_t now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void *cancel_later(void *microseconds) {
  usleep(*(useconds_t *)microseconds);
  exu_session_cancel(session);
  return NULL;
}

static void cancel_now(int signal) {
  (void)signal;
  exu_session_cancel(session);
}

static void open_session(const char *what, const struct exu_options *options) {
  char *end;
  process = strtol(what, &end, 10);
  if (*end) process = 0;
  enum exu_result result =
      process ? exu_session_open_process(process, options, &session) : exu_session_open_core(what, options, &session);
  if (result == EXU_RESULT_OK) return;
  fprintf(stderr, "error %s\n", exu_result_text(result));
  exit(64);
}

/* Returns how long it took. */
static int64_t explain(void) {
  struct exu_report *report = NULL;
  const int64_t begin = now_us();
  if (exu_session_explain(session, &report) != EXU_RESULT_OK) abort();
  const int64_t took = now_us() - begin;
  exu_write_json(report, stdout);
  exu_report_destroy(report);
  return took;
}

int main(int argc, char **argv) {
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  if (argc != 4 && argc != 5) return 64;
  awaited = argv[4];
  const char *mode = argv[1];
  const uint64_t number = strtoull(argv[3], NULL, 10);
  useconds_t delay = (useconds_t)number;
  pthread_t other;
  if (strcmp(mode, "limit") == 0) options.time_limit_ms = number;
  if (strcmp(mode, "memory") == 0) options.memory_limit = (size_t)number;
  if (strcmp(mode, "stop") == 0) last_stop = number;
  open_session(argv[2], &options);
  const bool in_thread = strcmp(mode, "cancel") == 0;
  if (in_thread && pthread_create(&other, NULL, cancel_later, &delay) != 0) abort();
  if (strcmp(mode, "signal") == 0) {
    struct itimerval timer = {.it_value = {.tv_sec = delay / 1000000, .tv_usec = delay % 1000000}};
    signal(SIGALRM, cancel_now);
    setitimer(ITIMER_REAL, &timer, NULL);
  }
  const int64_t took = explain();
  fprintf(stderr, "took_us %" PRId64 "\nstops %" PRIu64 "\n", took, stops);
  if (in_thread) pthread_join(other, NULL);
  signal(SIGALRM, SIG_IGN);
  exu_session_close(session);
  return 0;
}
