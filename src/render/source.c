/* SPDX-License-Identifier: Apache-2.0 */
#include "render/source.h"

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
#include "base/map.h"
#include "base/str.h"
#include "render/source_fit.h"
#include "render/utf8.h"

enum {
  KEPT = 16,                         /* files kept at the same time */
  FILE_BYTES_MAX = 8 * 1024 * 1024,  /* the rest of a longer file is not read */
  KEPT_BYTES_MAX = 16 * 1024 * 1024, /* of all files that are kept */
  READ_BYTES_MAX = 64 * 1024 * 1024, /* ever, for one report */
  OPENS_MAX = 20000,                 /* ever, for one report */
  LINES_PER_MARK = 8,
  /* A process starts at a tick of 10 ms, and files change at a tick of the kernel (proc(5); 1 to 10 ms). */
  CLOCK_GRAIN_NS = 20 * 1000 * 1000,
};

struct source {
  struct exu_string path; /* as the process has it */
  struct source *next;    /* another path with the same hash */
  bool changed;           /* after the process started, or its core was written */
  bool unfit;             /* it is not what ran */
  bool said;              /* what of the two it is */
  bool unreadable;        /* do not try again */
  char *data;             /* NULL: not kept */
  size_t size;
  bool whole;      /* `data` goes to the end of the file */
  uint32_t *marks; /* where every LINES_PER_MARK-th line starts */
  size_t mark_count;
  uint64_t used; /* when it was asked for last */
};

struct exu_sources {
  const struct exu_report *report; /* NULL: nothing is known of the process */
  int root;                        /* where paths begin, or -1 */
  bool unusable;
  bool dated;            /* when the process started, or its core was written, is known and counts */
  struct exu_map files;  /* by the hash of their paths */
  struct source *latest; /* asked for last */
  struct source *keeps[KEPT];
  size_t kept;
  size_t read;
  size_t opens;
  uint64_t clock;
};

struct exu_sources *exu_sources_create(const struct exu_report *report, const char *sysroot) {
  struct exu_sources *sources = calloc(1, sizeof *sources);
  if (!sources) return NULL;
  const char *root = sysroot ? sysroot : report ? report->root : NULL;
  sources->report = report;
  sources->dated = report && !sysroot && report->sources_as_of > 0;
  sources->root = -1;
  if (root) {
    sources->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    sources->unusable = sources->root < 0;
  }
  return sources;
}

static void drop(struct exu_sources *sources, struct source *source) {
  sources->kept -= source->size;
  free(source->data);
  free(source->marks);
  source->data = NULL;
  source->marks = NULL;
  source->size = source->mark_count = 0;
}

void exu_sources_destroy(struct exu_sources *sources) {
  if (!sources) return;
  for (size_t i = 0; i < sources->files.capacity; i++) {
    for (struct source *source = sources->files.slots[i].value.pointer, *next; source; source = next) {
      next = source->next;
      drop(sources, source);
      free(source);
    }
  }
  exu_map_deinit(&sources->files);
  if (sources->root >= 0) close(sources->root);
  free(sources);
}

/*
 * The path as the kernel takes it. A byte of a file name that is not UTF-8 is a surrogate U+DC80..U+DCFF in Python's
 * string (PEP 383). False when there can be no such file.
 */
static bool append_name(struct exu_string part, char name[PATH_MAX], size_t *used) {
  for (size_t at = 0; at < part.size;) {
    struct exu_char character = exu_char_at(part.data + at, part.size - at);
    if (character.code == 0 || *used + character.size >= PATH_MAX) return false;
    if (character.kind == EXU_CHAR_SURROGATE) {
      if (character.code < 0xdc80 || character.code > 0xdcff) return false;
      name[(*used)++] = (char)(character.code - 0xdc00);
    } else {
      memcpy(name + *used, part.data + at, character.size);
      *used += character.size;
    }
    at += character.size;
  }
  name[*used] = '\0';
  return true;
}

/*
 * A relative name is relative to the directory that the process is in: until 3.8 that of the program, in every version
 * those found by a relative entry of sys.path. "<string>" is no file.
 */
static bool to_file_name(const struct exu_sources *sources, struct exu_string file, char name[PATH_MAX]) {
  size_t used = 0;
  const struct exu_string slash = {"/", 1};
  if (*file.data == '/') return append_name(file, name, &used);
  if (*file.data == '<' || !sources->report || !sources->report->directory.data) return false;
  const struct exu_string directory = sources->report->directory;
  if (directory.size == 0 || *directory.data != '/') return false;
  return append_name(directory, name, &used) && append_name(slash, name, &used) && append_name(file, name, &used);
}

/* Open a path of the process. In a sysroot, absolute links and `..` mean the sysroot's root, not this machine's. */
static int open_process(const struct exu_sources *sources, const char *name, int flags) {
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
  EXU_GUARD(fd) int path = open_process(sources, name, O_PATH);
  if (path < 0 || !is_plain_file(path, status)) return -1;
  int fd = open_process(sources, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
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

/* Forget the content that was asked for least recently. */
static bool drop_oldest(struct exu_sources *sources) {
  struct source **oldest = NULL;
  for (size_t i = 0; i < KEPT; i++) {
    struct source **slot = &sources->keeps[i];
    if (*slot && (!oldest || (*slot)->used < (*oldest)->used)) oldest = slot;
  }
  if (!oldest) return false;
  drop(sources, *oldest);
  *oldest = NULL;
  return true;
}

/* A free slot of `keeps`, with room for so many bytes. */
static struct source **make_room(struct exu_sources *sources, size_t size) {
  while (sources->kept + size > KEPT_BYTES_MAX && drop_oldest(sources)) {}
  for (int round = 0; round < 2; round++) {
    for (size_t i = 0; i < KEPT; i++)
      if (!sources->keeps[i]) return &sources->keeps[i];
    drop_oldest(sources);
  }
  return NULL;
}

static int64_t nanoseconds(struct timespec time) { return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec; }

/*
 * A live process runs on this machine: the file's inode tells when it was written or put there. A core may come from
 * another one, where files got here when they were copied: only when they were written counts.
 */
static bool has_changed(const struct exu_sources *sources, const struct stat *status) {
  if (!sources->dated) return false;
  bool is_live = sources->report->source_kind == EXU_SOURCE_LIVE;
  return nanoseconds(is_live ? status->st_ctim : status->st_mtim) > sources->report->sources_as_of + CLOCK_GRAIN_NS;
}

/* Read a file; what fails leaves no data. */
static void load(struct exu_sources *sources, struct source *source) {
  char name[PATH_MAX];
  struct stat status;
  source->unreadable = true;
  if (sources->unusable || sources->opens >= OPENS_MAX) return;
  if (!to_file_name(sources, source->path, name)) return;
  sources->opens++;
  EXU_GUARD(fd) int fd = open_plain_file(sources, name, &status);
  if (fd < 0) return;
  source->changed = has_changed(sources, &status);
  size_t size = status.st_size > FILE_BYTES_MAX ? FILE_BYTES_MAX : (size_t)status.st_size;
  if (size > READ_BYTES_MAX - sources->read) return;
  struct source **slot = make_room(sources, size);
  source->data = slot ? malloc(size) : NULL;
  if (!source->data) return;
  *slot = source;
  source->unreadable = false;
  source->size = read_all(fd, source->data, size);
  source->whole = status.st_size <= FILE_BYTES_MAX;
  sources->read += source->size;
  sources->kept += source->size;
  if (!mark_lines(source)) source->mark_count = 0;
}

static uint64_t hash_of(struct exu_string path) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
  for (size_t i = 0; i < path.size; i++) hash = (hash ^ (unsigned char)path.data[i]) * UINT64_C(0x100000001b3);
  return hash ? hash : 1;
}

static bool has_path(const struct source *source, struct exu_string path) {
  return exu_string_equal(source->path, path);
}

/* The entry of a file, made when it is not there; NULL when there can be no such file, or no memory. */
static struct source *find(struct exu_sources *sources, struct exu_string file) {
  bool is_new;
  if (!file.data || file.size == 0 || file.size >= (size_t)3 * PATH_MAX) return NULL;
  if (sources->latest && has_path(sources->latest, file)) return sources->latest;
  void **slot = exu_map_insert(&sources->files, hash_of(file), &is_new);
  if (!slot) return NULL;
  struct source *source = *slot;
  while (source && !has_path(source, file)) source = source->next;
  if (!source) {
    source = calloc(1, sizeof *source);
    if (!source) return NULL;
    source->path = file;
    source->next = *slot;
    *slot = source;
  }
  return sources->latest = source;
}

/* The same, with its content. */
static struct source *find_readable(struct exu_sources *sources, struct exu_string file) {
  struct source *source = find(sources, file);
  if (!source || source->unfit) return NULL;
  source->used = ++sources->clock;
  if (!source->data && !source->unreadable) load(sources, source);
  return source->data ? source : NULL;
}

/* Where a line begins, in *at. */
static bool find_line(const struct source *source, int32_t line, size_t *at) {
  if (line < 1) return false;
  size_t index = (size_t)line - 1, end;
  if (index / LINES_PER_MARK >= source->mark_count) return false;
  *at = source->marks[index / LINES_PER_MARK];
  for (size_t skip = index % LINES_PER_MARK; skip > 0 && *at < source->size; skip--) *at = next_line(source, *at, &end);
  return *at < source->size;
}

bool exu_source_line(struct exu_sources *sources, struct exu_string file, int32_t line, struct exu_string *text) {
  size_t at, end;
  const struct source *source = line < 1 ? NULL : find_readable(sources, file);
  if (!source || !find_line(source, line, &at)) return false;
  next_line(source, at, &end);
  if (end == source->size && !source->whole) return false;
  if (at == 0 && end >= 3 && memcmp(source->data, "\xef\xbb\xbf", 3) == 0)
    at = 3; /* Python's columns do not count a BOM */
  *text = (struct exu_string){source->data + at, end - at};
  return true;
}

void exu_source_check(struct exu_sources *sources, struct exu_string file, int32_t first_line,
                      struct exu_string function) {
  size_t at;
  struct source *source = first_line < 1 ? NULL : find_readable(sources, file);
  if (!source || source->mark_count == 0) return;
  if (!find_line(source, first_line, &at)) at = source->size;
  const struct exu_string text = {source->data + at, source->size - at};
  if (!exu_source_fits(text, source->whole, function)) source->unfit = true;
}

bool exu_source_has_changed(struct exu_sources *sources, struct exu_string file) {
  const struct source *source = find(sources, file);
  return source && source->changed;
}

const char *exu_source_doubt(struct exu_sources *sources, struct exu_string file) {
  struct source *source = find(sources, file);
  if (!source || source->said || !(source->changed || source->unfit)) return NULL;
  source->said = true;
  if (!source->changed) return "this file does not fit the code that ran: its lines are not shown";
  if (sources->report->source_kind == EXU_SOURCE_LIVE)
    return source->unfit ? "this file was changed after the process started: its lines are not shown"
                         : "this file was changed after the process started: its lines are shown as they are now";
  return source->unfit ? "this file is newer than the core: its lines are not shown"
                       : "this file is newer than the core: its lines are shown as they are now";
}
