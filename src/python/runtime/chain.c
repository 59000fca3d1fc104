/* SPDX-License-Identifier: Apache-2.0 */
#include "python/runtime/chain.h"

#include "process/process.h"

/* A reading of more frames than these takes so long that no two of a thread that runs have much in common. */
enum { LINKS_MAX = 100 * 1000, STRUCTURE_MAX = 640 };

static uint64_t innermost(const struct exu_py *py, uint64_t tstate) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t frame = 0, cframe;
  if (exu_py_get(py, tstate, layout->tstate_frame, &frame)) return frame;
  if (exu_py_get(py, tstate, layout->tstate_current_frame, &frame)) return frame;
  if (!exu_py_get(py, tstate, layout->tstate_cframe, &cframe) || cframe == 0) return 0;
  return exu_py_get(py, cframe, layout->cframe_current_frame, &frame) ? frame : 0;
}

static bool read_link(const struct exu_py *py, uint64_t address, struct exu_py_link *link, uint64_t *previous) {
  const struct exu_layout *layout = &py->runtime->layout;
  const bool objects = exu_py_has(layout->tstate_frame);
  const bool current = exu_py_has(layout->iframe_instr_ptr);
  const struct exu_field code = objects ? layout->frame_code : layout->iframe_executable;
  const struct exu_field back = objects ? layout->frame_back : layout->iframe_previous;
  const struct exu_field instruction = objects   ? layout->frame_lasti
                                       : current ? layout->iframe_instr_ptr
                                                 : layout->iframe_prev_instr;
  const struct exu_field needed[] = {code, back, instruction};
  uint8_t frame[STRUCTURE_MAX];
  const size_t size = exu_py_extent(needed, sizeof needed / sizeof *needed);
  if (size > sizeof frame || !exu_py_plausible(address)) return false;
  if (exu_space_read(py->space, address, frame, size) != EXU_READABLE) return false;
  *link = (struct exu_py_link){.address = address,
                               .code = exu_py_field(frame, size, code),
                               .instruction = exu_py_field(frame, size, instruction)};
  *previous = exu_py_field(frame, size, back);
  return true;
}

bool exu_py_chain_read(struct exu_py *py, uint64_t tstate, struct exu_py_chain *chain) {
  uint64_t base_frame = 0;
  exu_process_invalidate(py->process);
  chain->links.count = 0;
  chain->whole = false;
  uint64_t address = innermost(py, tstate);
  /* 3.15 ends the chain with a sentinel inside the thread state. */
  if (exu_py_has(py->runtime->layout.tstate_base_frame))
    exu_py_get(py, tstate, py->runtime->layout.tstate_base_frame, &base_frame);
  while (address != 0 && address != base_frame) {
    struct exu_py_link link;
    if (chain->links.count == LINKS_MAX || !read_link(py, address, &link, &address)) return true;
    struct exu_py_link *slot = EXU_PUSH(py->arena, &chain->links);
    if (!slot) return false;
    *slot = link;
  }
  chain->whole = true;
  return true;
}

size_t exu_py_chain_agreement(struct exu_py_chain *chain, const struct exu_py_chain *other) {
  const size_t most = chain->links.count < other->links.count ? chain->links.count : other->links.count;
  if (!chain->whole || !other->whole) return 0;
  for (size_t count = 0; count < most; count++) {
    struct exu_py_link *ours = &chain->links.items[chain->links.count - 1 - count];
    const struct exu_py_link *theirs = &other->links.items[other->links.count - 1 - count];
    if (ours->address != theirs->address || ours->code != theirs->code) return count;
    ours->moved |= ours->instruction != theirs->instruction;
  }
  return most;
}
