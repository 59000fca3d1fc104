/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of addresses that may overlap and come in any order -> sorted and disjoint ones, in O(n log n). */
#ifndef EXUVIA_MEMORY_INTERVALS_H
#define EXUVIA_MEMORY_INTERVALS_H

#include "memory/region.h"

/* A part of one input whose bytes are all equally good. */
struct exu_interval {
  uint64_t start;
  uint64_t end;
  uint32_t input;
  uint32_t rank; /* higher wins */
};

struct exu_interval_merge {
  const struct exu_region *input;
  size_t input_count;
  struct exu_interval *intervals;
  size_t interval_count;
  struct exu_region *output;
  size_t output_count;
  size_t output_capacity;
};

/* After `input` and `input_count` are set. Returns false without memory, as exu_interval_merge_finish does. */
bool exu_interval_merge_init(struct exu_interval_merge *merge);
void exu_interval_merge_deinit(struct exu_interval_merge *merge);

/* Enter input number `index`, of whose saved bytes the first `there` really are in the file. */
void exu_interval_merge_add(struct exu_interval_merge *merge, uint32_t index, uint64_t there);

/* Bytes that are there win over those that are cut off, those over unsaved ones; among equals the lower index wins. */
bool exu_interval_merge_finish(struct exu_interval_merge *merge);

#endif
