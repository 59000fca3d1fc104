/* SPDX-License-Identifier: Apache-2.0 */
#include "report/splice.h"

#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "base/str.h"
#include "merge/merge.h"
#include "report/plumbing.h"
#include "report/splice_private.h"

/* Where the frames that were asked for end. */
struct cut {
  uint64_t left; /* Python frames that are still to come; 0: none, or there is no limit */
  size_t count;  /* of frames up to there, and of gaps among them; 0: there is no cut */
  size_t gaps;
  size_t total_gaps; /* of the whole stack */
};

/* The frames of the report while they are put together: first counted, then written. */
struct output {
  struct exu_splicer *splicer;
  const struct exu_splice *splice;
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
  size_t caller_end;                 /* one past its run's place among the items */
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

/* A run of the eval loop: the frames from its first on up to the next entry, or to the end of its chain. */
static size_t run_end(const struct exu_splice *splice, size_t first, size_t chain_end) {
  size_t i = first;
  while (i + 1 < chain_end && !splice->python[i].entry) i++;
  return i + 1;
}

static void count_run(struct output *output, size_t count) {
  struct cut *cut = &output->cut;
  output->after_gap = false;
  if (cut->left > 0 && cut->left <= count) {
    cut->count = output->count + (size_t)cut->left;
    cut->gaps = cut->total_gaps;
  }
  cut->left -= cut->left < count ? cut->left : count;
  output->count += count;
}

static void put_run(struct output *output, const struct exu_merge_run *run) {
  const struct exu_chain *chain = &output->splice->chains[run->chain];
  size_t end = run_end(output->splice, run->index, chain->end);
  output->inside = true;
  output->callee_module = -1;
  if (!output->frames) {
    count_run(output, end - run->index);
    return;
  }
  for (size_t i = run->index; i < end; i++) {
    const struct exu_py_frame *frame = &output->splice->python[i];
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

static struct exu_frame gap_frame(enum exu_gap gap, struct exu_string reason) {
  return (struct exu_frame){.kind = EXU_FRAME_GAP,
                            .gap = gap,
                            .function = reason,
                            .position = {-1, -1, -1, -1},
                            .interpreter = -1,
                            .runtime = -1,
                            .module = -1};
}

/* What has just been said, with nothing shown since, is not said again. */
static void put_gap(struct output *output, enum exu_gap gap, const char *reason) {
  if (output->after_gap && output->last_gap == gap) return;
  *new_frame(output) = gap_frame(gap, exu_string_of(reason));
  output->after_gap = true;
  output->last_gap = gap;
  output->cut.total_gaps++;
}

/* ---- Which native calls are shown -------------------------------------------------------------------------------- */

static bool is_interpreter(const struct exu_splicer *splicer, int32_t module) {
  for (size_t i = 0; module >= 0 && i < splicer->runtime_count; i++) {
    if (splicer->runtimes[i].module == module) return true;
  }
  return false;
}

static enum exu_function_class classify(struct exu_splicer *splicer, const struct exu_native_place *place,
                                        const struct exu_native_call *call) {
  static enum exu_function_class classes[] = {EXU_FUNCTION_UNKNOWN, EXU_FUNCTION_TELLING,  EXU_FUNCTION_PLUMBING,
                                              EXU_FUNCTION_BINDING, EXU_FUNCTION_NAMELESS, EXU_FUNCTION_PY_MAIN,
                                              EXU_FUNCTION_MAIN,    EXU_FUNCTION_START,    EXU_FUNCTION_LIBC};
  bool is_new, interpreter = is_interpreter(splicer, place->module);
  struct exu_string module = {NULL, 0};
  void **slot = exu_map_insert(&splicer->classes, (uintptr_t)call, &is_new);
  if (slot && !is_new) return *(const enum exu_function_class *)*slot;
  if (place->module >= 0) module = splicer->modules->items[place->module].path;
  enum exu_function_class class = exu_classify_function(call->function, module, interpreter);
  if (slot) *slot = &classes[class];
  return class;
}

static bool is_start(struct exu_splicer *splicer, const struct exu_native_frame *frame) {
  const struct exu_native_place *place = frame->place;
  enum exu_function_class class = classify(splicer, place, &place->calls[place->call_count - 1]);
  return !frame->signal && (class == EXU_FUNCTION_START || class == EXU_FUNCTION_LIBC);
}

/*
 * The outermost frames that belong to the C library and its start files. Where they are is certain only at a true end.
 * In a stripped program _start has no symbol: it is the outermost, and the C library's is the next.
 */
static size_t find_start(struct exu_splicer *splicer, const struct exu_native_thread *native) {
  size_t start = native->count;
  if (native->end != EXU_UNWIND_START || start == 0) return start;
  const struct exu_native_place *place = native->frames[start - 1].place;
  bool nameless = !place->calls[place->call_count - 1].function.data;
  if (nameless && start > 1 && is_start(splicer, &native->frames[start - 2])) start--;
  while (start > 0 && is_start(splicer, &native->frames[start - 1])) start--;
  return start;
}

/* Does this call tell somebody who reads the stack something? Asked for every call, from the innermost on. */
static bool is_telling(struct output *output, size_t index, const struct exu_native_place *place,
                       const struct exu_native_call *call) {
  const struct exu_native_frame *native = &output->splice->native->frames[index];
  enum exu_function_class callee = output->callee, class = classify(output->splicer, place, call);
  output->callee = class;
  /* Where the thread is now, and where a signal interrupted it, is always shown. */
  if (output->splicer->all || native->signal || index == 0) return true;
  if (output->splice->native->frames[index - 1].signal) return true;
  switch (class) {
  case EXU_FUNCTION_TELLING: return true;
  case EXU_FUNCTION_PLUMBING:
  case EXU_FUNCTION_PY_MAIN: return false;
  case EXU_FUNCTION_NAMELESS: return !output->inside;
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
                              .symbol = call->symbol,
                              .file = call->file,
                              .position = {call->line, -1, -1, -1},
                              .address = native->pc,
                              .offset = native->pc - start,
                              .module = place->module};
  return frame;
}

/* A function without a symbol that Python has a name for. False: it is none, or that is not certain. */
static bool put_builtin(struct output *output, size_t index) {
  const struct exu_native_frame *native = &output->splice->native->frames[index];
  struct exu_string name =
      exu_builtin_name(&output->splicer->builtins, output->caller_py, output->splice->native, index, output->caller);
  if (!name.data) return false;
  struct exu_frame *frame = put_call(output, native, 0, false);
  frame->function = name;
  frame->offset = native->pc - native->place->part_start;
  output->callee_function = name;
  output->callee = EXU_FUNCTION_TELLING;
  return true;
}

/* The calls [first, end) of a native frame. */
static void put_calls(struct output *output, size_t index, size_t first, size_t end) {
  const struct exu_native_frame *native = &output->splice->native->frames[index];
  if (first == 0 && output->caller_py && put_builtin(output, index)) return;
  for (size_t i = first; i < end; i++) {
    if (output->splice->no_inlines && native->place->calls[i].inlined) continue;
    if (is_telling(output, index, native->place, &native->place->calls[i])) put_call(output, native, i, false);
  }
}

/* A host: what was inlined into the eval loop is called by the run's innermost frame, so it comes before the run. */
static void put_host(struct output *output, const struct exu_merge_run *run) {
  size_t index = (size_t)run->host;
  const struct exu_native_frame *native = &output->splice->native->frames[index];
  const struct exu_chain *chain = &output->splice->chains[run->chain];
  size_t eval = exu_eval_call(&output->splicer->runtimes[chain->runtime], native->place);
  put_calls(output, index, 0, eval);
  put_run(output, run);
  if (output->splicer->all) put_call(output, native, eval, true);
  output->callee = EXU_FUNCTION_PLUMBING;
  put_calls(output, index, eval + 1, native->place->call_count);
}

static void say_lost(const struct exu_splicer *splicer, const struct exu_merge_run *runs, size_t run_count,
                     int64_t tid) {
  size_t lost = 0;
  for (size_t i = 0; i < run_count; i++) lost += runs[i].host == EXU_MERGE_NO_HOST && !runs[i].compiled;
  if (lost == 0) return;
  exu_missing(splicer->diagnostics, EXU_DIAGNOSTIC_MERGE_INCOMPLETE, tid,
              "for %zu of %zu runs of Python frames the native frame that runs them is not known: they follow after a "
              "gap",
              lost, run_count);
}

static void say_alone(const struct exu_splicer *splicer, const struct exu_merge_item *items, size_t count,
                      int64_t tid) {
  size_t alone = 0;
  for (size_t i = 0; i < count; i++) alone += items[i].kind == EXU_MERGE_ALONE;
  if (alone == 0) return;
  exu_missing(
      splicer->diagnostics, EXU_DIAGNOSTIC_EVAL_LOOP_ALONE, tid,
      "at %zu places the eval loop runs on the native stack, and no Python frame of the thread's belongs to it: "
      "those frames are of another stack or interpreter, or were lost",
      alone);
}

static size_t count_runs(const struct exu_splice *splice) {
  size_t count = 0;
  for (size_t c = 0; c < splice->chain_count; c++) {
    const struct exu_chain *chain = &splice->chains[c];
    for (size_t i = chain->first; i < chain->end; i = run_end(splice, i, chain->end)) count++;
  }
  return count;
}

/* Compiled code pushes its frames without an eval loop: the outermost has no marker. */
static bool is_compiled(const struct exu_splice *splice, size_t first, size_t end) {
  for (size_t i = first; i < end; i++) {
    if (!splice->python[i].compiled) return false;
  }
  return splice->python[end - 1].marker == 0;
}

/* NULL without memory. */
static struct exu_merge_run *merge_runs(const struct exu_splice *splice, size_t *count) {
  struct exu_merge_run *runs = calloc(count_runs(splice) + 1, sizeof *runs);
  size_t run = 0;
  for (size_t c = 0; runs && c < splice->chain_count; c++) {
    const struct exu_chain *chain = &splice->chains[c];
    for (size_t i = chain->first, end; i < chain->end; i = end) {
      end = run_end(splice, i, chain->end);
      runs[run++] = (struct exu_merge_run){.marker = splice->python[end - 1].marker,
                                           .pointer = splice->python[i].address,
                                           .index = (uint32_t)i,
                                           .chain = (uint32_t)c,
                                           .group = chain->runtime,
                                           .host = EXU_MERGE_NO_HOST,
                                           .compiled = is_compiled(splice, i, end)};
    }
  }
  *count = run;
  return runs;
}

/* Does an eval loop run here all of whose frames do not exist for Python, as far as was read? */
static bool is_bare(const struct exu_splice *splice, const struct exu_native_frame *frame) {
  for (size_t i = 0; i < splice->bare_count; i++)
    if (splice->bare[i] >= frame->sp && splice->bare[i] < frame->cfa) return true;
  return false;
}

/* By name, of any runtime: those that turn out to have no run are to be said. */
static void mark_eval_loops(const struct exu_splicer *splicer, const struct exu_splice *splice,
                            struct exu_merge_native *natives) {
  for (size_t i = 0; i < splice->native->count; i++) {
    const struct exu_native_frame *frame = &splice->native->frames[i];
    for (size_t r = 0; r < splicer->runtime_count && !natives[i].eval_name; r++) {
      const struct exu_splice_runtime *runtime = &splicer->runtimes[r];
      const struct exu_native_call *call = &frame->place->calls[exu_eval_call(runtime, frame->place)];
      natives[i].eval_name = exu_may_run(splicer, runtime, frame) && exu_is_eval_loop(call->function, runtime->python2);
    }
    natives[i].bare = natives[i].eval_name && is_bare(splice, frame);
  }
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

/*
 * Since 3.10 the chain of a thread state's frames leads over the C stack (CFrame, shims), which a switch of greenlets
 * overwrites: in the middle of one it may lead anywhere. Before, the frames are of one of the two greenlets.
 */
static bool is_chain_lost(const struct exu_splicer *splicer, const struct exu_splice *splice) {
  if (!splice->native || splice->native->end != EXU_UNWIND_SWITCH) return false;
  for (size_t i = 0; i < splicer->runtime_count; i++) {
    if (splicer->runtimes[i].by_marker) return true;
  }
  return false;
}

/* Between two greenlets there is one gap: the Python frames that the thread state has are of one, no host is known. */
static void put_native_gap(struct output *output) {
  if (output->splice->native->end != EXU_UNWIND_SWITCH) {
    put_gap(output, EXU_GAP_NATIVE, "native frames are missing here");
    return;
  }
  if (!output->switched && is_chain_lost(output->splicer, output->splice))
    put_gap(output, EXU_GAP_SWITCH,
            "the thread is switching from one greenlet to another: what its Python frames are is not certain");
  else if (!output->switched)
    put_gap(output, EXU_GAP_SWITCH, "the thread is switching from one greenlet to another");
  output->switched = true;
}

/* The Python frame that the native calls from items[from] on were made from: the innermost of the next run. */
static void find_caller(struct output *output, const struct exu_merge_item *items, size_t count, size_t from,
                        const struct exu_merge_run *runs) {
  if (from < output->caller_end) return;
  size_t i = from;
  while (i < count && items[i].kind != EXU_MERGE_RUN) i++;
  output->caller_end = i + 1;
  output->caller = NULL;
  if (i == count) return;
  const struct exu_merge_run *run = &runs[items[i].index];
  output->caller = &output->splice->python[run->index];
  output->caller_py = output->splicer->runtimes[output->splice->chains[run->chain].runtime].py;
}

static void put_items(struct output *output, const struct exu_merge_item *items, size_t count,
                      const struct exu_merge_run *runs) {
  const struct exu_splice *splice = output->splice;
  for (size_t i = 0; i < count; i++) {
    size_t index = items[i].index;
    find_caller(output, items, count, i, runs);
    switch (items[i].kind) {
    case EXU_MERGE_NATIVE: put_calls(output, index, 0, splice->native->frames[index].place->call_count); break;
    case EXU_MERGE_GAP: put_native_gap(output); break;
    case EXU_MERGE_COMPILED:
      put_gap(output, EXU_GAP_COMPILED,
              "these Python frames are compiled code: which native frames run them is not known");
      break;
    case EXU_MERGE_ALONE: put_gap(output, EXU_GAP_PYTHON, "Python frames are missing here"); break;
    case EXU_MERGE_RUN:
      /* A hosted run is put with its host, which comes next. */
      if (runs[index].host == EXU_MERGE_NO_HOST) {
        put_run(output, &runs[index]);
      } else {
        put_host(output, &runs[index]);
      }
      break;
    case EXU_MERGE_HOST: break;
    }
  }
  if (splice->native->end == EXU_UNWIND_GREENLET) put_gap(output, EXU_GAP_GREENLET, "the greenlet's stack ends here");
  if (splice->native->end == EXU_UNWIND_SWITCH && !output->switched) put_native_gap(output);
}

static void put_python(struct output *output, const struct exu_merge_run *runs, size_t run_count) {
  if (output->splice->moved)
    put_gap(output, EXU_GAP_MOVED, "the thread ran while it was read: its inner frames are left out");
  for (size_t i = 0; i < run_count; i++) put_run(output, &runs[i]);
}

/* What is put: native frames and runs in their order, or without items the runs alone. */
struct plan {
  const struct exu_merge_item *items;
  size_t count;
  const struct exu_merge_run *runs;
  size_t run_count;
};

static void put_all(struct output *output, const struct plan *plan) {
  if (plan->items)
    put_items(output, plan->items, plan->count, plan->runs);
  else
    put_python(output, plan->runs, plan->run_count);
}

/* How many frames are left out when only the first *kept are shown, which may be all. */
static size_t cut_off(const struct exu_splicer *splicer, const struct output *counted, const struct plan *plan,
                      size_t *kept) {
  struct cut cut = counted->cut;
  if (splicer->max_frames > 0 && plan->run_count == 0 && splicer->max_frames < counted->count) {
    cut.count = (size_t)splicer->max_frames;
    cut.gaps = cut.total_gaps; /* its only gap, if there is one, is at the end */
  }
  *kept = counted->count;
  if (cut.count == 0) return 0;
  const size_t gaps = plan->run_count ? cut.total_gaps - cut.gaps : cut.total_gaps;
  const size_t left = counted->count - cut.count - gaps;
  if (left > 0) *kept = cut.count;
  return left;
}

static bool write_frames(struct exu_splicer *splicer, const struct exu_splice *splice, const struct plan *plan,
                         struct exu_thread *thread) {
  struct output counting = {.splicer = splicer, .splice = splice, .callee_module = -1}, writing;
  if (plan->items) counting.start = find_start(splicer, splice->native);
  writing = counting;
  counting.cut.left = splicer->max_frames;
  put_all(&counting, plan);
  const size_t left = cut_off(splicer, &counting, plan, &writing.room);
  writing.frames = exu_arena_array(splicer->arena, writing.room + 1, sizeof *writing.frames);
  if (!writing.frames) return false;
  put_all(&writing, plan);
  thread->frames = writing.frames;
  thread->frame_count = writing.room;
  thread->frames_left_out = left;
  if (left == 0) return true;
  struct exu_string reason =
      exu_arena_printf(splicer->arena, "%zu outer frame%s left out, as asked for", left, left == 1 ? "" : "s");
  writing.frames[thread->frame_count++] = gap_frame(EXU_GAP_LEFT_OUT, reason);
  return true;
}

/* A merge takes memory besides the arena's: as much as that still has, or a little. */
static bool has_room(const struct exu_splicer *splicer, const struct exu_merge_stack *stack, size_t run_count) {
  enum { LITTLE = 16 << 20, NATIVES = 2 /* of all, and of one runtime */, RUNS = 3 /* two copies to sort them */ };
  const size_t size = NATIVES * stack->count * sizeof(struct exu_merge_native) +
                      exu_merge_room(stack, run_count) * sizeof(struct exu_merge_item) +
                      RUNS * run_count * sizeof(struct exu_merge_run);
  return size <= LITTLE || exu_arena_has_room(splicer->arena, size);
}

/* The order of native frames and runs; NULL without memory. */
static struct exu_merge_item *merge(struct exu_splicer *splicer, const struct exu_splice *splice,
                                    struct exu_merge_run *runs, size_t run_count, size_t *count,
                                    struct exu_thread *thread) {
  const struct exu_native_thread *native = splice->native;
  struct exu_merge_stack stack = {.frames = NULL, /* below */
                                  .count = native->count,
                                  .gaps = native->gaps,
                                  .gap_count = native->gap_count,
                                  .complete = exu_unwind_is_whole(native->end)};
  /* Between two greenlets a marker may by chance lie in a frame that it has nothing to do with. */
  bool known = native->end != EXU_UNWIND_SWITCH;
  for (size_t i = 0; i < run_count && !known; i++) runs[i].marker = 0;
  if (!has_room(splicer, &stack, run_count)) {
    splicer->arena->exhausted = true;
    return NULL;
  }
  struct exu_merge_native *frames EXU_GUARD(free) = exu_merge_natives(splicer, NULL, native);
  struct exu_merge_item *items = calloc(exu_merge_room(&stack, run_count) + 1, sizeof *items);
  stack.frames = frames;
  if (!frames || !items || (known && !exu_find_hosts(splicer, splice, &stack, runs, run_count, thread))) {
    free(items);
    return NULL;
  }
  if (known) say_lost(splicer, runs, run_count, thread->tid);
  mark_eval_loops(splicer, splice, frames);
  *count = exu_merge(&stack, runs, run_count, items);
  say_alone(splicer, items, *count, thread->tid);
  return items;
}

static bool splice_native(struct exu_splicer *splicer, struct exu_splice *splice, struct exu_merge_run *runs,
                          size_t run_count, struct exu_thread *thread) {
  size_t count;
  struct exu_merge_item *items EXU_GUARD(free) = merge(splicer, splice, runs, run_count, &count, thread);
  if (!items) return false;
  const bool exhausted = splicer->arena->exhausted;
  const struct plan plan = {.items = items, .count = count, .runs = runs, .run_count = run_count};
  if (write_frames(splicer, splice, &plan, thread)) return true;
  splice->no_inlines = true;
  if (!write_frames(splicer, splice, &plan, thread)) return false;
  splicer->arena->exhausted = exhausted; /* what is missing is said below */
  exu_missing(splicer->diagnostics, EXU_DIAGNOSTIC_INLINES_LEFT_OUT, thread->tid,
              "the thread has %zu native frames: inlined calls are not shown", splice->native->count);
  return true;
}

bool exu_splice(struct exu_splicer *splicer, const struct exu_splice *parts, struct exu_thread *thread) {
  static const enum exu_diagnostic_code of_frames[] = {EXU_DIAGNOSTIC_CALL_NOT_BEGUN, EXU_DIAGNOSTIC_CODE_UNREADABLE,
                                                       EXU_DIAGNOSTIC_FRAME_CYCLE, EXU_DIAGNOSTIC_FRAME_UNREADABLE,
                                                       EXU_DIAGNOSTIC_INSTRUCTION_OUTSIDE_CODE};
  struct exu_splice copy = *parts, *splice = &copy;
  size_t run_count;
  if (is_chain_lost(splicer, splice)) {
    splice->chain_count = 0;
    exu_diagnostics_excuse(splicer->diagnostics, thread->tid, of_frames, sizeof of_frames / sizeof *of_frames);
  }
  struct exu_merge_run *runs = merge_runs(splice, &run_count);
  if (!runs) return false;
  bool done;
  if (splice->native) {
    done = splice_native(splicer, splice, runs, run_count, thread);
  } else {
    const struct exu_merge_stack none = {.frames = NULL};
    if (!exu_merge_by_marker(&none, runs, run_count).order_known) exu_say_order(splicer, thread->tid);
    const struct plan plan = {.runs = runs, .run_count = run_count};
    done = write_frames(splicer, splice, &plan, thread);
  }
  if (run_count > 0) {
    thread->interpreter = splice->chains[runs[0].chain].interpreter;
    thread->runtime = (int32_t)splice->chains[runs[0].chain].runtime;
  }
  free(runs);
  return done;
}
