/* SPDX-License-Identifier: Apache-2.0 */
/* What a file descriptor is. */
#include <string.h>

#include "render/words.h"

static void put_string(struct exu_output *out, struct exu_string string) {
  exu_out_bytes(out, string.data, string.size);
}

/* "127.0.0.1:4000", "[::1]:4000" */
static void put_end(struct exu_output *out, const struct exu_socket_end *end) {
  const bool ipv6 = end->address.size > 0 && memchr(end->address.data, ':', end->address.size);
  exu_out(out, ipv6 ? "[" : "");
  put_string(out, end->address);
  exu_out(out, ipv6 ? "]:" : ":");
  exu_out_unsigned(out, end->port);
}

/* As people know them, from netstat(8). */
static const char *tcp_state(enum exu_socket_state state) {
  switch (state) {
  case EXU_SOCKET_ESTABLISHED: return "ESTABLISHED";
  case EXU_SOCKET_SYN_SENT: return "SYN_SENT";
  case EXU_SOCKET_SYN_RECV: return "SYN_RECV";
  case EXU_SOCKET_FIN_WAIT1: return "FIN_WAIT1";
  case EXU_SOCKET_FIN_WAIT2: return "FIN_WAIT2";
  case EXU_SOCKET_TIME_WAIT: return "TIME_WAIT";
  case EXU_SOCKET_CLOSE: return "CLOSE";
  case EXU_SOCKET_CLOSE_WAIT: return "CLOSE_WAIT";
  case EXU_SOCKET_LAST_ACK: return "LAST_ACK";
  case EXU_SOCKET_LISTEN: return "LISTEN";
  case EXU_SOCKET_CLOSING: return "CLOSING";
  case EXU_SOCKET_NEW_SYN_RECV: return "NEW_SYN_RECV";
  case EXU_SOCKET_STATE_UNKNOWN: break;
  }
  return "?";
}

static void put_inet(struct exu_output *out, const struct exu_descriptor *socket) {
  const bool tcp = socket->kind == EXU_DESCRIPTOR_TCP;
  exu_out(out, tcp ? "socket " : "UDP socket ");
  put_end(out, &socket->local);
  if (socket->remote.address.data) {
    exu_out(out, " -> ");
    put_end(out, &socket->remote);
  }
  if (!tcp) return;
  exu_out(out, " (");
  exu_out(out, tcp_state(socket->state));
  exu_out_char(out, ')');
}

/* The NULs of an abstract name are written as `@`, as the kernel does in /proc/net/unix. */
static void put_unix(struct exu_output *out, const struct exu_descriptor *socket) {
  exu_out(out, socket->name.size > 0 ? "Unix socket " : "Unix socket");
  for (size_t i = 0; i < socket->name.size; i++) exu_out_char(out, socket->name.data[i] ? socket->name.data[i] : '@');
  exu_out(out, socket->state == EXU_SOCKET_LISTEN        ? " (listening)"
               : socket->state == EXU_SOCKET_ESTABLISHED ? " (connected)"
                                                         : " (not connected)");
}

static void put_other_end(struct exu_output *out, const struct exu_descriptor *pipe) {
  if (pipe->other_pid >= 0) {
    exu_out(out, ", other end: pid ");
    exu_out_signed(out, pipe->other_pid);
    exu_out(out, " (");
    put_string(out, pipe->other_comm);
    exu_out_char(out, ')');
  }
  if (!pipe->other_self) return;
  exu_out(out, pipe->other_pid >= 0 ? " and this process itself" : ", whose other end this process itself holds");
}

static void put_epoll(struct exu_output *out, const struct exu_descriptor *epoll) {
  exu_out(out, "epoll of ");
  exu_out_unsigned(out, epoll->watched_in_all);
  exu_out(out, epoll->watched_in_all == 1 ? " descriptor" : " descriptors");
  for (size_t i = 0; i < epoll->watched_count; i++) {
    exu_out(out, i ? ", " : ": ");
    exu_out_signed(out, epoll->watched[i]);
  }
  if (epoll->watched_in_all > epoll->watched_count) exu_out(out, ", ...");
}

void exu_words_descriptor(struct exu_output *out, const struct exu_descriptor *descriptor) {
  switch (descriptor->kind) {
  case EXU_DESCRIPTOR_FILE:
  case EXU_DESCRIPTOR_OTHER: put_string(out, descriptor->name); break;
  case EXU_DESCRIPTOR_FIFO:
    exu_out(out, "FIFO ");
    put_string(out, descriptor->name);
    put_other_end(out, descriptor);
    break;
  case EXU_DESCRIPTOR_PIPE:
    exu_out(out, "pipe");
    put_other_end(out, descriptor);
    break;
  case EXU_DESCRIPTOR_TCP:
  case EXU_DESCRIPTOR_UDP: put_inet(out, descriptor); break;
  case EXU_DESCRIPTOR_UNIX: put_unix(out, descriptor); break;
  case EXU_DESCRIPTOR_SOCKET:
    exu_out(out, "socket, inode ");
    exu_out_unsigned(out, descriptor->inode);
    break;
  case EXU_DESCRIPTOR_EPOLL: put_epoll(out, descriptor); break;
  case EXU_DESCRIPTOR_EVENTFD: exu_out(out, "eventfd"); break;
  case EXU_DESCRIPTOR_TIMERFD: exu_out(out, "timerfd"); break;
  case EXU_DESCRIPTOR_SIGNALFD: exu_out(out, "signalfd"); break;
  case EXU_DESCRIPTOR_INOTIFY: exu_out(out, "inotify"); break;
  case EXU_DESCRIPTOR_PIDFD: exu_out(out, "pidfd"); break;
  }
}
