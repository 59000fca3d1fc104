/* SPDX-License-Identifier: Apache-2.0 */
#include "process/sockets.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/guard.h"

/* Asks for one socket. The number of bytes of the answer; at most 0: there is none. */
static ssize_t ask(uint32_t inode, void *answer, size_t size) {
  struct {
    struct nlmsghdr header;
    struct unix_diag_req request;
  } message = {.header = {.nlmsg_len = sizeof message, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
               .request = {.sdiag_family = AF_UNIX,
                           .udiag_states = UINT32_MAX,
                           .udiag_ino = inode,
                           .udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN,
                           .udiag_cookie = {UINT32_MAX, UINT32_MAX}}};
  const struct timeval limit = {.tv_sec = 1};
  EXU_GUARD(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) return -1;
  if (send(fd, &message, sizeof message, 0) != (ssize_t)sizeof message) return -1;
  return recv(fd, answer, size, 0);
}

uint64_t exu_unix_peer(uint64_t inode, bool writes) {
  union {
    struct nlmsghdr header;
    char bytes[1024];
  } answer;
  struct unix_diag_rqlen waiting = {.udiag_rqueue = UINT32_MAX};
  uint32_t peer = 0;
  if (inode == 0 || inode > UINT32_MAX) return 0;
  ssize_t size = ask((uint32_t)inode, &answer, sizeof answer);
  if (size <= 0 || !NLMSG_OK(&answer.header, (size_t)size) || answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return 0;
  if (answer.header.nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg))) return 0;
  const struct unix_diag_msg *socket = NLMSG_DATA(&answer.header);
  if (socket->udiag_ino != inode || (socket->udiag_type != SOCK_STREAM && socket->udiag_type != SOCK_SEQPACKET))
    return 0;
  size_t left = answer.header.nlmsg_len - NLMSG_LENGTH(sizeof *socket);
  for (const struct rtattr *at = (const struct rtattr *)(socket + 1); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
    if (at->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(at) >= sizeof peer) memcpy(&peer, RTA_DATA(at), sizeof peer);
    if (at->rta_type == UNIX_DIAG_RQLEN && RTA_PAYLOAD(at) >= sizeof waiting)
      memcpy(&waiting, RTA_DATA(at), sizeof waiting);
  }
  return writes || waiting.udiag_rqueue == 0 ? peer : 0;
}

bool exu_socket_is_timed(int64_t pid, int64_t fd, bool writes) {
  struct timeval limit;
  socklen_t size = sizeof limit;
  EXU_GUARD(fd) int process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0U);
  if (process < 0) return true;
  EXU_GUARD(fd) int copy = (int)syscall(SYS_pidfd_getfd, process, (int)fd, 0U);
  if (copy < 0 || getsockopt(copy, SOL_SOCKET, writes ? SO_SNDTIMEO : SO_RCVTIMEO, &limit, &size) != 0) return true;
  return limit.tv_sec != 0 || limit.tv_usec != 0;
}
