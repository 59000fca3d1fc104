/* SPDX-License-Identifier: Apache-2.0 */
/* The mappings of a live process: proc(5), /proc/PID/maps. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/guard.h"
#include "process/live_private.h"

/*
 * The kernel's limit is vm.max_map_count, 65530 unless somebody raised it. A path is longer than PATH_MAX when it was
 * made step by step, or of newlines: then the memory is shown without it.
 */
enum { MAPPINGS_MAX = 1024 * 1024, LINE_MAX_BYTES = 2 * PATH_MAX };

struct reading {
  struct exu_process *process;
  struct exu_arena *arena;
  char root[PATH_MAX]; /* where the root of the process is for this one; empty: the same */
  EXU_VECTOR(struct exu_file_mapping) mappings;
};

/* Newlines are "\012" in a path of /proc/PID/maps, and nothing else is escaped. */
static size_t unescape(char *path) {
  char *out = path;
  for (const char *in = path; *in;) {
    if (strncmp(in, "\\012", 4) == 0) {
      *out++ = '\n';
      in += 4;
    } else {
      *out++ = *in++;
    }
  }
  *out = '\0';
  return (size_t)(out - path);
}

/* The path as the process sees it: for one in a chroot the kernel shows it from outside. */
static struct exu_string path_of(struct reading *reading, char *path) {
  size_t size = unescape(path), root = strlen(reading->root);
  if (root > 0 && size > root && memcmp(path, reading->root, root) == 0 && path[root] == '/') {
    path += root;
    size -= root;
  }
  return exu_arena_string(reading->arena, path, size);
}

/*
 * Mapped from a file: it has a path. "[heap]", "[stack]" and "anon_inode:..." are none; "/dev/zero (deleted)" and
 * "/SYSV..." are no harm.
 */
static bool add_mapping(struct reading *reading, uint64_t start, uint64_t end, uint64_t offset, char *path) {
  if (path[0] != '/' || strlen(path) >= LINE_MAX_BYTES) return true;
  struct exu_file_mapping *mapping = EXU_PUSH(reading->arena, &reading->mappings);
  if (!mapping) return false;
  *mapping = (struct exu_file_mapping){.start = start, .end = end, .offset = offset, .path = path_of(reading, path)};
  return mapping->path.data != NULL;
}

static bool add_line(struct reading *reading, char *line) {
  struct exu_live *live = reading->process->live;
  uint64_t start, end, offset;
  char read, write, execute, shared;
  int path = 0;
  if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %c%c%c%c %" SCNx64 " %*x:%*x %*u %n", &start, &end, &read, &write, &execute,
             &shared, &offset, &path) < 7 ||
      path == 0)
    return true;
  /*
   * Reserved, for a heap that may grow any moment: glibc's. Like what is mapped later, it is no region, and can be
   * read.
   */
  if (read != 'r' && write != 'w' && execute != 'x' && line[path] == '\0') return true;
  /* Not memory: reading it fails or, for a device, may do something. */
  bool special = strcmp(line + path, "[vvar]") == 0 || strncmp(line + path, "[vvar_", 6) == 0 ||
                 strcmp(line + path, "[vsyscall]") == 0 ||
                 (strncmp(line + path, "/dev/", 5) == 0 && strncmp(line + path, "/dev/shm/", 9) != 0 &&
                  strncmp(line + path, "/dev/zero", 9) != 0);
  /* Memory that is shared or writable changes; so does what the dynamic linker made read-only, but not any more. */
  bool constant = write != 'w' && shared != 's';
  struct exu_region region = {.start = start, .end = end, .offset = start};
  if (read == 'r') region.prot |= EXU_PROT_READ;
  if (write == 'w') region.prot |= EXU_PROT_WRITE;
  if (execute == 'x') region.prot |= EXU_PROT_EXEC;
  region.saved = read == 'r' && !special ? end - start : 0;
  region.source = constant ? live->constant_source : live->changing_source;
  return exu_space_add(reading->process->space, &region) && add_mapping(reading, start, end, offset, line + path);
}

static void find_root(struct reading *reading) {
  char own[PATH_MAX];
  const struct exu_live *live = reading->process->live;
  ssize_t size = readlinkat(live->self, "root", reading->root, sizeof reading->root - 1);
  reading->root[size > 0 ? size : 0] = '\0';
  ssize_t own_size = readlink("/proc/self/root", own, sizeof own - 1);
  own[own_size > 0 ? own_size : 0] = '\0';
  if (strcmp(reading->root, own) == 0 || strcmp(reading->root, "/") == 0) reading->root[0] = '\0';
}

bool exu_live_read_maps(struct exu_process *process, struct exu_arena *arena, struct exu_error *error) {
  EXU_GUARD(free) struct reading *reading = calloc(1, sizeof *reading);
  if (!reading) return exu_fail(error, EXU_NO_MEMORY, "not enough memory");
  reading->process = process;
  reading->arena = arena;
  find_root(reading);
  int fd = openat(process->live->self, "maps", O_RDONLY | O_CLOEXEC);
  FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
  if (!file) {
    int reason = errno;
    if (fd >= 0) close(fd);
    return exu_live_refused(process->live->pid, reason, error);
  }
  EXU_GUARD(free) char *line = NULL;
  size_t capacity = 0, count = 0;
  ssize_t size;
  bool fine = true;
  while (fine && count < MAPPINGS_MAX && (size = getline(&line, &capacity, file)) > 0) {
    if (line[size - 1] == '\n') line[size - 1] = '\0';
    fine = add_line(reading, line);
    count++;
  }
  fclose(file);
  if (!fine || !exu_space_finalize(process->space))
    return exu_fail(error, EXU_NO_MEMORY, "not enough memory for the mappings of process %d", (int)process->live->pid);
  if (count == 0)
    return exu_fail(error, EXU_NOT_FOUND, "process %d has no memory: it has ended, or is the kernel's",
                    (int)process->live->pid);
  process->mappings = reading->mappings.items;
  process->mapping_count = reading->mappings.count;
  return true;
}
