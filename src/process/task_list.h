/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of a live process as /proc/PID/task has them. `tasks` is a descriptor of that directory. */
#ifndef EXUVIA_PROCESS_TASK_LIST_H
#define EXUVIA_PROCESS_TASK_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Twice the kernel's default limit for all threads of a machine; of a process with more only so many are listed. */
enum { EXU_TASKS_MAX = 65536 };

struct exu_task_list {
  pid_t *tids; /* in the kernel's order: the oldest first */
  size_t count;
};

/* False when the process has ended, or without memory. */
bool exu_task_list_read(int tasks, struct exu_task_list *list);
void exu_task_list_deinit(struct exu_task_list *list);

/* The state of /proc/PID/task/TID/stat: 'R', 'S', 'D', 'T', 't', 'Z' ...; NUL when there is no such thread. */
char exu_task_state(int tasks, pid_t tid);

/* Read a small file of /proc, at most `size - 1` bytes, and end it with a NUL. Returns the number of bytes, or -1. */
ssize_t exu_proc_read(int directory, const char *name, char *buffer, size_t size);

#endif
