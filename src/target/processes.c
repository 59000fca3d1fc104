/* SPDX-License-Identifier: Apache-2.0 */
#include "target/processes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines of /proc/PID/maps: vm.max_map_count is 65530 unless somebody raised it. */
enum { MAPPINGS_MAX = 1 << 17 };

void exu_process_comm(int64_t pid, char comm[EXU_COMM_SIZE]) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/comm", pid);
  comm[0] = '\0';
  FILE *file = fopen(path, "re");
  if (!file) return;
  if (!fgets(comm, EXU_COMM_SIZE, file)) comm[0] = '\0';
  comm[strcspn(comm, "\n")] = '\0';
  fclose(file);
}

bool exu_process_of_thread(int64_t tid, struct exu_other *other) {
  char path[64], line[256], state = 'X';
  int64_t pid = -1;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/status", tid);
  FILE *file = tid > 0 ? fopen(path, "re") : NULL;
  if (!file) return false;
  while (pid < 0 && fgets(line, sizeof line, file)) {
    if (sscanf(line, "State: %c", &state) == 1) continue;
    if (sscanf(line, "Tgid: %" SCNd64, &pid) != 1) pid = -1;
  }
  fclose(file);
  if (pid <= 0 || state == 'Z' || state == 'X') return false;
  other->pid = pid;
  exu_process_comm(pid, other->comm);
  return true;
}

bool exu_process_catches(int64_t pid, uint64_t *signals) {
  char path[64], line[256];
  bool found = false;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/status", pid);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  while (!found && fgets(line, sizeof line, file)) found = sscanf(line, "SigCgt: %" SCNx64, signals) == 1;
  fclose(file);
  return found;
}

struct mapping {
  uint64_t start, end;
  bool shared;
  struct exu_shared_place place;
};

typedef bool take_mapping(const struct mapping *mapping, void *context);

/* Call `take` for the mappings of a process until it returns true, which is what this returns, too. */
static bool find_mapping(int64_t pid, take_mapping *take, void *context) {
  char path[64], *line = NULL, shared;
  size_t capacity = 0;
  bool found = false;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/maps", pid);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  for (size_t i = 0; !found && i < MAPPINGS_MAX && getline(&line, &capacity, file) > 0; i++) {
    struct mapping mapping;
    struct exu_shared_place *place = &mapping.place;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*3c%c %" SCNx64 " %x:%x %" SCNu64, &mapping.start, &mapping.end, &shared,
               &place->offset, &place->major, &place->minor, &place->inode) != 7)
      continue;
    mapping.shared = shared == 's' && place->inode != 0;
    found = take(&mapping, context);
  }
  free(line);
  fclose(file);
  return found;
}

struct wanted {
  uint64_t address;
  struct exu_shared_place *place;
};

static bool holds_address(const struct mapping *mapping, void *context) {
  struct wanted *wanted = context;
  if (wanted->address < mapping->start || wanted->address >= mapping->end || !mapping->shared) return false;
  *wanted->place = mapping->place;
  wanted->place->offset += wanted->address - mapping->start;
  return true;
}

bool exu_shared_place(int64_t pid, uint64_t address, struct exu_shared_place *place) {
  struct wanted wanted = {address, place};
  return find_mapping(pid, holds_address, &wanted);
}

static bool is_place(const struct mapping *mapping, void *context) {
  const struct exu_shared_place *place = context;
  return mapping->shared && mapping->place.major == place->major && mapping->place.minor == place->minor &&
         mapping->place.inode == place->inode && place->offset >= mapping->place.offset &&
         place->offset - mapping->place.offset < mapping->end - mapping->start;
}

bool exu_has_mapped(int64_t pid, const struct exu_shared_place *place) {
  struct exu_shared_place wanted = *place;
  return find_mapping(pid, is_place, &wanted);
}
