/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/intervals.h"

#include <assert.h>
#include <stdlib.h>

enum { INTERVALS_PER_INPUT = 3, UNSAVED = 0, CUT_OFF = 1, SAVED = 2 };

/* Atoms that cover the current address, the best one first. */
struct heap {
  const struct exu_interval **items;
  size_t count;
};

bool exu_interval_merge_init(struct exu_interval_merge *merge) {
  if (merge->input_count >= UINT32_MAX) return false;
  merge->intervals = reallocarray(NULL, merge->input_count * INTERVALS_PER_INPUT + 1, sizeof *merge->intervals);
  return merge->intervals != NULL;
}

void exu_interval_merge_deinit(struct exu_interval_merge *merge) {
  free(merge->intervals);
  free(merge->output);
}

static void add_interval(struct exu_interval_merge *merge, uint32_t index, uint64_t start, uint64_t end,
                         uint32_t rank) {
  if (start == end) return;
  merge->intervals[merge->interval_count++] =
      (struct exu_interval){.start = start, .end = end, .input = index, .rank = rank};
}

void exu_interval_merge_add(struct exu_interval_merge *merge, uint32_t index, uint64_t there) {
  const struct exu_region *input = &merge->input[index];
  add_interval(merge, index, input->start, input->start + there, SAVED);
  add_interval(merge, index, input->start + there, input->start + input->saved, CUT_OFF);
  add_interval(merge, index, input->start + input->saved, input->end, UNSAVED);
}

static bool better(const struct exu_interval *a, const struct exu_interval *b) {
  return a->rank != b->rank ? a->rank > b->rank : a->input < b->input;
}

static void heap_push(struct heap *heap, const struct exu_interval *interval) {
  size_t at = heap->count++;
  while (at > 0 && better(interval, heap->items[(at - 1) / 2])) {
    heap->items[at] = heap->items[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap->items[at] = interval;
}

static void heap_pop(struct heap *heap) {
  const struct exu_interval *last = heap->items[--heap->count];
  size_t at = 0;
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= heap->count) break;
    if (child + 1 < heap->count && better(heap->items[child + 1], heap->items[child])) child++;
    if (!better(heap->items[child], last)) break;
    heap->items[at] = heap->items[child];
    at = child;
  }
  if (heap->count > 0) heap->items[at] = last;
}

static bool emit(struct exu_interval_merge *merge, const struct exu_interval *interval, uint64_t start, uint64_t end,
                 uint32_t *last_input) {
  struct exu_region *last = merge->output_count > 0 ? &merge->output[merge->output_count - 1] : NULL;
  /* Saved bytes and what follows them in the same segment stay one region, which is what they were. */
  if (last && *last_input == interval->input && last->end == start) {
    bool all_saved = last->saved == last->end - last->start;
    if (interval->rank == UNSAVED || all_saved) {
      if (interval->rank != UNSAVED) last->saved += end - start;
      last->end = end;
      return true;
    }
  }
  if (!merge->output || merge->output_count == merge->output_capacity) {
    size_t larger = merge->output_capacity ? merge->output_capacity * 2 : merge->input_count + 16;
    struct exu_region *memory = reallocarray(merge->output, larger, sizeof *memory);
    if (!memory) return false;
    merge->output = memory;
    merge->output_capacity = larger;
  }
  struct exu_region *region = &merge->output[merge->output_count++];
  *region = merge->input[interval->input];
  region->saved = interval->rank == UNSAVED ? 0 : end - start;
  /* An offset that a damaged core puts past the end of any file stays there, and does not wrap around to its start. */
  if (__builtin_add_overflow(region->offset, start - region->start, &region->offset)) region->offset = UINT64_MAX;
  region->start = start;
  region->end = end;
  *last_input = interval->input;
  return true;
}

static int by_start(const void *left, const void *right) {
  const struct exu_interval *a = left;
  const struct exu_interval *b = right;
  if (a->start != b->start) return a->start < b->start ? -1 : 1;
  return a->input < b->input ? -1 : a->input > b->input;
}

static bool merge_with(struct exu_interval_merge *merge, struct heap *heap) {
  const struct exu_interval *next = merge->intervals;
  const struct exu_interval *end = merge->intervals + merge->interval_count;
  uint64_t at = 0;
  uint32_t last_input = UINT32_MAX;
  /* Every round takes at least one interval in, or one out for good. */
  while (next < end || heap->count > 0) {
    if (heap->count == 0) at = next->start;
    while (next < end && next->start <= at) heap_push(heap, next++);
    while (heap->count > 0 && heap->items[0]->end <= at) heap_pop(heap);
    if (heap->count == 0) continue;
    const struct exu_interval *best = heap->items[0];
    uint64_t stop = next < end && next->start < best->end ? next->start : best->end;
    if (!emit(merge, best, at, stop, &last_input)) return false;
    at = stop;
  }
  return true;
}

bool exu_interval_merge_finish(struct exu_interval_merge *merge) {
  if (merge->interval_count > 0) qsort(merge->intervals, merge->interval_count, sizeof *merge->intervals, by_start);
  struct heap heap = {.items = reallocarray(NULL, merge->interval_count + 1, sizeof *heap.items)};
  if (!heap.items) return false;
  bool fine = merge_with(merge, &heap);
  free(heap.items);
  return fine;
}
