/* SPDX-License-Identifier: Apache-2.0 */
#include "process/live.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/read_at.h"
#include "process/live_private.h"
#include "process/task_list.h"

/*
 * What is copied of one process at most, what can change twice as much, but neither more than the report's own memory
 * allows; and of the stack of one thread in the pause, also when its end is unknown.
 */
enum { CHANGING_MIB = 256, CONSTANT_MIB = 128, STACK_MIB = 128, ENDLESS_STACK_MIB = 1, ARGUMENTS_MAX = 4096 };

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

/* The directory of a thread that has memory: the main thread, unless it has ended before the others. */
static bool open_self(struct exu_live *live, struct exu_error *error) {
  struct exu_task_list list;
  if (!exu_task_list_read(live->tasks, &list))
    return exu_fail(error, EXU_NOT_FOUND, "process %d has ended", (int)live->pid);
  for (size_t i = 0; i < list.count && live->self < 0; i++) {
    char name[32], state = exu_task_state(live->tasks, list.tids[i]);
    snprintf(name, sizeof name, "%d", (int)list.tids[i]);
    if (state == 'Z' || state == 'X' || state == '\0') continue;
    live->self = openat(live->tasks, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    live->self_tid = list.tids[i];
  }
  exu_task_list_deinit(&list);
  if (live->self >= 0) return true;
  return exu_fail(error, EXU_NOT_FOUND, "process %d has ended; its parent has not waited for it yet", (int)live->pid);
}

/*
 * Other threads have a directory, too, and tools that list threads show their ids (top -H): then it is the process that
 * is meant.
 */
static void find_main_thread(struct exu_live *live) {
  char status[4096], path[64];
  int main;
  if (exu_proc_read(live->directory, "status", status, sizeof status) <= 0) return;
  const char *line = strstr(status, "\nTgid:");
  if (!line || sscanf(line, " Tgid: %d", &main) != 1 || main <= 0 || main == live->pid) return;
  snprintf(path, sizeof path, "/proc/%d", main);
  int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  exu_info(live->diagnostics, EXU_DIAGNOSTIC_THREAD_ID, live->pid, "%d is a thread of process %d", (int)live->pid,
           main);
  close(live->directory);
  live->directory = directory;
  live->pid = main;
}

static bool open_directories(struct exu_live *live, struct exu_error *error) {
  char path[64];
  if (!exu_live_proc_is_own(error)) return false;
  snprintf(path, sizeof path, "/proc/%d", (int)live->pid);
  live->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (live->directory < 0) return exu_live_hidden(live->pid, errno, error);
  find_main_thread(live);
  live->tasks = openat(live->directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (live->tasks < 0) return exu_fail(error, EXU_NOT_FOUND, "process %d has ended", (int)live->pid);
  if (!open_self(live, error)) return false;
  live->memory = openat(live->self, "mem", O_RDONLY | O_CLOEXEC);
  return live->memory >= 0 || exu_live_refused(live->pid, errno, error);
}

/* Its root directory, kept open: its files can be read by this path even when the process has ended meanwhile. */
static void open_root(struct exu_live *live) {
  struct stat theirs, ours;
  live->root = openat(live->self, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (live->root < 0) return;
  bool same = fstat(live->root, &theirs) == 0 && stat("/", &ours) == 0 && theirs.st_dev == ours.st_dev &&
              theirs.st_ino == ours.st_ino;
  /* The same directory may have other things mounted below it. */
  same = same && fstatat(live->self, "ns/mnt", &theirs, 0) == 0 && stat("/proc/self/ns/mnt", &ours) == 0 &&
         theirs.st_ino == ours.st_ino;
  if (!same) snprintf(live->root_path, sizeof live->root_path, "/proc/self/fd/%d", live->root);
}

static const struct exu_arch *arch_of(const struct exu_live *live, uint16_t *machine) {
  unsigned char header[20] = {0};
  EXU_GUARD(fd) int fd = openat(live->self, "exe", O_RDONLY | O_CLOEXEC);
  const struct exu_arch *host = exu_arch_host();
  *machine = host ? host->machine : EM_NONE;
  if (fd < 0 || !exu_read_at(fd, header, sizeof header, 0)) return host;
  uint16_t theirs = (uint16_t)(header[18] | header[19] << 8);
  bool same = theirs == *machine;
  *machine = theirs;
  return same ? exu_arch_find(theirs, header[EI_CLASS], header[EI_DATA]) : NULL;
}

static void read_auxv(struct exu_live *live, struct exu_auxv *auxv) {
  char bytes[1024];
  ssize_t size = exu_proc_read(live->self, "auxv", bytes, sizeof bytes);
  for (ssize_t i = 0; i + 16 <= size; i += 16) {
    uint64_t pair[2];
    memcpy(pair, bytes + i, sizeof pair);
    switch (pair[0]) {
    case AT_PHDR: auxv->phdr = pair[1]; break;
    case AT_ENTRY: auxv->entry = pair[1]; break;
    case AT_BASE: auxv->base = pair[1]; break;
    case AT_SYSINFO_EHDR: auxv->vdso = pair[1]; break;
    case AT_PAGESZ: auxv->page_size = pair[1]; break;
    case AT_NULL: return;
    }
  }
}

static struct exu_string comm_of(int directory, const char *name, struct exu_arena *arena) {
  char comm[64];
  ssize_t size = exu_proc_read(directory, name, comm, sizeof comm);
  if (size <= 0) return (struct exu_string){NULL, 0};
  if (comm[size - 1] == '\n') size--;
  return exu_arena_string(arena, comm, (size_t)size);
}

static void read_arguments(struct exu_process *process, struct exu_arena *arena) {
  char text[ARGUMENTS_MAX];
  ssize_t size = exu_proc_read(process->live->self, "cmdline", text, sizeof text);
  if (size <= 0) return;
  if (text[size - 1] == '\0') size--;
  for (ssize_t i = 0; i < size; i++)
    if (text[i] == '\0') text[i] = ' ';
  process->arguments = exu_arena_string(arena, text, (size_t)size);
}

/* Copied pages of the process, as a source of its space. NULL without memory. */
static struct exu_pages *add_pages(const struct exu_process *process, size_t budget, bool *spent, uint32_t *source) {
  struct exu_pages *pages = exu_pages_create(process->live->memory, budget);
  int number = pages ? exu_space_add_source(process->space, exu_pages_source(pages)) : -1;
  *source = (uint32_t)number;
  if (number >= 0) exu_pages_tell_spent(pages, spent);
  return number < 0 ? NULL : pages;
}

static size_t least(size_t budget, unsigned mib) { return budget < (size_t)mib << 20 ? budget : (size_t)mib << 20; }

static bool create_space(struct exu_process *process, struct exu_arena *arena, struct exu_error *error) {
  struct exu_live *live = process->live;
  process->space = exu_space_create(arena);
  const size_t changing = least(arena->budget, CHANGING_MIB) * 2, constant = least(arena->budget, CONSTANT_MIB);
  live->changing = process->space ? add_pages(process, changing, &arena->exhausted, &live->changing_source) : NULL;
  live->constant = process->space ? add_pages(process, constant, &arena->exhausted, &live->constant_source) : NULL;
  if (!live->changing || !live->constant) return exu_fail(error, EXU_NO_MEMORY, "not enough memory");
  exu_space_set_fallback(process->space, live->changing_source);
  return exu_live_read_maps(process, arena, error);
}

static bool open_process(struct exu_process *process, struct exu_arena *arena, struct exu_error *error) {
  struct exu_live *live = process->live;
  uint16_t machine;
  if (!open_directories(live, error)) return false;
  process->arch = arch_of(live, &machine);
  if (!process->arch)
    return exu_fail(error, EXU_UNSUPPORTED, "process %d is a program for another machine (ELF machine %u)",
                    (int)live->pid, machine);
  open_root(live);
  read_auxv(live, &process->auxv);
  process->pid = process->running_pid = live->pid;
  process->comm = comm_of(live->directory, "comm", arena);
  read_arguments(process, arena);
  process->directory = exu_live_directory(live->self, arena);
  process->sources_as_of = exu_live_started(live->directory);
  return create_space(process, arena, error);
}

/* ---- The pause --------------------------------------------------------------------------------------------------- */

static void invalidate(const struct exu_process *process) { exu_pages_invalidate(process->live->changing); }

/*
 * Is every thread's stack in a mapping that is known, and readable? If not, the mappings have changed since they were
 * read: a stack is mapped without access before it gets its guard page.
 */
static bool maps_are_current(const struct exu_process *process) {
  for (size_t i = 0; i < process->thread_count; i++) {
    const struct exu_registers *registers = &process->threads[i].registers;
    const struct exu_region *region = registers->sp ? exu_space_find(process->space, registers->sp) : NULL;
    if (registers->sp && (!region || region->saved == 0)) return false;
  }
  return true;
}

static void say_cut(const struct exu_live *live, size_t count) {
  if (count < EXU_TASKS_MAX) return;
  exu_incomplete(live->diagnostics, EXU_DIAGNOSTIC_TOO_MANY_THREADS, -1,
                 "more than %d threads: the others are missing, and run on", EXU_TASKS_MAX - 1);
}

/*
 * "running", or the number of the system call, its six arguments, the stack pointer and the pc: proc(5),
 * /proc/PID/syscall.
 */
static void read_call(const struct exu_live *live, struct exu_os_thread *thread) {
  char name[48], text[256];
  struct exu_registers *registers = &thread->registers;
  registers->syscall = -1;
  void *list = NULL;
  size_t size;
  if (syscall(SYS_get_robust_list, (int)thread->tid, &list, &size) == 0) thread->in_descriptor = (uintptr_t)list;
  snprintf(name, sizeof name, "%d/syscall", (int)thread->tid);
  if (exu_proc_read(live->tasks, name, text, sizeof text) <= 0) return;
  int64_t number;
  uint64_t arguments[6], sp, pc;
  int fields = sscanf(
      text, "%" SCNd64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64,
      &number, &arguments[0], &arguments[1], &arguments[2], &arguments[3], &arguments[4], &arguments[5], &sp, &pc);
  if (fields != 9 || number < 0) return;
  registers->syscall = number;
  memcpy(registers->syscall_args, arguments, sizeof arguments);
  registers->sp = sp;
  registers->pc = pc;
}

/* What the kernel tells of a thread that did not stop in time. */
static void look_at_unstopped(const struct exu_live *live, struct exu_os_thread *thread, struct exu_arena *arena) {
  char name[48], text[128];
  thread->unstopped = true;
  thread->state = exu_task_state(live->tasks, (pid_t)thread->tid);
  read_call(live, thread);
  snprintf(name, sizeof name, "%d/wchan", (int)thread->tid);
  ssize_t size = exu_proc_read(live->tasks, name, text, sizeof text);
  if (size > 0 && strcmp(text, "0") != 0) thread->wchan = exu_arena_string(arena, text, (size_t)size);
}

static bool decode(const struct exu_process *process, const struct exu_stopped_thread *stopped,
                   struct exu_os_thread *thread) {
  struct exu_registers registers = {.syscall = -1};
  if (stopped->registers_size == 0 ||
      !process->arch->decode_registers(stopped->registers, stopped->registers_size, &registers))
    return false;
  thread->registers = registers;
  return true;
}

static bool take_threads(struct exu_process *process, struct exu_arena *arena, struct exu_error *error) {
  struct exu_live *live = process->live;
  size_t count;
  const struct exu_stopped_thread *stopped = exu_stop_threads(live->stop, &count);
  say_cut(live, count);
  process->threads = exu_arena_array(arena, count, sizeof *process->threads);
  if (!process->threads) return exu_fail(error, EXU_NO_MEMORY, "not enough memory for %zu threads", count);
  process->thread_count = 0;
  process->stop_signal = 0;
  process->stopped = false;
  for (size_t i = 0; i < count; i++) {
    if (stopped[i].state == EXU_STOPPED_GONE) continue;
    struct exu_os_thread *thread = &process->threads[process->thread_count++];
    thread->tid = stopped[i].tid;
    thread->registers.syscall = -1;
    if (stopped[i].job_signal) process->stop_signal = stopped[i].job_signal;
    process->stopped |= stopped[i].job_signal != 0;
    if (!decode(process, &stopped[i], thread)) look_at_unstopped(live, thread, arena);
  }
  return true;
}

/* The id of a stopped thread cannot be another process's meanwhile. 0: none has stopped. */
static pid_t first_stopped(const struct exu_stop *stop) {
  size_t count;
  const struct exu_stopped_thread *threads = exu_stop_threads(stop, &count);
  for (size_t i = 0; i < count; i++)
    if (threads[i].state == EXU_STOPPED) return threads[i].tid;
  return 0;
}

static void resume(struct exu_process *process) {
  struct exu_live *live = process->live;
  if (!live->stop) return;
  bool expired;
  process->pause_us = exu_stop_release(live->stop, &expired);
  if (expired)
    exu_incomplete(live->diagnostics, EXU_DIAGNOSTIC_PAUSE_TOO_LONG, -1,
                   "the process went on after %" PRId64
                   " ms, before everything was read: what is shown may not fit together",
                   process->pause_us / 1000);
  exu_pages_mark_running(live->changing);
}

/*
 * Pages for the stacks of many threads, and for what their frames are made of. Few are copied sooner than made ready.
 * The links of /proc/PID/task are its threads and two.
 */
static void reserve(const struct exu_live *live) {
  enum { MANY = 1024, PAGES_OF_THREAD = 4 };
  struct stat status;
  if (fstat(live->tasks, &status) != 0 || status.st_nlink < MANY || status.st_nlink > EXU_TASKS_MAX) return;
  exu_pages_reserve(live->changing, status.st_nlink * PAGES_OF_THREAD);
}

/* The thread that the process's files are asked for may have ended since, before the others. */
static void renew_self(struct exu_live *live, pid_t stopped) {
  char name[32];
  const char state = exu_task_state(live->tasks, live->self_tid);
  if (stopped == 0 || (state != 'Z' && state != 'X' && state != '\0')) return;
  snprintf(name, sizeof name, "%d", (int)stopped);
  const int self = openat(live->tasks, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self < 0) return;
  close(live->self);
  live->self = self;
  live->self_tid = stopped;
}

static bool pause_process(struct exu_process *process, struct exu_arena *arena, struct exu_error *error) {
  struct exu_live *live = process->live;
  process->sampled = false;
  int refused;
  reserve(live);
  live->stop = exu_stop_begin(live->pid, live->tasks, process->limits, &refused, error);
  if (!live->stop) return refused ? exu_live_refused(live->pid, refused, error) : false;
  exu_pages_refresh(live->changing, first_stopped(live->stop));
  bool fine = take_threads(process, arena, error);
  if (fine && !maps_are_current(process)) {
    exu_space_reset(process->space);
    renew_self(live, first_stopped(live->stop));
    fine = exu_live_read_maps(process, arena, error);
  }
  if (fine) return true;
  resume(process);
  exu_stop_end(live->stop);
  live->stop = NULL;
  return false;
}

/*
 * From the stack pointer to the end of the stack: for a thread of the C library that is its own control block, to which
 * the thread pointer points and which lies above its frames; else the end of the mapping. That is no end at all for one
 * that runs on a piece of some heap: a signal's stack, a coroutine's.
 */
static uint64_t stack_end(const struct exu_process *process, const struct exu_os_thread *thread) {
  const struct exu_registers *registers = &thread->registers;
  const struct exu_region *region = exu_space_find(process->space, registers->sp);
  if (!region || region->saved == 0) return 0;
  uint64_t self = registers->has_thread_pointer ? registers->thread_pointer : 0, size = region->end - registers->sp;
  uint64_t most = self && thread->tid != process->pid ? ENDLESS_STACK_MIB : STACK_MIB;
  if (self > registers->sp && self < region->end) {
    size = self - registers->sp;
    most = STACK_MIB;
  }
  return registers->sp + (size < most << 20 ? size : most << 20);
}

/* What there is of it. */
static struct exu_pages_range stack_of(const struct exu_process *process, const struct exu_os_thread *thread) {
  const uint64_t sp = thread->registers.sp;
  return (struct exu_pages_range){sp, sp ? stack_end(process, thread) : 0};
}

static void capture_stacks(struct exu_process *process) {
  struct exu_pages_range *ranges EXU_GUARD(free) = calloc(process->thread_count + 1, sizeof *ranges);
  for (size_t i = 0; ranges && i < process->thread_count; i++) ranges[i] = stack_of(process, &process->threads[i]);
  if (ranges) exu_pages_capture(process->live->changing, ranges, process->thread_count);
}

static void say_unstopped(const struct exu_live *live, const struct exu_os_thread *thread) {
  struct exu_string in = thread->wchan;
  if (thread->state == 'D')
    exu_incomplete(live->diagnostics, EXU_DIAGNOSTIC_THREAD_NOT_STOPPED, thread->tid,
                   "the thread sleeps in the kernel%s%.*s%s and cannot be interrupted: its native frames are unknown",
                   in.data ? " (" : "", (int)in.size, in.data ? in.data : "", in.data ? ")" : "");
  else
    exu_incomplete(live->diagnostics, EXU_DIAGNOSTIC_THREAD_NOT_STOPPED, thread->tid,
                   "the thread did not stop in time: its native frames are unknown");
}

/* One thread that had not stopped in time, with what there is of it now. */
static void read_late(const struct exu_process *process, const struct exu_stopped_thread *stopped,
                      struct exu_os_thread *thread) {
  struct exu_live *live = process->live;
  if (stopped->state != EXU_STOPPED || !decode(process, stopped, thread)) {
    say_unstopped(live, thread);
    return;
  }
  exu_info(live->diagnostics, EXU_DIAGNOSTIC_THREAD_STOPPED_LATE, thread->tid,
           "the thread got no processor to stop on in time: it is shown as it was then, but what it waits for was read "
           "after the others had gone on, and is part of no deadlock");
  exu_pages_mark_stopped(live->changing, stopped->tid);
  const struct exu_pages_range stack = stack_of(process, thread);
  exu_pages_capture(live->changing, &stack, 1);
  exu_pages_mark_running(live->changing);
}

static void read_late_threads(struct exu_process *process) {
  struct exu_live *live = process->live;
  size_t count, unstopped = 0, at = 0;
  if (!live->stop) return;
  for (size_t i = 0; i < process->thread_count; i++) unstopped += process->threads[i].unstopped;
  if (unstopped > 0) exu_stop_await_late(live->stop);
  const struct exu_stopped_thread *stopped = exu_stop_threads(live->stop, &count);
  /* Both are in the same order. */
  for (size_t i = 0; unstopped > 0 && i < process->thread_count; i++) {
    while (at < count && stopped[at].tid != process->threads[i].tid) at++;
    if (at < count && process->threads[i].unstopped) read_late(process, &stopped[at], &process->threads[i]);
  }
  exu_stop_end(live->stop);
  live->stop = NULL;
}

static bool is_consistent(const struct exu_process *process, uint64_t address) {
  return !exu_pages_on_demand(process->live->changing, address);
}

/* ---- Without a pause, and after it ------------------------------------------------------------------------------- */

/*
 * How often a thread was given a processor, the third number of schedstat, which grows only when it runs; what happens
 * to one that sleeps all the time is nothing. 0: unknown, or it runs now.
 */
static uint64_t slices_of(const struct exu_live *live, int64_t tid) {
  char name[48], text[256];
  uint64_t slices = 0;
  snprintf(name, sizeof name, "%d/schedstat", (int)tid);
  if (exu_task_state(live->tasks, (pid_t)tid) == 'R' || exu_proc_read(live->tasks, name, text, sizeof text) <= 0)
    return 0;
  return sscanf(text, "%*u %*u %" SCNu64, &slices) == 1 ? slices : 0;
}

static bool has_slept(const struct exu_process *process, const struct exu_os_thread *thread) {
  return thread->slices != 0 && slices_of(process->live, thread->tid) == thread->slices;
}

static void check_samples(struct exu_process *process) {
  for (size_t i = 0; i < process->thread_count; i++)
    process->threads[i].ran = !has_slept(process, &process->threads[i]);
}

static bool sample(struct exu_process *process, struct exu_arena *arena, struct exu_error *error) {
  struct exu_live *live = process->live;
  struct exu_task_list list;
  if (!exu_task_list_read(live->tasks, &list))
    return exu_fail(error, EXU_NOT_FOUND, "process %d has ended", (int)live->pid);
  process->threads = exu_arena_array(arena, list.count, sizeof *process->threads);
  process->thread_count = process->threads ? list.count : 0;
  process->stopped = false;
  say_cut(live, list.count);
  for (size_t i = 0; i < process->thread_count; i++) {
    process->threads[i].tid = list.tids[i];
    process->threads[i].slices = slices_of(live, list.tids[i]);
    process->stopped |= exu_task_state(live->tasks, list.tids[i]) == 'T';
    read_call(live, &process->threads[i]);
  }
  exu_task_list_deinit(&list);
  process->sampled = true;
  invalidate(process);
  return process->threads || exu_fail(error, EXU_NO_MEMORY, "not enough memory");
}

bool exu_live_knows_descriptors(const struct exu_process *process) {
  for (size_t i = 0; i < process->thread_count; i++)
    if (process->threads[i].in_descriptor) return true;
  return false;
}

/*
 * Fields 14 and 15 of /proc/PID/stat count ticks of ten milliseconds; the first of schedstat, nanoseconds on a
 * processor.
 */
static int64_t cpu_of(struct exu_live *live, int64_t tid) {
  char name[48], text[256];
  uint64_t nanoseconds;
  snprintf(name, sizeof name, "%d/schedstat", (int)tid);
  if (exu_proc_read(live->tasks, name, text, sizeof text) <= 0) return -1;
  return sscanf(text, "%" SCNu64, &nanoseconds) == 1 ? (int64_t)(nanoseconds / 1000) : -1;
}

static void describe_threads(struct exu_process *process, struct exu_arena *arena) {
  for (size_t i = 0; i < process->thread_count; i++) {
    struct exu_os_thread *thread = &process->threads[i];
    char name[32];
    snprintf(name, sizeof name, "%d/comm", (int)thread->tid);
    thread->comm = comm_of(process->live->tasks, name, arena);
    thread->cpu_us = cpu_of(process->live, thread->tid);
  }
}

struct exu_string exu_live_root_for_later(const struct exu_process *process, struct exu_arena *arena) {
  char path[64];
  int size =
      snprintf(path, sizeof path, "/proc/%d/task/%d/root", (int)process->live->pid, (int)process->live->self_tid);
  return exu_arena_string(arena, path, (size_t)size + 1);
}

static const char *root_of(const struct exu_process *process) {
  return process->live->root_path[0] ? process->live->root_path : NULL;
}

static int open_mapping(const struct exu_process *process, const struct exu_file_mapping *mapping) {
  char name[64];
  snprintf(name, sizeof name, "map_files/%" PRIx64 "-%" PRIx64, mapping->start, mapping->end);
  int fd = openat(process->live->directory, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat status;
  if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))) {
    close(fd);
    return -1;
  }
  return fd;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static void close_live(struct exu_process *process) {
  struct exu_live *live = process->live;
  if (live->stop) exu_stop_end(live->stop);
  const int descriptors[] = {live->directory, live->tasks, live->self, live->memory, live->root};
  for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
    if (descriptors[i] >= 0) close(descriptors[i]);
  free(live);
  process->live = NULL;
}

static const struct exu_process_ops operations = {
    .pause = pause_process,
    .capture_stacks = capture_stacks,
    .resume = resume,
    .read_late = read_late_threads,
    .sample = sample,
    .check_samples = check_samples,
    .has_slept = has_slept,
    .describe_threads = describe_threads,
    .invalidate = invalidate,
    .is_consistent = is_consistent,
    .open_mapping = open_mapping,
    .root = root_of,
    .close = close_live,
};

bool exu_process_open_live(int64_t pid, struct exu_arena *arena, struct exu_diagnostics *diagnostics,
                           struct exu_process *process, struct exu_error *error) {
  if (pid <= 0 || pid > INT32_MAX) return exu_fail(error, EXU_NOT_FOUND, "there is no process %" PRId64, pid);
  struct exu_live *live = calloc(1, sizeof *live);
  if (!live) return exu_fail(error, EXU_NO_MEMORY, "not enough memory");
  *live = (struct exu_live){.pid = (pid_t)pid,
                            .diagnostics = diagnostics,
                            .directory = -1,
                            .tasks = -1,
                            .self = -1,
                            .memory = -1,
                            .root = -1};
  struct exu_process opened = {.ops = &operations, .running_pid = -1, .pause_us = -1, .live = live};
  if (!open_process(&opened, arena, error)) {
    exu_process_close(&opened);
    return false;
  }
  *process = opened;
  return true;
}
