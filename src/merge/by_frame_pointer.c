/* SPDX-License-Identifier: Apache-2.0 */
/* Before 3.10: the call of the eval loop that runs a Python frame keeps the address of its frame object. */
#include "merge/merge_private.h"

struct matching {
  const struct exu_merge_stack *stack;
  struct exu_merge_activation *activations;
  size_t activation_count;
  exu_merge_keeps *keeps;
  void *context;
  size_t *questions; /* that may still be asked */
};

/* A function that may be the eval loop: the one that symbols call so, or any by its identity. */
struct candidate {
  uint64_t function;
  uint32_t size; /* of its code; 0: unknown */
  bool named;
};

/* The functions that cover as many activations as any other does. */
struct contest {
  struct candidate best; /* the largest of them */
  uint32_t next_size;    /* of the second largest */
  size_t covered;
  bool tie;
};

struct fit {
  size_t matched; /* activations that got an eval frame */
  size_t skipped; /* calls that keep no activation's pointer */
};

static bool is_kept(struct matching *matching, size_t native, size_t activation) {
  if (native >= matching->stack->count || activation >= matching->activation_count || *matching->questions == 0)
    return false;
  --*matching->questions;
  uint64_t pointer = matching->activations[activation].pointer;
  return pointer != 0 && matching->keeps(matching->context, native, pointer);
}

/* The next call of the candidate from `i` on; the number of frames when there is none. */
static size_t next_call(const struct exu_merge_stack *stack, struct candidate candidate, size_t i) {
  for (; i < stack->count; i++) {
    const struct exu_merge_native *native = &stack->frames[i];
    if (candidate.named ? native->eval_name : !native->eval_name && native->function == candidate.function) break;
  }
  return i;
}

/*
 * How many activations to leave out so that the call keeps the next, and the call after it the one that follows. `next`
 * is the number of frames when no call follows directly.
 */
static size_t find_ahead(struct matching *matching, size_t call, size_t next, size_t activation, size_t far) {
  for (size_t ahead = 1; ahead <= far && activation + ahead < matching->activation_count; ahead++) {
    if (!is_kept(matching, call, activation + ahead)) continue;
    if (next >= matching->stack->count || activation + ahead + 1 >= matching->activation_count) return ahead;
    if (is_kept(matching, next, activation + ahead + 1)) return ahead;
  }
  return 0;
}

/*
 * Give the calls of a function to the activations, one each. Normally every call keeps the pointer of the activation
 * whose turn it is. A call is skipped when its frame is not the thread state's yet, or no more (a stack overflow at the
 * very entry); activations are left out when their calls are missing (an unnamed part of the eval loop, a gap).
 */
static struct fit assign_from(struct matching *matching, struct candidate candidate, size_t innermost) {
  enum { NEAR = 8 };
  const struct exu_merge_stack *stack = matching->stack;
  struct fit fit = {0, 0};
  size_t activation = 0, gap = 0;
  bool after_gap = false;
  exu_merge_clear_eval_frames(matching->activations, matching->activation_count);
  for (size_t call = innermost, next; call < stack->count; call = next) {
    next = next_call(stack, candidate, call + 1);
    for (; gap < stack->gap_count && stack->gaps[gap] <= call; gap++) after_gap = true;
    /* What a symbol calls the eval loop may be called further out, for frames that are not the thread state's. */
    if (candidate.named && activation == matching->activation_count) break;
    if (!is_kept(matching, call, activation)) {
      size_t far = after_gap ? matching->activation_count : NEAR;
      size_t follows = gap < stack->gap_count && stack->gaps[gap] <= next ? stack->count : next;
      size_t ahead = 0;
      if (candidate.named && !is_kept(matching, follows, activation))
        ahead = find_ahead(matching, call, follows, activation, far);
      if (ahead == 0) {
        fit.skipped++;
        if (!candidate.named) break;
        continue;
      }
      activation += ahead;
    }
    matching->activations[activation++].eval_frame = (int32_t)call;
    fit.matched++;
    after_gap = false;
  }
  return fit;
}

/*
 * The innermost call may not have given its frame to the thread state yet, or have taken it away already; registers may
 * still have its caller's frame then. It has none if the others alone fit as well: there are fewer activations than
 * calls.
 */
static struct fit assign(struct matching *matching, struct candidate candidate) {
  const size_t innermost = next_call(matching->stack, candidate, 0);
  const size_t next = next_call(matching->stack, candidate, innermost + 1);
  struct fit all = assign_from(matching, candidate, innermost);
  if (!is_kept(matching, next, 0)) return all;
  struct fit others = assign_from(matching, candidate, next);
  const bool as_good = others.matched == all.matched && others.skipped <= all.skipped;
  return others.matched > all.matched || as_good ? others : assign_from(matching, candidate, innermost);
}

/* Calls that keep no pointer are the exception. A function that no symbol calls the eval loop has none. */
static bool is_fit(struct fit fit, struct candidate candidate) {
  return fit.matched > 0 && (candidate.named ? fit.skipped <= 1 + fit.matched / 2 : fit.skipped == 0);
}

static size_t count_calls(const struct exu_merge_stack *stack, struct candidate candidate) {
  size_t count = 0;
  for (size_t i = next_call(stack, candidate, 0); i < stack->count; i = next_call(stack, candidate, i + 1)) count++;
  return count;
}

/* No pointer helps: as many calls as activations, or the innermost ones when unwinding stopped early. */
static bool assign_by_name(struct matching *matching) {
  const struct exu_merge_stack *stack = matching->stack;
  const struct candidate named = {.named = true};
  size_t calls = count_calls(stack, named), activation = 0;
  exu_merge_clear_eval_frames(matching->activations, matching->activation_count);
  bool possible = stack->complete ? calls == matching->activation_count : calls <= matching->activation_count;
  if (calls == 0 || !possible || stack->gap_count > 0) return false;
  for (size_t call = next_call(stack, named, 0); call < stack->count; call = next_call(stack, named, call + 1)) {
    matching->activations[activation++].eval_frame = (int32_t)call;
  }
  return true;
}

/*
 * A part of the eval loop that the compiler split off has no symbol in a stripped file. An activation that is left,
 * between two that have eval frames, gets the frame between those that has no symbol and keeps its pointer, if that is
 * only one.
 */
static void fill_in(struct matching *matching) {
  struct exu_merge_activation *activations = matching->activations;
  const struct exu_merge_stack *stack = matching->stack;
  for (size_t activation = 0; activation < matching->activation_count; activation++) {
    bool first = activation == 0, last = activation + 1 == matching->activation_count;
    if (activations[activation].eval_frame != EXU_MERGE_NO_EVAL_FRAME ||
        (!first && activations[activation - 1].eval_frame == EXU_MERGE_NO_EVAL_FRAME) ||
        (!last && activations[activation + 1].eval_frame == EXU_MERGE_NO_EVAL_FRAME) || (last && !stack->complete)) {
      continue;
    }
    size_t end = last ? stack->count : (size_t)activations[activation + 1].eval_frame, found = 0;
    for (size_t i = first ? 0 : (size_t)activations[activation - 1].eval_frame + 1; i < end && found < 2; i++) {
      const struct exu_merge_native *native = &stack->frames[i];
      bool named = native->function != 0 && !native->unsymbolized;
      if (named || native->eval_name || !is_kept(matching, i, activation)) continue;
      activations[activation].eval_frame = (int32_t)i;
      found++;
    }
    if (found != 1) activations[activation].eval_frame = EXU_MERGE_NO_EVAL_FRAME;
  }
}

static void enter(struct contest *contest, struct candidate candidate, size_t covered) {
  if (covered < contest->covered) return;
  if (covered > contest->covered) {
    *contest = (struct contest){.best = candidate, .covered = covered};
    return;
  }
  contest->tie = true;
  if (candidate.size > contest->best.size) {
    contest->next_size = contest->best.size;
    contest->best = candidate;
  } else if (candidate.size > contest->next_size) {
    contest->next_size = candidate.size;
  }
}

/* Let all functions of the stack try, which no symbol calls the eval loop. */
static struct contest compete(struct matching *matching) {
  enum { FUNCTIONS_MAX = 64 };
  const struct exu_merge_stack *stack = matching->stack;
  struct contest contest = {.covered = 0};
  uint64_t tried[FUNCTIONS_MAX];
  size_t tried_count = 0;
  for (size_t i = 0; i < stack->count && tried_count < FUNCTIONS_MAX; i++) {
    uint64_t function = stack->frames[i].function;
    bool known = function == 0 || stack->frames[i].eval_name;
    for (size_t k = 0; k < tried_count && !known; k++) known = tried[k] == function;
    if (known) continue;
    struct candidate candidate = {.function = tried[tried_count++] = function, .size = stack->frames[i].size};
    struct fit fit = assign(matching, candidate);
    if (is_fit(fit, candidate)) enter(&contest, candidate, fit.matched);
  }
  return contest;
}

/*
 * In every version and build the eval loop is many times as large as the functions that lead to it and from it, which
 * parse arguments and set up a call.
 */
static bool is_decided(const struct contest *contest) {
  enum { BY_FAR = 4 };
  return !contest->tie || (contest->next_size > 0 && contest->best.size / BY_FAR >= contest->next_size);
}

/*
 * Callers of the eval loop keep the frame object too, to release it, and what it calls saves its registers. Where a
 * symbol names the eval loop, it only has to fit; else the function that covers the most activations is it.
 */
static enum exu_merge_rule choose(struct matching *matching) {
  const struct exu_merge_stack *stack = matching->stack;
  const struct candidate named = {.named = true};
  struct fit fit = assign(matching, named);
  if (is_fit(fit, named)) {
    if (fit.matched < matching->activation_count) fill_in(matching);
    return EXU_MERGE_BY_POINTER;
  }
  struct contest contest = compete(matching);
  /*
   * Without any symbol every activation must be covered, or chance could do it; two of them where frames are missing.
   */
  bool whole = stack->complete && stack->gap_count == 0;
  if (contest.covered >= (whole ? matching->activation_count : 2) && is_decided(&contest)) {
    assign(matching, contest.best);
    return EXU_MERGE_BY_POINTER;
  }
  if (assign_by_name(matching)) return EXU_MERGE_BY_NAME;
  exu_merge_clear_eval_frames(matching->activations, matching->activation_count);
  return EXU_MERGE_FAILED;
}

/*
 * Several chains: every call of the eval loop keeps the pointer of one of the chains' innermost activations that are
 * left. A register may still hold the pointer of another chain, so the chain at hand is asked first.
 */
static bool order_by_pointer(struct matching *matching) {
  enum { CHAINS_MAX = 16 };
  struct exu_merge_activation *activations = matching->activations;
  const struct candidate named = {.named = true};
  uint32_t heads[CHAINS_MAX], list = EXU_MERGE_END, *last = &list;
  size_t chains = 0, current = 0, left = matching->activation_count;
  if (left == 0 || activations[0].chain == activations[left - 1].chain) return true;
  for (size_t i = 0; i < matching->activation_count; i++) {
    bool is_first = i == 0 || activations[i].chain != activations[i - 1].chain;
    if (is_first && chains == CHAINS_MAX) return false;
    if (is_first) heads[chains++] = (uint32_t)i;
    bool is_last = i + 1 == matching->activation_count || activations[i + 1].chain != activations[i].chain;
    activations[i].link = is_last ? EXU_MERGE_END : (uint32_t)i + 1;
  }
  for (size_t call = next_call(matching->stack, named, 0); call < matching->stack->count;
       call = next_call(matching->stack, named, call + 1)) {
    for (size_t k = 0; k < chains; k++) {
      size_t chain = (current + k) % chains;
      if (heads[chain] == EXU_MERGE_END || !is_kept(matching, call, heads[chain])) continue;
      *last = heads[chain];
      last = &activations[heads[chain]].link;
      heads[chain] = *last;
      current = chain;
      left--;
      break;
    }
  }
  for (size_t k = 0; k < chains; k++) {
    *last = heads[(current + k) % chains];
    while (*last != EXU_MERGE_END) last = &activations[*last].link;
  }
  exu_merge_arrange(activations, matching->activation_count, list);
  return left == 0;
}

struct exu_merge_result exu_merge_by_pointer(const struct exu_merge_stack *stack,
                                             struct exu_merge_activation *activations, size_t activation_count,
                                             exu_merge_keeps *keeps, void *context, size_t *questions) {
  struct matching matching = {.stack = stack,
                              .activations = activations,
                              .activation_count = activation_count,
                              .keeps = keeps,
                              .context = context,
                              .questions = questions};
  exu_merge_clear_eval_frames(activations, activation_count);
  if (activation_count == 0) return (struct exu_merge_result){EXU_MERGE_FAILED, true};
  const bool known = order_by_pointer(&matching);
  const enum exu_merge_rule rule = choose(&matching);
  if (*questions > 0) return (struct exu_merge_result){rule, known};
  /* What was not asked any more could have been another eval frame. */
  exu_merge_clear_eval_frames(activations, activation_count);
  return (struct exu_merge_result){EXU_MERGE_FAILED, known};
}
