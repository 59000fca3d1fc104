/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/guard.h"

/* O_NONBLOCK: should a FIFO take the file's place between the check and the open, nothing hangs. */
enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, LINKS_MAX = 40 /* as the kernel's MAXSYMLINKS */ };

/* Always -1. */
static int fail(struct exu_error *error, int code, const char *path) {
  bool absent = code == ENOENT || code == ENOTDIR || code == ELOOP || code == ENAMETOOLONG;
  exu_fail(error, absent ? EXU_NOT_FOUND : EXU_IO, "%s: %s", path, strerror(code));
  return -1;
}

static int fail_irregular(struct exu_error *error, const char *path) {
  exu_fail(error, EXU_BAD_FORMAT, "%s: not a regular file", path);
  return -1;
}

/* Keep a new descriptor only if it is that of a regular file. */
static int checked(int fd, const char *path, struct exu_error *error) {
  struct stat status;
  if (fd < 0) return fail(error, errno, path);
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) return fd;
  close(fd);
  return fail_irregular(error, path);
}

int exu_open_regular(const char *path, struct exu_error *error) {
  struct stat status;
  if (stat(path, &status) != 0) return fail(error, errno, path);
  if (!S_ISREG(status.st_mode)) return fail_irregular(error, path);
  return checked(open(path, OPEN_FLAGS), path, error);
}

static int openat2_in_root(int root, const char *path, uint64_t flags) {
  struct open_how how = {.flags = flags, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  /* EAGAIN: something was renamed meanwhile and the kernel cannot tell whether ".." left the root. */
  for (int attempt = 0; attempt < 8; attempt++) {
    long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN) return (int)fd;
  }
  return -1;
}

static bool lacks_openat2(int code) { return code == ENOSYS || code == EPERM || code == EINVAL; }

int exu_open_in_root(const char *root, const char *path, struct exu_error *error) {
  EXU_GUARD(fd) int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root_fd < 0) return fail(error, errno, root);
  EXU_GUARD(fd) int found = openat2_in_root(root_fd, path, O_PATH | O_CLOEXEC);
  if (found < 0 && lacks_openat2(errno)) return exu_open_in_root_by_steps(root, path, error);
  if (found < 0) return fail(error, errno, path);
  struct stat status;
  if (fstat(found, &status) != 0 || !S_ISREG(status.st_mode)) return fail_irregular(error, path);
  return checked(openat2_in_root(root_fd, path, OPEN_FLAGS), path, error);
}

bool exu_examine_regular(const char *root, const char *path, struct stat *status) {
  if (!root) return stat(path, status) == 0 && S_ISREG(status->st_mode);
  EXU_GUARD(fd) int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root_fd < 0) return false;
  struct exu_error error;
  EXU_GUARD(fd) int found = openat2_in_root(root_fd, path, O_PATH | O_CLOEXEC);
  EXU_GUARD(fd) int opened = found < 0 && lacks_openat2(errno) ? exu_open_in_root_by_steps(root, path, &error) : -1;
  const int fd = found >= 0 ? found : opened;
  return fd >= 0 && fstat(fd, status) == 0 && S_ISREG(status->st_mode);
}

/* A walk: where it is, and what is left of the path. Each step is one component, and never follows a link by itself. */
struct walk {
  int root;
  int directory;  /* owned unless it is `root` */
  unsigned depth; /* of `directory` below `root`: ".." at 0 stays */
  unsigned links;
  char rest[2 * PATH_MAX];
};

static void move_to(struct walk *walk, int directory) {
  if (walk->directory != walk->root) close(walk->directory);
  walk->directory = directory;
}

/* Put a link's target in front of what is left. */
static int follow(struct walk *walk, int link, const char *rest) {
  char path[2 * PATH_MAX];
  if (++walk->links > LINKS_MAX) return ELOOP;
  ssize_t size = readlinkat(link, "", path, PATH_MAX);
  if (size < 0) return errno;
  if (size == 0) return ENOENT;
  size_t left = strlen(rest);
  if ((size_t)size >= PATH_MAX || (size_t)size + 1 + left + 1 > sizeof path) return ENAMETOOLONG;
  path[size] = '/';
  memcpy(path + size + 1, rest, left + 1);
  if (left == 0) path[size] = '\0';
  if (path[0] == '/') {
    move_to(walk, walk->root);
    walk->depth = 0;
  }
  memcpy(walk->rest, path, strlen(path) + 1);
  return 0;
}

/* Take one component. Stores a descriptor in *file when it was the last one and no directory; returns an errno. */
static int step(struct walk *walk, int *file) {
  char *name = walk->rest + strspn(walk->rest, "/");
  size_t length = strcspn(name, "/");
  if (length > NAME_MAX) return ENAMETOOLONG;
  char component[NAME_MAX + 1];
  memcpy(component, name, length);
  component[length] = '\0';
  char *rest = name + length;
  if (strcmp(component, ".") == 0 || (strcmp(component, "..") == 0 && walk->depth == 0)) {
    memmove(walk->rest, rest, strlen(rest) + 1);
    return 0;
  }
  int fd = openat(walk->directory, component, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno;
  struct stat status;
  int code = fstat(fd, &status) == 0 ? 0 : errno;
  if (code == 0 && S_ISLNK(status.st_mode)) {
    code = follow(walk, fd, rest + strspn(rest, "/"));
    close(fd);
    return code;
  }
  if (code == 0 && S_ISDIR(status.st_mode)) {
    if (strcmp(component, "..") == 0)
      walk->depth--;
    else
      walk->depth++;
    move_to(walk, fd);
    memmove(walk->rest, rest, strlen(rest) + 1);
    return 0;
  }
  if (code == 0 && *rest != '\0') code = ENOTDIR;
  if (code == 0 && !S_ISREG(status.st_mode)) code = EISDIR;
  close(fd);
  if (code != 0) return code;
  *file = openat(walk->directory, component, OPEN_FLAGS | O_NOFOLLOW);
  return *file < 0 ? errno : 0;
}

int exu_open_in_root_by_steps(const char *root, const char *path, struct exu_error *error) {
  EXU_GUARD(fd) int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root_fd < 0) return fail(error, errno, root);
  size_t size = strlen(path) + 1;
  if (size > PATH_MAX) return fail(error, ENAMETOOLONG, path);
  struct walk walk = {.root = root_fd, .directory = root_fd};
  memcpy(walk.rest, path, size);
  int file = -1, code = 0;
  while (file < 0 && code == 0) {
    if (walk.rest[strspn(walk.rest, "/")] == '\0')
      code = EISDIR;
    else
      code = step(&walk, &file);
  }
  move_to(&walk, walk.root);
  if (code == EISDIR) return fail_irregular(error, path);
  if (code != 0) return fail(error, code, path);
  return checked(file, path, error);
}
