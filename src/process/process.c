/* SPDX-License-Identifier: Apache-2.0 */
#include "process/process.h"

#include "base/search.h"

#define CAN(process, operation) ((process)->ops && (process)->ops->operation)

bool exu_process_pause(struct exu_process *process, struct exu_arena *arena, struct exu_error *error) {
  return !CAN(process, pause) || process->ops->pause(process, arena, error);
}

void exu_process_capture_stacks(struct exu_process *process) {
  if (CAN(process, capture_stacks)) process->ops->capture_stacks(process);
}

void exu_process_resume(struct exu_process *process) {
  if (CAN(process, resume)) process->ops->resume(process);
}

void exu_process_read_late_threads(struct exu_process *process) {
  if (CAN(process, read_late)) process->ops->read_late(process);
}

bool exu_process_sample(struct exu_process *process, struct exu_arena *arena, struct exu_error *error) {
  return !CAN(process, sample) || process->ops->sample(process, arena, error);
}

void exu_process_check_samples(struct exu_process *process) {
  if (CAN(process, check_samples)) process->ops->check_samples(process);
}

bool exu_process_has_slept(const struct exu_process *process, const struct exu_os_thread *thread) {
  return !CAN(process, has_slept) || process->ops->has_slept(process, thread);
}

void exu_process_describe_threads(struct exu_process *process, struct exu_arena *arena) {
  if (CAN(process, describe_threads)) process->ops->describe_threads(process, arena);
}

void exu_process_invalidate(const struct exu_process *process) {
  if (CAN(process, invalidate)) process->ops->invalidate(process);
}

bool exu_process_is_consistent(const struct exu_process *process, uint64_t address) {
  return !CAN(process, is_consistent) || process->ops->is_consistent(process, address);
}

int exu_process_open_mapping(const struct exu_process *process, const struct exu_file_mapping *mapping) {
  return CAN(process, open_mapping) ? process->ops->open_mapping(process, mapping) : -1;
}

const char *exu_process_root(const struct exu_process *process) {
  return CAN(process, root) ? process->ops->root(process) : NULL;
}

void exu_process_close(struct exu_process *process) {
  exu_space_destroy(process->space);
  process->space = NULL;
  if (CAN(process, close)) process->ops->close(process);
}

const struct exu_file_mapping *exu_process_mapping(const struct exu_process *process, uint64_t address) {
  const size_t next = EXU_PARTITION_POINT(i, process->mapping_count, process->mappings[i].start <= address);
  return next > 0 && address < process->mappings[next - 1].end ? &process->mappings[next - 1] : NULL;
}

size_t exu_process_read_words(const struct exu_process *process, uint64_t address, uint64_t *words, size_t count) {
  const size_t size = process->arch->word_size;
  const size_t got = exu_space_read_some(process->space, address, words, count * size) / size;
  exu_arch_widen(process->arch, words, got);
  return got;
}

size_t exu_process_read_words_between(const struct exu_process *process, uint64_t start, uint64_t end, uint64_t *words,
                                      size_t capacity) {
  const uint64_t count = end > start ? (end - start) / process->arch->word_size : 0;
  return exu_process_read_words(process, start, words, count < capacity ? (size_t)count : capacity);
}
