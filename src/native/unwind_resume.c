/* SPDX-License-Identifier: Apache-2.0 */
/* Where unwinding broke, an older frame that is known to contain some address of the stack is a place to go on from. */
#include <elf.h>
#include <string.h>

#include "native/unwind_private.h"

enum {
  WORDS_MAX = 128 * 1024,     /* of stack that are looked at for one marker */
  TRIALS_MAX = 2048,          /* unwindings that are tried for one marker */
  FRAME_SIZE_MAX = 64 * 1024, /* from the marker to the end of its frame */
  CHUNK = 512,                /* words */
  FUNCTION_SIZE_MAX = 1 << 20,
  TRIAL_FRAMES = 4,
  FRAMES_MAX = 32,
  TARGETS_MAX = 256,
};

/* Code of one function, or of the part of it that the compiler put elsewhere. */
struct function {
  uint64_t start;
  uint64_t end;
};

struct frame_pointer {
  uint64_t value;
  struct function function; /* that was called when the frame was made */
};

struct search {
  struct exu_unwinder *unwinder;
  uint64_t marker;
  bool frames_found;
  struct frame_pointer frames[FRAMES_MAX];
  size_t frame_count;
};

/* ---- The beginning of a function --------------------------------------------------------------------------------------- */

static bool read_bytes(const struct exu_unwinder *unwinder, uint64_t address, void *bytes, size_t size) {
  return exu_space_read(unwinder->target->space, address, bytes, size) == EXU_READABLE;
}

/*
 * .eh_frame_hdr as all linkers write it: version 1, pointer to .eh_frame (4 bytes), count (4 bytes), then pairs of function
 * and FDE relative to the table, sorted.
 */
static bool find_function(const struct exu_unwinder *unwinder, uint64_t address, struct function *function) {
  static const uint8_t encodings[] = {1, 0x1b, 0x03, 0x3b};
  struct exu_binary *module = exu_modules_find(unwinder->modules, address);
  struct {
    uint8_t encodings[4];
    int32_t eh_frame;
    uint32_t count;
  } header;
  uint64_t table = 0;
  for (size_t i = 0; module && module->image && i < module->image->segment_count; i++) {
    const struct exu_elf_segment *segment = &module->image->segments[i];
    if (segment->type == PT_GNU_EH_FRAME) table = module->bias + segment->vaddr;
  }
  if (!table || !read_bytes(unwinder, table, &header, sizeof header)) return false;
  if (memcmp(header.encodings, encodings, sizeof encodings) != 0) return false;
  *function = (struct function){.start = 0, .end = module->end};
  for (uint32_t low = 0, high = header.count; low < high;) {
    uint32_t middle = low + (high - low) / 2;
    int32_t offset;
    if (!read_bytes(unwinder, table + sizeof header + (uint64_t)middle * 8, &offset, sizeof offset)) return false;
    uint64_t start = table + (uint64_t)(int64_t)offset;
    if (start <= address) {
      function->start = start;
      low = middle + 1;
    } else {
      function->end = start;
      high = middle;
    }
  }
  return function->start != 0;
}

/* Where a function's direct jumps and branches lead, outside of itself. */
static size_t jump_targets(const struct exu_unwinder *unwinder, const struct function *function,
                           uint64_t targets[TARGETS_MAX]) {
  enum { SIZE = 5 };
  uint8_t bytes[4096];
  size_t count = 0;
  for (uint64_t at = function->start; at + SIZE < function->end && at - function->start < FUNCTION_SIZE_MAX;
       at += sizeof bytes - SIZE) {
    size_t size = function->end - at < sizeof bytes ? (size_t)(function->end - at) : sizeof bytes;
    if (!read_bytes(unwinder, at, bytes, size)) return count;
    for (size_t i = 0; i + SIZE <= size; i++) {
      int32_t offset;
      bool jump = bytes[i] == 0xe9, branch = i > 0 && bytes[i - 1] == 0x0f && (bytes[i] & 0xf0) == 0x80;
      if (!jump && !branch) continue;
      memcpy(&offset, bytes + i + 1, sizeof offset);
      uint64_t to = at + i + SIZE + (uint64_t)(int64_t)offset;
      if (to >= function->start && to < function->end) continue;
      if (count == TARGETS_MAX) return count;
      targets[count++] = to;
    }
  }
  return count;
}

static bool any_in(const uint64_t *targets, size_t count, const struct function *function) {
  for (size_t i = 0; i < count; i++)
    if (targets[i] >= function->start && targets[i] < function->end) return true;
  return false;
}

/*
 * Can a call of one function end up in the code of another, without another call? Compilers split functions: what is seldom run
 * is somewhere else, with an entry of its own in the table. And what a function does last may be a jump to another one.
 */
static bool leads_to(const struct exu_unwinder *unwinder, const struct function *from, const struct function *to) {
  uint64_t first[TARGETS_MAX], second[TARGETS_MAX];
  if (from->start == to->start) return true;
  size_t count = jump_targets(unwinder, from, first);
  if (any_in(first, count, to)) return true;
  for (size_t i = 0; i < count; i++) {
    struct function next;
    if (!find_function(unwinder, first[i], &next) || next.start != first[i]) continue;
    if (any_in(second, jump_targets(unwinder, &next, second), to)) return true;
  }
  return false;
}

/* ---- Trials -------------------------------------------------------------------------------------------------------------- */

/* Does unwinding from there reach a frame around the marker first, and then go on? */
static bool is_consistent(struct exu_unwinder *unwinder, const struct exu_unwind_state *state, uint64_t marker) {
  struct exu_native_stack trial = {.end = EXU_UNWIND_START}, *stack = unwinder->stack;
  const struct exu_map *watched = unwinder->watched;
  const uint64_t limit = unwinder->limit;
  unwinder->stack = &trial;
  unwinder->limit = TRIAL_FRAMES;
  unwinder->watched = NULL;
  unwinder->gap = false;
  unwinder->start = *state;
  bool good = exu_unwind_from_start(unwinder) && trial.frames.count > 1;
  if (good) {
    const struct exu_native_frame *frames = trial.frames.items;
    good = frames[0].sp <= marker && marker < frames[0].cfa &&
           exu_unwind_same_stack(unwinder, marker, frames[0].cfa - 1) &&
           exu_unwind_is_return_address(unwinder, frames[1].pc) &&
           (trial.frames.count > 2 || trial.end == EXU_UNWIND_START) && trial.frame_pointer_steps == 0;
  }
  exu_native_stack_deinit(&trial);
  unwinder->stack = stack;
  unwinder->limit = limit;
  unwinder->watched = watched;
  return good;
}

/*
 * Above the marker: where a frame may keep its caller's rbp and its return address, the latter behind a call of a function
 * that is known. The caller's rbp can be anything: it need not be a frame pointer there.
 */
static void find_frame_pointers(struct search *search) {
  const struct exu_unwinder *unwinder = search->unwinder;
  uint64_t words[FRAME_SIZE_MAX / 8 + 1];
  const uint64_t base = (search->marker + 8) / 8 * 8;
  size_t count = exu_space_read_some(unwinder->target->space, base, words, sizeof words) / 8;
  for (size_t i = 0; i + 1 < count && search->frame_count < FRAMES_MAX; i++) {
    struct frame_pointer *frame = &search->frames[search->frame_count];
    *frame = (struct frame_pointer){.value = base + i * 8};
    uint64_t target;
    if (!exu_unwind_is_return_address(unwinder, words[i + 1])) continue;
    if (!exu_unwind_call_target(unwinder, words[i + 1], &target)) continue;
    if (!find_function(unwinder, target, &frame->function) || frame->function.start != target) continue;
    search->frame_count++;
  }
}

/*
 * The frame's CFA comes from its frame pointer, which is not known: it must be one that a call of this very function made.
 */
static bool try_frame_pointers(struct search *search, struct exu_unwind_state *state) {
  struct function function;
  if (!search->frames_found) {
    search->frames_found = true;
    find_frame_pointers(search);
  }
  if (search->frame_count == 0 || !find_function(search->unwinder, state->pc - 1, &function)) return false;
  for (size_t i = 0; i < search->frame_count; i++) {
    const struct frame_pointer *frame = &search->frames[i];
    if (!leads_to(search->unwinder, &frame->function, &function)) continue;
    state->value[EXU_RBP] = frame->value;
    state->valid |= 1U << EXU_RBP;
    if (is_consistent(search->unwinder, state, search->marker)) return true;
    if (search->unwinder->no_memory) return false;
  }
  return false;
}

/* Is `word`, at `slot` of the stack, the return address of the marker's frame's callee? Leaves the frame's state. */
static bool try_slot(struct search *search, uint64_t slot, uint64_t word, struct exu_unwind_state *state) {
  *state = (struct exu_unwind_state){.pc = word, .valid = 1U << EXU_RSP};
  state->value[EXU_RSP] = slot + 8;
  if (is_consistent(search->unwinder, state, search->marker)) return true;
  return !search->unwinder->no_memory && try_frame_pointers(search, state);
}

/* From the marker downwards: what is nearest is the frame's own. */
static bool find_frame(struct exu_unwinder *unwinder, uint64_t lowest, uint64_t marker,
                       struct exu_unwind_state *state) {
  struct search search = {.unwinder = unwinder, .marker = marker};
  uint64_t words[CHUNK];
  size_t trials = 0, looked = 0;
  uint64_t high = marker / 8 * 8;
  while (high > lowest && looked < WORDS_MAX) {
    size_t count = (high - lowest) / 8 < CHUNK ? (size_t)((high - lowest) / 8) : CHUNK;
    uint64_t low = high - count * 8;
    if (count == 0 || !read_bytes(unwinder, low, words, count * 8)) return false;
    for (size_t i = count; i-- > 0; looked++) {
      struct exu_code code;
      if (!exu_modules_find(unwinder->modules, words[i])) continue;
      if (!exu_unwind_is_return_address(unwinder, words[i])) continue;
      if (!exu_unwind_code(unwinder, words[i] - 1, &code)) return false;
      if (!code.cfi || code.signal || code.start) continue;
      if (trials++ >= TRIALS_MAX) return false;
      if (try_slot(&search, low + i * 8, words[i], state)) return true;
      if (unwinder->no_memory) return false;
    }
    high = low;
  }
  return false;
}

bool exu_unwind_resume(struct exu_unwinder *unwinder, uint64_t marker, struct exu_native_stack *stack, bool *resumed) {
  struct exu_unwind_state state;
  *resumed = false;
  unwinder->stack = stack;
  unwinder->no_memory = false;
  if (stack->frames.count == 0) return true;
  const uint64_t lowest = (stack->frames.items[stack->frames.count - 1].sp + 7) / 8 * 8;
  const enum exu_unwind_end why = stack->end;
  if (why == EXU_UNWIND_START || why == EXU_UNWIND_BUDGET || marker <= lowest) return true;
  if (!exu_unwind_same_stack(unwinder, lowest, marker)) return true;
  if (!find_frame(unwinder, lowest, marker, &state)) return !unwinder->no_memory;
  unwinder->start = state;
  unwinder->gap = *resumed = true;
  return exu_unwind_from_start(unwinder);
}
