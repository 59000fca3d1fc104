/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run a program and see that it keeps its limits. A process of its own is needed for that: what the kernel calls the
 * largest resident size of a process includes what it had before exec, which is all of a test runner that started it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hostile.h"

/* Of processor time, which others on the machine do not take away; and by the clock, for what sleeps for ever. */
enum { SECONDS = 10, SECONDS_BY_THE_CLOCK = 120, MAX_RSS_KIB = 256 * 1024, BROKEN = 99 };

static pid_t child;

static void on_alarm(int signal_number) {
  (void)signal_number;
  kill(child, SIGKILL);
}

int run_limits(int count, char **arguments) {
  struct rusage usage;
  int status;
  if (count < 1) return 64;
  child = fork();
  if (child == 0) {
    const struct rlimit limit = {SECONDS, SECONDS};
    if (setrlimit(RLIMIT_CPU, &limit) != 0) _exit(BROKEN);
    execv(arguments[0], arguments);
    _exit(BROKEN);
  }
  signal(SIGALRM, on_alarm);
  alarm(SECONDS_BY_THE_CLOCK);
  while (wait4(child, &status, 0, &usage) < 0) continue;
  if (WIFSIGNALED(status)) {
    fprintf(stderr, "FAIL: ended by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return BROKEN;
  }
  if (!is_sanitized && usage.ru_maxrss > MAX_RSS_KIB) {
    fprintf(stderr, "FAIL: %ld KiB resident\n", usage.ru_maxrss);
    return BROKEN;
  }
  return WEXITSTATUS(status);
}
