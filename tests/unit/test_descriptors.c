/* SPDX-License-Identifier: Apache-2.0 */
/* Against this process itself, whose descriptors are known. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "process/descriptors.h"
#include "process/sharers.h"
#include "process/sockets.h"
#include "sentences.h"

static struct exu_arena arena;
static struct exu_descriptors descriptors;

static int setup(void **state) {
  (void)state;
  exu_arena_init(&arena, 1 << 20);
  exu_descriptors_init(&descriptors, &arena, getpid());
  return 0;
}

static int teardown(void **state) {
  (void)state;
  exu_arena_deinit(&arena);
  return 0;
}

static void check(int fd, const char *expected) {
  const struct exu_descriptor *descriptor = exu_descriptor(&descriptors, fd);
  assert_non_null(descriptor);
  assert_string_equal(descriptor_words(descriptor), expected);
}

static void files_are_their_path(void **state) {
  (void)state;
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  check(fd, "/dev/null");
  check(fd, "/dev/null"); /* as remembered */
  close(fd);
  assert_null(exu_descriptor(&descriptors, -1));
  assert_null(exu_descriptor(&descriptors, 1000000));
}

static void tcp_sockets_have_both_ends_and_their_state(void **state) {
  (void)state;
  char expected[128];
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, client;
  socklen_t size = sizeof server;
  int listening = socket(AF_INET, SOCK_STREAM, 0), connected = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(listening, (struct sockaddr *)&server, sizeof server), 0);
  assert_int_equal(getsockname(listening, (struct sockaddr *)&server, &size), 0);
  assert_int_equal(listen(listening, 1), 0);
  assert_int_equal(connect(connected, (struct sockaddr *)&server, sizeof server), 0);
  assert_int_equal(getsockname(connected, (struct sockaddr *)&client, &size), 0);
  snprintf(expected, sizeof expected, "socket 127.0.0.1:%u (LISTEN)", ntohs(server.sin_port));
  check(listening, expected);
  snprintf(expected, sizeof expected, "socket 127.0.0.1:%u -> 127.0.0.1:%u (ESTABLISHED)", ntohs(client.sin_port),
           ntohs(server.sin_port));
  check(connected, expected);
  close(listening);
  close(connected);
}

static void unix_sockets_are_said_to_be_connected(void **state) {
  (void)state;
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  check(pair[0], "Unix socket (connected)");
  close(pair[0]);
  close(pair[1]);
}

/* The name of one socket is a line of /proc/net/unix that gives another socket a name. */
static void the_name_of_a_unix_socket_is_whole_and_says_nothing_of_other_sockets(void **state) {
  (void)state;
  struct stat status;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct exu_unix_socket shared;
  char expected[256];
  int forger = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_NETLINK, SOCK_RAW, 0);
  assert_int_equal(fstat(other, &status), 0);
  size_t size = (size_t)snprintf(address.sun_path + 1, sizeof address.sun_path - 1,
                                 "%d\n0000000000000000: 00000002 00000000 00010000 0001 01 %5lu /forged", (int)getpid(),
                                 (unsigned long)status.st_ino) +
                1;
  assert_true(size < sizeof address.sun_path);
  assert_int_equal(
      bind(forger, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)), 0);
  assert_int_equal(listen(forger, 1), 0);
  snprintf(expected, sizeof expected, "socket, inode %lu", (unsigned long)status.st_ino);
  check(other, expected);
  snprintf(expected, sizeof expected, "Unix socket @%s (listening)", address.sun_path + 1);
  check(forger, expected);
  const struct exu_descriptor *descriptor = exu_descriptor(&descriptors, forger);
  assert_int_equal(descriptor->kind, EXU_DESCRIPTOR_UNIX);
  assert_int_equal(descriptor->name.size, size);
  assert_memory_equal(descriptor->name.data, address.sun_path, size);
  /* The process itself says the same. */
  assert_true(exu_unix_socket_shared(getpid(), forger, descriptor->inode, &shared));
  assert_int_equal(shared.state, EXU_SOCKET_LISTEN);
  assert_int_equal(shared.name_size, size);
  assert_memory_equal(shared.name, address.sun_path, size);
  assert_false(exu_unix_socket_shared(getpid(), forger, descriptor->inode + 1, &shared));
  assert_false(exu_unix_socket_shared(getpid(), other, status.st_ino, &shared));
  close(forger);
  close(other);
}

/* A path fills all of sun_path, without a NUL (unix(7)). */
static void the_longest_path_of_a_unix_socket_is_whole(void **state) {
  (void)state;
  char folder[] = "/tmp/exuvia-unix-XXXXXX", expected[256];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct exu_unix_socket shared;
  int pair[2], bound = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_non_null(mkdtemp(folder));
  memset(address.sun_path, 'x', sizeof address.sun_path);
  memcpy(address.sun_path, folder, strlen(folder));
  address.sun_path[strlen(folder)] = '/';
  assert_int_equal(bind(bound, (struct sockaddr *)&address, sizeof address), 0);
  snprintf(expected, sizeof expected, "Unix socket %.108s (not connected)", address.sun_path);
  check(bound, expected);
  const struct exu_descriptor *descriptor = exu_descriptor(&descriptors, bound);
  assert_true(exu_unix_socket_shared(getpid(), bound, descriptor->inode, &shared));
  assert_int_equal(shared.state, EXU_SOCKET_CLOSE);
  assert_int_equal(shared.name_size, sizeof address.sun_path);
  assert_memory_equal(shared.name, address.sun_path, sizeof address.sun_path);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  assert_true(exu_unix_socket_shared(getpid(), pair[0], exu_descriptor(&descriptors, pair[0])->inode, &shared));
  assert_int_equal(shared.state, EXU_SOCKET_ESTABLISHED);
  assert_int_equal(shared.name_size, 0);
  close(pair[0]);
  close(pair[1]);
  close(bound);
  snprintf(expected, sizeof expected, "%.108s", address.sun_path);
  unlink(expected);
  rmdir(folder);
}

/* As root. */
static void a_unix_socket_of_another_network_namespace_is_known(void **state) {
  (void)state;
  static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0x\ny"};
  int ready[2], bound = -1;
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    if (unshare(CLONE_NEWNET) == 0) bound = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (bind(bound, (const struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + 4) != 0) bound = -1;
    if (write(ready[1], &bound, sizeof bound) != sizeof bound) _exit(1);
    pause();
    _exit(0);
  }
  assert_int_equal(read(ready[0], &bound, sizeof bound), sizeof bound);
  exu_descriptors_init(&descriptors, &arena, child);
  const struct exu_descriptor *descriptor = exu_descriptor(&descriptors, bound);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(ready[0]);
  close(ready[1]);
  if (bound < 0) skip();
  assert_string_equal(descriptor_words(descriptor), "Unix socket @x\ny (not connected)");
}

static void the_other_end_of_a_pipe_is_found(void **state) {
  (void)state;
  int out[2], in[2];
  char expected[128], comm[32] = "";
  assert_int_equal(pipe(out), 0);
  check(out[0], "pipe, whose other end this process itself holds");
  close(out[0]);
  close(out[1]);

  assert_int_equal(pipe(in), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    close(in[0]);
    pause();
    _exit(0);
  }
  close(in[1]);
  FILE *file = fopen("/proc/self/comm", "r");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%31s", comm), 1);
  fclose(file);
  snprintf(expected, sizeof expected, "pipe, other end: pid %d (%s)", (int)child, comm);
  exu_descriptors_init(&descriptors, &arena, getpid());
  const struct exu_descriptor *descriptor = exu_descriptor(&descriptors, in[0]);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(in[0]);
  assert_string_equal(descriptor_words(descriptor), expected);
}

static void an_epoll_descriptor_lists_what_it_watches(void **state) {
  (void)state;
  char expected[64];
  int64_t watched[4];
  int epoll = epoll_create1(EPOLL_CLOEXEC), event = eventfd(0, EFD_CLOEXEC);
  struct epoll_event events = {.events = EPOLLIN};
  assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &events), 0);
  snprintf(expected, sizeof expected, "epoll of 1 descriptor: %d", event);
  check(epoll, expected);
  check(event, "eventfd");
  assert_int_equal(exu_descriptor_watched(&descriptors, epoll, watched, 4), 1);
  assert_int_equal(watched[0], event);
  close(epoll);
  close(event);
}

static void budgets_end_a_search(void **state) {
  (void)state;
  int pair[2], ends[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  assert_int_equal(pipe(ends), 0);
  exu_descriptors_init(&descriptors, &arena, getpid());
  descriptors.bytes_left = descriptors.links_left = 0;
  assert_memory_equal(descriptor_words(exu_descriptor(&descriptors, pair[0])), "socket, inode ", 14);
  check(ends[0], "pipe");
  close(pair[0]);
  close(pair[1]);
  close(ends[0]);
  close(ends[1]);
}

static void lines_of_the_kernel_are_read_with_care(void **state) {
  (void)state;
  static const struct {
    const char *line, *words; /* NULL: not this one */
  } cases[] = {
      {"   0: 0100007F:0FA0 0100007F:1388 01 00000000:00000000 00:00000000 00000000  0 0 42 1 0 100 0 0 10 0",
       "socket 127.0.0.1:4000 -> 127.0.0.1:5000 (ESTABLISHED)"},
      {"   1: 0100007F:0FA0 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 42 1",
       "socket 127.0.0.1:4000 (LISTEN)"},
      {"   2: 00000000000000000000000001000000:0FA0 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 42 1",
       "socket [::1]:4000 (LISTEN)"},
      {"   3: 0100007F:0FA0 0100007F:1388 63 0:0 0:0 0 0 0 42", "socket 127.0.0.1:4000 -> 127.0.0.1:5000 (?)"},
      {"   4: 0100007F:0FA0 0100007F:1388 01 0:0 0:0 0 0 0 43", NULL},
      {"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", NULL},
      {"   5: 0100007F 0100007F:1388 01 0:0 0:0 0 0 0 42", NULL},
      {"   6: 0100:0FA0 0100007F:1388 01 0:0 0:0 0 0 0 42", NULL},
      {"", NULL},
      {"   7:", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct exu_descriptor socket = {.kind = EXU_DESCRIPTOR_TCP, .inode = 42};
    bool found = exu_descriptor_inet(&arena, cases[i].line, &socket);
    assert_int_equal(found, cases[i].words != NULL);
    if (found) assert_string_equal(descriptor_words(&socket), cases[i].words);
  }
}

static void a_thread_of_this_namespace_keeps_its_number(void **state) {
  (void)state;
  assert_int_equal(exu_tid_inside(getpid(), gettid()), gettid());
  assert_int_equal(exu_tid_inside(getpid(), 1 << 23), 1 << 23);
}

static void a_line_of_a_file_lock_says_who_has_it_and_who_waits(void **state) {
  (void)state;
  struct exu_lock_line line;
  assert_true(exu_lock_line("12: FLOCK  ADVISORY  WRITE 77 fd:0a:1234 0 EOF", &line));
  assert_int_equal(line.number, 12);
  assert_false(line.waits);
  assert_int_equal(line.pid, 77);
  assert_int_equal(line.major, 0xfd);
  assert_int_equal(line.minor, 0x0a);
  assert_int_equal(line.inode, 1234);
  assert_true(exu_lock_line("12: -> POSIX  ADVISORY  READ 78 08:02:9 0 1023", &line));
  assert_true(line.waits);
  assert_int_equal(line.pid, 78);
  assert_true(exu_lock_line("3:  -> FLOCK  ADVISORY  WRITE -1 00:2e:9 0 EOF", &line));
  assert_int_equal(line.pid, -1);
  assert_false(exu_lock_line("", &line));
  assert_false(exu_lock_line("12:", &line));
  assert_false(exu_lock_line("12: FLOCK  ADVISORY  WRITE <none>:0 0 EOF", &line));
}

static void the_other_end_of_a_fifo_is_found(void **state) {
  (void)state;
  char folder[] = "/tmp/exuvia-fifo-XXXXXX", path[64], expected[128];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/fifo", folder);
  assert_int_equal(mkfifo(path, 0600), 0);
  int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), writer = open(path, O_WRONLY | O_CLOEXEC);
  assert_true(reader >= 0 && writer >= 0);
  snprintf(expected, sizeof expected, "FIFO %s, whose other end this process itself holds", path);
  check(reader, expected);
  check(writer, expected);
  close(reader);
  close(writer);
  unlink(path);
  rmdir(folder);
}

/* As root: a process that has mounted something else there. */
static void another_fifo_of_the_same_path_is_not_the_other_end(void **state) {
  (void)state;
  char folder[] = "/tmp/exuvia-fifo-XXXXXX", path[64], expected[128], mounted = 0;
  int ready[2];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/fifo", folder);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("none", folder, "tmpfs", 0, NULL) == 0 && mkfifo(path, 0600) == 0)
      mounted = open(path, O_RDWR | O_CLOEXEC) >= 0;
    if (write(ready[1], &mounted, 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  assert_int_equal(read(ready[0], &mounted, 1), 1);
  const struct exu_descriptor *descriptor = exu_descriptor(&descriptors, reader);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(reader);
  close(ready[0]);
  close(ready[1]);
  unlink(path);
  rmdir(folder);
  if (!mounted) skip();
  snprintf(expected, sizeof expected, "FIFO %s", path);
  assert_string_equal(descriptor_words(descriptor), expected);
}

/*
 * Mount a directory onto itself, of so long a path, with newlines, which mountinfo writes as \012, that its line is more
 * than 16 KiB, and `mount` and a slash begin again and again where it may be cut.
 */
static void mount_long_path(const char *top, unsigned mount_id) {
  enum { BEFORE = 3, AFTER = 9, NAME = 250, NUMBERS = 800 };
  char path[PATH_MAX], name[NAME + 2] = "/";
  size_t used = (size_t)snprintf(path, sizeof path, "%s", top);
  memset(name + 1, '\n', NAME);
  for (int i = 0; i < BEFORE; i++) used += (size_t)snprintf(path + used, sizeof path - used, "%s", name);
  for (const size_t end = used + NUMBERS; used < end;)
    used += (size_t)snprintf(path + used, sizeof path - used, "/%u", mount_id);
  for (int i = 0; i < AFTER; i++) used += (size_t)snprintf(path + used, sizeof path - used, "%s", name);
  for (char *at = strchr(path + strlen(top) + 1, '/'); at; at = strchr(at + 1, '/')) {
    *at = '\0';
    mkdir(path, 0700);
    *at = '/';
  }
  if (mkdir(path, 0700) != 0 || mount(path, path, NULL, MS_BIND, NULL) != 0) _exit(2);
}

/* As root. */
static void the_rest_of_a_line_that_is_cut_is_no_line(void **state) {
  (void)state;
  char folder[] = "/tmp/exuvia-mount-XXXXXX", top[64], last[64], text[256];
  int status;
  assert_non_null(mkdtemp(folder));
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    unsigned mount_id;
    struct exu_fifo fifo;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) _exit(3);
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC); /* proc is no file system that may be asked */
    snprintf(text, sizeof text, "/proc/self/fdinfo/%d", fd);
    FILE *file = fopen(text, "re");
    if (!file || fscanf(file, "pos: %*u flags: %*o mnt_id: %u", &mount_id) != 1) _exit(2);
    fclose(file);
    for (int shift = 1; shift <= 8; shift++) {
      snprintf(top, sizeof top, "%s/%.*s", folder, shift, "xxxxxxxx");
      if (mkdir(top, 0700) != 0 || mount("none", top, "tmpfs", 0, NULL) != 0) _exit(2);
      mount_long_path(top, mount_id);
      if (exu_descriptor_fifo(getpid(), fd, &fifo) != EXU_UNKNOWN) _exit(1);
      snprintf(last, sizeof last, "%s/last", folder);
      if (shift == 1 && mkdir(last, 0700) != 0) _exit(2);
      if (mount("none", last, "tmpfs", 0, NULL) != 0) _exit(2);
      int behind = open(last, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (exu_descriptor_fifo(getpid(), behind, &fifo) != EXU_NO) _exit(4);
    }
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  for (int shift = 1; shift <= 8; shift++) {
    snprintf(top, sizeof top, "%s/%.*s", folder, shift, "xxxxxxxx");
    rmdir(top);
  }
  snprintf(last, sizeof last, "%s/last", folder);
  rmdir(last);
  rmdir(folder);
  if (WEXITSTATUS(status) == 3) skip();
  assert_int_equal(WEXITSTATUS(status), 0);
}

/* As root: processes that have more capabilities than the one that asks are of the same user. */
static void who_has_a_pipe_is_not_known_where_links_of_a_process_may_not_be_read(void **state) {
  (void)state;
  int ends[2], status;
  struct stat pipe_status;
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(fstat(ends[0], &pipe_status), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    const int64_t pid = getpid();
    char link[64];
    bool has;
    snprintf(link, sizeof link, "pipe:[%lu]", (unsigned long)pipe_status.st_ino);
    if (syscall(SYS_capset, &header, none) != 0) _exit(2);
    /* The parent has it as well. */
    _exit(exu_sharers_of_file(link, EXU_OPENED_ANY, &pid, 1, &has) == EXU_UNKNOWN && has ? 0 : 1);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  close(ends[0]);
  close(ends[1]);
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void another_process_that_has_a_pipe_is_found(void **state) {
  (void)state;
  int ends[2];
  char link[64];
  struct stat pipe_status;
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(fstat(ends[0], &pipe_status), 0);
  snprintf(link, sizeof link, "pipe:[%lu]", (unsigned long)pipe_status.st_ino);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    close(ends[1]);
    pause();
    _exit(0);
  }
  const int64_t pids[] = {getpid(), child};
  bool has[2];
  while (exu_sharers_of_file(link, EXU_OPENED_WRITE, &pids[0], 1, has) == EXU_NO) usleep(1000); /* not closed yet */
  assert_true(has[0]);
  assert_int_equal(exu_sharers_of_file(link, EXU_OPENED_READ, &pids[0], 1, has), EXU_NO);
  assert_int_not_equal(exu_sharers_of_file(link, EXU_OPENED_READ, pids, 2, has), EXU_NO);
  assert_true(has[0] && has[1]);
  assert_int_not_equal(exu_sharers_of_file(link, EXU_OPENED_WRITE, pids, 2, has), EXU_NO);
  assert_true(has[0] && !has[1]);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  close(ends[0]);
  close(ends[1]);
}

/* In a namespace of its own, so that it is the first one. */
static int ask_of_first_segment(void) {
  struct exu_shared_place place;
  if (unshare(CLONE_NEWIPC) != 0) return 77;
  int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  const char *memory = segment >= 0 ? shmat(segment, NULL, 0) : NULL;
  if (segment != 0 || !memory || memory == (const void *)-1) return 77;
  if (exu_shared_place(getpid(), (uintptr_t)memory + 8, &place) != EXU_YES) return 1;
  return place.inode == 0 && place.offset == 8 && exu_has_mapped(getpid(), &place) == EXU_YES ? 0 : 2;
}

static void the_first_segment_of_system_v_is_shared_memory(void **state) {
  (void)state;
  int status;
  pid_t child = fork();
  if (child == 0) _exit(ask_of_first_segment());
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) skip();
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void private_memory_is_no_shared_place(void **state) {
  struct exu_shared_place place;
  assert_int_equal(exu_shared_place(getpid(), (uintptr_t)&place, &place), EXU_NO);
  (void)state;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(files_are_their_path, setup, teardown),
      cmocka_unit_test_setup_teardown(tcp_sockets_have_both_ends_and_their_state, setup, teardown),
      cmocka_unit_test_setup_teardown(unix_sockets_are_said_to_be_connected, setup, teardown),
      cmocka_unit_test_setup_teardown(the_name_of_a_unix_socket_is_whole_and_says_nothing_of_other_sockets, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(the_longest_path_of_a_unix_socket_is_whole, setup, teardown),
      cmocka_unit_test_setup_teardown(a_unix_socket_of_another_network_namespace_is_known, setup, teardown),
      cmocka_unit_test_setup_teardown(the_other_end_of_a_pipe_is_found, setup, teardown),
      cmocka_unit_test_setup_teardown(an_epoll_descriptor_lists_what_it_watches, setup, teardown),
      cmocka_unit_test_setup_teardown(budgets_end_a_search, setup, teardown),
      cmocka_unit_test_setup_teardown(lines_of_the_kernel_are_read_with_care, setup, teardown),
      cmocka_unit_test_setup_teardown(the_other_end_of_a_fifo_is_found, setup, teardown),
      cmocka_unit_test_setup_teardown(another_fifo_of_the_same_path_is_not_the_other_end, setup, teardown),
      cmocka_unit_test(the_rest_of_a_line_that_is_cut_is_no_line),
      cmocka_unit_test(a_line_of_a_file_lock_says_who_has_it_and_who_waits),
      cmocka_unit_test(a_thread_of_this_namespace_keeps_its_number),
      cmocka_unit_test(another_process_that_has_a_pipe_is_found),
      cmocka_unit_test(who_has_a_pipe_is_not_known_where_links_of_a_process_may_not_be_read),
      cmocka_unit_test(the_first_segment_of_system_v_is_shared_memory),
      cmocka_unit_test(private_memory_is_no_shared_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
