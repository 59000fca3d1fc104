/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the frames of a thread that may run meanwhile: what two readings agree on was there. */
#include <string.h>

#include "python/runtime.h"
#include "report/joining.h"
#include "target/live.h"

enum { READINGS_MAX = 4 };

static bool same_string(struct exu_string a, struct exu_string b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool same_frame(const struct exu_py_frame *a, const struct exu_py_frame *b) {
  return a->address == b->address && a->position.line == b->position.line && a->position.column == b->position.column &&
         same_string(a->code->function, b->code->function) && same_string(a->code->file, b->code->file);
}

/* How many frames, counted from the outermost, two readings have in common. */
static size_t agreement(const struct exu_py_frame *a, size_t a_count, const struct exu_py_frame *b, size_t b_count) {
  size_t count = 0;
  while (count < a_count && count < b_count && same_frame(&a[a_count - 1 - count], &b[b_count - 1 - count])) count++;
  return count;
}

/* Append a reading of its own, of nothing that was read before. */
static bool read_anew(struct exu_stacks *stacks, uint64_t tstate, int64_t tid, size_t *first) {
  exu_live_forget(stacks->target);
  exu_py_forget_code(stacks->py);
  *first = stacks->stack.frames.count;
  return exu_py_frames(stacks->py, tstate, tid, stacks->options->max_frames, &stacks->stack);
}

/* Keep the frames [from, from + count) as those of the thread state, which begin at `first`. */
static void keep(struct exu_stacks *stacks, size_t first, size_t from, size_t count) {
  struct exu_py_frame *items = stacks->stack.frames.items;
  if (count > 0) memmove(items + first, items + from, count * sizeof *items);
  stacks->stack.frames.count = first + count;
}

bool exu_glimpse(struct exu_stacks *stacks, uint64_t tstate, int64_t tid) {
  const size_t first = stacks->stack.frames.count;
  size_t second = first, common = 0;
  /* What is wrong with a reading is only of interest when it is the one that is kept. */
  struct exu_diagnostics *diagnostics = stacks->py->diagnostics;
  struct exu_diagnostics silent;
  exu_diagnostics_init(&silent, stacks->arena);
  stacks->py->diagnostics = &silent;
  bool memory = read_anew(stacks, tstate, tid, &second);
  for (int i = 1; memory && i < READINGS_MAX; i++) {
    if (i > 1) keep(stacks, first, second, stacks->stack.frames.count - second);
    bool complete = stacks->stack.complete;
    memory = read_anew(stacks, tstate, tid, &second);
    size_t count = stacks->stack.frames.count - second;
    common = agreement(&stacks->stack.frames.items[first], second - first, &stacks->stack.frames.items[second], count);
    if (common == count && common == second - first && complete == stacks->stack.complete) {
      keep(stacks, first, second, count);
      stacks->py->diagnostics = diagnostics;
      /* Once more for what there is to say about it, unless there is nothing. */
      if (silent.list.count == 0 || !memory) return memory;
      stacks->stack.frames.count = first;
      return exu_py_frames(stacks->py, tstate, tid, stacks->options->max_frames, &stacks->stack);
    }
  }
  stacks->py->diagnostics = diagnostics;
  keep(stacks, first, stacks->stack.frames.count - common, common);
  stacks->stack.complete = false;
  stacks->moved = true;
  exu_missing(
      stacks->diagnostics, "thread-moved", tid,
      "the thread ran while it was read: the %zu outermost frames are certain, those inside of them are left out",
      common);
  return memory;
}
