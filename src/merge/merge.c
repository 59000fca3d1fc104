/* SPDX-License-Identifier: Apache-2.0 */
#include "merge/merge.h"

#include "merge/merge_private.h"

/* ---- What the rules share ---------------------------------------------------------------------------------------- */

void exu_merge_clear_hosts(struct exu_merge_run *runs, size_t count) {
  for (size_t i = 0; i < count; i++) runs[i].host = EXU_MERGE_NO_HOST;
}

void exu_merge_arrange(struct exu_merge_run *runs, size_t count, uint32_t list) {
  for (uint32_t position = 0; list != EXU_MERGE_END; position++) {
    uint32_t next = runs[list].link;
    runs[list].link = position;
    list = next;
  }
  for (size_t i = 0; i < count; i++) {
    while (runs[i].link != i) {
      struct exu_merge_run displaced = runs[runs[i].link];
      runs[runs[i].link] = runs[i];
      runs[i] = displaced;
    }
  }
}

/* ---- One order --------------------------------------------------------------------------------------------------- */

struct writing {
  struct exu_merge_item *items;
  size_t count;
  bool loose;    /* the last item is a run without a host: what comes next did not call it directly */
  bool compiled; /* the last item is a run of compiled code */
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

static void put_loose_run(struct writing *writing, size_t run) {
  if (!writing->loose) put_gap(writing);
  writing->loose = false;
  put(writing, EXU_MERGE_RUN, run);
  writing->loose = true;
}

static void put_compiled_run(struct writing *writing, size_t run) {
  if (!writing->compiled) put(writing, EXU_MERGE_COMPILED, 0);
  put(writing, EXU_MERGE_RUN, run);
  writing->compiled = true;
}

/* Does a run without a host come before native frame `i`? */
static bool is_before(const struct exu_merge_stack *stack, const struct exu_merge_run *run, size_t i, bool gap) {
  if (run->marker == 0) return gap;
  return run->marker < stack->frames[i].sp && (i == 0 || run->marker >= stack->frames[i - 1].sp);
}

size_t exu_merge_room(const struct exu_merge_stack *stack, size_t run_count) {
  return 2 * stack->count + stack->gap_count + 3 * run_count;
}

size_t exu_merge(const struct exu_merge_stack *stack, const struct exu_merge_run *runs, size_t run_count,
                 struct exu_merge_item *items) {
  struct writing writing = {.items = items};
  size_t run = 0, hosted = 0, gap = 0;
  bool called = false; /* a call of the eval loop is further in */
  for (size_t i = 0;; i++) {
    bool is_gap = gap < stack->gap_count && stack->gaps[gap] == i;
    if (is_gap) {
      put_gap(&writing);
      gap++;
    }
    if (hosted < run) hosted = run;
    bool certain = hosted == 0 || runs[hosted - 1].host != EXU_MERGE_NO_HOST;
    while (hosted < run_count && runs[hosted].host == EXU_MERGE_NO_HOST) {
      certain &= runs[hosted].compiled; /* else it may be of any call up to the next host */
      hosted++;
    }
    bool limit = i == stack->count || (hosted < run_count && runs[hosted].host == (int32_t)i);
    for (; run < hosted && (limit || is_before(stack, &runs[run], i, is_gap)); run++) {
      if (runs[run].compiled)
        put_compiled_run(&writing, run);
      else
        put_loose_run(&writing, run);
    }
    if (i == stack->count) break;
    const struct exu_merge_native *native = &stack->frames[i];
    if (run < run_count && runs[run].host == (int32_t)i) {
      put(&writing, EXU_MERGE_RUN, run++);
      put(&writing, EXU_MERGE_HOST, i);
      called = true;
    } else {
      if (native->eval_name && called && certain && !native->bare) put_alone(&writing);
      called |= native->eval_name;
      put(&writing, EXU_MERGE_NATIVE, i);
    }
  }
  return writing.count;
}
