/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the frames of a thread that may run meanwhile. What a thread has that slept all the while is certain. For one
 * that ran nothing is: its frames are read one after the other, and what is read may be of two moments, a stack that
 * never was. A program that does the same again and again can be read wrongly in the same way twice. But as long as one
 * of several readings is of one moment, whatever all of them have in common is the outer part of what was there then.
 */
#include <string.h>

#include "python/runtime/chain.h"
#include "python/runtime/runtime.h"
#include "report/stacks_private.h"

enum { ATTEMPTS = 3, READINGS = 16 };

/* Links of stacks->chain, counted from the outermost, that all readings of one attempt have. */
struct agreement {
  size_t links;
  bool entire; /* that is all there is, and none has moved */
};

static bool is_still(const struct exu_py_chain *chain) {
  for (size_t i = 0; i < chain->links.count; i++)
    if (chain->links.items[i].moved) return false;
  return chain->whole;
}

/* One more reading to compare with the first one. False only without memory. */
static bool compare(struct exu_stacks *stacks, struct exu_py *py, uint64_t tstate, struct agreement *agreement) {
  struct exu_py_chain *chain = &stacks->chain, *again = &stacks->again;
  if (!exu_py_chain_read(py, tstate, again)) return false;
  const size_t common = exu_py_chain_agreement(chain, again);
  if (common < agreement->links) agreement->links = common;
  agreement->entire &= again->whole && common == chain->links.count && common == again->links.count;
  return true;
}

/*
 * Keep the outermost of the frames that the thread state has from `first` on, those that all readings have. The first
 * that was at different instructions ends them, without a line.
 */
static void keep_shared(struct exu_stacks *stacks, size_t first, size_t agreed) {
  const struct exu_py_chain *chain = &stacks->chain;
  struct exu_py_frame *items = stacks->stack.frames.items;
  const size_t end = stacks->stack.frames.count;
  size_t from = end;
  for (size_t link = chain->links.count; link > chain->links.count - agreed && from > first; link--) {
    const struct exu_py_link *at = &chain->links.items[link - 1];
    if (at->address != items[from - 1].address) continue; /* a shim, say */
    from--;
    if (!at->moved) continue;
    items[from].position = (struct exu_position){-1, -1, -1, -1};
    items[from].instruction = -1;
    break;
  }
  if (from < end) memmove(items + first, items + from, (end - from) * sizeof *items);
  stacks->stack.frames.count = first + (end - from);
}

/* The frames, with what there is to say about them: into `diagnostics`. */
static bool read_frames(struct exu_stacks *stacks, struct exu_py *py, uint64_t tstate, int64_t tid,
                        struct exu_diagnostics *diagnostics) {
  struct exu_diagnostics *usual = py->diagnostics;
  py->diagnostics = diagnostics;
  bool memory = exu_py_frames(py, tstate, tid, 0, &stacks->stack);
  py->diagnostics = usual;
  return memory;
}
/*
 * Read the chain many times, the frames with all that they refer to once, from the very memory of one reading, and the
 * chain once more: what those refer to was there as long as they were.
 */
static bool attempt(struct exu_stacks *stacks, struct exu_py *py, uint64_t tstate, int64_t tid,
                    struct exu_diagnostics *said, bool *entire) {
  const size_t first = stacks->stack.frames.count;
  struct agreement agreement = {.entire = true};
  if (!exu_py_chain_read(py, tstate, &stacks->chain)) return false;
  agreement.links = stacks->chain.links.count;
  for (int i = 0; i < READINGS; i++)
    if (!compare(stacks, py, tstate, &agreement)) return false;
  exu_py_invalidate_code(py);
  if (!read_frames(stacks, py, tstate, tid, said) || !compare(stacks, py, tstate, &agreement)) return false;
  *entire = agreement.entire && is_still(&stacks->chain);
  if (!*entire) keep_shared(stacks, first, agreement.links);
  return true;
}

/* Drop a reading, and what there was to say about it. */
static void drop(struct exu_stacks *stacks, struct exu_py *py, size_t first, uint64_t frames_left,
                 struct exu_diagnostics *said) {
  stacks->stack.frames.count = first;
  py->frames_left = frames_left;
  exu_diagnostics_init(said, stacks->arena);
}

bool exu_read_running(struct exu_stacks *stacks, struct exu_py *py, uint64_t tstate, const struct exu_os_thread *os,
                      int64_t tid) {
  const size_t first = stacks->stack.frames.count;
  const uint64_t left = py->frames_left;
  struct exu_diagnostics said;
  drop(stacks, py, first, left, &said);
  bool memory = read_frames(stacks, py, tstate, tid, &said), entire = os && exu_process_has_slept(stacks->process, os);
  for (int i = 0; memory && !entire && i < ATTEMPTS; i++) {
    drop(stacks, py, first, left, &said);
    memory = attempt(stacks, py, tstate, tid, &said, &entire);
  }
  if (entire || !memory) {
    exu_diagnostics_append(stacks->diagnostics, &said);
    return memory;
  }
  stacks->stack.complete = false;
  stacks->moved = true;
  exu_incomplete(
      stacks->diagnostics, EXU_DIAGNOSTIC_THREAD_MOVED, tid,
      "the thread ran while it was read: its %zu outermost frames were the same in %d readings, those inside of "
      "them are left out",
      stacks->stack.frames.count - first, READINGS + 2);
  return memory;
}
