/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/debuginfod.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/guard.h"

/* For all questions of a session together; DEBUGINFOD_MAXTIME, which the client library takes for each, changes it. */
enum { SECONDS = 20, SECONDS_MAX = 24 * 60 * 60 };

/* Declared here as <elfutils/debuginfod.h> does, so that its package is not needed. */
typedef struct debuginfod_client debuginfod_client;
typedef debuginfod_client *begin_function(void);
typedef void end_function(debuginfod_client *client);
typedef int find_function(debuginfod_client *client, const unsigned char *build_id, int build_id_size, char **path);
typedef int progress_function(debuginfod_client *client, long done, long total);
typedef void set_function(debuginfod_client *client, progress_function *progress);

struct exu_debuginfod {
  debuginfod_client *client; /* NULL: the library cannot be used, and that was said */
  end_function *end;
  find_function *find[2]; /* by exu_debuginfod_kind */
  int64_t seconds;
  bool failed; /* that was said */
};

/* Of the question that the thread is asking: the library's way to hand this on came with 0.179 only. */
static _Thread_local int64_t deadline;
static _Thread_local struct exu_limits *limits;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* The library calls this about once a second while it waits; what is not zero makes it give up. */
static int is_late(debuginfod_client *client, long done, long total) {
  (void)client, (void)done, (void)total;
  return now() >= deadline || exu_limits_reached(limits);
}

static int64_t seconds_allowed(void) {
  const char *text = getenv("DEBUGINFOD_MAXTIME");
  long seconds = text ? strtol(text, NULL, 10) : 0;
  return seconds > 0 && seconds <= SECONDS_MAX ? seconds : SECONDS;
}

/* Why the library cannot be used, or NULL. */
static const char *start(struct exu_debuginfod *debuginfod) {
  const char *urls = getenv("DEBUGINFOD_URLS");
  if (!urls || urls[strspn(urls, " ")] == '\0') return "the environment variable DEBUGINFOD_URLS names no server";
  /* Never unloaded: not all of the libraries that come with it can be. */
  void *library = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) return "libdebuginfod.so.1 is not installed";
  begin_function *begin = (begin_function *)dlsym(library, "debuginfod_begin");
  set_function *set_progress = (set_function *)dlsym(library, "debuginfod_set_progressfn");
  debuginfod->end = (end_function *)dlsym(library, "debuginfod_end");
  debuginfod->find[EXU_DEBUGINFOD_EXECUTABLE] = (find_function *)dlsym(library, "debuginfod_find_executable");
  debuginfod->find[EXU_DEBUGINFOD_DEBUG_INFO] = (find_function *)dlsym(library, "debuginfod_find_debuginfo");
  if (!begin || !set_progress || !debuginfod->end || !debuginfod->find[0] || !debuginfod->find[1])
    return "libdebuginfod.so.1 is another one than expected";
  debuginfod->client = begin();
  if (!debuginfod->client) return "libdebuginfod.so.1 does not start";
  set_progress(debuginfod->client, is_late);
  debuginfod->seconds = seconds_allowed();
  return NULL;
}

/* Started at the first question. */
static struct exu_debuginfod *debuginfod_of(struct exu_modules *modules) {
  if (modules->debuginfod) return modules->debuginfod;
  modules->debuginfod = exu_arena_alloc(modules->arena, sizeof *modules->debuginfod);
  if (!modules->debuginfod) return NULL;
  const char *why = start(modules->debuginfod);
  if (why)
    exu_info(modules->diagnostics, EXU_DIAGNOSTIC_DEBUGINFOD_UNUSABLE, -1, "debuginfod servers are not asked: %s", why);
  return modules->debuginfod;
}

/* How many milliseconds there are for the next question. */
static int64_t time_left(const struct exu_modules *modules) {
  return modules->debuginfod->seconds * 1000 - modules->process->limits->asked_ms;
}

/* What became of a question, as far as it is worth saying; a file that no server has is not. */
static void complain_once(struct exu_modules *modules, struct exu_debuginfod *debuginfod, int result) {
  if (debuginfod->failed || exu_process_is_over(modules->process)) return;
  const bool late = time_left(modules) <= 0;
  if (!late && (result >= 0 || result == -ENOENT)) return;
  debuginfod->failed = true;
  if (late)
    exu_info(modules->diagnostics, EXU_DIAGNOSTIC_DEBUGINFOD_LATE, -1,
             "the debuginfod servers took %lld seconds; they are not asked for anything more",
             (long long)debuginfod->seconds);
  else
    exu_info(modules->diagnostics, EXU_DIAGNOSTIC_DEBUGINFOD_FAILED, -1, "the debuginfod servers cannot be asked: %s",
             strerror(-result));
}

/* A descriptor, and where the file is in the cache; or a negative errno. */
static int ask(const struct exu_modules *modules, const struct exu_build_id *id, enum exu_debuginfod_kind kind,
               char **path) {
  const struct exu_debuginfod *debuginfod = modules->debuginfod;
  const int64_t begin = now();
  deadline = begin + time_left(modules);
  limits = modules->process->limits;
  const int result = debuginfod->find[kind](debuginfod->client, id->bytes, (int)id->size, path);
  limits->asked_ms += now() - begin;
  return result;
}

struct exu_elf_file *exu_debuginfod_find(struct exu_modules *modules, const struct exu_build_id *id,
                                         enum exu_debuginfod_kind kind) {
  if (!modules->options->debuginfod || id->size == 0) return NULL; /* a size of 0 would mean hexadecimal text */
  struct exu_debuginfod *debuginfod = debuginfod_of(modules);
  if (!debuginfod || !debuginfod->client || exu_limits_reached(modules->process->limits)) return NULL;
  char *path EXU_GUARD(free) = NULL;
  int fd = time_left(modules) > 0 ? ask(modules, id, kind, &path) : -ENOENT;
  complain_once(modules, debuginfod, fd);
  if (fd < 0) return NULL;
  struct exu_error error;
  struct exu_elf_file *file = exu_elf_file_open_fd(fd, "a file of a debuginfod server", &error);
  if (!file) return NULL;
  struct exu_build_id found = exu_elf_file_build_id(file);
  if (exu_build_id_equal(&found, id)) return file;
  exu_elf_file_close(file);
  return NULL;
}

void exu_debuginfod_close(struct exu_debuginfod *debuginfod) {
  if (debuginfod && debuginfod->client) debuginfod->end(debuginfod->client);
}
