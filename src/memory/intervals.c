/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/intervals.h"

#include <assert.h>
#include <stdlib.h>

enum { ATOMS_PER_INPUT = 3, UNSAVED = 0, CUT_OFF = 1, SAVED = 2 };

/* Atoms that cover the current address, the best one first. */
struct heap {
  const struct exu_sweep_atom **items;
  size_t count;
};

bool exu_sweep_init(struct exu_sweep *sweep) {
  if (sweep->input_count >= UINT32_MAX) return false;
  sweep->atoms = reallocarray(NULL, sweep->input_count * ATOMS_PER_INPUT + 1, sizeof *sweep->atoms);
  return sweep->atoms != NULL;
}

void exu_sweep_deinit(struct exu_sweep *sweep) {
  free(sweep->atoms);
  free(sweep->output);
}

static void add_atom(struct exu_sweep *sweep, uint32_t index, uint64_t start, uint64_t end, uint32_t rank) {
  if (start == end) return;
  sweep->atoms[sweep->atom_count++] = (struct exu_sweep_atom){.start = start, .end = end, .input = index, .rank = rank};
}

void exu_sweep_add(struct exu_sweep *sweep, uint32_t index, uint64_t there) {
  const struct exu_region *input = &sweep->input[index];
  add_atom(sweep, index, input->start, input->start + there, SAVED);
  add_atom(sweep, index, input->start + there, input->start + input->saved, CUT_OFF);
  add_atom(sweep, index, input->start + input->saved, input->end, UNSAVED);
}

static bool better(const struct exu_sweep_atom *a, const struct exu_sweep_atom *b) {
  return a->rank != b->rank ? a->rank > b->rank : a->input < b->input;
}

static void heap_push(struct heap *heap, const struct exu_sweep_atom *atom) {
  size_t at = heap->count++;
  while (at > 0 && better(atom, heap->items[(at - 1) / 2])) {
    heap->items[at] = heap->items[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap->items[at] = atom;
}

static void heap_pop(struct heap *heap) {
  const struct exu_sweep_atom *last = heap->items[--heap->count];
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

static bool emit(struct exu_sweep *sweep, const struct exu_sweep_atom *atom, uint64_t start, uint64_t end,
                 uint32_t *last_input) {
  struct exu_region *last = sweep->output_count > 0 ? &sweep->output[sweep->output_count - 1] : NULL;
  /* Saved bytes and what follows them in the same segment stay one region, which is what they were. */
  if (last && *last_input == atom->input && last->end == start) {
    bool all_saved = last->saved == last->end - last->start;
    if (atom->rank == UNSAVED || all_saved) {
      if (atom->rank != UNSAVED) last->saved += end - start;
      last->end = end;
      return true;
    }
  }
  if (!sweep->output || sweep->output_count == sweep->output_capacity) {
    size_t larger = sweep->output_capacity ? sweep->output_capacity * 2 : sweep->input_count + 16;
    struct exu_region *memory = reallocarray(sweep->output, larger, sizeof *memory);
    if (!memory) return false;
    sweep->output = memory;
    sweep->output_capacity = larger;
  }
  struct exu_region *region = &sweep->output[sweep->output_count++];
  *region = sweep->input[atom->input];
  region->saved = atom->rank == UNSAVED ? 0 : end - start;
  /* An offset that a damaged core puts past the end of any file stays there, and does not wrap around to its start. */
  if (__builtin_add_overflow(region->offset, start - region->start, &region->offset)) region->offset = UINT64_MAX;
  region->start = start;
  region->end = end;
  *last_input = atom->input;
  return true;
}

static int by_start(const void *left, const void *right) {
  const struct exu_sweep_atom *a = left;
  const struct exu_sweep_atom *b = right;
  if (a->start != b->start) return a->start < b->start ? -1 : 1;
  return a->input < b->input ? -1 : a->input > b->input;
}

static bool sweep_with(struct exu_sweep *sweep, struct heap *heap) {
  const struct exu_sweep_atom *next = sweep->atoms;
  const struct exu_sweep_atom *end = sweep->atoms + sweep->atom_count;
  uint64_t at = 0;
  uint32_t last_input = UINT32_MAX;
  /* Every round takes at least one atom in, or one out for good. */
  while (next < end || heap->count > 0) {
    if (heap->count == 0) at = next->start;
    while (next < end && next->start <= at) heap_push(heap, next++);
    while (heap->count > 0 && heap->items[0]->end <= at) heap_pop(heap);
    if (heap->count == 0) continue;
    const struct exu_sweep_atom *best = heap->items[0];
    uint64_t stop = next < end && next->start < best->end ? next->start : best->end;
    if (!emit(sweep, best, at, stop, &last_input)) return false;
    at = stop;
  }
  return true;
}

bool exu_sweep_run(struct exu_sweep *sweep) {
  if (sweep->atom_count > 0) qsort(sweep->atoms, sweep->atom_count, sizeof *sweep->atoms, by_start);
  struct heap heap = {.items = reallocarray(NULL, sweep->atom_count + 1, sizeof *heap.items)};
  if (!heap.items) return false;
  bool fine = sweep_with(sweep, &heap);
  free(heap.items);
  return fine;
}
