/* SPDX-License-Identifier: Apache-2.0 */
#include "report/source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/guard.h"
#include "report/utf8.h"

enum {
  FILES = 16,                        /* kept at the same time */
  FILE_BYTES_MAX = 8 * 1024 * 1024,  /* the rest of a longer file is not read */
  KEPT_BYTES_MAX = 16 * 1024 * 1024, /* of all files that are kept */
  READ_BYTES_MAX = 64 * 1024 * 1024, /* ever, for one report */
  OPENS_MAX = 20000,                 /* ever, for one report */
  LINES_PER_MARK = 8,
};

struct source {
  char *path; /* as the target has it; NULL: a free slot */
  size_t path_size;
  char *data; /* NULL: cannot be read */
  size_t size;
  bool whole;      /* `data` goes to the end of the file */
  uint32_t *marks; /* where every LINES_PER_MARK-th line starts */
  size_t mark_count;
  uint64_t used; /* when it was asked for last */
};

struct exu_sources {
  int root; /* the sysroot, or -1 */
  bool unusable;
  struct source files[FILES];
  size_t kept;
  size_t read;
  size_t opens;
  uint64_t clock;
};

struct exu_sources *exu_sources_create(const char *sysroot) {
  struct exu_sources *sources = calloc(1, sizeof *sources);
  if (!sources) return NULL;
  sources->root = -1;
  if (sysroot) {
    sources->root = open(sysroot, O_PATH | O_DIRECTORY | O_CLOEXEC);
    sources->unusable = sources->root < 0;
  }
  return sources;
}

static void forget(struct exu_sources *sources, struct source *source) {
  sources->kept -= source->size;
  free(source->path);
  free(source->data);
  free(source->marks);
  *source = (struct source){0};
}

void exu_sources_destroy(struct exu_sources *sources) {
  if (!sources) return;
  for (size_t i = 0; i < FILES; i++) forget(sources, &sources->files[i]);
  if (sources->root >= 0) close(sources->root);
  free(sources);
}

/*
 * The path as the kernel takes it. A byte of a file name that is not UTF-8 is a surrogate U+DC80..U+DCFF in Python's
 * string (PEP 383). False when there can be no such file.
 */
static bool to_file_name(struct exu_string file, char name[PATH_MAX]) {
  size_t used = 0;
  if (!file.data || file.size == 0 || file.data[0] != '/') return false;
  for (size_t at = 0; at < file.size;) {
    struct exu_char character = exu_char_at(file.data + at, file.size - at);
    if (character.code == 0 || used + character.size >= PATH_MAX) return false;
    if (character.kind == EXU_CHAR_SURROGATE) {
      if (character.code < 0xdc80 || character.code > 0xdcff) return false;
      name[used++] = (char)(character.code - 0xdc00);
    } else {
      memcpy(name + used, file.data + at, character.size);
      used += character.size;
    }
    at += character.size;
  }
  name[used] = '\0';
  return true;
}

/* Open a path of the target. In a sysroot, absolute links and `..` mean the sysroot's root, not this machine's. */
static int open_target(const struct exu_sources *sources, const char *name, int flags) {
  if (sources->root < 0) return open(name, flags | O_CLOEXEC);
  struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};
  int fd = (int)syscall(SYS_openat2, sources->root, name, &how, sizeof how);
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return fd;
  /* Linux before 5.6, or a seccomp filter that does not know the call. */
  while (*name == '/') name++;
  return openat(sources->root, name, flags | O_CLOEXEC);
}

/* Files of /proc are regular, too, but empty, and reading one may block or do something: an empty file has no lines. */
static bool is_plain_file(int fd, struct stat *status) {
  return fstat(fd, status) == 0 && S_ISREG(status->st_mode) && status->st_size > 0;
}

/*
 * A descriptor for reading, or -1. Opening a FIFO would wait for a writer and opening some devices has effects, so the
 * file is looked at before it is opened, and again afterwards because it may have been replaced.
 */
static int open_plain_file(const struct exu_sources *sources, const char *name, struct stat *status) {
  EXU_GUARD(fd) int path = open_target(sources, name, O_PATH);
  if (path < 0 || !is_plain_file(path, status)) return -1;
  int fd = open_target(sources, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0 && is_plain_file(fd, status)) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

static size_t read_all(int fd, char *data, size_t size) {
  size_t done = 0;
  while (done < size) {
    ssize_t count = read(fd, data + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += (size_t)count;
  }
  return done;
}

/* Where the line that starts at `at` ends, in *end, and where the next one starts. Python's line ends: \n, \r\n, \r. */
static size_t next_line(const struct source *source, size_t at, size_t *end) {
  while (at < source->size && source->data[at] != '\n' && source->data[at] != '\r') at++;
  *end = at;
  if (at == source->size) return at;
  bool two = source->data[at] == '\r' && at + 1 < source->size && source->data[at + 1] == '\n';
  return at + (two ? 2 : 1);
}

static bool mark_lines(struct source *source) {
  size_t capacity = 0;
  size_t line = 0, end;
  for (size_t at = 0; at < source->size; line++) {
    if (line % LINES_PER_MARK == 0) {
      if (source->mark_count == capacity) {
        capacity = capacity ? capacity * 2 : 64;
        uint32_t *larger = realloc(source->marks, capacity * sizeof *larger);
        if (!larger) return false;
        source->marks = larger;
      }
      source->marks[source->mark_count++] = (uint32_t)at;
    }
    at = next_line(source, at, &end);
  }
  return true;
}

static void make_room(struct exu_sources *sources, size_t size) {
  while (sources->kept + size > KEPT_BYTES_MAX) {
    struct source *oldest = NULL;
    for (size_t i = 0; i < FILES; i++) {
      struct source *source = &sources->files[i];
      if (source->size > 0 && (!oldest || source->used < oldest->used)) oldest = source;
    }
    if (!oldest) return;
    forget(sources, oldest);
  }
}

/* Read the file of a new entry; what fails leaves an entry without data. */
static void load(struct exu_sources *sources, struct source *source) {
  char name[PATH_MAX];
  struct stat status;
  if (sources->unusable || sources->opens >= OPENS_MAX) return;
  if (!to_file_name((struct exu_string){source->path, source->path_size}, name)) return;
  sources->opens++;
  EXU_GUARD(fd) int fd = open_plain_file(sources, name, &status);
  if (fd < 0) return;

  size_t size = status.st_size > FILE_BYTES_MAX ? FILE_BYTES_MAX : (size_t)status.st_size;
  if (size > READ_BYTES_MAX - sources->read) return;
  make_room(sources, size);
  source->data = malloc(size);
  if (!source->data) return;
  source->size = read_all(fd, source->data, size);
  source->whole = status.st_size <= FILE_BYTES_MAX;
  sources->read += source->size;
  sources->kept += source->size;
  if (!mark_lines(source)) source->mark_count = 0;
}

static struct source *find(struct exu_sources *sources, struct exu_string file) {
  struct source *slot = &sources->files[0];
  for (size_t i = 0; i < FILES; i++) {
    struct source *source = &sources->files[i];
    if (source->path && source->path_size == file.size && memcmp(source->path, file.data, file.size) == 0) {
      source->used = ++sources->clock;
      return source;
    }
    if (source->used < slot->used) slot = source;
  }
  forget(sources, slot);
  slot->path = malloc(file.size);
  if (!slot->path) return NULL;
  memcpy(slot->path, file.data, file.size);
  slot->path_size = file.size;
  slot->used = ++sources->clock;
  load(sources, slot);
  return slot;
}

bool exu_source_line(struct exu_sources *sources, struct exu_string file, int32_t line, struct exu_string *text) {
  if (!file.data || file.size == 0 || file.size >= (size_t)3 * PATH_MAX || file.data[0] != '/' || line < 1)
    return false;
  const struct source *source = find(sources, file);
  size_t index = (size_t)line - 1;
  if (!source || index / LINES_PER_MARK >= source->mark_count) return false;

  size_t at = source->marks[index / LINES_PER_MARK], end;
  for (size_t skip = index % LINES_PER_MARK; skip > 0 && at < source->size; skip--) at = next_line(source, at, &end);
  if (at >= source->size) return false;
  next_line(source, at, &end);
  if (end == source->size && !source->whole) return false;
  if (at == 0 && end >= 3 && memcmp(source->data, "\xef\xbb\xbf", 3) == 0)
    at = 3; /* Python's columns do not count a BOM */
  *text = (struct exu_string){source->data + at, end - at};
  return true;
}
