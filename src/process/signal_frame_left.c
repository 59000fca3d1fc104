/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a handler that has returned: its frame, on the thread's stack or on its stack for handlers. */
#include <string.h>

#include "process/signal_frame.h"

enum {
  FRAME_MAX = 32 << 10,   /* bytes of a frame: the floating point state of AMX is larger than all others */
  SEARCH_MAX = 256 << 20, /* bytes of memory that are searched for a stack that nothing points to */
  COST_OF_A_LOOK = 512,   /* in bytes that are searched, what looking closely at a word costs */
};

/* Both of one thread at the same instruction, with nothing done in between. */
static bool same_registers(const struct exu_registers *a, const struct exu_registers *b) {
  for (size_t i = 0; i < EXU_REGISTERS_MAX; i++) {
    if ((a->valid & b->valid) >> i & 1 && a->value[i] != b->value[i]) return false;
  }
  return a->valid == b->valid && a->pc == b->pc;
}

/* Read the frame at `context` if it gave the thread the registers that it has. */
static bool gave_back(const struct exu_process *process, const struct exu_os_thread *thread, uint64_t context,
                      struct exu_signal_frame *frame) {
  struct exu_signal_frame read;
  if (!exu_signal_frame_read(process, thread, context, &read)) return false;
  if (!same_registers(&read.registers, &thread->registers)) return false;
  *frame = read;
  return true;
}

static bool find_below(const struct exu_process *process, const struct exu_os_thread *thread,
                       struct exu_signal_frame *frame) {
  const struct exu_arch *arch = process->arch;
  const uint64_t sp = thread->registers.sp;
  uint64_t word;
  if (sp < (uint64_t)FRAME_MAX + arch->red_zone) return false;
  const uint64_t end = (sp - arch->red_zone) & ~UINT64_C(7);
  for (uint64_t at = end; at > end - FRAME_MAX; at -= 8) {
    if (exu_space_read(process->space, at, &word, sizeof word) != EXU_READABLE) return false;
    if (exu_arch_is_context_word(arch, word) && gave_back(process, thread, at - arch->context_word, frame)) return true;
  }
  return false;
}

/* ---- A stack for handlers ---------------------------------------------------------------------------------------- */

struct search {
  const struct exu_process *process;
  const struct exu_os_thread *thread;
  struct exu_signal_frame *frame;
  bool found;
  uint64_t left; /* bytes that may still be looked at */
  bool spent;    /* that was not enough */
};

/*
 * The kernel puts the first frame at the end of a stack for handlers (sigsp() of linux/sched/signal.h), when the thread
 * was not on it. A copy that a handler has made of its context lies elsewhere.
 */
static bool is_first_of_its_stack(const struct exu_signal_frame *frame, uint64_t context) {
  const uint64_t start = frame->stack, size = frame->stack_size, into = context - start;
  return into < size && size - into <= FRAME_MAX && frame->registers.sp - start - 1 >= size;
}

static bool spend(struct search *search, size_t bytes) {
  search->spent = bytes > search->left;
  if (search->spent) return false;
  search->left -= bytes;
  return true;
}

static bool look_at(void *context, uint64_t address, const uint8_t *bytes, size_t size) {
  struct search *search = context;
  const struct exu_arch *arch = search->process->arch;
  struct exu_signal_frame frame;
  for (size_t i = 0; size - i >= 8; i += 8) {
    uint64_t word;
    memcpy(&word, bytes + i, sizeof word);
    if (!exu_arch_is_context_word(arch, word)) continue;
    if (!spend(search, COST_OF_A_LOOK)) return false;
    const uint64_t found = address + i - arch->context_word;
    if (!gave_back(search->process, search->thread, found, &frame) || !is_first_of_its_stack(&frame, found)) continue;
    *search->frame = frame;
    search->found = true;
    return false;
  }
  return spend(search, size);
}

/* Only the kernel knows where that stack is; the frame says it too, which proves that it is one. */
static bool find_elsewhere(struct exu_process *process, const struct exu_os_thread *thread,
                           struct exu_signal_frame *frame) {
  struct search search = {.process = process, .thread = thread, .frame = frame, .left = SEARCH_MAX};
  size_t count;
  const struct exu_region *regions = exu_space_regions(process->space, &count);
  for (size_t i = 0; i < count; i++) {
    if (!(regions[i].prot & EXU_PROT_WRITE) || regions[i].saved == 0) continue;
    if (!exu_space_scan(process->space, &regions[i], 0, look_at, &search)) break;
  }
  process->scene.given_up |= search.spent && !search.found;
  return search.found;
}

bool exu_signal_frame_find_left(struct exu_process *process, const struct exu_os_thread *thread,
                                struct exu_signal_frame *frame) {
  if (!process->arch->context_words[0]) return false;
  return find_below(process, thread, frame) || find_elsewhere(process, thread, frame);
}
