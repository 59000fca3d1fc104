/* SPDX-License-Identifier: Apache-2.0 */
#include "python/frame/frames.h"
#include "base/str.h"
#include "python/object/types.h"

/*
 * Values of `owner` that tell frames of Python code from the shims of the eval loop (pycore_frame.h,
 * pycore_interpframe_structs.h). 3.12 and 3.13: FRAME_OWNED_BY_CSTACK is 3. 3.14 on: FRAME_OWNED_BY_INTERPRETER is 3,
 * FRAME_OWNED_BY_CSTACK is 4.
 */
enum { OWNED_BY_GENERATOR = 1, FIRST_SHIM_OWNER = 3, LAST_SHIM_OWNER = 4 };

/*
 * A million frames whose names have a million characters would be a report of terabytes: every so many bytes of names
 * count as one more frame of the budget.
 */
enum { NAME_BYTES_PER_FRAME = 1024, STRUCTURE_MAX = 640, BARE_MAX = 64 };

struct walk {
  struct exu_py *py;
  int64_t tid;
  uint64_t limit;
  struct exu_py_stack *stack;
  struct exu_map seen;
  size_t unreadable_code; /* frames without a code object that could be read */
  uint64_t cframe;        /* the marker of the eval loop that runs the current frame (3.10 and 3.11) */
  uint64_t frame_type;    /* PyFrame_Type, as soon as one of its objects was seen */
};

enum step { STEP_ON, STEP_END, STEP_NO_MEMORY };

/* Is the walk allowed to look at one more frame at `address`? Says why not. */
static enum step enter(struct walk *walk, uint64_t address) {
  struct exu_py *py = walk->py;
  size_t depth = walk->stack->frames.count;
  if (!exu_py_plausible(address)) {
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_FRAME_UNREADABLE, walk->tid,
                   "the stack goes on at 0x%llx, which cannot be a frame: the frames outside of it are missing",
                   (unsigned long long)address);
    walk->stack->complete = false;
    return STEP_END;
  }
  if ((walk->limit && depth >= walk->limit) || exu_process_is_over(py->process)) {
    walk->stack->complete = false;
    return STEP_END;
  }
  if (py->frames_left == 0) {
    exu_incomplete(
        py->diagnostics, EXU_DIAGNOSTIC_FRAME_BUDGET, walk->tid,
        "the process has more than %d frames, or very long names in them: the frames outside of the innermost "
        "%zu of this thread are missing",
        EXU_PY_FRAMES_MAX, depth);
    walk->stack->complete = false;
    return STEP_END;
  }
  bool is_new;
  if (!exu_map_insert(&walk->seen, address, &is_new)) return STEP_NO_MEMORY;
  if (!is_new) {
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_FRAME_CYCLE, walk->tid,
                   "the list of frames leads back to the frame at 0x%llx: the frames outside of it are missing",
                   (unsigned long long)address);
    walk->stack->complete = false;
    return STEP_END;
  }
  return STEP_ON;
}

static enum step unreadable(struct walk *walk, uint64_t address, enum exu_fault fault) {
  exu_incomplete(walk->py->diagnostics, EXU_DIAGNOSTIC_FRAME_UNREADABLE, walk->tid,
                 "the frame at 0x%llx cannot be read (%s): it and the frames outside of it are missing",
                 (unsigned long long)address, exu_fault_text(fault));
  walk->stack->complete = false;
  return STEP_END;
}

static enum step push(struct walk *walk, uint64_t address, struct exu_py_code *code, struct exu_position position,
                      int64_t instruction) {
  struct exu_py *py = walk->py;
  uint64_t cost = 1 + (code->function.size + code->qualname.size + code->file.size) / NAME_BYTES_PER_FRAME;
  struct exu_py_frame *frame = EXU_PUSH(py->arena, &walk->stack->frames);
  if (!frame) return STEP_NO_MEMORY;
  py->frames_left -= cost < py->frames_left ? cost : py->frames_left;
  *frame = (struct exu_py_frame){.address = address, .code = code, .position = position, .instruction = instruction};
  return STEP_ON;
}

/* A frame whose code object is gone is still a frame: it is said, and the walk goes on. */
static void lost_code(struct walk *walk, uint64_t address, uint64_t code) {
  walk->unreadable_code++;
  walk->stack->complete = false;
  exu_incomplete(walk->py->diagnostics, EXU_DIAGNOSTIC_CODE_UNREADABLE, walk->tid,
                 "the frame at 0x%llx is left out: its code object at 0x%llx cannot be read",
                 (unsigned long long)address, (unsigned long long)code);
}

/* The frame is there, but where it was is not known. */
static struct exu_position outside_code(struct walk *walk, uint64_t address) {
  exu_incomplete(walk->py->diagnostics, EXU_DIAGNOSTIC_INSTRUCTION_OUTSIDE_CODE, walk->tid,
                 "the line of the frame at 0x%llx is unknown: its instruction lies outside its code object",
                 (unsigned long long)address);
  return (struct exu_position){-1, -1, -1, -1};
}

/*
 * Compilers of Python code make frame objects of a type of their own for their functions (Nuitka: compiled_frame),
 * which they put on the thread state's stack of frames.
 */
static bool is_compiled(struct walk *walk, uint64_t type) {
  if (type == walk->frame_type || !exu_py_plausible(type)) return false;
  const struct exu_string name = exu_py_name_of_type(walk->py, type);
  if (exu_string_is(name, "frame")) walk->frame_type = type;
  return exu_string_is(name, "compiled_frame");
}

/* ---- Up to 3.10: a chain of PyFrameObjects ------------------------------------------------------------------- */

/*
 * The line as PyFrame_GetLineNumber has it. While a frame is traced the interpreter keeps the line in f_lineno: up to
 * 3.9 when f_trace is set, in 3.10 when f_lineno is not 0.
 */
static struct exu_position object_position(struct walk *walk, uint64_t address, const uint8_t *object, size_t size,
                                           struct exu_py_code *code, int64_t *current) {
  struct exu_py *py = walk->py;
  const struct exu_layout *layout = &py->runtime->layout;
  bool linetable = exu_py_has(layout->code_linetable);
  int32_t line = (int32_t)exu_py_field(object, size, layout->frame_lineno);
  bool traced = linetable ? line != 0 : exu_py_field(object, size, layout->frame_trace) != 0;
  int64_t instruction = (int32_t)exu_py_field(object, size, layout->frame_lasti);
  /* 3.10 counts in code units of two bytes, and -1 is a frame that has not started. */
  if (linetable && instruction > 0) instruction *= 2;
  bool outside = instruction < -1 || (code->bytecode_size > 0 && instruction >= (int64_t)code->bytecode_size);
  *current = outside ? -1 : instruction;
  if (traced && line > 0) return (struct exu_position){line, -1, -1, -1};
  if (outside) return outside_code(walk, address);
  return exu_py_code_position(code, instruction);
}

static enum step object_step(struct walk *walk, uint64_t *address) {
  struct exu_py *py = walk->py;
  const struct exu_layout *layout = &py->runtime->layout;
  const struct exu_field needed[] = {layout->frame_back,   layout->frame_code,  layout->frame_lasti,
                                     layout->frame_lineno, layout->frame_trace, layout->frame_iblock,
                                     layout->object_type};
  uint8_t object[STRUCTURE_MAX];
  size_t size = exu_py_extent(needed, sizeof needed / sizeof *needed);
  enum exu_fault fault = size > sizeof object ? EXU_UNMAPPED : exu_space_read(py->space, *address, object, size);
  if (fault != EXU_READABLE) return unreadable(walk, *address, fault);

  uint64_t code_address = exu_py_field(object, size, layout->frame_code);
  struct exu_py_code *code = exu_py_plausible(code_address) ? exu_py_code(py, code_address) : NULL;
  const bool compiled = is_compiled(walk, exu_py_field(object, size, layout->object_type));
  if (code && code->valid) {
    int64_t instruction;
    struct exu_position position = object_position(walk, *address, object, size, code, &instruction);
    enum step step = push(walk, *address, code, position, instruction);
    if (step != STEP_ON) return step;
    struct exu_py_frame *frame = &walk->stack->frames.items[walk->stack->frames.count - 1];
    frame->entry = true;
    frame->marker = compiled ? 0 : walk->cframe;
    frame->compiled = compiled;
    frame->blocks = (uint32_t)exu_py_field(object, size, layout->frame_iblock);
  } else {
    lost_code(walk, *address, code_address);
  }
  /* 3.10: every eval loop has a CFrame, one for each frame. The outermost lies in the thread state: no marker. */
  if (walk->cframe && !compiled && !exu_py_get(py, walk->cframe, layout->cframe_previous, &walk->cframe))
    walk->cframe = 0;
  *address = exu_py_field(object, size, layout->frame_back);
  return STEP_ON;
}

/* ---- Since 3.11: a chain of _PyInterpreterFrames --------------------------------------------------------------- */

/* Offset of the current instruction from the first, in bytes; negative when the frame has not started. */
static int64_t interpreter_instruction(struct exu_py *py, const uint8_t *frame, size_t size,
                                       const struct exu_py_code *code) {
  const struct exu_layout *layout = &py->runtime->layout;
  bool current = exu_py_has(layout->iframe_instr_ptr);
  uint64_t pointer = exu_py_field(frame, size, current ? layout->iframe_instr_ptr : layout->iframe_prev_instr);
  uint64_t start = code->bytecode;
  uint64_t copy = exu_py_field(frame, size, layout->iframe_tlbc_index);
  if (copy > 0 && copy < UINT32_MAX && code->tlbc) {
    /* Free-threaded: each thread runs its own copy of the bytecode; entry 0 is the one in the code object. */
    uint64_t copies, entry;
    if (exu_py_get(py, code->tlbc, layout->tlbc_size, &copies) && copy < copies &&
        exu_py_word(py, exu_py_at(py, code->tlbc + layout->tlbc_entries.offset, copy), &entry)) {
      start = entry;
    }
  }
  return (int64_t)(pointer - start);
}

/* A frame object keeps the line while a trace function runs (PyFrame_GetLineNumber, frame_getlineno). */
static int32_t traced_line(struct exu_py *py, uint64_t frame_object) {
  uint64_t line;
  if (!exu_py_plausible(frame_object) || !exu_py_get(py, frame_object, py->runtime->layout.frame_lineno, &line))
    return 0;
  return (int32_t)line > 0 ? (int32_t)line : 0;
}

/* The frame that was pushed last. */
static void mark_compiled(struct walk *walk, uint64_t frame_object) {
  uint64_t type;
  if (!exu_py_plausible(frame_object) ||
      !exu_py_get(walk->py, frame_object, walk->py->runtime->layout.object_type, &type))
    return;
  walk->stack->frames.items[walk->stack->frames.count - 1].compiled = is_compiled(walk, type);
}

static enum step push_interpreter_frame(struct walk *walk, uint64_t address, const uint8_t *frame, size_t size,
                                        uint64_t owner) {
  struct exu_py *py = walk->py;
  const struct exu_layout *layout = &py->runtime->layout;
  /* 3.14 on: a tagged _PyStackRef; code objects are 8-aligned. */
  uint64_t executable = exu_py_field(frame, size, layout->iframe_executable) & ~UINT64_C(7);
  struct exu_py_code *code = exu_py_plausible(executable) ? exu_py_code(py, executable) : NULL;
  if (!code || !code->valid) {
    lost_code(walk, address, executable);
    return STEP_ON;
  }
  int64_t instruction = interpreter_instruction(py, frame, size, code);
  bool inside = instruction >= -2 && (code->bytecode_size == 0 || instruction < (int64_t)code->bytecode_size);
  if (!inside) return push(walk, address, code, outside_code(walk, address), -1);
  /* A frame that is still being set up does not exist for Python: _PyFrame_IsIncomplete (pycore_frame.h). */
  if (owner != OWNED_BY_GENERATOR && instruction < (int64_t)code->traceable) return STEP_ON;
  struct exu_position position = exu_py_code_position(code, instruction);
  const uint64_t frame_object = exu_py_field(frame, size, layout->iframe_frame_obj);
  int32_t line = traced_line(py, frame_object);
  if (line && line != position.line) position = (struct exu_position){line, -1, -1, -1};
  enum step step = push(walk, address, code, position, instruction);
  if (step == STEP_ON) mark_compiled(walk, frame_object);
  return step;
}

/* The frames since the last shim ran in the eval loop whose marker this is; the outermost of them entered it. */
static void mark_entry(struct walk *walk, size_t first, uint64_t marker) {
  struct exu_py_stack *stack = walk->stack;
  if (stack->frames.count == first) {
    bool room = marker && stack->bare.count < BARE_MAX;
    uint64_t *bare = room ? EXU_PUSH(walk->py->arena, &stack->bare) : NULL;
    if (bare) *bare = marker;
    return;
  }
  struct exu_py_frame *outermost = &stack->frames.items[stack->frames.count - 1];
  outermost->entry = true;
  outermost->marker = marker;
}

static enum step interpreter_step(struct walk *walk, uint64_t *address, size_t *run) {
  struct exu_py *py = walk->py;
  const struct exu_layout *layout = &py->runtime->layout;
  const struct exu_field needed[] = {layout->iframe_executable, layout->iframe_previous,  layout->iframe_prev_instr,
                                     layout->iframe_instr_ptr,  layout->iframe_frame_obj, layout->iframe_owner,
                                     layout->iframe_is_entry,   layout->iframe_tlbc_index};
  uint8_t frame[STRUCTURE_MAX];
  size_t size = exu_py_extent(needed, sizeof needed / sizeof *needed);
  enum exu_fault fault = size > sizeof frame ? EXU_UNMAPPED : exu_space_read(py->space, *address, frame, size);
  if (fault != EXU_READABLE) return unreadable(walk, *address, fault);

  uint64_t owner = exu_py_field(frame, size, layout->iframe_owner);
  bool is_shim = !exu_py_has(layout->iframe_is_entry) && owner >= FIRST_SHIM_OWNER && owner <= LAST_SHIM_OWNER;
  if (is_shim) {
    mark_entry(walk, *run, *address);
    *run = walk->stack->frames.count;
  } else {
    enum step step = push_interpreter_frame(walk, *address, frame, size, owner);
    if (step != STEP_ON) return step;
    if (exu_py_field(frame, size, layout->iframe_is_entry)) { /* 3.11 */
      mark_entry(walk, *run, walk->cframe);
      *run = walk->stack->frames.count;
      if (walk->cframe && !exu_py_get(py, walk->cframe, layout->cframe_previous, &walk->cframe)) walk->cframe = 0;
    }
  }
  *address = exu_py_field(frame, size, layout->iframe_previous);
  return STEP_ON;
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

/* Does the frame end a run of the eval loop: is it the one that entered it, or the shim outside of that? */
static bool ends_run(const struct exu_py *py, uint64_t frame) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t value;
  if (exu_py_has(layout->iframe_is_entry)) return exu_py_get(py, frame, layout->iframe_is_entry, &value) && value;
  return exu_py_get(py, frame, layout->iframe_owner, &value) && value >= FIRST_SHIM_OWNER && value <= LAST_SHIM_OWNER;
}

/*
 * 3.11 and 3.12: a call of the eval loop first puts its CFrame before the others, and then its frame into that. In
 * between there is what an earlier call left on the C stack, or the frame, but not linked yet. The run of a call that
 * has begun ends at the frame that the CFrame before it has; leftovers lead to frames that were overwritten since, and
 * so anywhere. Where a core lacks the memory that a run leads to, it may have begun: the walk will say what is missing.
 */
static bool has_begun(const struct exu_py *py, uint64_t first, uint64_t before) {
  enum { RUN_MAX = 4096 }; /* no such leftover is that long, unless it goes round */
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t frame = first, previous = 0, caller, mark = 0;
  for (uint32_t i = 0; i < RUN_MAX && frame != 0; i++) {
    if (!exu_py_plausible(frame) || frame == mark) return false;
    if ((i & (i - 1)) == 0) mark = frame; /* Brent: a ring of n frames is met again within 3n */
    if (!exu_py_get(py, frame, layout->iframe_previous, &previous)) return frame != first && py->process->died;
    if (ends_run(py, frame)) return exu_py_get(py, before, layout->cframe_current_frame, &caller) && previous == caller;
    frame = previous;
  }
  return frame != 0;
}

static void say_not_begun(struct walk *walk) {
  static const char text[] =
      "the innermost call of the eval loop has no frame of its own yet, or it was overwritten: its caller's are shown";
  if (!walk->py->process->died) {
    exu_info(walk->py->diagnostics, EXU_DIAGNOSTIC_CALL_NOT_BEGUN, walk->tid, "%s", text);
    return;
  }
  exu_incomplete(walk->py->diagnostics, EXU_DIAGNOSTIC_CALL_NOT_BEGUN, walk->tid, "%s", text);
  walk->stack->complete = false;
}

/* The innermost frame of a thread state; 0: none. False when the thread state cannot be read. */
static bool first_frame(struct walk *walk, uint64_t tstate, uint64_t *frame) {
  const struct exu_py *py = walk->py;
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t before, caller;
  if (exu_py_has(layout->tstate_cframe) && !exu_py_get(py, tstate, layout->tstate_cframe, &walk->cframe)) return false;
  if (exu_py_has(layout->tstate_frame)) return exu_py_get(py, tstate, layout->tstate_frame, frame);
  if (exu_py_has(layout->tstate_current_frame)) return exu_py_get(py, tstate, layout->tstate_current_frame, frame);
  /* A process that was stopped while it makes a thread state, which is on the list already. */
  if (walk->cframe == 0 && !py->process->died) return true;
  if (!exu_py_get(py, walk->cframe, layout->cframe_current_frame, frame)) return false;
  /* The outermost CFrame is in the thread state, and has none before it. */
  if (!exu_py_get(py, walk->cframe, layout->cframe_previous, &before) || before == 0) return true;
  if (has_begun(py, *frame, before) || !exu_py_get(py, before, layout->cframe_current_frame, &caller)) return true;
  say_not_begun(walk);
  walk->cframe = before;
  *frame = caller;
  return true;
}

/* 3.10: the CFrame in the thread state, in which no eval loop runs; 0: another version. */
static uint64_t root_cframe(const struct exu_py *py, uint64_t tstate) {
  return exu_py_has(py->runtime->layout.tstate_root_cframe) ? tstate + py->runtime->layout.tstate_root_cframe.offset
                                                            : 0;
}

/*
 * 3.10: a call that returns takes its CFrame away first, and its frame a moment later. In between each frame has got
 * the marker of its caller, and the outermost one that in the thread state.
 */
static void undo_return(struct exu_py_stack *stack, size_t first, uint64_t root) {
  size_t count = stack->frames.count;
  if (root == 0 || count == first || stack->frames.items[count - 1].marker != root) return;
  for (size_t i = count - 1; i > first; i--) stack->frames.items[i].marker = stack->frames.items[i - 1].marker;
  stack->frames.items[first].marker = 0;
}

bool exu_py_frames(struct exu_py *py, uint64_t tstate, int64_t tid, uint64_t limit, struct exu_py_stack *stack) {
  struct walk walk = {.py = py, .tid = tid, .limit = limit, .stack = stack};
  uint64_t address = 0, base_frame = 0;
  const size_t first = stack->frames.count;
  size_t run = first;
  enum step step = STEP_ON;

  stack->complete = true;
  if (!first_frame(&walk, tstate, &address)) {
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_THREAD_STATE_UNREADABLE, tid,
                   "the thread state at 0x%llx cannot be read", (unsigned long long)tstate);
    stack->complete = false;
    return true;
  }
  /* 3.15 ends the chain with a sentinel inside the thread state. */
  if (exu_py_has(py->runtime->layout.tstate_base_frame))
    exu_py_get(py, tstate, py->runtime->layout.tstate_base_frame, &base_frame);
  while (address != 0 && address != base_frame && step == STEP_ON) {
    step = enter(&walk, address);
    if (step != STEP_ON) break;
    step = exu_py_has(py->runtime->layout.tstate_frame) ? object_step(&walk, &address)
                                                        : interpreter_step(&walk, &address, &run);
  }
  /* 3.15 has no shim around what runs in the thread state's own base frame. */
  if (stack->complete && !exu_py_has(py->runtime->layout.tstate_frame)) mark_entry(&walk, run, 0);
  if (stack->complete && exu_py_has(py->runtime->layout.tstate_frame))
    undo_return(stack, first, root_cframe(py, tstate));
  exu_map_deinit(&walk.seen);
  if (step == STEP_NO_MEMORY) stack->complete = false;
  return step != STEP_NO_MEMORY;
}

/* ---- Generators -------------------------------------------------------------------------------------------------- */

/* Up to 3.10. */
static bool read_frame_object(struct exu_py *py, uint64_t generator, struct exu_py_frame *frame) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t code, last, blocks;
  if (!exu_py_get(py, generator, layout->generator_frame, &frame->address)) return false;
  if (!exu_py_plausible(frame->address) || !exu_py_get(py, frame->address, layout->frame_code, &code)) return false;
  if (!exu_py_get(py, frame->address, layout->frame_lasti, &last)) return false;
  if (!exu_py_get(py, frame->address, layout->frame_iblock, &blocks)) return false;
  frame->code = exu_py_plausible(code) ? exu_py_code(py, code) : NULL;
  frame->instruction = (int64_t)(int32_t)last * (exu_py_has(layout->code_linetable) ? 2 : 1);
  frame->blocks = (uint32_t)blocks;
  return true;
}

/* Since 3.11. */
static bool read_interpreter_frame(struct exu_py *py, uint64_t generator, struct exu_py_frame *frame) {
  const struct exu_layout *layout = &py->runtime->layout;
  const struct exu_field needed[] = {layout->iframe_executable, layout->iframe_prev_instr, layout->iframe_instr_ptr,
                                     layout->iframe_tlbc_index};
  uint8_t bytes[STRUCTURE_MAX];
  size_t size = exu_py_extent(needed, sizeof needed / sizeof *needed);
  frame->address = generator + layout->generator_iframe.offset;
  if (size > sizeof bytes || exu_space_read(py->space, frame->address, bytes, size) != EXU_READABLE) return false;
  uint64_t executable = exu_py_field(bytes, size, layout->iframe_executable) & ~UINT64_C(7);
  frame->code = exu_py_plausible(executable) ? exu_py_code(py, executable) : NULL;
  if (frame->code && frame->code->valid) frame->instruction = interpreter_instruction(py, bytes, size, frame->code);
  return true;
}

bool exu_py_generator_frame(struct exu_py *py, uint64_t generator, struct exu_py_frame *frame) {
  *frame = (struct exu_py_frame){.instruction = -1};
  bool found = exu_py_has(py->runtime->layout.generator_iframe) ? read_interpreter_frame(py, generator, frame)
                                                                : read_frame_object(py, generator, frame);
  struct exu_py_code *code = found && frame->code ? exu_py_code(py, frame->code->address) : NULL;
  if (!code || !code->valid || frame->instruction < 0) return false;
  if (code->bytecode_size > 0 && frame->instruction >= (int64_t)code->bytecode_size) return false;
  if (frame->instruction > INT32_MAX) return false;
  frame->position = exu_py_code_position(code, frame->instruction);
  return true;
}

/* ---- Where a thread state runs ----------------------------------------------------------------------------------- */

/* The first shim from a frame outwards. 3.15's sentinel inside the thread state is none. */
static uint64_t innermost_shim(const struct exu_py *py, uint64_t tstate) {
  enum { FRAMES_MAX = 64 };
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t frame, owner;
  if (!exu_py_get(py, tstate, layout->tstate_current_frame, &frame)) return 0;
  for (int i = 0; i < FRAMES_MAX && exu_py_plausible(frame); i++) {
    if (!exu_py_get(py, frame, layout->iframe_owner, &owner)) return 0;
    if (owner >= FIRST_SHIM_OWNER && owner <= LAST_SHIM_OWNER) return frame;
    if (!exu_py_get(py, frame, layout->iframe_previous, &frame)) return 0;
  }
  return 0;
}

uint64_t exu_py_marker(const struct exu_py *py, uint64_t tstate) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t marker = 0;
  if (exu_py_has(layout->tstate_cframe)) {
    if (!exu_py_get(py, tstate, layout->tstate_cframe, &marker)) return 0;
  } else if (exu_py_has(layout->tstate_current_frame)) {
    marker = innermost_shim(py, tstate);
  }
  return marker - tstate < layout->tstate_size.size ? 0 : marker;
}

size_t exu_py_frame_objects(const struct exu_py *py, uint64_t tstate, uint64_t *objects, size_t limit) {
  uint64_t frame;
  size_t count = 0;
  if (!exu_py_get(py, tstate, py->runtime->layout.tstate_frame, &frame)) return 0;
  while (count < limit && exu_py_plausible(frame)) {
    objects[count++] = frame;
    if (!exu_py_get(py, frame, py->runtime->layout.frame_back, &frame)) break;
  }
  return count;
}
