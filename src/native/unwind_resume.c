/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where unwinding broke, an older frame that is known to contain some address of the stack is a place to go on from.
 *
 * Why no frames between the two are taken from the stack, although there are return addresses there whose chains of
 * unwinding information end in exactly the older frame, with its pc and its CFA: that holds for chains of calls which
 * are over, too. The eval loop makes its calls at few places, one after the other, and so does each function in
 * between: an earlier call from the same place left the same return address in the same slot, and below it those of
 * its own callees. They survive inside of the memory of the frame that cannot be unwound, which need not write to all
 * of it: kernels have kilobytes of buffers there. The chain that is live is among those that can be found, if all of
 * its functions have information that needs but the stack pointer; but nothing in memory tells which it is. Not even
 * that there is but one nested chain: its inner part may be over, if the frame that cannot be unwound was called at the
 * same place. What all chains have in common is certain only from the outermost indirect call on: a direct call
 * that leads elsewhere refutes a chain, an indirect one may have led to the very frame; and the eval loop calls every C
 * function by an indirect call, so that nothing but the calling machinery would be left. Only where the frame at hand
 * ends decides it, and its code tells that: see unwind_return_path.c.
 */
#include <string.h>

#include "native/function_table.h"
#include "native/unwind_private.h"

enum {
  WORDS_MAX = 128 * 1024, /* of stack that are looked at for one marker */
  TRIALS_MAX = 2048,      /* return addresses that are tried for one marker */
  FRAME_WORDS_MAX = 8192, /* from the marker to the end of its frame */
  CHUNK = 512,            /* words */
  FUNCTION_SIZE_MAX = 1 << 20,
  TRIAL_FRAMES = 4,       /* of a trial that are looked at, */
  TRIAL_FRAMES_MAX = 256, /* and how far it goes to see another call of the eval loop */
  FRAMES_MAX = 32,
};

const struct exu_unwind_search exu_unwind_search_all = {.trials = 16 << 10, .words = 16 << 20, .code = 256 << 20};

/* Is there something left of every budget? */
static bool may_search(const struct exu_unwinder *unwinder) {
  return unwinder->search.trials > 0 && unwinder->search.words > 0 && unwinder->search.code > 0 &&
         !exu_process_is_over(unwinder->process);
}

bool exu_unwinder_gave_up(const struct exu_unwinder *unwinder) {
  const struct exu_unwind_search *search = &unwinder->search;
  return search->trials == 0 || search->words == 0 || search->code == 0;
}

static void take(size_t *budget, size_t amount) { *budget -= amount < *budget ? amount : *budget; }

struct frame_pointer {
  uint64_t value;
  struct exu_function function; /* that was called when the frame was made */
};

struct search {
  struct exu_unwinder *unwinder;
  uint64_t marker;
  uint64_t next;  /* a marker further out, 0: none */
  uint64_t known; /* code of the function that a marker further in lies in, 0: unknown */
  bool frames_found;
  struct frame_pointer frames[FRAMES_MAX];
  size_t frame_count;
};

/* ---- The beginning of a function --------------------------------------------------------------------------------- */

static bool read_bytes(const struct exu_unwinder *unwinder, uint64_t address, void *bytes, size_t size) {
  return exu_space_read(unwinder->process->space, address, bytes, size) == EXU_READABLE;
}

static bool find_function(const struct exu_unwinder *unwinder, uint64_t address, struct exu_function *function) {
  return exu_function_find(unwinder->process, unwinder->modules, address, function);
}

/*
 * Where a function's direct jumps and branches lead, outside of itself; `only` if they lead there, unless it is NULL.
 */
static size_t jump_targets(struct exu_unwinder *unwinder, const struct exu_function *function,
                           const struct exu_function *only, uint64_t targets[EXU_JUMPS_MAX]) {
  const size_t jump = unwinder->rules->jump_size;
  uint8_t bytes[4096];
  size_t count = 0;
  for (uint64_t at = function->start; at + jump < function->end && at - function->start < FUNCTION_SIZE_MAX;
       at += sizeof bytes - jump) {
    size_t size = function->end - at < sizeof bytes ? (size_t)(function->end - at) : sizeof bytes;
    if (!may_search(unwinder)) return count;
    take(&unwinder->search.code, size);
    if (!read_bytes(unwinder, at, bytes, size)) return count;
    uint64_t distance;
    for (size_t end = 0; (end = unwinder->rules->next_jump(bytes, size, end, &distance)) != 0;) {
      const uint64_t to = at + end + distance;
      if (to >= function->start && to < function->end) continue;
      if (only && (to < only->start || to >= only->end)) continue;
      if (count == EXU_JUMPS_MAX) return count;
      targets[count++] = to;
    }
  }
  return count;
}

static bool jumps_into(struct exu_unwinder *unwinder, const struct exu_function *from, const struct exu_function *to) {
  uint64_t targets[EXU_JUMPS_MAX];
  return jump_targets(unwinder, from, to, targets) > 0;
}

/* Valid until the next call: what was asked for at one marker is asked for at the next ones. */
static const struct exu_jumps *jumps_of(struct exu_unwinder *unwinder, const struct exu_function *function) {
  struct exu_jumps *jumps = &unwinder->jumps[(function->start >> 4) % EXU_JUMPS_KNOWN];
  if (jumps->function.start == function->start && jumps->function.end == function->end) return jumps;
  jumps->count = jump_targets(unwinder, function, NULL, jumps->to);
  jumps->function = *function;
  return jumps;
}

/*
 * Can a call of one function end up in the code of another, without another call? Compilers split functions: what is
 * seldom run is somewhere else, with an entry of its own in the table. And what a function does last may be a jump to
 * another one.
 */
static bool leads_to(struct exu_unwinder *unwinder, const struct exu_function *from, const struct exu_function *to) {
  if (from->start == to->start) return true;
  const struct exu_jumps *jumps = jumps_of(unwinder, from);
  for (size_t i = 0; i < jumps->count; i++)
    if (jumps->to[i] >= to->start && jumps->to[i] < to->end) return true;
  if (jumps->count == EXU_JUMPS_MAX && jumps_into(unwinder, from, to)) return true;
  for (size_t i = 0; i < jumps->count; i++) {
    struct exu_function next;
    if (!find_function(unwinder, jumps->to[i], &next) || next.start != jumps->to[i]) continue;
    if (jumps_into(unwinder, &next, to)) return true;
  }
  return false;
}

/* ---- Trials ------------------------------------------------------------------------------------------------------ */

enum proof {
  REFUTED,
  POSSIBLE,
  PROVEN,
};

/*
 * Did the call before the return address lead to pc? Only a direct call tells. Return addresses of calls that ended
 * long ago are still on the stack, each behind a call: of something else.
 */
static enum proof by_call(struct exu_unwinder *unwinder, uint64_t return_address, uint64_t pc) {
  uint64_t target;
  struct exu_function called, running;
  if (!exu_unwind_call_target(unwinder, return_address, &target)) return POSSIBLE;
  if (!find_function(unwinder, target, &called) || !find_function(unwinder, pc, &running)) return POSSIBLE;
  return leads_to(unwinder, &called, &running) ? PROVEN : REFUTED;
}

/* All markers lie in calls of one function. */
static enum proof by_function(struct exu_unwinder *unwinder, uint64_t pc, uint64_t other) {
  struct exu_function one, two;
  if (!other || !find_function(unwinder, pc, &one) || !find_function(unwinder, other, &two)) return POSSIBLE;
  return leads_to(unwinder, &one, &two) || leads_to(unwinder, &two, &one) ? PROVEN : REFUTED;
}

/* Code of the frame that contains the marker, from frame `first` on; 0: none. */
static uint64_t code_around(const struct exu_native_stack *stack, size_t first, uint64_t marker) {
  for (size_t i = first; i < stack->frames.count && marker; i++) {
    const struct exu_native_frame *frame = &stack->frames.items[i];
    if (frame->sp <= marker && marker < frame->cfa) return frame->pc - !frame->exact;
  }
  return 0;
}

/* Does a trial reach a frame around the marker first, and then go on? */
static enum proof judge(const struct search *search, const struct exu_native_stack *trial) {
  const struct exu_native_frame *frames = trial->frames.items;
  struct exu_unwinder *unwinder = search->unwinder;
  const uint64_t marker = search->marker;
  if (trial->frames.count < 2 || frames[0].sp > marker || marker >= frames[0].cfa) return REFUTED;
  if (trial->frames.count == 2 && !exu_unwind_is_whole(trial->end)) return REFUTED;
  for (size_t i = 0; i < trial->frames.count && i < TRIAL_FRAMES; i++)
    if (frames[i].by_frame_pointer) return REFUTED;
  if (!exu_unwind_same_stack(unwinder, marker, frames[0].cfa - 1)) return REFUTED;
  if (!exu_unwind_is_return_address(unwinder, frames[1].pc)) return REFUTED;
  const uint64_t pc = frames[0].pc - 1;
  const uint64_t other = search->known ? search->known : code_around(trial, 1, search->next);
  const enum proof call = by_call(unwinder, frames[1].pc, pc);
  const enum proof function = call != REFUTED ? by_function(unwinder, pc, other) : REFUTED;
  return function == POSSIBLE ? call : function;
}

static enum proof try_state(struct search *search, const struct exu_unwind_state *state) {
  struct exu_unwinder *unwinder = search->unwinder;
  struct exu_native_stack trial = {.end = EXU_UNWIND_START}, *stack = unwinder->stack;
  const struct exu_map *watched = unwinder->watched;
  const uint64_t limit = unwinder->limit;
  unwinder->stack = &trial;
  unwinder->limit = search->next && !search->known ? TRIAL_FRAMES_MAX : TRIAL_FRAMES;
  unwinder->watched = NULL;
  unwinder->gap = false;
  unwinder->start = *state;
  take(&unwinder->search.trials, 1);
  enum proof proof = exu_unwind_from_start(unwinder) ? judge(search, &trial) : REFUTED;
  exu_native_stack_deinit(&trial);
  unwinder->stack = stack;
  unwinder->limit = limit;
  unwinder->watched = watched;
  return proof;
}

/*
 * Above the marker: where a frame may keep its caller's rbp and its return address, the latter behind a call of a
 * function that is known. The caller's rbp can be anything: it need not be a frame pointer there.
 */
static void find_frame_pointers(struct search *search) {
  const struct exu_unwinder *unwinder = search->unwinder;
  const uint64_t word = unwinder->process->arch->word_size;
  uint64_t words[FRAME_WORDS_MAX];
  const uint64_t base = (search->marker + word) / word * word;
  size_t count = exu_process_read_words(unwinder->process, base, words, FRAME_WORDS_MAX);
  for (size_t i = 0; i + 1 < count && search->frame_count < FRAMES_MAX; i++) {
    struct frame_pointer *frame = &search->frames[search->frame_count];
    *frame = (struct frame_pointer){.value = base + i * word};
    uint64_t target;
    if (!exu_unwind_is_return_address(unwinder, words[i + 1])) continue;
    if (!exu_unwind_call_target(unwinder, words[i + 1], &target)) continue;
    if (!find_function(unwinder, target, &frame->function) || frame->function.start != target) continue;
    search->frame_count++;
  }
}

/*
 * The frame's CFA comes from its frame pointer, which is not known: it must be one that a call of this very function
 * made.
 */
static enum proof try_frame_pointers(struct search *search, struct exu_unwind_state *state) {
  struct exu_function function;
  if (!search->frames_found) {
    search->frames_found = true;
    find_frame_pointers(search);
  }
  if (search->frame_count == 0 || !find_function(search->unwinder, state->pc - 1, &function)) return REFUTED;
  for (size_t i = 0; i < search->frame_count; i++) {
    const struct frame_pointer *frame = &search->frames[i];
    if (!leads_to(search->unwinder, &frame->function, &function)) continue;
    if (!may_search(search->unwinder)) return REFUTED;
    state->value[search->unwinder->rules->frame_pointer] = frame->value;
    state->valid |= 1U << search->unwinder->rules->frame_pointer;
    enum proof proof = try_state(search, state);
    if (proof != REFUTED || search->unwinder->no_memory) return proof;
  }
  return REFUTED;
}

/* Is `word`, at `slot` of the stack, the return address of the marker's frame's callee? Leaves the frame's state. */
static enum proof try_slot(struct search *search, uint64_t slot, uint64_t word, struct exu_unwind_state *state) {
  *state = (struct exu_unwind_state){.pc = word, .valid = 1U << search->unwinder->rules->sp};
  state->value[search->unwinder->rules->sp] = slot + search->unwinder->process->arch->word_size;
  enum proof proof = try_state(search, state);
  if (proof != REFUTED || search->unwinder->no_memory) return proof;
  return try_frame_pointers(search, state);
}

/*
 * From the marker downwards: what is nearest is the frame's own. What is only possible must be so for one function
 * only.
 */
static bool find_frame(struct search *search, uint64_t lowest, struct exu_unwind_state *found) {
  struct exu_unwinder *unwinder = search->unwinder;
  const uint64_t word = unwinder->process->arch->word_size;
  uint64_t words[CHUNK];
  size_t trials = 0, looked = 0;
  uint64_t high = search->marker / word * word;
  bool possible = false;
  while (high > lowest && looked < WORDS_MAX) {
    size_t count = (high - lowest) / word < CHUNK ? (size_t)((high - lowest) / word) : CHUNK;
    uint64_t low = high - count * word;
    if (count == 0 || exu_process_read_words(unwinder->process, low, words, count) != count) return possible;
    take(&unwinder->search.words, count);
    for (size_t i = count; i-- > 0; looked++) {
      struct exu_code code;
      struct exu_unwind_state state;
      if (!exu_modules_find(unwinder->modules, words[i])) continue;
      if (!exu_unwind_is_return_address(unwinder, words[i])) continue;
      if (!exu_unwind_code(unwinder, words[i] - 1, &code)) return false;
      if (!code.cfi || code.signal || code.start) continue;
      if (trials++ >= TRIALS_MAX) return possible;
      enum proof proof = try_slot(search, low + i * word, words[i], &state);
      /* What was not looked at to the end could refute it. */
      if (unwinder->no_memory || !may_search(unwinder)) return false;
      if (proof == REFUTED) continue;
      if (possible && proof == POSSIBLE) {
        if (by_function(unwinder, state.pc - 1, found->pc - 1) == REFUTED) return false;
        continue;
      }
      *found = state;
      if (proof == PROVEN) return true;
      possible = true;
    }
    high = low;
  }
  return possible;
}

bool exu_unwind_resume(struct exu_unwinder *unwinder, const uint64_t *markers, size_t count, size_t which,
                       struct exu_native_stack *stack, bool *resumed) {
  struct exu_unwind_state state;
  struct search search = {.unwinder = unwinder, .marker = markers[which]};
  *resumed = false;
  unwinder->stack = stack;
  unwinder->no_memory = false;
  if (stack->frames.count == 0) return true;
  const uint64_t word = unwinder->process->arch->word_size;
  const uint64_t lowest = (stack->frames.items[stack->frames.count - 1].sp + word - 1) / word * word;
  const enum exu_unwind_end why = stack->end;
  if (exu_unwind_is_whole(why) || why == EXU_UNWIND_BUDGET || why == EXU_UNWIND_OVER || search.marker <= lowest)
    return true;
  if (!exu_unwind_same_stack(unwinder, lowest, search.marker) || !may_search(unwinder)) return true;
  if (which > 0) search.known = code_around(stack, 0, markers[which - 1]);
  if (which + 1 < count) search.next = markers[which + 1];
  if (!find_frame(&search, lowest, &state)) return !unwinder->no_memory;
  unwinder->start = state;
  unwinder->gap = *resumed = true;
  return exu_unwind_from_start(unwinder);
}
