/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/space.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "memory/block_cache.h"
#include "memory/intervals.h"

/* How many backings one region may have: a region is one mapping, so more than a few is a mistake. */
enum { BACKINGS_PER_REGION = 64, PAGE_SHIFT = 12, HINT_BITS = 10, HINTS = 1 << HINT_BITS };

/* A verified file's bytes for unsaved addresses [start, end), kept with the one region that they lie in. */
struct backing {
  uint64_t start;
  uint64_t end;
  uint64_t offset;
  uint32_t source;
  struct backing *next;
};

struct region_state {
  struct backing *backings;
  uint32_t backing_count;
  bool asked;
};

struct exu_space {
  struct exu_arena *arena;
  struct exu_block_cache *cache;

  struct exu_region *added; /* malloc'ed until the space is finalized */
  size_t added_count;
  size_t added_capacity;

  struct exu_region *regions; /* sorted and disjoint */
  struct region_state *states;
  size_t region_count;
  uint32_t *hints; /* hash of a page number -> index of the region that had such a page last */

  bool has_fallback;
  uint32_t fallback;
  exu_backing_callback *callback;
  void *context;
  bool asking; /* in the callback: what it reads itself is not backed by a file */
};

struct exu_space *exu_space_create(struct exu_arena *arena) {
  struct exu_space *space = calloc(1, sizeof *space);
  if (!space) return NULL;
  space->arena = arena;
  space->hints = calloc(HINTS, sizeof *space->hints);
  space->cache = exu_block_cache_create();
  if (!space->hints || !space->cache) {
    exu_space_destroy(space);
    return NULL;
  }
  return space;
}

void exu_space_destroy(struct exu_space *space) {
  if (!space) return;
  exu_block_cache_destroy(space->cache);
  free(space->hints);
  free(space->added);
  free(space);
}

int exu_space_add_source(struct exu_space *space, struct exu_source source) {
  return exu_block_cache_add(space->cache, source);
}

void exu_space_set_fallback(struct exu_space *space, uint32_t source) {
  space->has_fallback = true;
  space->fallback = source;
}

/* How many of the region's saved bytes its source really has. */
static uint64_t bytes_there(const struct exu_space *space, const struct exu_region *region) {
  uint64_t size = exu_block_cache_size(space->cache, region->source);
  if (region->offset >= size) return 0;
  return region->saved < size - region->offset ? region->saved : size - region->offset;
}

bool exu_space_add(struct exu_space *space, const struct exu_region *region) {
  assert(!space->regions);
  if (region->end <= region->start) return true;
  if (space->added_count == space->added_capacity) {
    size_t larger = space->added_capacity ? space->added_capacity * 2 : 256;
    struct exu_region *memory = reallocarray(space->added, larger, sizeof *memory);
    if (!memory) return false;
    space->added = memory;
    space->added_capacity = larger;
  }
  struct exu_region *added = &space->added[space->added_count++];
  *added = *region;
  if (added->saved > added->end - added->start) added->saved = added->end - added->start;
  return true;
}

bool exu_space_finalize(struct exu_space *space) {
  assert(!space->regions);
  struct exu_interval_merge merge = {.input = space->added, .input_count = space->added_count};
  bool fine = exu_interval_merge_init(&merge);
  for (size_t i = 0; fine && i < merge.input_count; i++)
    exu_interval_merge_add(&merge, (uint32_t)i, bytes_there(space, &merge.input[i]));
  fine = fine && exu_interval_merge_finish(&merge);
  if (fine) {
    space->regions = exu_arena_array(space->arena, merge.output_count, sizeof *space->regions);
    space->states = exu_arena_array(space->arena, merge.output_count, sizeof *space->states);
    fine = space->regions && space->states;
  }
  if (fine && merge.output_count > 0) {
    memcpy(space->regions, merge.output, merge.output_count * sizeof *space->regions);
    space->region_count = merge.output_count;
  }
  exu_interval_merge_deinit(&merge);
  free(space->added);
  space->added = NULL;
  space->added_count = space->added_capacity = 0;
  return fine;
}

const struct exu_region *exu_space_regions(const struct exu_space *space, size_t *count) {
  *count = space->region_count;
  return space->regions;
}

/* The number of regions that start at or below the address. */
static size_t regions_up_to(const struct exu_space *space, uint64_t address) {
  return EXU_PARTITION_POINT(i, space->region_count, space->regions[i].start <= address);
}

const struct exu_region *exu_space_find(const struct exu_space *space, uint64_t address) {
  uint64_t hash = ((address >> PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - HINT_BITS);
  uint32_t *hint = &space->hints[hash];
  if (*hint < space->region_count) {
    const struct exu_region *region = &space->regions[*hint];
    if (address >= region->start && address < region->end) return region;
  }
  size_t count = regions_up_to(space, address);
  if (count == 0 || address >= space->regions[count - 1].end) return NULL;
  *hint = (uint32_t)(count - 1);
  return &space->regions[count - 1];
}

void exu_space_reset(struct exu_space *space) {
  space->regions = NULL;
  space->states = NULL;
  space->region_count = 0;
}

void exu_space_set_backing(struct exu_space *space, exu_backing_callback *callback, void *context) {
  space->callback = callback;
  space->context = context;
}

bool exu_space_add_backing(struct exu_space *space, uint64_t start, uint64_t end, uint32_t source, uint64_t offset) {
  uint64_t size = exu_block_cache_size(space->cache, source);
  if (end <= start || offset >= size) return false;
  if (end - start > size - offset) end = start + (size - offset);

  bool covered = false;
  size_t first = regions_up_to(space, start);
  for (size_t i = first > 0 ? first - 1 : 0; i < space->region_count && space->regions[i].start < end; i++) {
    const struct exu_region *region = &space->regions[i];
    uint64_t from = region->start + region->saved;
    if (from < start) from = start;
    uint64_t to = region->end < end ? region->end : end;
    if (from >= to || space->states[i].backing_count >= BACKINGS_PER_REGION) continue;
    struct backing *backing = exu_arena_alloc(space->arena, sizeof *backing);
    if (!backing) return false;
    *backing = (struct backing){.start = from, .end = to, .offset = offset + (from - start), .source = source};
    struct backing **slot = &space->states[i].backings; /* at the end: the first one wins */
    while (*slot) slot = &(*slot)->next;
    *slot = backing;
    space->states[i].backing_count++;
    covered = true;
  }
  return covered;
}

/* Bytes that lie in one row in one source. */
struct run {
  uint64_t offset;
  uint64_t size;
  uint32_t source;
};

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static enum exu_fault locate_unsaved(struct exu_space *space, const struct exu_region *region, uint64_t address,
                                     uint64_t size, struct run *run) {
  struct region_state *state = &space->states[region - space->regions];
  if (!state->asked && !space->asking && space->callback) {
    state->asked = true;
    space->asking = true;
    (void)space->callback(space->context, region);
    space->asking = false;
  }
  for (const struct backing *backing = state->backings; backing; backing = backing->next) {
    if (address < backing->start || address >= backing->end) continue;
    *run = (struct run){.offset = backing->offset + (address - backing->start),
                        .size = least(size, backing->end - address),
                        .source = backing->source};
    return EXU_READABLE;
  }
  return EXU_NOT_SAVED;
}

/* As far as the next region. */
static enum exu_fault locate_outside(const struct exu_space *space, uint64_t address, uint64_t size, struct run *run) {
  if (!space->has_fallback || address > INT64_MAX || size > INT64_MAX - address) return EXU_UNMAPPED;
  size_t next = regions_up_to(space, address);
  uint64_t room = next < space->region_count ? space->regions[next].start - address : size;
  *run = (struct run){.offset = address, .size = least(size, room), .source = space->fallback};
  return EXU_READABLE;
}

/* Where the byte at `address` is, and how many of the `size` bytes from there on follow it in the same source. */
static enum exu_fault locate(struct exu_space *space, uint64_t address, uint64_t size, struct run *run) {
  const struct exu_region *region = exu_space_find(space, address);
  if (!region) return locate_outside(space, address, size, run);
  uint64_t into = address - region->start;
  if (into >= region->saved) return locate_unsaved(space, region, address, size, run);
  uint64_t there = bytes_there(space, region);
  if (into >= there) return EXU_CUT_OFF;
  *run = (struct run){.offset = region->offset + into, .size = least(size, there - into), .source = region->source};
  return EXU_READABLE;
}

/* A read of more than one run: first see that every byte can be had, then store. */
static enum exu_fault read_runs(struct exu_space *space, uint64_t address, uint8_t *buffer, size_t size) {
  struct run run;
  for (size_t done = 0; done < size; done += run.size) {
    enum exu_fault fault = locate(space, address + done, size - done, &run);
    if (fault != EXU_READABLE) return fault;
  }
  for (size_t done = 0; done < size; done += run.size) {
    enum exu_fault fault = locate(space, address + done, size - done, &run);
    if (fault == EXU_READABLE)
      fault = exu_block_cache_read(space->cache, run.source, run.offset, buffer + done, (size_t)run.size);
    if (fault != EXU_READABLE) return fault;
  }
  return EXU_READABLE;
}

enum exu_fault exu_space_read(struct exu_space *space, uint64_t address, void *buffer, size_t size) {
  if (size == 0) return EXU_READABLE;
  struct run run;
  enum exu_fault fault = locate(space, address, size, &run);
  if (fault != EXU_READABLE) return fault;
  if (run.size < size) return read_runs(space, address, buffer, size);
  return exu_block_cache_read(space->cache, run.source, run.offset, buffer, size);
}

size_t exu_space_read_some(struct exu_space *space, uint64_t address, void *buffer, size_t size) {
  size_t done = 0;
  while (done < size) {
    struct run run;
    if (locate(space, address + done, size - done, &run) != EXU_READABLE) break;
    if (exu_block_cache_read(space->cache, run.source, run.offset, (uint8_t *)buffer + done, (size_t)run.size) !=
        EXU_READABLE)
      break;
    done += (size_t)run.size;
  }
  return done;
}

bool exu_space_scan(struct exu_space *space, const struct exu_region *region, size_t overlap,
                    exu_scan_callback *callback, void *context) {
  struct exu_block_scan scan = {.source = region->source,
                                .offset = region->offset,
                                .size = bytes_there(space, region),
                                .address = region->start,
                                .overlap = overlap};
  return exu_block_cache_scan(space->cache, &scan, callback, context);
}

const char *exu_fault_text(enum exu_fault fault) {
  switch (fault) {
  case EXU_READABLE: return "readable";
  case EXU_UNMAPPED: return "not mapped";
  case EXU_NOT_SAVED: return "mapped, but its contents were not saved";
  case EXU_CUT_OFF: return "in the part of the core that is cut off";
  case EXU_READ_FAILED: return "in a part that cannot be read";
  }
  return "not readable";
}
