/* SPDX-License-Identifier: Apache-2.0 */
/* When a live process started, and where it is: what tells whether its source files are the ones that ran. */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/guard.h"
#include "process/live_private.h"
#include "process/task_list.h"

enum { ANCESTORS_MAX = 64 };

struct birth {
  int parent;
  uint64_t ticks;            /* after the machine was booted */
  uint64_t stack, arguments; /* where they were put when the program was loaded; 0: that is not told to everybody */
};

/* Fields 4, 22, 28 and 48 of /proc/PID/stat (proc(5)); the name, field 2, may contain anything. */
static bool read_birth(int process, struct birth *birth) {
  char text[1024];
  if (exu_proc_read(process, "stat", text, sizeof text) <= 0) return false;
  const char *end = strrchr(text, ')');
  return end && sscanf(end,
                       ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64
                       " %*u %*d %*u %*u %*u %" SCNu64
                       " %*u %*u %*u %*u %*u %*u %*u %*u %*u %*d %*d %*u %*u %*u %*u %*d %*u %*u %*u %" SCNu64,
                       &birth->parent, &birth->ticks, &birth->stack, &birth->arguments) == 4;
}

/* Memory is laid out at random when a program is loaded, and a fork keeps it. */
static bool same_program(const struct birth *a, const struct birth *b) {
  return a->stack != 0 && a->stack == b->stack && a->arguments == b->arguments;
}

static int64_t now(clockid_t clock) {
  struct timespec time;
  return clock_gettime(clock, &time) == 0 ? (int64_t)time.tv_sec * 1000000000 + time.tv_nsec : 0;
}

int64_t exu_live_started(int process) {
  struct birth birth, parent;
  const int64_t ticks_per_second = sysconf(_SC_CLK_TCK);
  if (ticks_per_second <= 0 || !read_birth(process, &birth)) return 0;
  for (int i = 0; i < ANCESTORS_MAX && birth.parent > 0; i++) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", birth.parent);
    EXU_GUARD(fd) int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0 || !read_birth(directory, &parent) || !same_program(&birth, &parent)) break;
    birth = parent;
  }
  int64_t booted = now(CLOCK_REALTIME) - now(CLOCK_BOOTTIME);
  return booted + (int64_t)(birth.ticks * (uint64_t)(1000000000 / ticks_per_second));
}

struct exu_string exu_live_directory(int self, struct exu_arena *arena) {
  char root[PATH_MAX], path[PATH_MAX];
  const struct exu_string unknown = {NULL, 0};
  ssize_t root_size = readlinkat(self, "root", root, sizeof root), size = readlinkat(self, "cwd", path, sizeof path);
  if (root_size <= 0 || size <= 0 || (size_t)root_size == sizeof root || (size_t)size == sizeof path) return unknown;
  if (root_size == 1) root_size = 0; /* "/" */
  if (size < root_size || memcmp(path, root, (size_t)root_size) != 0) return unknown;
  if (size == root_size) return exu_arena_string(arena, "/", 1);
  if (path[root_size] != '/') return unknown;
  return exu_arena_string(arena, path + root_size, (size_t)(size - root_size));
}
