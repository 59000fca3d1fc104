/* SPDX-License-Identifier: Apache-2.0 */
#include "process/task_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/guard.h"

bool exu_task_list_read(int tasks, struct exu_task_list *list) {
  size_t capacity = 0;
  *list = (struct exu_task_list){NULL, 0};
  int fd = openat(tasks, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
  if (!directory) {
    if (fd >= 0) close(fd);
    return false;
  }
  const struct dirent *entry;
  bool fine = true;
  while (fine && list->count < EXU_TASKS_MAX && (entry = readdir(directory))) {
    char *end;
    long tid = strtol(entry->d_name, &end, 10);
    if (*end || tid <= 0 || tid > INT32_MAX) continue;
    if (list->count == capacity) {
      capacity = capacity ? capacity * 2 : 64;
      pid_t *memory = reallocarray(list->tids, capacity, sizeof *memory);
      fine = memory != NULL;
      if (!fine) break;
      list->tids = memory;
    }
    list->tids[list->count++] = (pid_t)tid;
  }
  closedir(directory);
  if (fine && list->count > 0) return true;
  exu_task_list_deinit(list);
  return false;
}

void exu_task_list_deinit(struct exu_task_list *list) {
  free(list->tids);
  *list = (struct exu_task_list){NULL, 0};
}

ssize_t exu_proc_read(int directory, const char *name, char *buffer, size_t size) {
  EXU_GUARD(fd) int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
  size_t done = 0;
  if (fd < 0) return -1;
  while (done < size - 1) {
    ssize_t got = read(fd, buffer + done, size - 1 - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += (size_t)got;
  }
  buffer[done] = '\0';
  return (ssize_t)done;
}

char exu_task_state(int tasks, pid_t tid) {
  char name[32], text[512];
  snprintf(name, sizeof name, "%d/stat", (int)tid);
  if (exu_proc_read(tasks, name, text, sizeof text) <= 0) return '\0';
  /* "TID (name) S ...": the name may contain anything, parentheses and newlines too. */
  const char *end = strrchr(text, ')');
  return end && end[1] == ' ' ? end[2] : '\0';
}
