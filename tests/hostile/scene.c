/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

/* Of processor time, which others on the machine do not take away; and by the clock, for what sleeps for ever. */
enum { SECONDS_PER_CASE = 10, SECONDS_BY_THE_CLOCK = 120, MAX_RSS_MIB = 256 };

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif
const bool is_sanitized = SANITIZED;

static char current_case[256];

static void on_alarm(int signal_number) {
  static const char text[] = "FAIL: more than 10 seconds: ";
  (void)signal_number;
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0 || write(STDERR_FILENO, current_case, strlen(current_case)) < 0 ||
      write(STDERR_FILENO, "\n", 1) < 0)
    _exit(4);
  _exit(3);
}

static void fail(const char *core, const char *why) {
  fprintf(stderr, "FAIL: %s: %s\n", core, why);
  exit(2);
}

/* Holes stay holes: a free-threaded interpreter reserves a gigabyte. */
static void copy_core(int from, int to, uint64_t size) {
  static uint8_t chunk[1 << 20];
  if (ftruncate(to, (off_t)size) != 0) exit(2);
  for (off_t at = 0; (at = lseek(from, at, SEEK_DATA)) >= 0;) {
    off_t end = lseek(from, at, SEEK_HOLE);
    while (at < end) {
      size_t wanted = (size_t)(end - at) < sizeof chunk ? (size_t)(end - at) : sizeof chunk;
      ssize_t got = pread(from, chunk, wanted, at);
      if (got <= 0 || pwrite(to, chunk, (size_t)got, at) != got) exit(2);
      at += got;
    }
  }
}

void scene_open(struct scene *scene, const char *core) {
  struct stat status;
  *scene = (struct scene){.fd = memfd_create("core", MFD_CLOEXEC)};
  int from = open(core, O_RDONLY | O_CLOEXEC);
  if (scene->fd < 0 || from < 0 || fstat(from, &status) != 0 || status.st_size <= 0) fail(core, "cannot be read");
  scene->size = (uint64_t)status.st_size;
  void *pristine = mmap(NULL, scene->size, PROT_READ, MAP_PRIVATE, from, 0);
  if (pristine == MAP_FAILED) fail(core, "cannot be mapped");
  scene->pristine = pristine;
  copy_core(from, scene->fd, scene->size);
  close(from);
  snprintf(scene->path, sizeof scene->path, "/proc/self/fd/%d", scene->fd);
  signal(SIGALRM, on_alarm);
  signal(SIGPROF, on_alarm);
  scene->truth_outcome = scene_explain(scene, "the intact core", &scene->truth);
  if (scene->truth_outcome != EXU_OUTCOME_COMPLETE) {
    print_diagnostics(scene->truth);
    fail(core, "the intact core is not explained completely");
  }
}

void scene_close(struct scene *scene) {
  exu_report_destroy(scene->truth);
  munmap((void *)(uintptr_t)scene->pristine, scene->size);
  close(scene->fd);
}

void scene_write(struct scene *scene, uint64_t offset, const void *bytes, uint64_t size) {
  if (offset >= scene->size) return;
  if (size > scene->size - offset) size = scene->size - offset;
  if (pwrite(scene->fd, bytes, size, (off_t)offset) != (ssize_t)size) exit(2);
}

void scene_restore(struct scene *scene, uint64_t offset, uint64_t size) {
  if (offset < scene->size) scene_write(scene, offset, scene->pristine + offset, size);
}

/* JSON goes into memory and is checked; text is only written. */
static void render(const struct exu_report *report, const char *what) {
  static FILE *nowhere;
  static unsigned turn;
  char *text = NULL;
  size_t size = 0;
  struct exu_text_options options = {.source = true};
  options.color = (turn & 1) != 0;
  options.verbose = (turn++ & 2) != 0;
  if (!nowhere) nowhere = fopen("/dev/null", "w");
  FILE *memory = open_memstream(&text, &size);
  if (!nowhere || !memory) exit(2);
  bool written = exu_write_text(report, &options, nowhere) && exu_write_json(report, memory);
  if (fclose(memory) != 0 || !written || !json_is_valid(text, size)) {
    fprintf(stderr, "FAIL: the JSON report is not valid: %s\n", what);
    exit(2);
  }
  free(text);
}

static void limit_time(int seconds, unsigned clock_seconds) {
  const struct itimerval limit = {.it_value.tv_sec = seconds};
  if (setitimer(ITIMER_PROF, &limit, NULL) != 0) exit(2);
  alarm(clock_seconds);
}

enum exu_outcome scene_explain(struct scene *scene, const char *what, struct exu_report **report) {
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  struct exu_session *session = NULL;
  options.check_modules = true;
  options.python_only = !scene->native;
  snprintf(current_case, sizeof current_case, "%s", what);
  limit_time(SECONDS_PER_CASE, SECONDS_BY_THE_CLOCK);
  *report = NULL;
  if (exu_session_open_core(scene->path, &options, &session) == EXU_RESULT_OK) exu_session_explain(session, report);
  exu_session_close(session);
  if (!*report) fail(what, "no report at all");
  render(*report, what);
  limit_time(0, 0);
  return (*report)->outcome;
}

/* ---- Comparing ------------------------------------------------------------------------------------------------------ */

bool same_string(struct exu_string a, struct exu_string b) {
  if (!a.data || !b.data) return !a.data && !b.data;
  return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static bool string_agrees(struct exu_string a, struct exu_string truth) { return !a.data || same_string(a, truth); }

static bool number_agrees(int32_t a, int32_t truth) { return a == -1 || a == truth; }

bool frame_agrees(const struct exu_frame *frame, const struct exu_frame *truth) {
  return frame->kind == truth->kind && frame->address == truth->address && frame->function.data &&
         string_agrees(frame->function, truth->function) && string_agrees(frame->qualname, truth->qualname) &&
         string_agrees(frame->file, truth->file) && number_agrees(frame->position.line, truth->position.line) &&
         number_agrees(frame->position.end_line, truth->position.end_line) &&
         number_agrees(frame->position.column, truth->position.column) &&
         number_agrees(frame->position.end_column, truth->position.end_column);
}

bool frames_are_subset(const struct exu_thread *thread, const struct exu_thread *truth) {
  size_t k = 0;
  for (size_t i = 0; i < thread->frame_count; i++, k++) {
    while (k < truth->frame_count && !frame_agrees(&thread->frames[i], &truth->frames[k])) k++;
    if (k == truth->frame_count) return false;
  }
  return true;
}

const struct exu_thread *find_truth(const struct scene *scene, const struct exu_thread *thread) {
  for (size_t i = 0; i < scene->truth->thread_count; i++) {
    const struct exu_thread *truth = &scene->truth->threads[i];
    if (thread->tid > 0 && thread->tid == truth->tid) return truth;
    for (size_t k = 0; thread->tid < 0 && thread->frame_count > 0 && k < truth->frame_count; k++) {
      if (truth->frames[k].address == thread->frames[0].address) return truth;
    }
  }
  return NULL;
}

bool has_diagnostic(const struct exu_report *report, const char *code) {
  for (size_t i = 0; i < report->diagnostic_count; i++) {
    if (strcmp(report->diagnostics[i].code, code) == 0) return true;
  }
  return false;
}

void print_diagnostics(const struct exu_report *report) {
  for (size_t i = 0; i < report->diagnostic_count; i++) {
    const struct exu_diagnostic *one = &report->diagnostics[i];
    fprintf(stderr, "  %s: %.*s\n", one->code, (int)one->message.size, one->message.data ? one->message.data : "");
  }
}

/* ---- Memory ---------------------------------------------------------------------------------------------------------- */

/* getrusage would include what the process that started this one had before exec. */
long max_rss_kib(void) {
  char line[256];
  long kib = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status)) {
    if (sscanf(line, "VmHWM: %ld", &kib) == 1) break;
  }
  if (status) fclose(status);
  return kib;
}

bool memory_is_fine(void) {
  if (is_sanitized || max_rss_kib() <= MAX_RSS_MIB * 1024L) return true;
  fprintf(stderr, "FAIL: %ld KiB resident\n", max_rss_kib());
  return false;
}
