/* SPDX-License-Identifier: Apache-2.0 */
#include "process/descriptors.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/guard.h"
#include "process/sockets.h"

/* For all descriptors of one report together. */
enum { BYTES_MAX = 16 << 20, LINKS_MAX = 100000, SEARCH_US = 300 * 1000 };

void exu_descriptors_init(struct exu_descriptors *descriptors, struct exu_arena *arena, int64_t pid) {
  *descriptors = (struct exu_descriptors){.arena = arena, .pid = pid, .bytes_left = BYTES_MAX, .links_left = LINKS_MAX};
}

static struct exu_string keep(const struct exu_descriptors *descriptors, const char *text) {
  return exu_arena_string(descriptors->arena, text, strlen(text));
}

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- Lines of files of /proc ------------------------------------------------------------------------------------- */

struct lines {
  struct exu_descriptors *descriptors;
  int fd;
  bool in_rest; /* of a line that was cut */
  size_t used, next;
  char buffer[16 * 1024];
};

static bool lines_open_path(struct lines *lines, struct exu_descriptors *descriptors, const char *path) {
  lines->descriptors = descriptors;
  lines->in_rest = false;
  lines->used = lines->next = 0;
  lines->fd = open(path, O_RDONLY | O_CLOEXEC);
  return lines->fd >= 0;
}

static bool lines_open(struct lines *lines, struct exu_descriptors *descriptors, const char *file) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/%s", descriptors->pid, file);
  return lines_open_path(lines, descriptors, path);
}

/* The next line without its end, or NULL. One that is too long is cut, and its rest left out. */
static char *lines_next(struct lines *lines) {
  for (;;) {
    char *start = lines->buffer + lines->next;
    char *end = memchr(start, '\n', lines->used - lines->next);
    const bool full = lines->next == 0 && lines->used == sizeof lines->buffer - 1;
    if (end || full) {
      const bool is_rest = lines->in_rest;
      lines->in_rest = !end;
      lines->next = end ? (size_t)(end + 1 - lines->buffer) : lines->used;
      *(end ? end : lines->buffer + lines->used) = '\0';
      if (is_rest) continue;
      return start;
    }
    memmove(lines->buffer, start, lines->used - lines->next);
    lines->used -= lines->next;
    lines->next = 0;
    size_t room = sizeof lines->buffer - 1 - lines->used;
    if (lines->descriptors->bytes_left < room) return NULL;
    ssize_t got = read(lines->fd, lines->buffer + lines->used, room);
    if (got <= 0) return NULL;
    lines->descriptors->bytes_left -= (uint64_t)got;
    lines->used += (size_t)got;
  }
}

/* ---- Sockets ----------------------------------------------------------------------------------------------------- */

/* "127.0.0.1", "::1" */
static bool take_end(struct exu_arena *arena, const struct exu_inet_end *from, bool ipv6, struct exu_socket_end *end) {
  char text[INET6_ADDRSTRLEN];
  if (!inet_ntop(ipv6 ? AF_INET6 : AF_INET, from->address + (ipv6 ? 0 : 12), text, sizeof text)) return false;
  *end = (struct exu_socket_end){exu_arena_string(arena, text, strlen(text)), from->port};
  return end->address.data;
}

bool exu_descriptor_inet(struct exu_arena *arena, const char *line, struct exu_descriptor *socket) {
  static const uint8_t any[16] = {0}, any_ipv4[16] = {[10] = 0xff, [11] = 0xff};
  struct exu_inet_line inet;
  if (!exu_inet_line(line, &inet) || inet.inode != socket->inode) return false;
  const bool connected =
      inet.remote.port != 0 || memcmp(inet.remote.address, inet.ipv6 ? any : any_ipv4, sizeof any) != 0;
  if (inet.state <= EXU_SOCKET_NEW_SYN_RECV) socket->state = (enum exu_socket_state)inet.state;
  return take_end(arena, &inet.local, inet.ipv6, &socket->local) &&
         (!connected || take_end(arena, &inet.remote, inet.ipv6, &socket->remote));
}

static bool find_inet(struct exu_descriptors *descriptors, struct exu_descriptor *socket) {
  static const struct {
    const char *file;
    enum exu_descriptor_kind kind;
  } tables[] = {{"net/tcp", EXU_DESCRIPTOR_TCP},
                {"net/tcp6", EXU_DESCRIPTOR_TCP},
                {"net/udp", EXU_DESCRIPTOR_UDP},
                {"net/udp6", EXU_DESCRIPTOR_UDP}};
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    struct lines lines;
    bool found = false;
    char *line;
    if (!lines_open(&lines, descriptors, tables[i].file)) continue;
    while (!found && (line = lines_next(&lines))) found = exu_descriptor_inet(descriptors->arena, line, socket);
    close(lines.fd);
    if (found) socket->kind = tables[i].kind;
    if (found) return true;
  }
  return false;
}

/* A question costs what a part of a table does. */
static bool may_ask(struct exu_descriptors *descriptors) {
  enum { COST = 16 * 1024 };
  if (descriptors->bytes_left < COST) return false;
  descriptors->bytes_left -= COST;
  return true;
}

/*
 * Not from /proc/PID/net/unix: a name there may have newlines, and look like a line of another socket. The process is
 * asked to share the socket only when nothing else tells: a Unix socket of another network namespace than ours.
 */
static void look_at_socket(struct exu_descriptors *descriptors, int64_t fd, struct exu_descriptor *socket) {
  struct exu_unix_socket found;
  socket->kind = EXU_DESCRIPTOR_SOCKET;
  if (!(may_ask(descriptors) && exu_unix_socket(socket->inode, &found))) {
    if (find_inet(descriptors, socket)) return;
    if (!may_ask(descriptors) || !exu_unix_socket_shared(descriptors->pid, fd, socket->inode, &found)) return;
  }
  socket->kind = EXU_DESCRIPTOR_UNIX;
  socket->state = found.state;
  if (found.name_size > 0) socket->name = exu_arena_string(descriptors->arena, found.name, found.name_size);
}

/* ---- Pipes ------------------------------------------------------------------------------------------------------- */

static bool is_number(const char *name) { return isdigit((unsigned char)*name) != 0; }

/* One end of a pipe, whose link says which it is, or of a FIFO: of another process the same path may be another one. */
struct pipe {
  const char *link;
  const struct exu_fifo *fifo; /* NULL: it is a pipe */
  bool writes;
};

static bool is_same(const struct pipe *pipe, const char *pid, const char *fd) {
  return !pipe->fifo || exu_descriptor_is_fifo(strtol(pid, NULL, 10), strtol(fd, NULL, 10), pipe->fifo) == EXU_YES;
}

/* Does the process have that pipe open, at its other end? The owner's bits of a link's mode are its access: r or w. */
static bool has_other_end(struct exu_descriptors *descriptors, const char *pid, const struct pipe *pipe,
                          const char *except) {
  char path[300], link[PATH_MAX];
  snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
  DIR *directory = opendir(path);
  bool found = false;
  struct dirent *entry;
  if (!directory) return false;
  while (!found && descriptors->links_left > 0 && (entry = readdir(directory))) {
    struct stat status;
    if (!is_number(entry->d_name) || (except && strcmp(entry->d_name, except) == 0)) continue;
    descriptors->links_left--;
    ssize_t size = readlinkat(dirfd(directory), entry->d_name, link, sizeof link - 1);
    if (size <= 0) continue;
    link[size] = '\0';
    if (strcmp(link, pipe->link) != 0 || fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    found = (status.st_mode & (pipe->writes ? S_IRUSR : S_IWUSR)) && is_same(pipe, pid, entry->d_name);
  }
  closedir(directory);
  return found;
}

/*
 * Who has the other end: another process, one of them, and the process itself, which may have kept a copy by mistake.
 */
static void find_other_end(struct exu_descriptors *descriptors, int64_t fd, const char *link,
                           const struct exu_fifo *fifo, struct exu_descriptor *end) {
  char path[64], own[24], own_fd[24], comm[EXU_COMM_SIZE];
  struct stat status;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%" PRId64, descriptors->pid, fd);
  snprintf(own, sizeof own, "%" PRId64, descriptors->pid);
  snprintf(own_fd, sizeof own_fd, "%" PRId64, fd);
  if (lstat(path, &status) != 0) return;
  const struct pipe pipe = {link, fifo, status.st_mode & S_IWUSR};
  DIR *directory = opendir("/proc");
  struct dirent *entry;
  if (!directory) return;
  if (!descriptors->deadline_us) descriptors->deadline_us = now_us() + SEARCH_US;
  while (end->other_pid < 0 && (entry = readdir(directory)) && descriptors->links_left > 0 &&
         now_us() < descriptors->deadline_us) {
    if (!is_number(entry->d_name) || strcmp(entry->d_name, own) == 0) continue;
    if (!has_other_end(descriptors, entry->d_name, &pipe, NULL)) continue;
    end->other_pid = strtol(entry->d_name, NULL, 10);
    exu_process_comm(end->other_pid, comm);
    end->other_comm = keep(descriptors, comm);
  }
  closedir(directory);
  end->other_self = has_other_end(descriptors, own, &pipe, own_fd);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* "36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/root rw": proc(5) */
static bool is_local_mount(const char *line, uint64_t wanted) {
  static const char *const types[] = {"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "overlay", "f2fs", "zfs"};
  uint64_t mount;
  char type[32];
  const char *optional = strstr(line, " - ");
  if (!optional || sscanf(line, "%" SCNu64, &mount) != 1 || mount != wanted) return false;
  if (sscanf(optional, " - %31s", type) != 1) return false;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    if (strcmp(type, types[i]) == 0) return true;
  }
  return false;
}

/*
 * May the file be asked for its attributes? A server that is gone, which the process may wait for, would hang us, too.
 * What lies outside of the process's root is in our own list of mounts at best; their numbers are those of the whole
 * system.
 */
static bool is_local(struct exu_descriptors *descriptors, int64_t fd) {
  char own[64], file[48], *line;
  struct lines lines;
  uint64_t mount = 0;
  bool found = false;
  snprintf(own, sizeof own, "/proc/%" PRId64 "/mountinfo", descriptors->pid);
  const char *const lists[] = {own, "/proc/self/mountinfo"};
  snprintf(file, sizeof file, "fdinfo/%" PRId64, fd);
  if (!lines_open(&lines, descriptors, file)) return false;
  while (!found && (line = lines_next(&lines))) found = sscanf(line, "mnt_id: %" SCNu64, &mount) == 1;
  close(lines.fd);
  if (!found) return false;
  found = false;
  for (size_t i = 0; !found && i < sizeof lists / sizeof *lists; i++) {
    if (!lines_open_path(&lines, descriptors, lists[i])) continue;
    while (!found && (line = lines_next(&lines))) found = is_local_mount(line, mount);
    close(lines.fd);
  }
  return found;
}

/* "ino:\t123" of fdinfo (proc(5)); 0: no such line. */
static uint64_t fdinfo_number(int64_t pid, int64_t fd, const char *name) {
  struct exu_descriptors descriptors;
  struct lines lines;
  char file[48], *line;
  uint64_t number = 0;
  bool found = false;
  exu_descriptors_init(&descriptors, NULL, pid);
  snprintf(file, sizeof file, "fdinfo/%" PRId64, fd);
  if (!lines_open(&lines, &descriptors, file)) return 0;
  while (!found && (line = lines_next(&lines))) {
    found = strncmp(line, name, strlen(name)) == 0;
    if (found) number = strtoull(line + strlen(name), NULL, 10);
  }
  close(lines.fd);
  return number;
}

uint64_t exu_descriptor_inode(int64_t pid, int64_t fd) { return fdinfo_number(pid, fd, "ino:"); }

uint64_t exu_descriptor_files_in_flight(int64_t pid, int64_t fd) { return fdinfo_number(pid, fd, "scm_fds:"); }

static enum exu_tristate find_fifo(struct exu_descriptors *descriptors, int64_t fd, struct exu_fifo *fifo) {
  char path[64];
  struct stat status;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%" PRId64, descriptors->pid, fd);
  if (!is_local(descriptors, fd) || stat(path, &status) != 0) return EXU_UNKNOWN;
  if (!S_ISFIFO(status.st_mode)) return EXU_NO;
  *fifo = (struct exu_fifo){.inode = status.st_ino,
                            .major = major(status.st_dev),
                            .minor = minor(status.st_dev),
                            .unlinked = !status.st_nlink};
  return EXU_YES;
}

enum exu_tristate exu_descriptor_fifo(int64_t pid, int64_t fd, struct exu_fifo *fifo) {
  struct exu_descriptors descriptors;
  exu_descriptors_init(&descriptors, NULL, pid);
  return find_fifo(&descriptors, fd, fifo);
}

enum exu_tristate exu_descriptor_is_fifo(int64_t pid, int64_t fd, const struct exu_fifo *fifo) {
  struct exu_fifo found;
  const uint64_t inode = exu_descriptor_inode(pid, fd);
  if (inode != 0 && inode != fifo->inode) return EXU_NO;
  const enum exu_tristate is_fifo = exu_descriptor_fifo(pid, fd, &found);
  if (is_fifo != EXU_YES) return is_fifo;
  return found.inode == fifo->inode && found.major == fifo->major && found.minor == fifo->minor ? EXU_YES : EXU_NO;
}

/* "1: FLOCK  ADVISORY  WRITE 123 08:02:456 0 EOF"; "1: -> FLOCK ..." waits for that (fs/locks.c). */
bool exu_lock_line(const char *text, struct exu_lock_line *line) {
  int used = 0;
  if (sscanf(text, "%" SCNu64 ":%n", &line->number, &used) != 1 || used == 0) return false;
  text += used;
  text += strspn(text, " ");
  line->waits = strncmp(text, "->", 2) == 0;
  if (line->waits) text += 2;
  return sscanf(text, "%*s %*s %*s %" SCNd64 " %x:%x:%" SCNu64, &line->pid, &line->major, &line->minor, &line->inode) ==
         4;
}

/* The lock that a descriptor of the process has is that one, which is numbered otherwise there. */
static bool has_lock_by(struct exu_descriptors *descriptors, const char *fd, const struct exu_lock_line *lock) {
  static const char key[] = "lock:";
  struct lines lines;
  struct exu_lock_line line;
  char file[48], *text;
  bool found = false;
  snprintf(file, sizeof file, "fdinfo/%.20s", fd);
  if (!lines_open(&lines, descriptors, file)) return false;
  while (!found && (text = lines_next(&lines))) {
    found = strncmp(text, key, sizeof key - 1) == 0 &&
            exu_lock_line(text + sizeof key - 1 + strspn(text + sizeof key - 1, "\t "), &line) &&
            line.pid == lock->pid && line.inode == lock->inode && line.major == lock->major &&
            line.minor == lock->minor;
  }
  close(lines.fd);
  return found;
}

/*
 * A lock of flock(2) is that of an open file: it stays when the one who took it has ended, or has closed it, and a child
 * has it, too. The kernel still tells the same number, which may be another process's by then. So who has it is asked.
 */
static bool has_lock(const struct exu_lock_line *lock) {
  enum { ASKED_MAX = 4096 };
  struct exu_descriptors descriptors;
  char path[64];
  bool found = false;
  exu_descriptors_init(&descriptors, NULL, lock->pid);
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fdinfo", lock->pid);
  DIR *directory = opendir(path);
  if (!directory) return false;
  const struct dirent *entry;
  for (int i = 0; !found && i < ASKED_MAX && (entry = readdir(directory)); i++) {
    found = entry->d_name[0] != '.' && has_lock_by(&descriptors, entry->d_name, lock);
  }
  closedir(directory);
  return found;
}

int64_t exu_descriptor_lock_holder(struct exu_descriptors *descriptors, int64_t fd, bool *has) {
  char path[64], *text;
  struct stat status;
  struct lines lines;
  struct exu_lock_line line, holder = {.number = 0}, taken = {.number = 0};
  int64_t found = -1;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%" PRId64, descriptors->pid, fd);
  if (fd < 0 || !is_local(descriptors, fd) || stat(path, &status) != 0) return -1;
  if (!lines_open_path(&lines, descriptors, "/proc/locks")) return -1;
  while ((text = lines_next(&lines))) {
    if (!exu_lock_line(text, &line)) continue;
    if (!line.waits) {
      holder = line;
    } else if (line.number == holder.number && line.pid == descriptors->pid && line.inode == status.st_ino &&
               line.major == major(status.st_dev) && line.minor == minor(status.st_dev)) {
      found = found == -1 || found == holder.pid ? holder.pid : 0;
      taken = holder;
    }
  }
  close(lines.fd);
  if (found <= 0) return -1;
  *has = has_lock(&taken);
  return found;
}

/* ---- All kinds --------------------------------------------------------------------------------------------------- */

static void look_at_epoll(struct exu_descriptors *descriptors, int64_t fd, struct exu_descriptor *epoll) {
  enum { WATCHED = 8 };
  int64_t *watched = exu_arena_array(descriptors->arena, WATCHED, sizeof *watched);
  const size_t capacity = watched ? WATCHED : 0;
  epoll->watched_in_all = exu_descriptor_watched(descriptors, fd, watched, capacity);
  epoll->watched_count = epoll->watched_in_all < capacity ? epoll->watched_in_all : capacity;
  epoll->watched = watched;
}

/* What fs/anon_inodes.c makes; most of it, but not all, has its name in brackets. */
static bool look_at_anonymous(struct exu_descriptors *descriptors, int64_t fd, const char *name,
                              struct exu_descriptor *descriptor) {
  static const struct {
    const char *name;
    enum exu_descriptor_kind kind;
  } kinds[] = {{"[eventpoll]", EXU_DESCRIPTOR_EPOLL}, {"[eventfd]", EXU_DESCRIPTOR_EVENTFD},
               {"[timerfd]", EXU_DESCRIPTOR_TIMERFD}, {"[signalfd]", EXU_DESCRIPTOR_SIGNALFD},
               {"inotify", EXU_DESCRIPTOR_INOTIFY},   {"[pidfd]", EXU_DESCRIPTOR_PIDFD}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(name, kinds[i].name) != 0) continue;
    descriptor->kind = kinds[i].kind;
    if (descriptor->kind == EXU_DESCRIPTOR_EPOLL) look_at_epoll(descriptors, fd, descriptor);
    return true;
  }
  const size_t size = strlen(name);
  const bool bracketed = size >= 2 && name[0] == '[' && name[size - 1] == ']';
  descriptor->kind = EXU_DESCRIPTOR_OTHER;
  descriptor->name = exu_arena_string(descriptors->arena, name + bracketed, size - (bracketed ? 2 : 0));
  return descriptor->name.data;
}

static bool look_at_file(struct exu_descriptors *descriptors, int64_t fd, const char *link,
                         struct exu_descriptor *file) {
  struct exu_fifo fifo;
  file->kind = link[0] == '/' ? EXU_DESCRIPTOR_FILE : EXU_DESCRIPTOR_OTHER;
  file->name = keep(descriptors, link);
  if (link[0] == '/' && find_fifo(descriptors, fd, &fifo) == EXU_YES) {
    file->kind = EXU_DESCRIPTOR_FIFO;
    find_other_end(descriptors, fd, link, &fifo, file);
  }
  return file->name.data;
}

/* What its link says. False only without memory. */
static bool look_at(struct exu_descriptors *descriptors, int64_t fd, const char *link,
                    struct exu_descriptor *descriptor) {
  static const char anonymous[] = "anon_inode:";
  if (sscanf(link, "socket:[%" SCNu64 "]", &descriptor->inode) == 1) {
    look_at_socket(descriptors, fd, descriptor);
    return true;
  }
  if (sscanf(link, "pipe:[%" SCNu64 "]", &descriptor->inode) == 1) {
    descriptor->kind = EXU_DESCRIPTOR_PIPE;
    find_other_end(descriptors, fd, link, NULL, descriptor);
    return true;
  }
  if (strncmp(link, anonymous, sizeof anonymous - 1) == 0)
    return look_at_anonymous(descriptors, fd, link + sizeof anonymous - 1, descriptor);
  return look_at_file(descriptors, fd, link, descriptor);
}

static const struct exu_descriptor *read_descriptor(struct exu_descriptors *descriptors, int64_t fd) {
  char path[64], link[PATH_MAX];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%" PRId64, descriptors->pid, fd);
  const ssize_t size = readlink(path, link, sizeof link - 1);
  if (size <= 0) return NULL;
  link[size] = '\0';
  struct exu_descriptor *descriptor = exu_arena_alloc(descriptors->arena, sizeof *descriptor);
  if (!descriptor) return NULL;
  descriptor->other_pid = -1;
  return look_at(descriptors, fd, link, descriptor) ? descriptor : NULL;
}

const struct exu_descriptor *exu_descriptor(struct exu_descriptors *descriptors, int64_t fd) {
  const size_t slots = sizeof descriptors->known / sizeof *descriptors->known;
  if (fd < 0) return NULL;
  if ((uint64_t)fd >= slots) return read_descriptor(descriptors, fd);
  if (!descriptors->known[fd]) descriptors->known[fd] = read_descriptor(descriptors, fd);
  return descriptors->known[fd];
}

size_t exu_descriptor_watched(struct exu_descriptors *descriptors, int64_t fd, int64_t *watched, size_t capacity) {
  struct lines lines;
  char file[48];
  size_t count = 0;
  int64_t one;
  char *line;
  snprintf(file, sizeof file, "fdinfo/%" PRId64, fd);
  if (!lines_open(&lines, descriptors, file)) return 0;
  while ((line = lines_next(&lines))) {
    if (sscanf(line, "tfd: %" SCNd64, &one) != 1) continue;
    if (count < capacity) watched[count] = one;
    count++;
  }
  close(lines.fd);
  return count;
}

int64_t exu_tid_inside(int64_t pid, int64_t tid) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/task/%" PRId64 "/status", pid, tid);
  EXU_GUARD(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
  if (size <= 0) return tid;
  text[size] = '\0';
  /* NSpid: its numbers from our namespace inwards (Linux 4.1). */
  const char *line = strstr(text, "\nNSpid:");
  if (!line) return tid;
  line += strlen("\nNSpid:");
  const char *last = line;
  for (const char *at = line; *at && *at != '\n'; at++) {
    if (isspace((unsigned char)at[0]) && isdigit((unsigned char)at[1])) last = at + 1;
  }
  int64_t inside;
  return sscanf(last, "%" SCNd64, &inside) == 1 && inside > 0 ? inside : tid;
}
