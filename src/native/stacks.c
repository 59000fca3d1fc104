/* SPDX-License-Identifier: Apache-2.0 */
#include "native/stacks.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "binary/debug_file.h"

/* Stacks of more frames are handed over as they are, so that they are in memory only once. */
enum { COPIED_MAX = 16 * 1024 };

/* A stack that others may share: of a thread without Python frames, which would have a say in it. */
struct unwound {
  const struct exu_os_thread *os;
  bool python_known;
  struct exu_native_thread thread;
};

bool exu_native_init(struct exu_native *native, const struct exu_process *process, struct exu_modules *modules,
                     struct exu_arena *arena, struct exu_diagnostics *diagnostics) {
  *native = (struct exu_native){.arena = arena, .diagnostics = diagnostics, .frames_left = EXU_NATIVE_FRAMES_MAX};
  native->symbolizer = (struct exu_symbolizer){
      .modules = modules, .arena = arena, .process = process, .lines = true, .patient = modules->options->native_all};
  native->unwinder = exu_unwinder_create(process, modules, arena);
  if (!native->unwinder) return false;
  native->symbolizer.jit = exu_unwinder_jit(native->unwinder);
  return true;
}

void exu_native_deinit(struct exu_native *native) {
  exu_unwinder_destroy(native->unwinder);
  exu_symbolizer_deinit(&native->symbolizer);
  exu_native_stack_deinit(&native->stack);
  exu_map_deinit(&native->by_sp);
  for (size_t i = 0; i < native->large.count; i++) free(native->large.items[i]);
  native->large.count = 0;
  exu_arena_release(native->arena, native->large_bytes);
  native->large_bytes = 0;
}

void exu_native_markers(struct exu_native *native, const uint64_t *markers, size_t count) {
  native->markers = markers;
  native->marker_count = count;
}

void exu_native_python(struct exu_native *native, const struct exu_unwind_python *python) {
  native->python = *python;
  exu_unwinder_python(native->unwinder, python);
}

/* Does the module at the pc have neither a file nor an image? */
static struct exu_binary *module_without_file(const struct exu_native *native, uint64_t pc) {
  struct exu_binary *module = exu_modules_find(native->symbolizer.modules, pc);
  return module && !module->file && !exu_binary_image_file(module) ? module : NULL;
}

/* "libc.so.6 not found, and its .eh_frame is not in the core" */
static void explain_no_cfi(const struct exu_native *native, const struct exu_binary *fileless, char *text,
                           size_t size) {
  const struct exu_string unnamed = EXU_STRING("the file of its module");
  const struct exu_string base = exu_base_name(fileless->path), name = base.size > 0 ? base : unnamed;
  const bool other = fileless->file_state == EXU_FILE_MISMATCHED;
  const bool saved = native->symbolizer.modules->process->running_pid >= 0;
  snprintf(text, size, "%.*s%s, and its .eh_frame %s", (int)(name.size < NAME_MAX ? name.size : NAME_MAX), name.data,
           !other                        ? " not found"
           : fileless->build_id.size > 0 ? ": build ID mismatch"
                                         : " is of another build",
           saved ? "cannot be read" : "is not in the core");
}

static void say_end(struct exu_native *native, const struct exu_os_thread *os, bool needed,
                    const struct exu_native_thread *thread) {
  if (exu_unwind_is_whole(thread->end)) return;
  if (thread->end == EXU_UNWIND_SWITCH) {
    exu_info(native->diagnostics, EXU_DIAGNOSTIC_GREENLET_SWITCH, os->tid,
             "the thread is switching from one greenlet to another: which of them the native frames further out belong "
             "to is not known");
    return;
  }
  uint64_t pc = thread->count ? thread->frames[thread->count - 1].pc : os->registers.pc;
  static const char *const why[] = {
      [EXU_UNWIND_NO_CODE] = "it lies in no module",
      [EXU_UNWIND_NO_CFI] = "it has no unwind information (CFI)",
      [EXU_UNWIND_STACK] = "the stack is damaged or was not saved",
      [EXU_UNWIND_BUDGET] = "the process has too many native frames",
      [EXU_UNWIND_OVER] = "the analysis was ended there",
      [EXU_UNWIND_UNCERTAIN] = "a greenlet was being started there, and whose frames come next is not certain",
  };
  char no_cfi[NAME_MAX + 80];
  struct exu_binary *fileless = module_without_file(native, pc);
  const char *reason = why[thread->end];
  if (thread->end == EXU_UNWIND_NO_CFI && fileless) {
    explain_no_cfi(native, fileless, no_cfi, sizeof no_cfi);
    reason = no_cfi;
  }
  if (needed && fileless) native->lacks_files = fileless->wanted = true;
  (needed ? exu_incomplete : exu_info)(native->diagnostics, EXU_DIAGNOSTIC_NATIVE_INCOMPLETE, os->tid,
                                       "native unwinding stopped after %zu frame%s at 0x%llx: %s", thread->count,
                                       thread->count == 1 ? "" : "s", (unsigned long long)pc, reason);
}

static void say_steps(struct exu_native *native, const struct exu_os_thread *os,
                      const struct exu_native_thread *thread) {
  size_t steps = thread->frame_pointer_steps;
  if (steps > 0)
    exu_info(native->diagnostics, EXU_DIAGNOSTIC_FRAME_POINTER_STEPS, os->tid,
             "%zu native frames were found by frame pointers, because their callees have no unwind information (CFI)",
             steps);
  for (size_t i = 0; i < thread->gap_count; i++) {
    uint64_t pc = thread->frames[thread->gaps[i] - 1].pc;
    struct exu_binary *fileless = module_without_file(native, pc);
    if (fileless) native->lacks_files = fileless->wanted = true;
    exu_incomplete(
        native->diagnostics, EXU_DIAGNOSTIC_NATIVE_GAP, os->tid,
        "native frames are missing: the callers of 0x%llx are not known, up to a call of the interpreter's eval loop",
        (unsigned long long)pc);
  }
}

static void say_search(struct exu_native *native) {
  if (native->gave_up || !exu_unwinder_gave_up(native->unwinder)) return;
  native->gave_up = true;
  exu_incomplete(native->diagnostics, EXU_DIAGNOSTIC_NATIVE_SEARCH_BUDGET, -1,
                 "where native stacks go on behind a gap was looked for longer than this program does: from here on "
                 "what comes after gaps is missing");
}

/* Where unwinding broke, go on at the first marker that is further out and can be made sense of. */
static bool resume(struct exu_native *native) {
  struct exu_native_stack *stack = &native->stack;
  native->gaps.count = 0;
  for (size_t i = 0; i < native->marker_count && stack->frames.count > 0; i++) {
    if (exu_unwind_is_whole(stack->end) || exu_unwind_is_boundary(stack->end)) break;
    const struct exu_native_frame *last = &stack->frames.items[stack->frames.count - 1];
    const size_t before = stack->frames.count;
    bool resumed;
    if (native->markers[i] <= last->sp) continue;
    if (!exu_unwind_resume(native->unwinder, native->markers, native->marker_count, i, stack, &resumed)) return false;
    if (!resumed || stack->frames.count == before) continue;
    size_t *gap = EXU_PUSH(native->arena, &native->gaps);
    if (!gap) return false;
    *gap = before;
  }
  return true;
}

/* The thread's own array of the frames. */
static struct exu_native_frame *keep(struct exu_native *native) {
  struct exu_native_stack *stack = &native->stack;
  const size_t count = stack->frames.count;
  struct exu_native_frame *frames;
  if (count > COPIED_MAX) {
    struct exu_native_frame **slot = EXU_PUSH(native->arena, &native->large);
    if (!slot) return NULL;
    frames = reallocarray(stack->frames.items, count, sizeof *frames);
    *slot = frames ? frames : stack->frames.items;
    const size_t kept = frames ? count : stack->frames.capacity;
    exu_arena_release(native->arena, (stack->frames.capacity - kept) * sizeof *frames);
    native->large_bytes += kept * sizeof *frames;
    stack->frames.items = NULL;
    stack->frames.count = stack->frames.capacity = 0;
    return *slot;
  }
  frames = exu_arena_array(native->arena, count, sizeof *frames);
  if (frames && count > 0) memcpy(frames, stack->frames.items, count * sizeof *frames);
  return frames;
}

/* Unwind a thread whose stack is not known yet. */
static bool unwind(struct exu_native *native, const struct exu_os_thread *os, size_t limit,
                   struct exu_native_thread *thread) {
  struct exu_native_stack *stack = &native->stack;
  if (!exu_unwind(native->unwinder, os, limit, stack) || !resume(native)) return false;
  const size_t count = stack->frames.count, gap_count = native->gaps.count;
  /* Also if there is no memory to keep them: they took time. */
  if (count > EXU_NATIVE_FRAMES_FREE) native->frames_left -= count - EXU_NATIVE_FRAMES_FREE;
  struct exu_native_frame *frames = keep(native);
  size_t *gaps = exu_arena_array(native->arena, gap_count, sizeof *gaps);
  if (!frames || !gaps) return false;
  if (gap_count > 0) memcpy(gaps, native->gaps.items, gap_count * sizeof *gaps);
  for (size_t i = 0; i < count; i++) {
    /* A return address may already belong to the next function: look at the call before it. */
    frames[i].place = exu_symbolizer_add(&native->symbolizer, frames[i].pc - !frames[i].exact);
    if (!frames[i].place) return false;
  }
  *thread = (struct exu_native_thread){.frames = frames,
                                       .count = count,
                                       .end = stack->end,
                                       .gaps = gaps,
                                       .gap_count = gap_count,
                                       .frame_pointer_steps = stack->frame_pointer_steps};
  return true;
}

/* ---- Equal stacks ------------------------------------------------------------------------------------------------ */

/* Are both threads unwound alike? Registers that are not known are 0. */
static bool is_alike(const struct exu_native *native, const struct unwound *known, const struct exu_os_thread *os) {
  const struct exu_registers *a = &known->os->registers, *b = &os->registers;
  return a->pc == b->pc && a->sp == b->sp && a->valid == b->valid && a->syscall == b->syscall &&
         memcmp(a->value, b->value, sizeof a->value) == 0 && known->python_known == native->python.known;
}

/* No two threads can be on one stack, but a damaged core may say so: its frames are there once, and count for each. */
static bool share(struct exu_native *native, const struct exu_os_thread *os, size_t limit,
                  struct exu_native_thread *thread) {
  void **slot = os->registers.sp ? exu_map_find(&native->by_sp, os->registers.sp) : NULL;
  const struct unwound *known = slot ? *slot : NULL;
  if (!known || !is_alike(native, known, os)) return false;
  *thread = known->thread;
  if (thread->count > limit) {
    thread->count = limit;
    thread->end = EXU_UNWIND_BUDGET;
    thread->frame_pointer_steps = 0;
    for (size_t i = 0; i < limit; i++) thread->frame_pointer_steps += thread->frames[i].by_frame_pointer;
  }
  if (thread->count > EXU_NATIVE_FRAMES_FREE) native->frames_left -= thread->count - EXU_NATIVE_FRAMES_FREE;
  return true;
}

/* Without memory it is not shared. */
static void remember(struct exu_native *native, const struct exu_os_thread *os,
                     const struct exu_native_thread *thread) {
  bool is_new;
  void **slot = os->registers.sp ? exu_map_insert(&native->by_sp, os->registers.sp, &is_new) : NULL;
  struct unwound *unwound = slot ? exu_arena_alloc(native->arena, sizeof *unwound) : NULL;
  if (unwound) *unwound = (struct unwound){.os = os, .python_known = native->python.known, .thread = *thread};
  if (slot) *slot = unwound;
}

/* ------------------------------------------------------------------------------------------------------------------ */

bool exu_native_thread(struct exu_native *native, const struct exu_os_thread *os, const struct exu_map *watched,
                       bool needed, struct exu_native_thread *thread) {
  const bool is_plain = !watched && native->marker_count == 0 && native->python.frames == 0;
  const size_t room = EXU_NATIVE_FRAMES_FREE + native->frames_left;
  const size_t limit = room < EXU_NATIVE_FRAMES_MAX ? room : EXU_NATIVE_FRAMES_MAX;
  exu_unwinder_watch(native->unwinder, watched);
  if (!is_plain || !share(native, os, limit, thread)) {
    if (!unwind(native, os, limit, thread)) return false;
    if (is_plain) remember(native, os, thread);
  }
  exu_native_markers(native, NULL, 0);
  say_search(native);
  say_steps(native, os, thread);
  say_end(native, os, needed, thread);
  return true;
}

bool exu_native_symbolize(struct exu_native *native) { return exu_symbolize(&native->symbolizer); }
