/* SPDX-License-Identifier: Apache-2.0 */
#include "process/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/read_at.h"

/* Lines of /proc/PID/maps: vm.max_map_count is 65530 unless somebody raised it. */
enum { MAPPINGS_MAX = 1 << 17 };

void exu_process_comm(int64_t pid, char comm[EXU_COMM_SIZE]) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/comm", pid);
  comm[0] = '\0';
  FILE *file = fopen(path, "re");
  if (!file) return;
  if (!fgets(comm, EXU_COMM_SIZE, file)) comm[0] = '\0';
  comm[strcspn(comm, "\n")] = '\0';
  fclose(file);
}

bool exu_process_of_thread(int64_t tid, struct exu_other *other) {
  char path[64], line[256], state = 'X';
  int64_t pid = -1;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/status", tid);
  FILE *file = tid > 0 ? fopen(path, "re") : NULL;
  if (!file) return false;
  while (pid < 0 && fgets(line, sizeof line, file)) {
    if (sscanf(line, "State: %c", &state) == 1) continue;
    if (sscanf(line, "Tgid: %" SCNd64, &pid) != 1) pid = -1;
  }
  fclose(file);
  if (pid <= 0 || state == 'Z' || state == 'X') return false;
  other->pid = pid;
  exu_process_comm(pid, other->comm);
  return true;
}

bool exu_process_catches(int64_t pid, uint64_t *signals) {
  char path[64], line[256];
  bool found = false;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/status", pid);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  while (!found && fgets(line, sizeof line, file)) found = sscanf(line, "SigCgt: %" SCNx64, signals) == 1;
  fclose(file);
  return found;
}

bool exu_task(int64_t pid, int64_t tid, struct exu_task *task) {
  char path[80], line[256];
  uint64_t count, fields = 0;
  *task = (struct exu_task){.call = -1};
  snprintf(path, sizeof path, "/proc/%" PRId64 "/task/%" PRId64 "/syscall", pid, tid);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  uint64_t *at = task->arguments;
  if (fgets(line, sizeof line, file) &&
      sscanf(line, "%" SCNd64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64, &task->call, at,
             at + 1, at + 2, at + 3, at + 4, at + 5) != 7)
    task->call = -1;
  fclose(file);
  snprintf(path, sizeof path, "/proc/%" PRId64 "/task/%" PRId64 "/status", pid, tid);
  file = fopen(path, "re");
  if (!file) return false;
  while (fgets(line, sizeof line, file)) {
    if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &count) != 1 &&
        sscanf(line, "nonvoluntary_ctxt_switches: %" SCNu64, &count) != 1)
      continue;
    task->switches += count;
    fields++;
  }
  fclose(file);
  return fields == 2;
}

bool exu_task_wchan(int64_t pid, int64_t tid, char wchan[EXU_WCHAN_SIZE]) {
  char path[80];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/task/%" PRId64 "/wchan", pid, tid);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  bool found = fgets(wchan, EXU_WCHAN_SIZE, file) && strcmp(wchan, "0") != 0;
  fclose(file);
  return found;
}

size_t exu_task_count(int64_t pid) {
  char path[64], line[256];
  size_t count = 0;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/status", pid);
  FILE *file = fopen(path, "re");
  if (!file) return 0;
  while (count == 0 && fgets(line, sizeof line, file)) {
    if (sscanf(line, "Threads: %zu", &count) != 1) count = 0;
  }
  fclose(file);
  return count;
}

int64_t exu_process_parent(int64_t pid) {
  char path[64], line[256];
  int64_t parent = -1;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/status", pid);
  FILE *file = fopen(path, "re");
  if (!file) return -1;
  while (parent < 0 && fgets(line, sizeof line, file)) {
    if (sscanf(line, "PPid: %" SCNd64, &parent) != 1) parent = -1;
  }
  fclose(file);
  return parent;
}

bool exu_process_link(int64_t pid, int64_t fd, char link[EXU_LINK_SIZE]) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%" PRId64, pid, fd);
  ssize_t size = readlink(path, link, EXU_LINK_SIZE - 1);
  if (size <= 0) return false;
  link[size] = '\0';
  return true;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

bool exu_process_read(int64_t pid, uint64_t address, void *bytes, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/mem", pid);
  EXU_GUARD(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd >= 0 && exu_read_at(fd, bytes, size, address);
}

struct mapping {
  const char *name; /* as the kernel has it, with all up to the end of the line */
  uint64_t start, end;
  bool shared;
  struct exu_shared_place place;
};

typedef bool take_mapping(const struct mapping *mapping, void *context);

/*
 * Can no other process map it from now on, but from a descriptor that it has? Memory without a file, and a semaphore
 * that has no name any more. glibc's sem_open(3) gives a new one its name by link(2), and deletes the one that it was
 * mapped by: only the number of its names tells, which is asked of nothing but /dev/shm, where no server answers.
 */
static bool is_unlinked(int64_t pid, const struct mapping *mapping) {
  static const char zero[] = "/dev/zero (deleted)", shm[] = "/dev/shm/";
  char path[96];
  struct stat status;
  if (strncmp(mapping->name, zero, sizeof zero - 1) == 0) return true;
  if (strncmp(mapping->name, shm, sizeof shm - 1) != 0) return false;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/map_files/%" PRIx64 "-%" PRIx64, pid, mapping->start, mapping->end);
  return stat(path, &status) == 0 && status.st_ino == mapping->place.inode && status.st_nlink == 0;
}

/*
 * Call `take` for the mappings of a process until it returns true, which is what this returns, too. Unknown when they
 * cannot be read.
 */
static enum exu_tristate find_mapping(int64_t pid, take_mapping *take, void *context) {
  char path[64], *line = NULL, shared;
  size_t capacity = 0;
  bool found = false;
  int name = 0;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/maps", pid);
  FILE *file = fopen(path, "re");
  if (!file) return errno == ENOENT || errno == ESRCH ? EXU_NO : EXU_UNKNOWN; /* it has ended */
  size_t i = 0;
  for (; !found && i < MAPPINGS_MAX && getline(&line, &capacity, file) > 0; i++) {
    struct mapping mapping;
    struct exu_shared_place *place = &mapping.place;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*3c%c %" SCNx64 " %x:%x %" SCNu64 " %n", &mapping.start, &mapping.end,
               &shared, &place->offset, &place->major, &place->minor, &place->inode, &name) != 7)
      continue;
    mapping.shared = shared == 's'; /* the inode is 0 in the first System V segment, which is its id */
    mapping.name = line + name;
    found = take(&mapping, context);
  }
  bool known = found || (i < MAPPINGS_MAX && (!ferror(file) || errno == ESRCH));
  free(line);
  fclose(file);
  return !known ? EXU_UNKNOWN : found ? EXU_YES : EXU_NO;
}

struct wanted {
  int64_t pid;
  uint64_t address;
  struct exu_shared_place *place;
};

static bool holds_address(const struct mapping *mapping, void *context) {
  struct wanted *wanted = context;
  if (wanted->address < mapping->start || wanted->address >= mapping->end || !mapping->shared) return false;
  *wanted->place = mapping->place;
  wanted->place->unlinked = is_unlinked(wanted->pid, mapping);
  wanted->place->offset += wanted->address - mapping->start;
  return true;
}

enum exu_tristate exu_shared_place(int64_t pid, uint64_t address, struct exu_shared_place *place) {
  struct wanted wanted = {pid, address, place};
  return find_mapping(pid, holds_address, &wanted);
}

static bool is_place(const struct mapping *mapping, void *context) {
  const struct exu_shared_place *place = context;
  return mapping->shared && mapping->place.major == place->major && mapping->place.minor == place->minor &&
         mapping->place.inode == place->inode && place->offset >= mapping->place.offset &&
         place->offset - mapping->place.offset < mapping->end - mapping->start;
}

enum exu_tristate exu_has_mapped(int64_t pid, const struct exu_shared_place *place) {
  struct exu_shared_place wanted = *place;
  return find_mapping(pid, is_place, &wanted);
}
