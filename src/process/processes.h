/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc tells of other processes than the one that is read. They go on meanwhile: an answer may be old. */
#ifndef EXUVIA_PROCESS_PROCESSES_H
#define EXUVIA_PROCESS_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exuvia/exuvia.h"

enum { EXU_COMM_SIZE = 32 };

/* A process: its id, and what the kernel calls it, "" when that is unknown. */
struct exu_other {
  int64_t pid;
  char comm[EXU_COMM_SIZE];
};

/*
 * The process that a thread is of, by its number as this process sees it. False: there is no such thread, or it has
 * ended and is only not yet waited for.
 */
bool exu_process_of_thread(int64_t tid, struct exu_other *other);

/* The name of a process; "" when it is unknown. */
void exu_process_comm(int64_t pid, char comm[EXU_COMM_SIZE]);

/* The signals for which a process has a handler: bit N - 1 for signal N. False: it cannot be asked. */
bool exu_process_catches(int64_t pid, uint64_t *signals);

/*
 * What a thread of a process that sleeps is doing, as the kernel says: its system call (-1: it is in none, or runs)
 * with its arguments, and how often it has been given a processor. False: it is not there, or cannot be asked.
 */
struct exu_task {
  int64_t call;
  uint64_t arguments[6], switches;
};
bool exu_task(int64_t pid, int64_t tid, struct exu_task *task);
size_t exu_task_count(int64_t pid); /* 0: unknown */

/* The kernel's function in which a thread sleeps; false: it does not, or that may not be asked. */
enum { EXU_WCHAN_SIZE = 128 };
bool exu_task_wchan(int64_t pid, int64_t tid, char wchan[EXU_WCHAN_SIZE]);

int64_t exu_process_parent(int64_t pid); /* -1: unknown */

/* What a descriptor of a process is, as its link in /proc says: "pipe:[123]"; a long one is cut. False: unknown. */
enum { EXU_LINK_SIZE = 64 };
bool exu_process_link(int64_t pid, int64_t fd, char link[EXU_LINK_SIZE]);

/* Read memory of a process, all or nothing. */
bool exu_process_read(int64_t pid, uint64_t address, void *bytes, size_t size);

/* Memory that several processes may have mapped: a part of a file, or what mmap(2) made MAP_SHARED | MAP_ANONYMOUS. */
struct exu_shared_place {
  unsigned major, minor;
  uint64_t inode, offset;
  bool unlinked; /* who has not mapped it, and has no descriptor of it, cannot do so any more */
};

/* Where an address of a process lies, if it is shared memory. Unknown when its mappings cannot be read. */
enum exu_tristate exu_shared_place(int64_t pid, uint64_t address, struct exu_shared_place *place);

/* Has the process mapped that, too? Unknown when its mappings cannot be read. */
enum exu_tristate exu_has_mapped(int64_t pid, const struct exu_shared_place *place);

#endif
