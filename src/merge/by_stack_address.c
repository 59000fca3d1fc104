/* SPDX-License-Identifier: Apache-2.0 */
/* 3.10 and later: the marker says where on the C stack the call of the eval loop is that runs some Python frames. */
#include "base/search.h"
#include "merge/merge_private.h"

/* ---- The order of activations ------------------------------------------------------------------------------------ */

/* Which of two activations of different chains is the inner one. False when nothing tells, *known says that. */
static bool is_inner(const struct exu_merge_activation *a, const struct exu_merge_activation *b, bool *known) {
  if (a->eval_frame != EXU_MERGE_NO_EVAL_FRAME && b->eval_frame != EXU_MERGE_NO_EVAL_FRAME)
    return a->eval_frame < b->eval_frame;
  /* The stack grows down. */
  if (a->marker && b->marker) return a->marker < b->marker;
  *known = false;
  return false;
}

/* Two lists of activations into one. Where nothing tells, what is left of the first comes before the second. */
static uint32_t join(struct exu_merge_activation *activations, uint32_t a, uint32_t b, bool *known) {
  uint32_t first = EXU_MERGE_END, *last = &first;
  while (a != EXU_MERGE_END && b != EXU_MERGE_END) {
    bool decided = true;
    uint32_t *inner = is_inner(&activations[b], &activations[a], &decided) ? &b : &a;
    *known &= decided;
    *last = *inner;
    last = &activations[*inner].link;
    *inner = *last;
  }
  *last = a != EXU_MERGE_END ? a : b;
  return first;
}

static bool is_together(const struct exu_merge_activation *a, const struct exu_merge_activation *b, bool by_group) {
  return by_group ? a->group == b->group : a->chain == b->chain;
}

/*
 * Chains, or groups, are joined in pairs, so that many of them do not cost more than a sort. Says whether the order is
 * known.
 */
static bool order(struct exu_merge_activation *activations, size_t count, bool by_group) {
  enum { LEVELS = 33 };
  uint32_t lists[LEVELS], joined = EXU_MERGE_END;
  bool known = true;
  for (size_t i = 0; i < LEVELS; i++) lists[i] = EXU_MERGE_END;
  if (count == 0 || is_together(&activations[0], &activations[count - 1], by_group)) return true;
  for (size_t first = 0, end; first < count; first = end) {
    for (end = first + 1; end < count && is_together(&activations[end], &activations[first], by_group); end++) {
      activations[end - 1].link = (uint32_t)end;
    }
    activations[end - 1].link = EXU_MERGE_END;
    uint32_t list = (uint32_t)first;
    size_t level = 0;
    for (; level < LEVELS - 1 && lists[level] != EXU_MERGE_END; level++) {
      list = join(activations, lists[level], list, &known);
      lists[level] = EXU_MERGE_END;
    }
    lists[level] = list;
  }
  for (size_t i = 0; i < LEVELS; i++) joined = join(activations, lists[i], joined, &known);
  exu_merge_arrange(activations, count, joined);
  return known;
}

/* ---- Eval frames ------------------------------------------------------------------------------------------------- */

/* The first frame whose memory ends after the address. */
static size_t frame_at(const struct exu_merge_native *native, size_t count, uint64_t address) {
  return EXU_PARTITION_POINT(i, count, native[i].cfa != 0 && native[i].cfa <= address);
}

/*
 * Where an ascending stretch ends: frames of a signal handler may run on a stack of their own, and frames may be
 * missing.
 */
static size_t stretch_end(const struct exu_merge_native *native, size_t count, size_t first) {
  size_t end = first + 1;
  while (end < count && native[end].sp > native[end - 1].sp && native[end - 1].cfa != 0 &&
         native[end - 1].cfa <= native[end].sp) {
    end++;
  }
  return end;
}

/* The eval frames of all activations in one stretch; activations that have none yet. */
static bool find_eval_frames(const struct exu_merge_native *native, size_t first, size_t end,
                             struct exu_merge_activation *activations, size_t activation_count) {
  bool all = true;
  for (size_t r = 0; r < activation_count; r++) {
    uint64_t marker = activations[r].marker;
    if (activations[r].eval_frame != EXU_MERGE_NO_EVAL_FRAME || marker == 0) continue;
    size_t i = marker < native[first].sp ? end : first + frame_at(native + first, end - first, marker);
    if (i < end && native[i].cfa != 0 && native[i].sp <= marker && marker < native[i].cfa) {
      activations[r].eval_frame = (int32_t)i;
    } else {
      all = false;
    }
  }
  return all;
}

static size_t count_ascending(const struct exu_merge_activation *activations, size_t count) {
  int32_t last = EXU_MERGE_NO_EVAL_FRAME;
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (activations[i].eval_frame <= last) continue;
    last = activations[i].eval_frame;
    kept++;
  }
  return kept;
}

static size_t count_descending(const struct exu_merge_activation *activations, size_t count) {
  int32_t last = INT32_MAX;
  size_t kept = 0;
  for (size_t i = count; i-- > 0;) {
    if (activations[i].eval_frame == EXU_MERGE_NO_EVAL_FRAME || activations[i].eval_frame >= last) continue;
    last = activations[i].eval_frame;
    kept++;
  }
  return kept;
}

/*
 * Eval frames must ascend strictly. Seen from the innermost, one that is too far out would cost all between; seen from
 * the outermost, one that is too far in would: the view that keeps more is taken.
 */
static void drop_disorder(struct exu_merge_activation *activations, size_t count) {
  if (count_ascending(activations, count) >= count_descending(activations, count)) {
    int32_t last = EXU_MERGE_NO_EVAL_FRAME;
    for (size_t i = 0; i < count; i++) {
      if (activations[i].eval_frame <= last)
        activations[i].eval_frame = EXU_MERGE_NO_EVAL_FRAME;
      else
        last = activations[i].eval_frame;
    }
  } else {
    int32_t last = INT32_MAX;
    for (size_t i = count; i-- > 0;) {
      if (activations[i].eval_frame == EXU_MERGE_NO_EVAL_FRAME) continue;
      if (activations[i].eval_frame >= last)
        activations[i].eval_frame = EXU_MERGE_NO_EVAL_FRAME;
      else
        last = activations[i].eval_frame;
    }
  }
}

static bool has_eval_frame(const struct exu_merge_activation *activations, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (activations[i].eval_frame != EXU_MERGE_NO_EVAL_FRAME) return true;
  }
  return false;
}

struct exu_merge_result exu_merge_by_marker(const struct exu_merge_stack *stack,
                                            struct exu_merge_activation *activations, size_t activation_count) {
  /* A stack has one stretch, two with a signal's, and one more for each gap. A damaged one may have any number. */
  enum { STRETCHES_MAX = 64 };
  const struct exu_merge_native *native = stack->frames;
  size_t stretches = 0;
  bool all = activation_count == 0;
  exu_merge_clear_eval_frames(activations, activation_count);
  for (size_t first = 0, end; first < stack->count && !all && stretches < STRETCHES_MAX; first = end, stretches++) {
    end = stretch_end(native, stack->count, first);
    all = find_eval_frames(native, first, end, activations, activation_count);
  }
  bool known = order(activations, activation_count, false);
  drop_disorder(activations, activation_count);
  return (struct exu_merge_result){
      has_eval_frame(activations, activation_count) ? EXU_MERGE_BY_MARKER : EXU_MERGE_FAILED, known};
}

bool exu_merge_groups(struct exu_merge_activation *activations, size_t activation_count) {
  bool known = order(activations, activation_count, true);
  drop_disorder(activations, activation_count);
  return known;
}
