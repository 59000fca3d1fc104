/* SPDX-License-Identifier: Apache-2.0 */
#include "report/merged_stack_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "base/search.h"
#include "report/frame_filter.h"

/* Which call of an eval frame is the eval loop: it may have been inlined into its caller. */
size_t exu_eval_call(const struct exu_stack_runtime *runtime, const struct exu_native_place *place) {
  for (size_t i = 0; i < place->call_count; i++) {
    if (exu_is_eval_loop(place->calls[i].function, runtime->python2)) return i;
  }
  return place->call_count - 1;
}

/* Where one of several runtimes runs, only frames of its module can be its eval loop. */
bool exu_may_run(const struct exu_stack_builder *builder, const struct exu_stack_runtime *runtime,
                 const struct exu_native_frame *frame) {
  return builder->runtime_count < 2 || runtime->module < 0 || frame->place->module == runtime->module;
}

enum { WORDS_MAX = 512 };

/* The words of the native frame that was asked about last. */
struct asking {
  struct exu_stack_builder *builder;
  int64_t tid;
  const struct exu_stack_runtime *runtime;
  const struct exu_native_thread *native;
  size_t index; /* SIZE_MAX: none yet */
  size_t count;
  uint64_t words[WORDS_MAX];
};

/* The frame's registers were looked at when it was unwound; its memory is looked at now. */
static bool keeps_pointer(void *context, size_t index, uint64_t pointer) {
  struct asking *asking = context;
  const struct exu_native_frame *frame = &asking->native->frames[index];
  if (!exu_may_run(asking->builder, asking->runtime, frame)) return false;
  if (frame->kept[0] == pointer || frame->kept[1] == pointer) return true;
  if (asking->index != index) {
    const struct exu_process *process = asking->builder->process;
    asking->index = index;
    asking->count = exu_process_read_words_between(process, frame->sp, frame->cfa, asking->words, WORDS_MAX);
  }
  for (size_t i = 0; i < asking->count; i++) {
    if (asking->words[i] == pointer) return true;
  }
  return false;
}

void exu_say_order(const struct exu_stack_builder *builder, int64_t tid) {
  exu_info(builder->diagnostics, EXU_DIAGNOSTIC_INTERPRETER_ORDER, tid,
           "several interpreters have frames on this thread, and how they interleave is not known: the frames of each "
           "are together");
}

void exu_merge_natives(const struct exu_stack_builder *builder, const struct exu_stack_runtime *runtime,
                       const struct exu_native_thread *thread, struct exu_merge_native *natives) {
  for (size_t i = 0; i < thread->count; i++) {
    const struct exu_native_frame *frame = &thread->frames[i];
    const uint64_t size = frame->place->part_size;
    natives[i] = (struct exu_merge_native){.sp = frame->sp, .cfa = frame->cfa};
    if (!runtime || !exu_may_run(builder, runtime, frame)) continue;
    natives[i].function = frame->place->part_start;
    natives[i].unsymbolized = frame->place->start == 0;
    natives[i].size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
    if (runtime->by_marker) continue;
    natives[i].eval_name =
        exu_is_eval_loop(frame->place->calls[exu_eval_call(runtime, frame->place)].function, runtime->python2);
  }
}

/* The order of the chains, in which activations are found. */
static bool is_before(const struct exu_merge_activation *a, const struct exu_merge_activation *b) {
  return a->chain != b->chain ? a->chain < b->chain : a->index < b->index;
}

/*
 * Put activations of compiled code back among those that got an order: each right before the next one of its chain, the
 * rest last. `activations`, in the order of the chains, has all of them and gets the result. False without memory.
 */
static bool put_back(struct exu_merge_activation *activations, size_t count, const struct exu_merge_activation *ordered,
                     size_t ordered_count) {
  struct exu_merge_activation *all EXU_GUARD(free) = malloc(count * sizeof *all);
  bool *done EXU_GUARD(free) = calloc(count, sizeof *done);
  size_t used = 0;
  if (!all || !done) return false;
  for (size_t k = 0; k < ordered_count; k++) {
    const size_t at = EXU_PARTITION_POINT(i, count, is_before(&activations[i], &ordered[k]));
    size_t first = at;
    while (first > 0 && activations[first - 1].compiled && !done[first - 1] &&
           activations[first - 1].chain == ordered[k].chain)
      first--;
    for (; first < at; first++) {
      all[used++] = activations[first];
      done[first] = true;
    }
    all[used++] = ordered[k];
  }
  for (size_t i = 0; i < count; i++)
    if (activations[i].compiled && !done[i]) all[used++] = activations[i];
  memcpy(activations, all, count * sizeof *all);
  return true;
}

static struct exu_merge_result ask(const struct exu_merge_stack *stack, struct exu_merge_activation *activations,
                                   size_t activation_count, struct asking *asking) {
  struct exu_stack_builder *builder = asking->builder;
  const size_t all = EXU_MERGE_QUESTIONS_FREE + builder->questions_left;
  size_t left = all;
  struct exu_merge_result result =
      exu_merge_by_pointer(stack, activations, activation_count, keeps_pointer, asking, &left);
  if (all - left > EXU_MERGE_QUESTIONS_FREE) builder->questions_left = left;
  if (left == 0)
    exu_incomplete(builder->diagnostics, EXU_DIAGNOSTIC_MERGE_BUDGET, asking->tid,
                   "which native frames run the Python frames of the thread was looked for longer than this program "
                   "does");
  return result;
}

/* The rule counts calls of the eval loop, of which compiled code makes none. False without memory. */
static bool find_by_pointer(const struct exu_merge_stack *stack, struct exu_merge_activation *activations,
                            size_t activation_count, struct asking *asking, struct exu_merge_result *result) {
  size_t compiled = 0, count = 0;
  for (size_t i = 0; i < activation_count; i++) compiled += activations[i].compiled;
  if (compiled == 0) {
    *result = ask(stack, activations, activation_count, asking);
    return true;
  }
  struct exu_merge_activation *counted EXU_GUARD(free) = malloc((activation_count + 1) * sizeof *counted);
  if (!counted) return false;
  for (size_t i = 0; i < activation_count; i++)
    if (!activations[i].compiled) counted[count++] = activations[i];
  *result = ask(stack, counted, count, asking);
  return put_back(activations, activation_count, counted, count);
}

/* The eval frames of the activations of one runtime. False without memory. */
static bool find_eval_frames_of(struct exu_stack_builder *builder, const struct exu_stack_parts *parts,
                                const struct exu_merge_stack *stack, struct exu_merge_activation *activations,
                                size_t activation_count, int64_t tid, struct exu_merge_result *result) {
  const struct exu_stack_runtime *runtime = &builder->runtimes[activations[0].group];
  struct asking asking = {
      .builder = builder, .tid = tid, .runtime = runtime, .native = parts->native, .index = SIZE_MAX};
  if (!runtime->by_marker) return find_by_pointer(stack, activations, activation_count, &asking, result);
  *result = exu_merge_by_marker(stack, activations, activation_count);
  return true;
}

/* Of the rules that found eval frames for the runtimes of a thread, the one that is least certain. */
static enum exu_merged_by rule_of(enum exu_merge_rule rule, enum exu_merged_by before) {
  static const enum exu_merged_by rules[] = {[EXU_MERGE_FAILED] = EXU_MERGED_BY_NONE,
                                             [EXU_MERGE_BY_MARKER] = EXU_MERGED_BY_STACK_ADDRESS,
                                             [EXU_MERGE_BY_POINTER] = EXU_MERGED_BY_FRAME_POINTER,
                                             [EXU_MERGE_BY_NAME] = EXU_MERGED_BY_SYMBOL};
  return rules[rule] > before ? rules[rule] : before;
}

/* Each runtime's activations by its own rule, then all into one order. False without memory. */
bool exu_find_eval_frames(struct exu_stack_builder *builder, const struct exu_stack_parts *parts,
                          const struct exu_merge_stack *stack, struct exu_merge_native *natives,
                          struct exu_merge_activation *activations, size_t activation_count,
                          struct exu_thread *thread) {
  bool known = true;
  thread->merged_by = EXU_MERGED_BY_NONE;
  for (size_t first = 0, end; first < activation_count; first = end) {
    struct exu_merge_result result;
    for (end = first + 1; end < activation_count && activations[end].group == activations[first].group;) end++;
    exu_merge_natives(builder, &builder->runtimes[activations[first].group], parts->native, natives);
    if (!find_eval_frames_of(builder, parts, stack, activations + first, end - first, thread->tid, &result))
      return false;
    thread->merged_by = rule_of(result.rule, thread->merged_by);
    known &= result.order_known;
  }
  if (!(exu_merge_groups(activations, activation_count) && known)) exu_say_order(builder, thread->tid);
  if (thread->merged_by == EXU_MERGED_BY_SYMBOL)
    exu_info(builder->diagnostics, EXU_DIAGNOSTIC_MERGED_BY_SYMBOL, thread->tid,
             "the Python frames are placed by the name of the eval loop: its frames do not show which Python frame "
             "they run");
  return true;
}
