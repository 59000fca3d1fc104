/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure OUTPUT SECONDS COMMAND [ARGUMENT...]: run a command with its stdout in OUTPUT and print one line:
 *
 *     <wall us> <user us> <system us> <max RSS KiB> <exit status, or -signal>
 *
 * A program of its own because execve() carries the caller's largest resident set over into the new program's
 * ru_maxrss: measured from a Python script nothing would ever be smaller than that script.
 * SECONDS is the limit of the command's CPU time.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long microseconds(struct timeval time) { return (long long)time.tv_sec * 1000000 + time.tv_usec; }

static void run_child(const char *output, rlim_t seconds, char **command) {
  int out = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (out < 0 || null < 0) _exit(126);
  dup2(null, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(null, STDERR_FILENO);
  struct rlimit cpu = {seconds, seconds + 5}; /* SIGXCPU first, SIGKILL for whoever ignores it */
  struct rlimit core = {0, 0};
  setrlimit(RLIMIT_CPU, &cpu);
  setrlimit(RLIMIT_CORE, &core);
  execvp(command[0], command);
  _exit(127);
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: measure OUTPUT SECONDS COMMAND [ARGUMENT...]\n");
    return 64;
  }
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) run_child(argv[1], strtoul(argv[2], NULL, 10), argv + 3);
  int status;
  struct rusage usage;
  if (wait4(child, &status, 0, &usage) < 0) return 1;
  clock_gettime(CLOCK_MONOTONIC, &end);
  long long wall = (long long)(end.tv_sec - start.tv_sec) * 1000000 + (end.tv_nsec - start.tv_nsec) / 1000;
  printf("%lld %lld %lld %ld %d\n", wall, microseconds(usage.ru_utime), microseconds(usage.ru_stime), usage.ru_maxrss,
         WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
  return 0;
}
