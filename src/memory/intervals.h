/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of addresses that may overlap and come in any order -> sorted and disjoint ones, in O(n log n). */
#ifndef EXUVIA_MEMORY_INTERVALS_H
#define EXUVIA_MEMORY_INTERVALS_H

#include "memory/region.h"

/* A part of one input whose bytes are all equally good. */
struct exu_sweep_atom {
  uint64_t start;
  uint64_t end;
  uint32_t input;
  uint32_t rank; /* higher wins */
};

struct exu_sweep {
  const struct exu_region *input;
  size_t input_count;
  struct exu_sweep_atom *atoms;
  size_t atom_count;
  struct exu_region *output;
  size_t output_count;
  size_t output_capacity;
};

/* After `input` and `input_count` are set. Returns false without memory, as exu_sweep_run does. */
bool exu_sweep_init(struct exu_sweep *sweep);
void exu_sweep_deinit(struct exu_sweep *sweep);

/* Enter input number `index`, of whose saved bytes the first `there` really are in the file. */
void exu_sweep_add(struct exu_sweep *sweep, uint32_t index, uint64_t there);

/* Bytes that are there win over those that are cut off, those over unsaved ones; among equals the lower index wins. */
bool exu_sweep_run(struct exu_sweep *sweep);

#endif
