/* SPDX-License-Identifier: Apache-2.0 */
/* The other ends of connected sockets, as the kernel says. */
#ifndef EXUVIA_PROCESS_SOCKETS_H
#define EXUVIA_PROCESS_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The inode of the one socket that can let a thread go on that reads from this Unix socket (SOCK_STREAM, SOCK_SEQPACKET)
 * or `writes` to it; 0: there is none, it is none of these, or that is not known (it is in another network namespace,
 * the kernel has no unix_diag). Also 0 when there is something to be read already.
 */
uint64_t exu_unix_peer(uint64_t inode, bool writes);

/*
 * Has the socket that a descriptor of a process is a time limit for calls that read from it or `write` to it
 * (SO_RCVTIMEO, SO_SNDTIMEO)? Also true when it cannot be asked. The process shares it with us for a moment.
 */
bool exu_socket_is_timed(int64_t pid, int64_t fd, bool writes);

#endif
