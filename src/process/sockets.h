/* SPDX-License-Identifier: Apache-2.0 */
/* What sockets are, and the other ends of connected ones, as the kernel says. */
#ifndef EXUVIA_PROCESS_SOCKETS_H
#define EXUVIA_PROCESS_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exuvia/exuvia.h"

/* Bytes of the longest name: sun_path of unix(7), which may lack its NUL. */
enum { EXU_UNIX_NAME_MAX = 108 };

struct exu_unix_socket {
  enum exu_socket_state state;
  size_t name_size;             /* 0: it has none */
  char name[EXU_UNIX_NAME_MAX]; /* that of an abstract socket begins with a NUL, and may have others */
};

/* A Unix socket of our own network namespace. False: there is none of this inode, or the kernel has no unix_diag. */
bool exu_unix_socket(uint64_t inode, struct exu_unix_socket *found);

/*
 * The same by a descriptor of a process, in whichever namespace it is. False: it is none of this inode, or the process
 * may not be asked to share it with us (Linux 5.6), which it does for a moment.
 */
bool exu_unix_socket_shared(int64_t pid, int64_t fd, uint64_t inode, struct exu_unix_socket *found);

/*
 * The inode of the one socket that can let a thread of the process go on that reads from this Unix socket (SOCK_STREAM,
 * SOCK_SEQPACKET) or TCP socket of the loopback, or `writes` to it; 0: there is none, it is none of these, or that is
 * not known (a Unix socket is in another network namespace than ours, the kernel has no unix_diag). Also 0 when there
 * is something to be read already, or on its way.
 */
uint64_t exu_socket_peer(int64_t pid, uint64_t inode, bool writes);

/*
 * May a thread that reads from a socket of its process, or `writes` to it, go on although nobody does something at the
 * other end: because of a time limit (SO_RCVTIMEO, SO_SNDTIMEO, TCP_USER_TIMEOUT), or because TCP has room there yet?
 * Also true when it cannot be asked. The process shares the socket with us for a moment.
 */
bool exu_socket_goes_on(int64_t pid, int64_t fd, bool writes);

/* One line of /proc/PID/net/tcp, tcp6, udp or udp6. */
struct exu_inet_end {
  uint8_t address[16]; /* as it is sent; that of IPv4 as ::ffff:a.b.c.d (RFC 4291) */
  uint16_t port;
};
struct exu_inet_line {
  bool ipv6; /* the socket's family, not the address's */
  struct exu_inet_end local, remote;
  unsigned state;             /* net/tcp_states.h */
  uint64_t to_send, received; /* bytes: not acknowledged yet, not read yet */
  unsigned timer;
  uint64_t inode; /* 0: of no descriptor yet, or no more */
};
bool exu_inet_line(const char *text, struct exu_inet_line *line); /* false: it is none */

/*
 * For tests: can a thread that reads from the one socket, or `writes` to it, only be let go on by who has the other?
 * These are connected with each other, over the loopback, and nothing that could be read is there or on its way.
 */
bool exu_inet_waits_for(const struct exu_inet_line *socket, const struct exu_inet_line *peer, bool writes);

#endif
