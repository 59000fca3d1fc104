/* SPDX-License-Identifier: Apache-2.0 */
#include "merge/merge.h"

#include "merge/merge_private.h"

/* ---- What the rules share ---------------------------------------------------------------------------------------- */

void exu_merge_clear_eval_frames(struct exu_merge_activation *activations, size_t count) {
  for (size_t i = 0; i < count; i++) activations[i].eval_frame = EXU_MERGE_NO_EVAL_FRAME;
}

void exu_merge_arrange(struct exu_merge_activation *activations, size_t count, uint32_t list) {
  for (uint32_t position = 0; list != EXU_MERGE_END; position++) {
    uint32_t next = activations[list].link;
    activations[list].link = position;
    list = next;
  }
  for (size_t i = 0; i < count; i++) {
    while (activations[i].link != i) {
      struct exu_merge_activation displaced = activations[activations[i].link];
      activations[activations[i].link] = activations[i];
      activations[i] = displaced;
    }
  }
}

/* ---- One order --------------------------------------------------------------------------------------------------- */

struct writing {
  struct exu_merge_item *items;
  size_t count;
  bool loose;    /* the last item is an activation without an eval frame: what comes next did not call it directly */
  bool compiled; /* the last item is an activation of compiled code */
};

static void put_gap(struct writing *writing) {
  writing->loose = false;
  if (writing->count > 0 && writing->items[writing->count - 1].kind == EXU_MERGE_GAP) return;
  writing->items[writing->count++] = (struct exu_merge_item){EXU_MERGE_GAP, 0};
}

static void put_alone(struct writing *writing) {
  if (writing->loose) put_gap(writing);
  if (writing->count > 0 && writing->items[writing->count - 1].kind == EXU_MERGE_ALONE) return;
  writing->items[writing->count++] = (struct exu_merge_item){EXU_MERGE_ALONE, 0};
}

static void put(struct writing *writing, enum exu_merge_kind kind, size_t index) {
  if (writing->loose) put_gap(writing);
  writing->compiled = false;
  writing->items[writing->count++] = (struct exu_merge_item){kind, (uint32_t)index};
}

static void put_loose_activation(struct writing *writing, size_t activation) {
  if (!writing->loose) put_gap(writing);
  writing->loose = false;
  put(writing, EXU_MERGE_ACTIVATION, activation);
  writing->loose = true;
}

static void put_compiled_activation(struct writing *writing, size_t activation) {
  if (!writing->compiled) put(writing, EXU_MERGE_COMPILED, 0);
  put(writing, EXU_MERGE_ACTIVATION, activation);
  writing->compiled = true;
}

/* Does an activation without an eval frame come before native frame `i`? */
static bool is_before(const struct exu_merge_stack *stack, const struct exu_merge_activation *activation, size_t i,
                      bool gap) {
  if (activation->marker == 0) return gap;
  return activation->marker < stack->frames[i].sp && (i == 0 || activation->marker >= stack->frames[i - 1].sp);
}

size_t exu_merge_room(const struct exu_merge_stack *stack, size_t activation_count) {
  return 2 * stack->count + stack->gap_count + 3 * activation_count;
}

size_t exu_merge(const struct exu_merge_stack *stack, const struct exu_merge_activation *activations,
                 size_t activation_count, struct exu_merge_item *items) {
  struct writing writing = {.items = items};
  size_t activation = 0, eval_framed = 0, gap = 0;
  bool called = false; /* a call of the eval loop is further in */
  for (size_t i = 0;; i++) {
    bool is_gap = gap < stack->gap_count && stack->gaps[gap] == i;
    if (is_gap) {
      put_gap(&writing);
      gap++;
    }
    if (eval_framed < activation) eval_framed = activation;
    bool certain = eval_framed == 0 || activations[eval_framed - 1].eval_frame != EXU_MERGE_NO_EVAL_FRAME;
    while (eval_framed < activation_count && activations[eval_framed].eval_frame == EXU_MERGE_NO_EVAL_FRAME) {
      certain &= activations[eval_framed].compiled; /* else it may be of any call up to the next eval frame */
      eval_framed++;
    }
    bool limit =
        i == stack->count || (eval_framed < activation_count && activations[eval_framed].eval_frame == (int32_t)i);
    for (; activation < eval_framed && (limit || is_before(stack, &activations[activation], i, is_gap)); activation++) {
      if (activations[activation].compiled)
        put_compiled_activation(&writing, activation);
      else
        put_loose_activation(&writing, activation);
    }
    if (i == stack->count) break;
    const struct exu_merge_native *native = &stack->frames[i];
    if (activation < activation_count && activations[activation].eval_frame == (int32_t)i) {
      put(&writing, EXU_MERGE_ACTIVATION, activation++);
      put(&writing, EXU_MERGE_EVAL_FRAME, i);
      called = true;
    } else {
      if (native->eval_name && called && certain && !native->bare) put_alone(&writing);
      called |= native->eval_name;
      put(&writing, EXU_MERGE_NATIVE, i);
    }
  }
  return writing.count;
}
