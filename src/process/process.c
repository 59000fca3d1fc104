/* SPDX-License-Identifier: Apache-2.0 */
#include "process/process.h"

#include "base/search.h"

#define CAN(target, operation) ((target)->ops && (target)->ops->operation)

bool exu_process_pause(struct exu_target *target, struct exu_arena *arena, struct exu_error *error) {
  return !CAN(target, pause) || target->ops->pause(target, arena, error);
}

void exu_process_capture_stacks(struct exu_target *target) {
  if (CAN(target, capture_stacks)) target->ops->capture_stacks(target);
}

void exu_process_resume(struct exu_target *target) {
  if (CAN(target, resume)) target->ops->resume(target);
}

void exu_process_take_late(struct exu_target *target) {
  if (CAN(target, take_late)) target->ops->take_late(target);
}

bool exu_process_sample(struct exu_target *target, struct exu_arena *arena, struct exu_error *error) {
  return !CAN(target, sample) || target->ops->sample(target, arena, error);
}

void exu_process_check_samples(struct exu_target *target) {
  if (CAN(target, check_samples)) target->ops->check_samples(target);
}

bool exu_process_has_slept(const struct exu_target *target, const struct exu_os_thread *thread) {
  return !CAN(target, has_slept) || target->ops->has_slept(target, thread);
}

void exu_process_describe_threads(struct exu_target *target, struct exu_arena *arena) {
  if (CAN(target, describe_threads)) target->ops->describe_threads(target, arena);
}

void exu_process_invalidate(const struct exu_target *target) {
  if (CAN(target, invalidate)) target->ops->invalidate(target);
}

bool exu_process_is_consistent(const struct exu_target *target, uint64_t address) {
  return !CAN(target, is_consistent) || target->ops->is_consistent(target, address);
}

int exu_process_open_mapping(const struct exu_target *target, const struct exu_file_mapping *mapping) {
  return CAN(target, open_mapping) ? target->ops->open_mapping(target, mapping) : -1;
}

const char *exu_process_root(const struct exu_target *target) {
  return CAN(target, root) ? target->ops->root(target) : NULL;
}

void exu_target_close(struct exu_target *target) {
  exu_space_destroy(target->space);
  target->space = NULL;
  if (CAN(target, close)) target->ops->close(target);
}

const struct exu_file_mapping *exu_target_mapping(const struct exu_target *target, uint64_t address) {
  const size_t next = EXU_PARTITION_POINT(i, target->mapping_count, target->mappings[i].start <= address);
  return next > 0 && address < target->mappings[next - 1].end ? &target->mappings[next - 1] : NULL;
}
