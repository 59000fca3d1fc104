/* SPDX-License-Identifier: Apache-2.0 */
#include "process/descriptors.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
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
enum { BYTES_MAX = 16 << 20, LINKS_MAX = 100000, SEARCH_US = 300 * 1000, LINE = 1024, LINK = 4096 };

static const struct exu_string unknown;

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
  size_t used, next;
  char buffer[16 * 1024];
};

static bool lines_open_path(struct lines *lines, struct exu_descriptors *descriptors, const char *path) {
  lines->descriptors = descriptors;
  lines->used = lines->next = 0;
  lines->fd = open(path, O_RDONLY | O_CLOEXEC);
  return lines->fd >= 0;
}

static bool lines_open(struct lines *lines, struct exu_descriptors *descriptors, const char *file) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/%s", descriptors->pid, file);
  return lines_open_path(lines, descriptors, path);
}

/* The next line without its end, or NULL. One that is too long is cut. */
static char *lines_next(struct lines *lines) {
  for (;;) {
    char *start = lines->buffer + lines->next;
    char *end = memchr(start, '\n', lines->used - lines->next);
    bool full = lines->next == 0 && lines->used == sizeof lines->buffer - 1;
    if (end || full) {
      if (!end) end = lines->buffer + lines->used;
      *end = '\0';
      lines->next = full ? lines->used : (size_t)(end + 1 - lines->buffer);
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

static const char *tcp_state(unsigned state) {
  static const char *const names[] = {NULL,        "ESTABLISHED", "SYN_SENT",    "SYN_RECV",   "FIN_WAIT1",
                                      "FIN_WAIT2", "TIME_WAIT",   "CLOSE",       "CLOSE_WAIT", "LAST_ACK",
                                      "LISTEN",    "CLOSING",     "NEW_SYN_RECV"}; /* net/tcp_states.h */
  return state < sizeof names / sizeof *names && names[state] ? names[state] : "?";
}

/* "127.0.0.1:4000", "[::1]:4000" */
static bool end_text(const struct exu_inet_end *end, bool ipv6, char *text, size_t size) {
  char name[INET6_ADDRSTRLEN];
  if (!inet_ntop(ipv6 ? AF_INET6 : AF_INET, end->address + (ipv6 ? 0 : 12), name, sizeof name)) return false;
  snprintf(text, size, ipv6 ? "[%s]:%u" : "%s:%u", name, end->port);
  return true;
}

static bool inet_text(const char *text_line, uint64_t inode, bool tcp, char *text, size_t size) {
  static const uint8_t any[16] = {0}, any_ipv4[16] = {[10] = 0xff, [11] = 0xff};
  struct exu_inet_line line;
  char from[96], to[96];
  if (!exu_inet_line(text_line, &line) || line.inode != inode) return false;
  if (!end_text(&line.local, line.ipv6, from, sizeof from) || !end_text(&line.remote, line.ipv6, to, sizeof to))
    return false;
  bool connected = line.remote.port != 0 || memcmp(line.remote.address, line.ipv6 ? any : any_ipv4, sizeof any) != 0;
  snprintf(text, size, "%ssocket %s%s%s", tcp ? "" : "UDP ", from, connected ? " -> " : "", connected ? to : "");
  if (tcp) snprintf(text + strlen(text), size - strlen(text), " (%s)", tcp_state(line.state));
  return true;
}

bool exu_descriptor_inet(const char *line, uint64_t inode, char *text, size_t size) {
  return inet_text(line, inode, true, text, size);
}

static bool unix_line(const char *line, uint64_t inode, char *text, size_t size) {
  enum { ACCEPTS = 0x10000, CONNECTED = 3 };
  unsigned flags, state;
  uint64_t found;
  int path = 0;
  /* Num: RefCount Protocol Flags Type St Inode Path */
  if (sscanf(line, "%*[^:]: %*s %*s %X %*s %X %" SCNu64 "%n", &flags, &state, &found, &path) != 3 || found != inode)
    return false;
  const char *name = line + path;
  while (*name == ' ') name++;
  snprintf(text, size, "Unix socket%s%s (%s)", *name ? " " : "", name,
           flags & ACCEPTS      ? "listening"
           : state == CONNECTED ? "connected"
                                : "not connected");
  return true;
}

static bool find_socket(struct exu_descriptors *descriptors, uint64_t inode, char *text, size_t size) {
  static const struct {
    const char *file;
    bool unix_, tcp;
  } tables[] = {{"net/tcp", false, true},
                {"net/tcp6", false, true},
                {"net/unix", true, false},
                {"net/udp", false, false},
                {"net/udp6", false, false}};
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    struct lines lines;
    bool found = false;
    char *line;
    if (!lines_open(&lines, descriptors, tables[i].file)) continue;
    while (!found && (line = lines_next(&lines))) {
      found = tables[i].unix_ ? unix_line(line, inode, text, size) : inet_text(line, inode, tables[i].tcp, text, size);
    }
    close(lines.fd);
    if (found) return true;
  }
  return false;
}

/* ---- Pipes ------------------------------------------------------------------------------------------------------- */

static bool is_number(const char *name) { return isdigit((unsigned char)*name) != 0; }

/* Does the process have that pipe open, at its other end? The owner's bits of a link's mode are its access: r or w. */
static bool has_other_end(struct exu_descriptors *descriptors, const char *pid, const char *pipe, bool writes,
                          const char *except) {
  char path[300], link[LINK];
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
    if (strcmp(link, pipe) != 0 || fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    found = status.st_mode & (writes ? S_IRUSR : S_IWUSR);
  }
  closedir(directory);
  return found;
}

/*
 * Append who has the other end: another process, which is named before the process itself, and that itself, which may
 * have kept a copy by mistake.
 */
static void find_other_end(struct exu_descriptors *descriptors, const char *pipe, const char *fd, bool writes,
                           char *text, size_t size) {
  size_t used = strlen(text);
  char own[24], comm[EXU_COMM_SIZE];
  snprintf(own, sizeof own, "%" PRId64, descriptors->pid);
  DIR *directory = opendir("/proc");
  struct dirent *entry;
  bool found = false;
  if (!directory) return;
  if (!descriptors->deadline_us) descriptors->deadline_us = now_us() + SEARCH_US;
  while (!found && (entry = readdir(directory)) && descriptors->links_left > 0 && now_us() < descriptors->deadline_us) {
    if (!is_number(entry->d_name) || strcmp(entry->d_name, own) == 0) continue;
    found = has_other_end(descriptors, entry->d_name, pipe, writes, NULL);
    if (!found) continue;
    exu_process_comm(strtol(entry->d_name, NULL, 10), comm);
    snprintf(text + used, size - used, ", other end: pid %.20s (%s)", entry->d_name, comm);
  }
  closedir(directory);
  used = strlen(text);
  if (has_other_end(descriptors, own, pipe, writes, fd))
    snprintf(text + used, size - used,
             found ? " and this process itself" : ", whose other end this process itself holds");
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

enum exu_tristate exu_descriptor_fifo(int64_t pid, int64_t fd, struct exu_fifo *fifo) {
  struct exu_descriptors descriptors;
  char path[64];
  struct stat status;
  exu_descriptors_init(&descriptors, NULL, pid);
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%" PRId64, pid, fd);
  if (!is_local(&descriptors, fd) || stat(path, &status) != 0) return EXU_UNKNOWN;
  if (!S_ISFIFO(status.st_mode)) return EXU_NO;
  *fifo = (struct exu_fifo){.inode = status.st_ino,
                            .major = major(status.st_dev),
                            .minor = minor(status.st_dev),
                            .unlinked = !status.st_nlink};
  return EXU_YES;
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

int64_t exu_descriptor_lock_holder(struct exu_descriptors *descriptors, int64_t fd, char comm[EXU_COMM_SIZE]) {
  char path[64], *text;
  struct stat status;
  struct lines lines;
  struct exu_lock_line line, holder = {.number = 0};
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
    }
  }
  close(lines.fd);
  if (found <= 0) return -1;
  exu_process_comm(found, comm);
  return found;
}

/* ---- All kinds --------------------------------------------------------------------------------------------------- */

static void describe_epoll(struct exu_descriptors *descriptors, int64_t fd, char *text, size_t size) {
  int64_t watched[8];
  size_t capacity = sizeof watched / sizeof *watched;
  size_t count = exu_descriptor_watched(descriptors, fd, watched, capacity);
  size_t used =
      (size_t)snprintf(text, size, "epoll of %zu descriptor%s%s", count, count == 1 ? "" : "s", count ? ":" : "");
  for (size_t i = 0; i < count && i < capacity && used < size; i++)
    used += (size_t)snprintf(text + used, size - used, "%s %" PRId64, i ? "," : "", watched[i]);
  if (count > capacity && used < size) snprintf(text + used, size - used, ", ...");
}

static struct exu_string describe(struct exu_descriptors *descriptors, int64_t fd) {
  char path[64], link[LINK], text[LINK + 128], name[24];
  uint64_t inode;
  struct stat status;
  snprintf(name, sizeof name, "%" PRId64, fd);
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%s", descriptors->pid, name);
  ssize_t size = readlink(path, link, sizeof link - 1);
  if (size <= 0) return unknown;
  link[size] = '\0';
  snprintf(text, sizeof text, "%s", link);
  if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1) {
    if (!find_socket(descriptors, inode, text, sizeof text))
      snprintf(text, sizeof text, "socket, inode %" PRIu64, inode);
  } else if (strncmp(link, "pipe:[", 6) == 0) {
    snprintf(text, sizeof text, "pipe");
    if (lstat(path, &status) == 0)
      find_other_end(descriptors, link, name, (status.st_mode & S_IWUSR) != 0, text, sizeof text);
  } else if (strcmp(link, "anon_inode:[eventpoll]") == 0) {
    describe_epoll(descriptors, fd, text, sizeof text);
  } else if (strncmp(link, "anon_inode:", 11) == 0) {
    size_t length = strlen(link + 11);
    bool bracketed = link[11] == '[' && link[11 + length - 1] == ']';
    snprintf(text, sizeof text, "%.*s", (int)(length - (bracketed ? 2 : 0)), link + 11 + bracketed);
  }
  if (link[0] == '/' && is_local(descriptors, fd) && stat(path, &status) == 0 && S_ISFIFO(status.st_mode)) {
    snprintf(text, sizeof text, "FIFO %s", link);
    if (lstat(path, &status) == 0)
      find_other_end(descriptors, link, name, (status.st_mode & S_IWUSR) != 0, text, sizeof text);
  }
  return keep(descriptors, text);
}

struct exu_string exu_descriptor(struct exu_descriptors *descriptors, int64_t fd) {
  size_t slots = sizeof descriptors->known / sizeof *descriptors->known;
  if (fd < 0) return unknown;
  if ((uint64_t)fd >= slots) return describe(descriptors, fd);
  if (!descriptors->known[fd].data) descriptors->known[fd] = describe(descriptors, fd);
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
