/* SPDX-License-Identifier: Apache-2.0 */
#include "report/merged_stack.h"

#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "base/str.h"
#include "merge/merge.h"
#include "report/frame_filter.h"
#include "report/merged_stack_private.h"

/* Where the frames that were asked for end. */
struct cut {
  uint64_t left; /* Python frames that are still to come; 0: none, or there is no limit */
  size_t count;  /* of frames up to there, and of gaps among them; 0: there is no cut */
  size_t gaps;
  size_t total_gaps; /* of the whole stack */
};

/* The frames of the report while they are put together: first counted, then written. */
struct output {
  struct exu_stack_builder *builder;
  const struct exu_stack_parts *parts;
  struct exu_frame *frames; /* NULL while they are counted */
  size_t room;              /* of `frames`: what does not fit is left out */
  size_t count;
  struct exu_frame counted; /* written to and forgotten while they are counted, or left out */
  struct cut cut;           /* only while they are counted */
  size_t start;             /* the native frames from this one on start the program or the thread */
  int32_t callee_module;    /* of the native call that was put last, since the last Python frame; -1: none was */
  struct exu_string callee_function;
  const struct exu_py_frame *caller; /* the Python frame that called the native ones that come now; NULL: none */
  struct exu_py *caller_py;          /* its runtime, else that of the one before; NULL: none yet */
  size_t caller_end;                 /* one past its activation's place among the items */
  bool inside;                       /* a Python frame was put already: what comes now called it, directly or not */
  enum exu_function_class callee;    /* of the native call before this one */
  bool after_gap;                    /* the frame before is a gap, of the kind `last_gap` */
  enum exu_gap last_gap;
  bool switched; /* it was said that the thread is between two greenlets */
};

static struct exu_frame *new_frame(struct output *output) {
  size_t i = output->count++;
  output->after_gap = false;
  return i < output->room ? &output->frames[i] : &output->counted;
}

/* An activation of the eval loop: the frames from its first on up to the next entry, or to the end of its chain. */
static size_t activation_end(const struct exu_stack_parts *parts, size_t first, size_t chain_end) {
  size_t i = first;
  while (i + 1 < chain_end && !parts->python[i].entry) i++;
  return i + 1;
}

static void count_activation(struct output *output, size_t count) {
  struct cut *cut = &output->cut;
  output->after_gap = false;
  if (cut->left > 0 && cut->left <= count) {
    cut->count = output->count + (size_t)cut->left;
    cut->gaps = cut->total_gaps;
  }
  cut->left -= cut->left < count ? cut->left : count;
  output->count += count;
}

static void put_activation(struct output *output, const struct exu_merge_activation *activation) {
  const struct exu_chain *chain = &output->parts->chains[activation->chain];
  size_t end = activation_end(output->parts, activation->index, chain->end);
  output->inside = true;
  output->callee_module = -1;
  if (!output->frames) {
    count_activation(output, end - activation->index);
    return;
  }
  for (size_t i = activation->index; i < end; i++) {
    const struct exu_py_frame *frame = &output->parts->python[i];
    *new_frame(output) = (struct exu_frame){.kind = EXU_FRAME_PYTHON,
                                            .entry = frame->entry,
                                            .interpreter = chain->interpreter,
                                            .runtime = (int32_t)chain->runtime,
                                            .function = frame->code->function,
                                            .qualname = frame->code->qualname,
                                            .file = frame->code->file,
                                            .first_line = frame->code->first_line,
                                            .position = frame->position,
                                            .address = frame->address,
                                            .module = -1};
  }
}

static struct exu_frame gap_frame(enum exu_gap gap) {
  return (struct exu_frame){
      .kind = EXU_FRAME_GAP, .gap = gap, .position = {-1, -1, -1, -1}, .interpreter = -1, .runtime = -1, .module = -1};
}

/* What has just been said, with nothing shown since, is not said again. */
static void put_gap(struct output *output, enum exu_gap gap) {
  if (output->after_gap && output->last_gap == gap) return;
  *new_frame(output) = gap_frame(gap);
  output->after_gap = true;
  output->last_gap = gap;
  output->cut.total_gaps++;
}

/* ---- Which native calls are shown -------------------------------------------------------------------------------- */

static bool is_interpreter(const struct exu_stack_builder *builder, int32_t module) {
  for (size_t i = 0; module >= 0 && i < builder->runtime_count; i++) {
    if (builder->runtimes[i].module == module) return true;
  }
  return false;
}

static enum exu_function_class classify(struct exu_stack_builder *builder, const struct exu_native_place *place,
                                        const struct exu_native_call *call) {
  bool is_new, interpreter = is_interpreter(builder, place->module);
  struct exu_string module = {NULL, 0};
  uint64_t *known = exu_map_insert_number(&builder->classes, (uintptr_t)call, &is_new);
  if (known && !is_new) return (enum exu_function_class) * known;
  if (place->module >= 0) module = builder->modules->items[place->module].path;
  enum exu_function_class class = exu_classify_function(call->function, module, interpreter);
  if (known) *known = class;
  return class;
}

static bool is_start(struct exu_stack_builder *builder, const struct exu_native_frame *frame) {
  const struct exu_native_place *place = frame->place;
  enum exu_function_class class = classify(builder, place, &place->calls[place->call_count - 1]);
  return !frame->signal && (class == EXU_FUNCTION_START || class == EXU_FUNCTION_LIBC);
}

/*
 * The outermost frames that belong to the C library and its start files. Where they are is certain only at a true end.
 * In a stripped program _start has no symbol: it is the outermost, and the C library's is the next.
 */
static size_t find_start(struct exu_stack_builder *builder, const struct exu_native_thread *native) {
  size_t start = native->count;
  if (native->end != EXU_UNWIND_START || start == 0) return start;
  const struct exu_native_place *place = native->frames[start - 1].place;
  bool unsymbolized = !place->calls[place->call_count - 1].function.data;
  if (unsymbolized && start > 1 && is_start(builder, &native->frames[start - 2])) start--;
  while (start > 0 && is_start(builder, &native->frames[start - 1])) start--;
  return start;
}

/* Does this call tell somebody who reads the stack something? Asked for every call, from the innermost on. */
static bool is_visible(struct output *output, size_t index, const struct exu_native_place *place,
                       const struct exu_native_call *call) {
  const struct exu_native_frame *native = &output->parts->native->frames[index];
  enum exu_function_class callee = output->callee, class = classify(output->builder, place, call);
  output->callee = class;
  /* Where the thread is now, and where a signal interrupted it, is always shown. */
  if (output->builder->all || native->signal || index == 0) return true;
  if (output->parts->native->frames[index - 1].signal) return true;
  switch (class) {
  case EXU_FUNCTION_VISIBLE: return true;
  case EXU_FUNCTION_FILTERED:
  case EXU_FUNCTION_PY_MAIN: return false;
  case EXU_FUNCTION_UNSYMBOLIZED: return !output->inside;
  case EXU_FUNCTION_BINDING:
    return output->callee_module != place->module || !exu_binding_names(call->function, output->callee_function);
  /* A program that embeds Python has more to show than the python executable, whose main may have no symbol. */
  case EXU_FUNCTION_MAIN:
  case EXU_FUNCTION_UNKNOWN: return callee != EXU_FUNCTION_PY_MAIN && index < output->start;
  case EXU_FUNCTION_START:
  case EXU_FUNCTION_LIBC: return index < output->start;
  }
  return true;
}

/* ---- Native frames ----------------------------------------------------------------------------------------------- */

static struct exu_frame *put_call(struct output *output, const struct exu_native_frame *native, size_t index,
                                  bool eval) {
  const struct exu_native_place *place = native->place;
  const struct exu_native_call *call = &place->calls[index];
  output->callee_module = place->module;
  output->callee_function = call->function;
  uint64_t start = place->start ? place->start : place->module_start;
  struct exu_frame *frame = new_frame(output);
  *frame = (struct exu_frame){.kind = EXU_FRAME_NATIVE,
                              .eval = eval,
                              .signal = native->signal,
                              .inlined = call->inlined,
                              .interpreter = -1,
                              .function = call->function,
                              .symbol = call->symbol.data ? &call->symbol : NULL,
                              .file = call->file,
                              .position = {call->line, -1, -1, -1},
                              .address = native->pc,
                              .offset = native->pc - start,
                              .module = place->module};
  return frame;
}

/* A function without a symbol that Python has a name for. False: it is none, or that is not certain. */
static bool put_builtin(struct output *output, size_t index) {
  const struct exu_native_frame *native = &output->parts->native->frames[index];
  struct exu_string name =
      exu_builtin_name(&output->builder->builtins, output->caller_py, output->parts->native, index, output->caller);
  if (!name.data) return false;
  struct exu_frame *frame = put_call(output, native, 0, false);
  frame->function = name;
  frame->offset = native->pc - native->place->part_start;
  output->callee_function = name;
  output->callee = EXU_FUNCTION_VISIBLE;
  return true;
}

/* The calls [first, end) of a native frame. */
static void put_calls(struct output *output, size_t index, size_t first, size_t end) {
  const struct exu_native_frame *native = &output->parts->native->frames[index];
  if (first == 0 && output->caller_py && put_builtin(output, index)) return;
  for (size_t i = first; i < end; i++) {
    if (output->parts->no_inlines && native->place->calls[i].inlined) continue;
    if (is_visible(output, index, native->place, &native->place->calls[i])) put_call(output, native, i, false);
  }
}

/*
 * An eval frame: what was inlined into the eval loop is called by the activation's innermost frame, so it comes before
 * the activation.
 */
static void put_eval_frame(struct output *output, const struct exu_merge_activation *activation) {
  size_t index = (size_t)activation->eval_frame;
  const struct exu_native_frame *native = &output->parts->native->frames[index];
  const struct exu_chain *chain = &output->parts->chains[activation->chain];
  size_t eval = exu_eval_call(&output->builder->runtimes[chain->runtime], native->place);
  put_calls(output, index, 0, eval);
  put_activation(output, activation);
  if (output->builder->all) put_call(output, native, eval, true);
  output->callee = EXU_FUNCTION_FILTERED;
  put_calls(output, index, eval + 1, native->place->call_count);
}

static void say_lost(const struct exu_stack_builder *builder, const struct exu_merge_activation *activations,
                     size_t activation_count, int64_t tid) {
  size_t lost = 0;
  for (size_t i = 0; i < activation_count; i++)
    lost += activations[i].eval_frame == EXU_MERGE_NO_EVAL_FRAME && !activations[i].compiled;
  if (lost == 0) return;
  exu_incomplete(
      builder->diagnostics, EXU_DIAGNOSTIC_MERGE_INCOMPLETE, tid,
      "the native frames that run %zu of %zu activations of the eval loop are not known: their Python frames "
      "follow a gap",
      lost, activation_count);
}

static void say_alone(const struct exu_stack_builder *builder, const struct exu_merge_item *items, size_t count,
                      int64_t tid) {
  size_t alone = 0;
  for (size_t i = 0; i < count; i++) alone += items[i].kind == EXU_MERGE_ALONE;
  if (alone == 0) return;
  exu_incomplete(
      builder->diagnostics, EXU_DIAGNOSTIC_EVAL_LOOP_ALONE, tid,
      "at %zu places the eval loop runs on the native stack, and no Python frame of the thread's belongs to it: "
      "those frames are of another stack or interpreter, or were lost",
      alone);
}

static size_t count_activations(const struct exu_stack_parts *parts) {
  size_t count = 0;
  for (size_t c = 0; c < parts->chain_count; c++) {
    const struct exu_chain *chain = &parts->chains[c];
    for (size_t i = chain->first; i < chain->end; i = activation_end(parts, i, chain->end)) count++;
  }
  return count;
}

/* Compiled code pushes its frames without an eval loop: the outermost has no marker. */
static bool is_compiled(const struct exu_stack_parts *parts, size_t first, size_t end) {
  for (size_t i = first; i < end; i++) {
    if (!parts->python[i].compiled) return false;
  }
  return parts->python[end - 1].marker == 0;
}

/* NULL without memory. */
static struct exu_merge_activation *merge_activations(const struct exu_stack_parts *parts, size_t *count) {
  struct exu_merge_activation *activations = calloc(count_activations(parts) + 1, sizeof *activations);
  size_t activation = 0;
  for (size_t c = 0; activations && c < parts->chain_count; c++) {
    const struct exu_chain *chain = &parts->chains[c];
    for (size_t i = chain->first, end; i < chain->end; i = end) {
      end = activation_end(parts, i, chain->end);
      activations[activation++] = (struct exu_merge_activation){.marker = parts->python[end - 1].marker,
                                                                .pointer = parts->python[i].address,
                                                                .index = (uint32_t)i,
                                                                .chain = (uint32_t)c,
                                                                .group = chain->runtime,
                                                                .eval_frame = EXU_MERGE_NO_EVAL_FRAME,
                                                                .compiled = is_compiled(parts, i, end)};
    }
  }
  *count = activation;
  return activations;
}

/* Does an eval loop run here all of whose frames do not exist for Python, as far as was read? */
static bool is_bare(const struct exu_stack_parts *parts, const struct exu_native_frame *frame) {
  for (size_t i = 0; i < parts->bare_count; i++)
    if (parts->bare[i] >= frame->sp && parts->bare[i] < frame->cfa) return true;
  return false;
}

/* By name, of any runtime: those that turn out to have no activation are to be said. */
static void mark_eval_loops(const struct exu_stack_builder *builder, const struct exu_stack_parts *parts,
                            struct exu_merge_native *natives) {
  for (size_t i = 0; i < parts->native->count; i++) {
    const struct exu_native_frame *frame = &parts->native->frames[i];
    for (size_t r = 0; r < builder->runtime_count && !natives[i].eval_name; r++) {
      const struct exu_stack_runtime *runtime = &builder->runtimes[r];
      const struct exu_native_call *call = &frame->place->calls[exu_eval_call(runtime, frame->place)];
      natives[i].eval_name = exu_may_run(builder, runtime, frame) && exu_is_eval_loop(call->function, runtime->python2);
    }
    natives[i].bare = natives[i].eval_name && is_bare(parts, frame);
  }
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

/*
 * Since 3.10 the chain of a thread state's frames leads over the C stack (CFrame, shims), which a switch of greenlets
 * overwrites: in the middle of one it may lead anywhere. Before, the frames are of one of the two greenlets.
 */
static bool is_chain_lost(const struct exu_stack_builder *builder, const struct exu_stack_parts *parts) {
  if (!parts->native || parts->native->end != EXU_UNWIND_SWITCH) return false;
  for (size_t i = 0; i < builder->runtime_count; i++) {
    if (builder->runtimes[i].by_marker) return true;
  }
  return false;
}

/*
 * Between two greenlets there is one gap: the Python frames that the thread state has are of one, no eval frame is
 * known.
 */
static void put_native_gap(struct output *output) {
  if (output->parts->native->end != EXU_UNWIND_SWITCH) {
    put_gap(output, EXU_GAP_NATIVE);
    return;
  }
  if (!output->switched)
    put_gap(output, is_chain_lost(output->builder, output->parts) ? EXU_GAP_SWITCH_PYTHON : EXU_GAP_SWITCH);
  output->switched = true;
}

/* The Python frame that the native calls from items[from] on were made from: the innermost of the next activation. */
static void find_caller(struct output *output, const struct exu_merge_item *items, size_t count, size_t from,
                        const struct exu_merge_activation *activations) {
  if (from < output->caller_end) return;
  size_t i = from;
  while (i < count && items[i].kind != EXU_MERGE_ACTIVATION) i++;
  output->caller_end = i + 1;
  output->caller = NULL;
  if (i == count) return;
  const struct exu_merge_activation *activation = &activations[items[i].index];
  output->caller = &output->parts->python[activation->index];
  output->caller_py = output->builder->runtimes[output->parts->chains[activation->chain].runtime].py;
}

static void put_items(struct output *output, const struct exu_merge_item *items, size_t count,
                      const struct exu_merge_activation *activations) {
  const struct exu_stack_parts *parts = output->parts;
  for (size_t i = 0; i < count; i++) {
    size_t index = items[i].index;
    find_caller(output, items, count, i, activations);
    switch (items[i].kind) {
    case EXU_MERGE_NATIVE: put_calls(output, index, 0, parts->native->frames[index].place->call_count); break;
    case EXU_MERGE_GAP: put_native_gap(output); break;
    case EXU_MERGE_COMPILED: put_gap(output, EXU_GAP_COMPILED); break;
    case EXU_MERGE_ALONE: put_gap(output, EXU_GAP_PYTHON); break;
    case EXU_MERGE_ACTIVATION:
      /* An activation with an eval frame is put with its eval frame, which comes next. */
      if (activations[index].eval_frame == EXU_MERGE_NO_EVAL_FRAME) {
        put_activation(output, &activations[index]);
      } else {
        put_eval_frame(output, &activations[index]);
      }
      break;
    case EXU_MERGE_EVAL_FRAME: break;
    }
  }
  if (parts->native->end == EXU_UNWIND_GREENLET) put_gap(output, EXU_GAP_GREENLET);
  if (parts->native->end == EXU_UNWIND_SWITCH && !output->switched) put_native_gap(output);
}

static void put_python(struct output *output, const struct exu_merge_activation *activations, size_t activation_count) {
  if (output->parts->moved) put_gap(output, EXU_GAP_MOVED);
  for (size_t i = 0; i < activation_count; i++) put_activation(output, &activations[i]);
}

/* What is put: native frames and activations in their order, or without items the activations alone. */
struct plan {
  const struct exu_merge_item *items;
  size_t count;
  const struct exu_merge_activation *activations;
  size_t activation_count;
};

static void put_all(struct output *output, const struct plan *plan) {
  if (plan->items)
    put_items(output, plan->items, plan->count, plan->activations);
  else
    put_python(output, plan->activations, plan->activation_count);
}

/* How many frames are left out when only the first *kept are shown, which may be all. */
static size_t cut_off(const struct exu_stack_builder *builder, const struct output *counted, const struct plan *plan,
                      size_t *kept) {
  struct cut cut = counted->cut;
  if (builder->max_frames > 0 && plan->activation_count == 0 && builder->max_frames < counted->count) {
    cut.count = (size_t)builder->max_frames;
    cut.gaps = cut.total_gaps; /* its only gap, if there is one, is at the end */
  }
  *kept = counted->count;
  if (cut.count == 0) return 0;
  const size_t gaps = plan->activation_count ? cut.total_gaps - cut.gaps : cut.total_gaps;
  const size_t left = counted->count - cut.count - gaps;
  if (left > 0) *kept = cut.count;
  return left;
}

static bool write_frames(struct exu_stack_builder *builder, const struct exu_stack_parts *parts,
                         const struct plan *plan, struct exu_thread *thread) {
  struct output counting = {.builder = builder, .parts = parts, .callee_module = -1}, writing;
  if (plan->items) counting.start = find_start(builder, parts->native);
  writing = counting;
  counting.cut.left = builder->max_frames;
  put_all(&counting, plan);
  const size_t left = cut_off(builder, &counting, plan, &writing.room);
  writing.frames = exu_arena_array(builder->arena, writing.room + 1, sizeof *writing.frames);
  if (!writing.frames) return false;
  put_all(&writing, plan);
  thread->frames = writing.frames;
  thread->frame_count = writing.room;
  thread->frames_left_out = left;
  if (left > 0) writing.frames[thread->frame_count++] = gap_frame(EXU_GAP_LEFT_OUT);
  return true;
}

/* A merge takes memory besides the arena's: as much as that still has, or a little. */
static bool has_room(const struct exu_stack_builder *builder, const struct exu_merge_stack *stack,
                     size_t activation_count) {
  enum { LITTLE = 16 << 20, RUNS = 3 /* two copies to sort them */ };
  const size_t size = stack->count * sizeof(struct exu_merge_native) +
                      exu_merge_room(stack, activation_count) * sizeof(struct exu_merge_item) +
                      RUNS * activation_count * sizeof(struct exu_merge_activation);
  return size <= LITTLE || exu_arena_has_room(builder->arena, size);
}

/* The order of native frames and activations; NULL without memory. */
static struct exu_merge_item *merge(struct exu_stack_builder *builder, const struct exu_stack_parts *parts,
                                    struct exu_merge_activation *activations, size_t activation_count, size_t *count,
                                    struct exu_thread *thread) {
  const struct exu_native_thread *native = parts->native;
  struct exu_merge_stack stack = {.frames = NULL, /* below */
                                  .count = native->count,
                                  .gaps = native->gaps,
                                  .gap_count = native->gap_count,
                                  .complete = exu_unwind_is_whole(native->end)};
  /* Between two greenlets a marker may by chance lie in a frame that it has nothing to do with. */
  bool known = native->end != EXU_UNWIND_SWITCH;
  for (size_t i = 0; i < activation_count && !known; i++) activations[i].marker = 0;
  if (!has_room(builder, &stack, activation_count)) {
    builder->arena->exhausted = true;
    return NULL;
  }
  struct exu_merge_native *natives EXU_GUARD(free) = calloc(native->count + 1, sizeof *natives);
  struct exu_merge_item *items = calloc(exu_merge_room(&stack, activation_count) + 1, sizeof *items);
  stack.frames = natives;
  if (!natives || !items ||
      (known && !exu_find_eval_frames(builder, parts, &stack, natives, activations, activation_count, thread))) {
    free(items);
    return NULL;
  }
  if (known) say_lost(builder, activations, activation_count, thread->tid);
  exu_merge_natives(builder, NULL, native, natives);
  mark_eval_loops(builder, parts, natives);
  *count = exu_merge(&stack, activations, activation_count, items);
  say_alone(builder, items, *count, thread->tid);
  return items;
}

static bool build_with_native(struct exu_stack_builder *builder, struct exu_stack_parts *parts,
                              struct exu_merge_activation *activations, size_t activation_count,
                              struct exu_thread *thread) {
  size_t count;
  struct exu_merge_item *items EXU_GUARD(free) = merge(builder, parts, activations, activation_count, &count, thread);
  if (!items) return false;
  const bool exhausted = builder->arena->exhausted;
  const struct plan plan = {
      .items = items, .count = count, .activations = activations, .activation_count = activation_count};
  if (write_frames(builder, parts, &plan, thread)) return true;
  parts->no_inlines = true;
  if (!write_frames(builder, parts, &plan, thread)) return false;
  builder->arena->exhausted = exhausted; /* what is missing is said below */
  exu_incomplete(builder->diagnostics, EXU_DIAGNOSTIC_INLINES_LEFT_OUT, thread->tid,
                 "the thread has %zu native frames: inlined calls are not shown", parts->native->count);
  return true;
}

bool exu_build_stack(struct exu_stack_builder *builder, const struct exu_stack_parts *given,
                     struct exu_thread *thread) {
  static const enum exu_diagnostic_code of_frames[] = {EXU_DIAGNOSTIC_CALL_NOT_BEGUN, EXU_DIAGNOSTIC_CODE_UNREADABLE,
                                                       EXU_DIAGNOSTIC_FRAME_CYCLE, EXU_DIAGNOSTIC_FRAME_UNREADABLE,
                                                       EXU_DIAGNOSTIC_INSTRUCTION_OUTSIDE_CODE};
  struct exu_stack_parts copy = *given, *parts = &copy;
  size_t activation_count;
  if (is_chain_lost(builder, parts)) {
    parts->chain_count = 0;
    exu_diagnostics_excuse(builder->diagnostics, thread->tid, of_frames, sizeof of_frames / sizeof *of_frames);
  }
  struct exu_merge_activation *activations = merge_activations(parts, &activation_count);
  if (!activations) return false;
  bool done;
  if (parts->native) {
    done = build_with_native(builder, parts, activations, activation_count, thread);
  } else {
    const struct exu_merge_stack none = {.frames = NULL};
    if (!exu_merge_by_marker(&none, activations, activation_count).order_known) exu_say_order(builder, thread->tid);
    const struct plan plan = {.activations = activations, .activation_count = activation_count};
    done = write_frames(builder, parts, &plan, thread);
  }
  if (activation_count > 0) {
    thread->interpreter = parts->chains[activations[0].chain].interpreter;
    thread->runtime = (int32_t)parts->chains[activations[0].chain].runtime;
  }
  free(activations);
  return done;
}
