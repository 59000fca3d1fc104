/* SPDX-License-Identifier: Apache-2.0 */
#include "process/sockets.h"

#include <inttypes.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/guard.h"

/* ---- Unix sockets ------------------------------------------------------------------------------------------------ */

struct unix_answer {
  union {
    struct nlmsghdr header;
    char bytes[1024];
  };
  const struct unix_diag_msg *socket;
  const struct rtattr *attributes;
  size_t attributes_size;
};

/* Ask for the socket of an inode, and for these of its attributes (UDIAG_SHOW_...). False: there is none. */
static bool ask(uint64_t inode, uint32_t attributes, struct unix_answer *answer) {
  if (inode == 0 || inode > UINT32_MAX) return false;
  struct {
    struct nlmsghdr header;
    struct unix_diag_req request;
  } message = {.header = {.nlmsg_len = sizeof message, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
               .request = {.sdiag_family = AF_UNIX,
                           .udiag_states = UINT32_MAX,
                           .udiag_ino = (uint32_t)inode,
                           .udiag_show = attributes,
                           .udiag_cookie = {UINT32_MAX, UINT32_MAX}}};
  const struct timeval limit = {.tv_sec = 1};
  EXU_GUARD(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) return false;
  if (send(fd, &message, sizeof message, 0) != (ssize_t)sizeof message) return false;
  const ssize_t size = recv(fd, answer->bytes, sizeof answer->bytes, 0);
  const struct nlmsghdr *header = &answer->header;
  if (size <= 0 || !NLMSG_OK(header, (size_t)size) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return false;
  if (header->nlmsg_len < NLMSG_LENGTH(sizeof *answer->socket)) return false;
  answer->socket = NLMSG_DATA(header);
  answer->attributes = (const struct rtattr *)(answer->socket + 1);
  answer->attributes_size = header->nlmsg_len - NLMSG_LENGTH(sizeof *answer->socket);
  return answer->socket->udiag_ino == inode;
}

/* As exu_socket_peer. */
static uint64_t unix_peer(uint64_t inode, bool writes) {
  struct unix_answer answer;
  struct unix_diag_rqlen waiting = {.udiag_rqueue = UINT32_MAX};
  uint32_t peer = 0;
  if (!ask(inode, UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN, &answer)) return 0;
  if (answer.socket->udiag_type != SOCK_STREAM && answer.socket->udiag_type != SOCK_SEQPACKET) return 0;
  size_t left = answer.attributes_size;
  for (const struct rtattr *at = answer.attributes; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
    if (at->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(at) >= sizeof peer) memcpy(&peer, RTA_DATA(at), sizeof peer);
    if (at->rta_type == UNIX_DIAG_RQLEN && RTA_PAYLOAD(at) >= sizeof waiting)
      memcpy(&waiting, RTA_DATA(at), sizeof waiting);
  }
  return writes || waiting.udiag_rqueue == 0 ? peer : 0;
}

/* The kernel ends a path with a NUL, also one that has no room for that in struct sockaddr_un. */
static void take_name(struct exu_unix_socket *socket, const char *name, size_t size) {
  if (size > 0 && name[0] != '\0') size = strnlen(name, size);
  if (size > sizeof socket->name) size = sizeof socket->name;
  socket->name_size = size;
  memcpy(socket->name, name, size);
}

bool exu_unix_socket(uint64_t inode, struct exu_unix_socket *found) {
  struct unix_answer answer;
  if (!ask(inode, UDIAG_SHOW_NAME, &answer)) return false;
  *found = (struct exu_unix_socket){.state = EXU_SOCKET_STATE_UNKNOWN};
  if (answer.socket->udiag_state <= EXU_SOCKET_NEW_SYN_RECV)
    found->state = (enum exu_socket_state)answer.socket->udiag_state;
  size_t left = answer.attributes_size;
  for (const struct rtattr *at = answer.attributes; RTA_OK(at, left); at = RTA_NEXT(at, left))
    if (at->rta_type == UNIX_DIAG_NAME) take_name(found, RTA_DATA(at), RTA_PAYLOAD(at));
  return true;
}

/* A descriptor of our own for a socket of a process, which thereby is theirs and ours; -1: that cannot be had. */
static int share(int64_t pid, int64_t fd) {
  EXU_GUARD(fd) int process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0U);
  return process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, (int)fd, 0U);
}

/* What it is is asked first: of what is no socket now, nothing else is to be asked. */
static bool is_unix_socket(int fd, uint64_t inode) {
  int domain;
  struct stat status;
  socklen_t size = sizeof domain;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX && fstat(fd, &status) == 0 &&
         status.st_ino == inode;
}

bool exu_unix_socket_shared(int64_t pid, int64_t fd, uint64_t inode, struct exu_unix_socket *found) {
  union {
    struct sockaddr any;
    struct sockaddr_un un;
    char bytes[sizeof(struct sockaddr_un) + 1];
  } name = {.bytes = {0}}, peer;
  socklen_t name_size = sizeof name, peer_size = sizeof peer, listens_size = sizeof(int);
  int listens;
  EXU_GUARD(fd) int copy = share(pid, fd);
  if (copy < 0 || !is_unix_socket(copy, inode) || getsockname(copy, &name.any, &name_size) != 0) return false;
  if (getsockopt(copy, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) != 0) return false;
  const bool is_connected = getpeername(copy, &peer.any, &peer_size) == 0;
  found->state = listens ? EXU_SOCKET_LISTEN : is_connected ? EXU_SOCKET_ESTABLISHED : EXU_SOCKET_CLOSE;
  const size_t before = offsetof(struct sockaddr_un, sun_path);
  take_name(found, name.bytes + before, name_size > before ? name_size - before : 0);
  return true;
}

/* ---- TCP --------------------------------------------------------------------------------------------------------- */

/* "0100007F:0FA0": words of 32 bits as they lie in memory, then the port. */
static bool parse_end(const char *hex, struct exu_inet_end *end, bool *ipv6) {
  static const uint8_t of_ipv4[12] = {[10] = 0xff, [11] = 0xff};
  uint32_t words[4];
  size_t digits = strspn(hex, "0123456789ABCDEF"), size = digits / 2;
  if ((digits != 8 && digits != 32) || sscanf(hex + digits, ":%4" SCNx16, &end->port) != 1) return false;
  for (size_t i = 0; i < digits / 8; i++) {
    if (sscanf(hex + 8 * i, "%8" SCNx32, &words[i]) != 1) return false;
  }
  *ipv6 = digits == 32;
  if (!*ipv6) memcpy(end->address, of_ipv4, sizeof of_ipv4);
  memcpy(end->address + sizeof end->address - size, words, size);
  return true;
}

bool exu_inet_line(const char *text, struct exu_inet_line *line) {
  char local[64], remote[64];
  bool ipv6;
  /* sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode */
  return sscanf(text, " %*[^:]: %63s %63s %X %" SCNx64 ":%" SCNx64 " %X:%*s %*s %*s %*s %" SCNu64, local, remote,
                &line->state, &line->to_send, &line->received, &line->timer, &line->inode) == 7 &&
         parse_end(local, &line->local, &line->ipv6) && parse_end(remote, &line->remote, &ipv6) && ipv6 == line->ipv6;
}

static bool is_same_end(const struct exu_inet_end *a, const struct exu_inet_end *b) {
  return a->port == b->port && memcmp(a->address, b->address, sizeof a->address) == 0;
}

/*
 * 127.0.0.0/8 or ::1. Of other addresses of this machine two sockets may have the same pair and not be connected with
 * each other: a transparent proxy's (IP_TRANSPARENT) to both sides.
 */
static bool is_loopback(const struct exu_inet_end *end) {
  static const uint8_t of_ipv4[13] = {[10] = 0xff, [11] = 0xff, [12] = 127}, of_ipv6[16] = {[15] = 1};
  return memcmp(end->address, of_ipv4, sizeof of_ipv4) == 0 || memcmp(end->address, of_ipv6, sizeof of_ipv6) == 0;
}

bool exu_inet_waits_for(const struct exu_inet_line *socket, const struct exu_inet_line *peer, bool writes) {
  /*
   * net/tcp_states.h; FIN_WAIT2 and CLOSE_WAIT: the former has shut down what it sends (shutdown(2)) and may still
   * read.
   */
  enum { ESTABLISHED = 1, FIN_WAIT2 = 5, CLOSE_WAIT = 8, ZERO_WINDOW_PROBE = 4 };
  unsigned reads_in = writes ? peer->state : socket->state, writes_in = writes ? socket->state : peer->state;
  if ((reads_in != ESTABLISHED || writes_in != ESTABLISHED) && (reads_in != FIN_WAIT2 || writes_in != CLOSE_WAIT))
    return false;
  if (!is_loopback(&socket->local) || !is_loopback(&socket->remote)) return false;
  if (!is_same_end(&socket->local, &peer->remote) || !is_same_end(&socket->remote, &peer->local)) return false;
  return writes ? socket->to_send > 0 && socket->timer == ZERO_WINDOW_PROBE && peer->received > 0
                : socket->received == 0 && peer->to_send == 0;
}

typedef bool take_line(const struct exu_inet_line *line, void *context);

/* Call `take` for each TCP socket of the process's network namespace until it returns true. False: it never did. */
static bool find_line(int64_t pid, take_line *take, void *context) {
  enum { LINES_MAX = 200000 };
  static const char *const tables[] = {"tcp", "tcp6"};
  size_t left = LINES_MAX;
  bool found = false;
  for (size_t i = 0; !found && i < sizeof tables / sizeof *tables; i++) {
    char path[64], *text = NULL;
    size_t capacity = 0;
    struct exu_inet_line line;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/net/%s", pid, tables[i]);
    FILE *file = fopen(path, "re");
    if (!file) continue;
    while (!found && left > 0 && getline(&text, &capacity, file) > 0) {
      left--;
      found = exu_inet_line(text, &line) && take(&line, context);
    }
    free(text);
    fclose(file);
  }
  return found;
}

struct pair {
  struct exu_inet_line socket, peer;
  bool writes;
};

static bool is_socket(const struct exu_inet_line *line, void *context) {
  struct pair *pair = context;
  if (line->inode != pair->socket.inode) return false;
  pair->socket = *line;
  return true;
}

static bool is_peer(const struct exu_inet_line *line, void *context) {
  struct pair *pair = context;
  if (!exu_inet_waits_for(&pair->socket, line, pair->writes)) return false;
  pair->peer = *line;
  return true;
}

/* As exu_socket_peer. Who will accept(2) a connection is not known: its socket has no inode yet. */
static uint64_t tcp_peer(int64_t pid, uint64_t inode, bool writes) {
  struct pair pair = {.socket = {.inode = inode}, .writes = writes};
  bool found = inode != 0 && find_line(pid, is_socket, &pair) && find_line(pid, is_peer, &pair);
  return found ? pair.peer.inode : 0;
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

uint64_t exu_socket_peer(int64_t pid, uint64_t inode, bool writes) {
  uint64_t peer = unix_peer(inode, writes);
  return peer ? peer : tcp_peer(pid, inode, writes);
}

/*
 * Does TCP itself say that the other end has no room at all (Linux 5.4)? One with some gets more of what is to be sent.
 */
static bool is_full(int fd) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
         size >= offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd && info.tcpi_snd_wnd == 0;
}

bool exu_socket_goes_on(int64_t pid, int64_t fd, bool writes) {
  struct timeval limit;
  unsigned lost_after = 0; /* milliseconds in which data has to be taken by the other end; only TCP has that */
  socklen_t size = sizeof limit, lost_size = sizeof lost_after;
  EXU_GUARD(fd) int copy = share(pid, fd);
  if (copy < 0 || getsockopt(copy, SOL_SOCKET, writes ? SO_SNDTIMEO : SO_RCVTIMEO, &limit, &size) != 0) return true;
  if (limit.tv_sec != 0 || limit.tv_usec != 0) return true;
  if (getsockopt(copy, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_after, &lost_size) != 0) return false; /* a Unix socket */
  return lost_after != 0 || (writes && !is_full(copy));
}
