/* SPDX-License-Identifier: Apache-2.0 */
#include "process/sharers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is it one of those who share, and is that known? */
typedef bool look_at_process(const char *pid, void *context, bool *found);

static bool look_at_all(look_at_process *look, void *context, const int64_t *pids, size_t count, bool *has) {
  DIR *directory = opendir("/proc");
  if (!directory) return false;
  bool only = true, sees_first = false; /* hidepid of proc(5) hides the first process from who may not see all */
  const struct dirent *entry;
  for (size_t i = 0; i < count; i++) has[i] = false;
  while (only && (entry = readdir(directory))) {
    bool found;
    int64_t pid = strtol(entry->d_name, NULL, 10);
    if (pid <= 0) continue;
    sees_first |= pid == 1;
    only = look(entry->d_name, context, &found);
    if (!only || !found) continue;
    size_t i = 0;
    while (i < count && pids[i] != pid) i++;
    if (i < count)
      has[i] = true;
    else
      only = false;
  }
  closedir(directory);
  return only && sees_first;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

struct wanted_file {
  const char *link; /* NULL: it is a FIFO, whose links say by which of its names it was opened */
  const struct exu_fifo *fifo;
  mode_t mode; /* the owner's bits of a link's mode are how the file is open */
  size_t links_left;
};

static bool may_be_file(const struct wanted_file *wanted, const char *link) {
  return wanted->link ? strcmp(link, wanted->link) == 0 : link[0] == '/';
}

/* Where the link does not tell, by its number in its file system, and only then by asking that. */
static enum exu_tristate is_file(const struct wanted_file *wanted, int64_t pid, int64_t fd) {
  struct exu_fifo fifo;
  if (wanted->link) return EXU_YES;
  uint64_t inode = exu_descriptor_inode(pid, fd);
  if (inode != 0 && inode != wanted->fifo->inode) return EXU_NO;
  enum exu_tristate is_fifo = exu_descriptor_fifo(pid, fd, &fifo);
  bool same = is_fifo == EXU_YES && fifo.inode == wanted->fifo->inode && fifo.major == wanted->fifo->major &&
              fifo.minor == wanted->fifo->minor;
  return is_fifo != EXU_YES ? is_fifo : same ? EXU_YES : EXU_NO;
}

static bool has_file(const char *pid, void *context, bool *found) {
  struct wanted_file *wanted = context;
  char path[300], link[64];
  snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
  DIR *directory = opendir(path);
  *found = false;
  if (!directory) return errno == ENOENT || errno == ESRCH; /* it has ended */
  const struct dirent *entry;
  bool complete = true;
  while (!*found && complete && (entry = readdir(directory))) {
    struct stat status;
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    if (wanted->links_left == 0) complete = false;
    if (wanted->links_left == 0) break;
    wanted->links_left--;
    ssize_t size = readlinkat(dirfd(directory), entry->d_name, link, sizeof link - 1);
    /*
     * One that has been closed is not there any more. The directory of a process with our own ids may be read, but not
     * the links, if it has capabilities that we lack (security/commoncap.c, cap_ptrace_access_check). But the init of a
     * container or a virtual machine, which nobody in there may look into, is older than what others open, and inherits
     * nothing of it.
     */
    if (size <= 0) complete = (size < 0 && errno == ENOENT) || strcmp(pid, "1") == 0;
    if (size <= 0) continue;
    link[size] = '\0';
    if (!may_be_file(wanted, link) || fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !(status.st_mode & wanted->mode))
      continue;
    enum exu_tristate is = is_file(wanted, strtol(pid, NULL, 10), strtol(entry->d_name, NULL, 10));
    *found = is == EXU_YES;
    complete = is != EXU_UNKNOWN;
  }
  closedir(directory);
  return complete;
}

static bool look_for_file(struct wanted_file *wanted, enum exu_opened access, const int64_t *pids, size_t count,
                          bool *has) {
  enum { LINKS_MAX = 200000 };
  static const mode_t modes[] = {
      [EXU_OPENED_READ] = S_IRUSR, [EXU_OPENED_WRITE] = S_IWUSR, [EXU_OPENED_ANY] = S_IRUSR | S_IWUSR};
  wanted->mode = modes[access];
  wanted->links_left = LINKS_MAX;
  return look_at_all(has_file, wanted, pids, count, has);
}

bool exu_sharers_of_file(const char *link, enum exu_opened access, const int64_t *pids, size_t count, bool *has) {
  struct wanted_file wanted = {.link = link};
  return look_for_file(&wanted, access, pids, count, has);
}

bool exu_sharers_of_fifo(const struct exu_fifo *fifo, enum exu_opened access, const int64_t *pids, size_t count,
                         bool *has) {
  struct wanted_file wanted = {.fifo = fifo};
  return look_for_file(&wanted, access, pids, count, has);
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

static bool has_memory(const char *pid, void *context, bool *found) {
  const struct exu_shared_place *place = context;
  enum exu_tristate has = exu_has_mapped(strtol(pid, NULL, 10), place);
  *found = has == EXU_YES;
  return has != EXU_UNKNOWN;
}

bool exu_sharers_of_memory(const struct exu_shared_place *place, const int64_t *pids, size_t count, bool *has) {
  struct exu_shared_place wanted = *place;
  return look_at_all(has_memory, &wanted, pids, count, has);
}
