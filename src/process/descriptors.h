/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file descriptor of a live process is, as the kernel says. Nothing is opened that could block, and what is read
 * has a budget.
 */
#ifndef EXUVIA_PROCESS_DESCRIPTORS_H
#define EXUVIA_PROCESS_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "process/processes.h"

struct exu_descriptors {
  struct exu_arena *arena;
  int64_t pid;
  uint64_t bytes_left;                    /* of /proc/PID/net/..., and of what else is asked of sockets */
  uint64_t links_left;                    /* of other processes, to find the other end of a pipe */
  int64_t deadline_us;                    /* of CLOCK_MONOTONIC, for the same; 0: not begun */
  const struct exu_descriptor *known[64]; /* the lowest, which many threads may wait for; NULL: not asked yet */
};

void exu_descriptors_init(struct exu_descriptors *descriptors, struct exu_arena *arena, int64_t pid);

/* In the arena. NULL when there is no such descriptor, or no permission to look. */
const struct exu_descriptor *exu_descriptor(struct exu_descriptors *descriptors, int64_t fd);

/*
 * The process that took the file lock for which the process waits on that descriptor, as the kernel says (/proc/locks);
 * -1: unknown, or several. `has`: it has the lock still, of what can be seen.
 */
int64_t exu_descriptor_lock_holder(struct exu_descriptors *descriptors, int64_t fd, bool *has);

/*
 * For tests: one line of /proc/locks. Stores its number, which those who wait share with the one that they wait for.
 * False: it is no line of a lock.
 */
struct exu_lock_line {
  uint64_t number;
  bool waits;
  int64_t pid;
  unsigned major, minor;
  uint64_t inode;
};
bool exu_lock_line(const char *text, struct exu_lock_line *line);

/* A FIFO (named pipe) that a descriptor is. */
struct exu_fifo {
  uint64_t inode;
  unsigned major, minor; /* of its file system */
  bool unlinked;         /* it has been deleted: nobody can open it any more */
};

/*
 * Which FIFO is it? Unknown when it may not be asked: there is no permission to look, or the file system may be a
 * server that does not answer. Costs the process's list of mounts.
 */
enum exu_tristate exu_descriptor_fifo(int64_t pid, int64_t fd, struct exu_fifo *fifo);

/* Is it that one? It is asked for its number first, and its file system only if need be. */
enum exu_tristate exu_descriptor_is_fifo(int64_t pid, int64_t fd, const struct exu_fifo *fifo);

/* The number that a file has in its file system, without asking that (Linux 5.14); 0: unknown. */
uint64_t exu_descriptor_inode(int64_t pid, int64_t fd);

/* How many files were sent to that Unix socket and not received yet (SCM_RIGHTS; Linux 5.10); 0: none, or unknown. */
uint64_t exu_descriptor_files_in_flight(int64_t pid, int64_t fd);

/* The descriptors that an epoll descriptor watches, at most `capacity` of them; returns how many there are in all. */
size_t exu_descriptor_watched(struct exu_descriptors *descriptors, int64_t fd, int64_t *watched, size_t capacity);

/*
 * The number that a thread has for its own process: another one than here when that lives in a PID namespace of its
 * own. `tid` itself when the kernel does not say.
 */
int64_t exu_tid_inside(int64_t pid, int64_t tid);

/*
 * For tests: take what one line of /proc/PID/net/tcp, tcp6, udp or udp6 says, when it is that of the socket's inode.
 * False: it is not, or is none.
 */
bool exu_descriptor_inet(struct exu_arena *arena, const char *line, struct exu_descriptor *socket);

#endif
