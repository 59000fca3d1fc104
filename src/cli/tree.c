/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct process {
  int64_t pid;
  int64_t parent;
};

/* Fields 3 and 4 of /proc/PID/stat; the name in field 2 may contain anything. -1: there is no process. */
static int64_t parent_of(int64_t pid, char *state) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
  FILE *file = fopen(path, "re");
  if (!file) return -1;
  size_t size = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[size] = '\0';
  const char *end = strrchr(text, ')');
  long long parent;
  return end && sscanf(end, ") %c %lld", state, &parent) == 2 ? parent : -1;
}

bool process_has_ended(int64_t pid) {
  char state;
  return parent_of(pid, &state) < 0 || state == 'Z' || state == 'X';
}

static int by_pid(const void *a, const void *b) {
  int64_t x = ((const struct process *)a)->pid, y = ((const struct process *)b)->pid;
  return x < y ? -1 : x > y;
}

static bool list_processes(struct process **list, size_t *count) {
  DIR *directory = opendir("/proc");
  size_t capacity = 0;
  const struct dirent *entry;
  if (!directory) return false;
  while ((entry = readdir(directory))) {
    char *end, state;
    int64_t pid = strtol(entry->d_name, &end, 10);
    if (*end || pid <= 0) continue;
    if (*count == capacity) {
      capacity = capacity ? 2 * capacity : 256;
      struct process *memory = reallocarray(*list, capacity, sizeof *memory);
      if (!memory) break;
      *list = memory;
    }
    (*list)[(*count)++] = (struct process){.pid = pid, .parent = parent_of(pid, &state)};
  }
  closedir(directory);
  if (*count) qsort(*list, *count, sizeof **list, by_pid);
  return *count > 0;
}

size_t process_tree(int64_t pid, int64_t *pids, size_t room) {
  struct process *list = NULL;
  size_t processes = 0, count = 0;
  if (room > 0) pids[count++] = pid;
  if (list_processes(&list, &processes)) {
    /* Breadth first. Nobody is found twice: a process has one parent, and is not its own ancestor. */
    for (size_t next = 0; next < count; next++) {
      for (size_t i = 0; i < processes && count < room; i++)
        if (list[i].parent == pids[next] && list[i].pid != pid) pids[count++] = list[i].pid;
    }
  }
  free(list);
  return count;
}

bool looks_like_python(int64_t pid) {
  char path[64], *line = NULL;
  size_t capacity = 0;
  bool found = false;
  snprintf(path, sizeof path, "/proc/%lld/maps", (long long)pid);
  FILE *file = fopen(path, "re");
  if (!file) return errno == EACCES || errno == EPERM;
  while (!found && getline(&line, &capacity, file) > 0) found = strcasestr(line, "python") != NULL;
  free(line);
  fclose(file);
  return found;
}
