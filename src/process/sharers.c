/* SPDX-License-Identifier: Apache-2.0 */
#include "process/sharers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is it one of those who share? Unknown: it may not be looked into, or not wholly. */
typedef enum exu_tristate look_at_process(int64_t pid, void *context);

/*
 * The first process of the machine is hidden from who may not see all (hidepid of proc(5)), and who is in a pid namespace
 * sees nobody outside. The first namespace has this number (PROC_PID_INIT_INO in include/linux/proc_ns.h).
 */
static bool may_see_all(void) {
  enum { INITIAL = 0xeffffffc };
  struct stat status;
  return stat("/proc/self/ns/pid", &status) == 0 && status.st_ino == (ino_t)INITIAL && access("/proc/1", F_OK) == 0;
}

static bool is_among(int64_t pid, const int64_t *pids, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (pids[i] == pid) return true;
  }
  return false;
}

static enum exu_tristate look_at_all(look_at_process *look, void *context, const int64_t *pids, size_t count,
                                     bool *has) {
  for (size_t i = 0; i < count; i++) {
    enum exu_tristate shares = look(pids[i], context);
    if (shares == EXU_UNKNOWN) return EXU_NO;
    has[i] = shares == EXU_YES;
  }
  DIR *directory = opendir("/proc");
  if (!directory) return EXU_UNKNOWN;
  enum exu_tristate only = may_see_all() ? EXU_YES : EXU_UNKNOWN;
  const struct dirent *entry;
  while (only != EXU_NO && (entry = readdir(directory))) {
    int64_t pid = strtol(entry->d_name, NULL, 10);
    if (pid <= 0 || is_among(pid, pids, count)) continue;
    enum exu_tristate shares = look(pid, context);
    if (shares == EXU_YES) only = EXU_NO;
    if (shares == EXU_UNKNOWN) only = EXU_UNKNOWN;
  }
  closedir(directory);
  return only;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

struct wanted_file {
  const char *link; /* NULL: it is a FIFO, whose links say by which of its names it was opened */
  const struct exu_fifo *fifo;
  mode_t mode; /* the owner's bits of a link's mode are how the file is open */
  size_t links_left;
  bool in_flight; /* files were sent to a socket, and not received yet: nobody tells which (SCM_RIGHTS of unix(7)) */
};

static bool may_be_file(const struct wanted_file *wanted, const char *link) {
  return wanted->link ? strcmp(link, wanted->link) == 0 : link[0] == '/';
}

/* Where the link does not tell, by asking for the file. */
static enum exu_tristate is_file(const struct wanted_file *wanted, int64_t pid, int64_t fd) {
  return wanted->link ? EXU_YES : exu_descriptor_is_fifo(pid, fd, wanted->fifo);
}

/*
 * Is that descriptor of the process the wanted file? One that has been closed is not. The directory of a process with our
 * own ids may be read, but not the links, if it has capabilities that we lack (security/commoncap.c,
 * cap_ptrace_access_check); and some systems let nobody look into their init.
 */
static enum exu_tristate is_open_as(struct wanted_file *wanted, int64_t pid, int directory, const char *fd) {
  char link[64];
  struct stat status;
  ssize_t size = readlinkat(directory, fd, link, sizeof link - 1);
  if (size <= 0) return size < 0 && errno == ENOENT ? EXU_NO : EXU_UNKNOWN;
  link[size] = '\0';
  int64_t number = strtol(fd, NULL, 10);
  if (strncmp(link, "socket:[", 8) == 0) wanted->in_flight |= exu_descriptor_files_in_flight(pid, number) > 0;
  if (!may_be_file(wanted, link)) return EXU_NO;
  if (fstatat(directory, fd, &status, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? EXU_NO : EXU_UNKNOWN;
  return status.st_mode & wanted->mode ? is_file(wanted, pid, number) : EXU_NO;
}

static enum exu_tristate has_file(int64_t pid, void *context) {
  struct wanted_file *wanted = context;
  char path[64];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fd", pid);
  DIR *directory = opendir(path);
  if (!directory) return errno == ENOENT || errno == ESRCH ? EXU_NO : EXU_UNKNOWN; /* it has ended */
  const struct dirent *entry;
  enum exu_tristate has = EXU_NO;
  while (wanted->links_left > 0 && (entry = readdir(directory))) {
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    enum exu_tristate is = is_open_as(wanted, pid, dirfd(directory), entry->d_name);
    if (is == EXU_YES || has == EXU_NO) has = is;
    wanted->links_left--;
  }
  closedir(directory);
  return has == EXU_NO && wanted->links_left == 0 ? EXU_UNKNOWN : has;
}

static enum exu_tristate look_for_file(struct wanted_file *wanted, enum exu_opened access, const int64_t *pids,
                                       size_t count, bool *has) {
  enum { LINKS_MAX = 200000 };
  static const mode_t modes[] = {
      [EXU_OPENED_READ] = S_IRUSR, [EXU_OPENED_WRITE] = S_IWUSR, [EXU_OPENED_ANY] = S_IRUSR | S_IWUSR};
  wanted->mode = modes[access];
  wanted->links_left = LINKS_MAX;
  enum exu_tristate only = look_at_all(has_file, wanted, pids, count, has);
  return wanted->in_flight && only == EXU_YES ? EXU_UNKNOWN : only;
}

enum exu_tristate exu_sharers_of_file(const char *link, enum exu_opened access, const int64_t *pids, size_t count,
                                      bool *has) {
  struct wanted_file wanted = {.link = link};
  return look_for_file(&wanted, access, pids, count, has);
}

enum exu_tristate exu_sharers_of_fifo(const struct exu_fifo *fifo, enum exu_opened access, const int64_t *pids,
                                      size_t count, bool *has) {
  struct wanted_file wanted = {.fifo = fifo};
  return look_for_file(&wanted, access, pids, count, has);
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static enum exu_tristate has_memory(int64_t pid, void *context) { return exu_has_mapped(pid, context); }

enum exu_tristate exu_sharers_of_memory(const struct exu_shared_place *place, const int64_t *pids, size_t count,
                                        bool *has) {
  struct exu_shared_place wanted = *place;
  return look_at_all(has_memory, &wanted, pids, count, has);
}
