/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locks of `with` statements. A `with` keeps the bound __exit__ of its lock on the value stack, below the depth
 * that its handler begins with. What is in force is told by the exception table since 3.11 and by the frame's stack of
 * blocks before; both begin after __enter__ has returned, and end before __exit__ is called. What a lock is wrapped in
 * is looked into: an ExitStack, and a generator that is suspended inside of a `with` while the block of another one
 * runs.
 */
#include <string.h>

#include "base/str.h"
#include "python/frame/block_stack.h"
#include "python/frame/exception_table.h"
#include "python/frame/value_stack.h"
#include "python/object/dict.h"
#include "python/object/str.h"
#include "python/object/types.h"
#include "waits/context_managers.h"
#include "waits/held_code.h"
#include "waits/locks.h"
#include "waits/python_library.h"
#include "waits/python_lock.h"
#include "waits/python_waits.h"

/* Blocks around one instruction that are looked at, and the bytes of an exception table. */
enum { DEPTHS_MAX = 64, TABLE_MAX = 1 << 20, RELEASED_MAX = 16 };

/* What is inside of the context managers of one frame. */
enum { INNER_MAX = 1024 };

/* What the last frame of a code object was found in: recursion asks the same again and again. */
struct handlers {
  uint8_t *table;
  size_t size;
  int64_t instruction;
  uint32_t depths[DEPTHS_MAX];
  size_t depth_count;
};

/* What a context manager consists of: the frame of a generator, or what an ExitStack is to leave. */
struct inner {
  struct exu_py_frame frame;   /* that; of an ExitStack the one that is inside of its `with` */
  struct exu_py_method method; /* of an ExitStack */
};

struct walk {
  struct exu_py *py;
  size_t thread;
  struct exu_py_held_list *held;
  struct exu_map codes;  /* code object -> struct handlers */
  struct exu_map looked; /* objects of `with` statements that were looked at */
  struct exu_map seen;   /* objects that are in the list already */
  const struct exu_py_frame *frames;
  size_t index;                    /* of the frame whose `with` statements are looked at, or what is inside of them */
  size_t checked;                  /* of the frames, innermost first: looked at for calls of `release` */
  bool releases;                   /* one of them has such a call */
  uint64_t released[RELEASED_MAX]; /* locks that an inner Condition.wait has let go of */
  size_t released_count;
  EXU_VECTOR(struct inner) inner;
  bool innermost; /* what is looked at is the innermost handler of the innermost frame */
  uint32_t depth; /* of that */
  bool no_memory;
};

/* ---- Adding to the list ------------------------------------------------------------------------------------------ */

static void add(struct walk *walk, const struct exu_py_frame *frame, struct exu_py_held found) {
  struct exu_py *py = walk->py;
  bool is_new;
  for (size_t i = 0; i < walk->released_count; i++) {
    if (walk->released[i] == found.object) return;
  }
  if (!exu_map_insert(&walk->seen, found.object, &is_new)) {
    walk->no_memory = true;
    return;
  }
  if (!is_new) return;
  struct exu_py_held *held = EXU_PUSH(py->arena, &walk->held->items);
  if (!held) {
    walk->no_memory = true;
    return;
  }
  *held = found;
  held->thread = walk->thread;
  held->place = exu_py_place(frame);
  held->kept = walk->innermost && exu_py_just_entered(py, frame, walk->depth);
}

/* ---- Released inside --------------------------------------------------------------------------------------------- */

/* The standard library releases what it took itself; Condition.wait is known. */
static bool is_library(const struct exu_py_code *code) {
  static const char folder[] = "/python", others[] = "-packages/";
  struct exu_string file = code->file;
  const char *at = file.data ? memmem(file.data, file.size, folder, sizeof folder - 1) : NULL;
  if (exu_string_is(code->function, "<module>")) return false;
  if (exu_string_starts(file, "<frozen ")) return true; /* "<string>" is code of `python -c` and of exec() */
  if (!at || memmem(file.data, file.size, others, sizeof others - 1)) return false;
  at += sizeof folder - 1;
  return at + 1 < file.data + file.size && (*at == '2' || *at == '3') && at[1] == '.';
}

/* Which names does the code use, as attributes or globals? Names that cannot be read may be any. */
static void find_names(struct exu_py *py, struct exu_py_code *code) {
  enum { NAMES_MAX = 4096 };
  uint64_t count, text;
  code->names_known = code->uses_acquire = code->uses_release = true;
  if (!exu_py_plausible(code->names) || !exu_py_get(py, code->names, py->runtime->layout.var_size, &count)) return;
  if (count > NAMES_MAX) return;
  bool acquire = false, release = false;
  for (uint64_t i = 0; i < count; i++) {
    if (!exu_py_word(py, exu_py_at(py, code->names + py->runtime->layout.tuple_items.offset, i), &text)) return;
    acquire |= exu_py_text_equals(py, text, "acquire");
    release |= exu_py_text_equals(py, text, "release");
  }
  code->uses_acquire = acquire;
  code->uses_release = release;
}

/* The same code object, with its names looked at: once in a process. NULL only without memory. */
static const struct exu_py_code *with_names(struct walk *walk, const struct exu_py_code *code) {
  struct exu_py_code *same = code->names_known ? NULL : exu_py_code(walk->py, code->address);
  if (code->names_known) return code;
  if (same) find_names(walk->py, same);
  if (!same) walk->no_memory = true;
  return same;
}

/*
 * A `with` says nothing about its lock when it or what was called inside of it may have released that by hand, to take
 * it again later.
 */
static bool may_be_released(struct walk *walk, size_t index) {
  for (; !walk->releases && walk->checked <= index; walk->checked++) {
    const struct exu_py_code *code = walk->frames[walk->checked].code;
    if (!code || !code->valid || is_library(code)) continue;
    bool same = walk->checked > 0 && walk->frames[walk->checked - 1].code == code;
    if (!same && !(code = with_names(walk, code))) return true;
    walk->releases = !same && code->uses_release;
  }
  return walk->releases;
}

/* The frame of a generator is none of the thread's, and has names of its own. */
static bool is_suspended(const struct walk *walk, const struct exu_py_frame *frame) {
  return frame != &walk->frames[walk->index];
}

static void add_with(struct walk *walk, const struct exu_py_frame *frame, uint64_t object, enum exu_taken_by by) {
  if (may_be_released(walk, walk->index)) return;
  if (is_suspended(walk, frame) && !is_library(frame->code)) {
    const struct exu_py_code *code = with_names(walk, frame->code);
    if (!code || code->uses_release) return;
  }
  add(walk, frame, (struct exu_py_held){.object = object, .by = by});
}

/* A frame that releases in a `finally` what it acquired is no reason to doubt that; those that run meanwhile may be. */
static void look_at_finally(struct walk *walk, const struct exu_py_frame *frame) {
  struct exu_py_acquired acquired[EXU_PY_ACQUIRED_MAX];
  size_t meanwhile = walk->index + (is_suspended(walk, frame) ? 1 : 0);
  const struct exu_py_code *code = with_names(walk, frame->code);
  if (!code || !code->uses_acquire || !code->uses_release || is_library(code)) return;
  if (meanwhile > 0 && may_be_released(walk, meanwhile - 1)) return;
  size_t count = exu_py_acquired(walk->py, frame, acquired);
  for (size_t i = 0; i < count && !walk->no_memory; i++) {
    uint64_t object = acquired[i].object;
    if (exu_py_lock_taken(walk->py, object, exu_py_lock_type(walk->py, object)) == EXU_NO) continue;
    add(walk, frame,
        (struct exu_py_held){.object = object, .by = EXU_TAKEN_BY_ACQUIRE, .by_name = acquired[i].by_name});
  }
}

/* ---- Results ----------------------------------------------------------------------------------------------------- */

/* A thread of a ThreadPoolExecutor stores the result of a Future when the function that it runs has returned. */
static void look_at_work(struct walk *walk, const struct exu_py_frame *frame) {
  struct exu_py *py = walk->py;
  uint64_t self, future;
  if (!exu_py_is_work(frame) || !exu_py_first_argument(py, frame, &self)) return;
  if (!exu_py_is_a(py, self, "_WorkItem") || !exu_py_attribute(py, self, "future", &future)) return;
  add(walk, frame, (struct exu_py_held){.object = future, .is_result = true});
}

/* ---- Locks ------------------------------------------------------------------------------------------------------- */

static const char *block_name(const struct exu_py *py) {
  return py->runtime->build.version.major < 3 ? "_RLock__block" : "_block";
}

/* A lock, an RLock, or the RLock that is written in Python, which has a lock inside. */
static void add_lock(struct walk *walk, const struct exu_py_frame *frame, uint64_t object, enum exu_taken_by by) {
  struct exu_py *py = walk->py;
  enum exu_py_lock_type type = exu_py_lock_type(py, object);
  uint64_t inner;
  if (type == EXU_PY_LOCK || type == EXU_PY_RLOCK) {
    if (exu_py_lock_taken(py, object, type) != EXU_NO) add_with(walk, frame, object, by);
  } else if (exu_py_is_a(py, object, "_RLock")) {
    add_with(walk, frame, object, by);
    if (exu_py_attribute(py, object, block_name(py), &inner)) add_with(walk, frame, inner, by);
  }
}

static bool push(struct walk *walk, struct inner inner) {
  struct inner *pushed = walk->inner.count < INNER_MAX ? EXU_PUSH(walk->py->arena, &walk->inner) : NULL;
  if (pushed) *pushed = inner;
  return pushed != NULL;
}

struct leaving {
  struct walk *walk;
  const struct exu_py_frame *frame;
};

/* exu_py_exit_callback */
static bool push_exit(void *context, const struct exu_py_method *method) {
  const struct leaving *leaving = context;
  return push(leaving->walk, (struct inner){.frame = *leaving->frame, .method = *method});
}

/* What the object of a `with` stands for: itself, the lock of a Condition, or what contextlib has made of others. */
static void add_object(struct walk *walk, const struct exu_py_frame *frame, struct exu_py_method method,
                       enum exu_taken_by by) {
  struct exu_py *py = walk->py;
  struct leaving leaving = {walk, frame};
  struct inner generator = {.method = {0}};
  uint64_t lock;
  bool is_new;
  if (!exu_map_insert(&walk->looked, method.self, &is_new)) walk->no_memory = true;
  if (walk->no_memory || !is_new) return;
  if (method.function == 0) {
    if (exu_py_lock_type(py, method.self) != EXU_PY_NO_LOCK) add_lock(walk, frame, method.self, by);
  } else if (exu_py_is_exit_of(py, &method, "threading.py")) {
    bool condition = exu_py_is_a(py, method.self, "Condition") || exu_py_is_a(py, method.self, "_Condition");
    if (!condition) {
      if (exu_py_is_a(py, method.self, "_RLock")) add_lock(walk, frame, method.self, by);
    } else if (exu_py_condition_lock(py, method.self, &lock)) {
      add_lock(walk, frame, lock, by);
    }
  } else if (exu_py_suspended_frame(py, &method, &generator.frame)) {
    push(walk, generator);
  } else {
    exu_py_exit_stack(py, &method, push_exit, &leaving);
  }
}

/* ---- The slot of a `with` ---------------------------------------------------------------------------------------- */

/*
 * `top` is the address of the slot right below a handler's depth. Up to 3.13 it has the bound __exit__. Since 3.14
 * (LOAD_SPECIAL) it has the object and the slot below that the function; or NULL above a method that was bound already.
 */
static void look_at_slot(struct walk *walk, const struct exu_py_frame *frame, uint64_t bottom, uint64_t top) {
  struct exu_py *py = walk->py;
  uint64_t upper = 0, lower = 0;
  struct exu_py_method method;
  bool has_upper = exu_py_slot(py, top, &upper);
  if (!exu_py_at_least(py, 3, 14)) {
    if (has_upper && exu_py_bound(py, upper, &method)) add_object(walk, frame, method, EXU_TAKEN_BY_WITH);
    return;
  }
  if (top <= bottom || !exu_py_slot(py, top - exu_py_word_size(py), &lower)) return;
  if (has_upper ? exu_py_unbound(py, lower, upper, &method) : upper == 0 && exu_py_bound(py, lower, &method)) {
    add_object(walk, frame, method, EXU_TAKEN_BY_WITH);
  }
}

/* ---- Since 3.11: the exception table ----------------------------------------------------------------------------- */

static bool read_table(struct exu_py *py, uint64_t bytes, struct handlers *handlers) {
  uint64_t size;
  if (!exu_py_plausible(bytes) || !exu_py_get(py, bytes, py->runtime->layout.var_size, &size) || size > TABLE_MAX)
    return false;
  if (size == 0) return false;
  handlers->table = exu_arena_alloc(py->arena, (size_t)size);
  if (!handlers->table) return false;
  handlers->size = (size_t)size;
  return exu_space_read(py->space, bytes + py->runtime->layout.bytes_data.offset, handlers->table, handlers->size) ==
         EXU_READABLE;
}

/* NULL: nothing in this code object is ever handled, or its table cannot be read. */
static struct handlers *handlers_of(struct walk *walk, const struct exu_py_code *code) {
  struct exu_py *py = walk->py;
  bool is_new;
  void **slot = exu_map_insert(&walk->codes, code->address, &is_new);
  if (!slot) {
    walk->no_memory = true;
    return NULL;
  }
  if (!is_new) return *slot;
  struct handlers *handlers = exu_arena_alloc(py->arena, sizeof *handlers);
  if (!handlers) {
    walk->no_memory = true;
    return NULL;
  }
  handlers->instruction = -1;
  if (!read_table(py, code->exceptions, handlers)) return NULL;
  *exu_map_find(&walk->codes, code->address) = handlers;
  return handlers;
}

static void look_at_table(struct walk *walk, const struct exu_py_frame *frame) {
  struct exu_py_values values;
  if (frame->instruction < 0 || !frame->code->exceptions) return;
  struct handlers *handlers = handlers_of(walk, frame->code);
  if (!handlers) return;
  if (handlers->instruction != frame->instruction) {
    handlers->instruction = frame->instruction;
    handlers->depth_count = exu_exceptions_depths(handlers->table, handlers->size, (uint32_t)(frame->instruction / 2),
                                                  handlers->depths, DEPTHS_MAX);
  }
  if (handlers->depth_count == 0 || !exu_py_values(walk->py, frame, &values)) return;
  for (size_t i = 0; i < handlers->depth_count; i++) {
    uint32_t depth = handlers->depths[i];
    if (depth == 0 || depth > values.stack_size) continue;
    walk->innermost = i == 0 && frame == walk->frames;
    walk->depth = depth;
    look_at_slot(walk, frame, values.stack, exu_py_at(walk->py, values.stack, depth - 1));
    walk->innermost = false;
  }
}

/* ---- Up to 3.10: the stack of blocks ----------------------------------------------------------------------------- */

static void look_at_blocks(struct walk *walk, const struct exu_py_frame *frame) {
  struct exu_py *py = walk->py;
  const struct exu_layout *layout = &py->runtime->layout;
  struct exu_py_values values;
  uint8_t bytes[EXU_BLOCKS_MAX * EXU_BLOCK_SIZE_MAX];
  uint32_t depths[EXU_BLOCKS_MAX];
  size_t size = layout->block_size.size;
  if (frame->blocks == 0 || frame->blocks > EXU_BLOCKS_MAX || size == 0 || size > EXU_BLOCK_SIZE_MAX) return;
  if (!exu_py_has(layout->frame_blockstack) || !exu_py_values(py, frame, &values)) return;
  uint64_t address = frame->address + layout->frame_blockstack.offset;
  if (exu_space_read(py->space, address, bytes, size * frame->blocks) != EXU_READABLE) return;
  size_t count = exu_block_depths(layout, bytes, frame->blocks, depths);
  for (size_t i = 0; i < count; i++) {
    if (depths[i] == 0 || depths[i] > values.stack_size) continue;
    walk->innermost = i == 0 && frame == walk->frames;
    walk->depth = depths[i];
    look_at_slot(walk, frame, values.stack, exu_py_at(py, values.stack, depths[i] - 1));
    walk->innermost = false;
  }
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

/* Whatever an outer `with` for the same Condition says: this one does not hold its lock now. */
static void note_released(struct walk *walk, const struct exu_py_frame *frame) {
  struct exu_py *py = walk->py;
  uint64_t condition, lock, inner;
  if (walk->released_count + 2 > RELEASED_MAX || !exu_py_in_condition_wait(py, frame, &condition)) return;
  if (!exu_py_condition_lock(py, condition, &lock)) return;
  walk->released[walk->released_count++] = lock;
  if (exu_py_lock_type(py, lock) != EXU_PY_NO_LOCK) return;
  if (exu_py_attribute(py, lock, block_name(py), &inner)) {
    walk->released[walk->released_count++] = inner;
  }
}

static void look_at_frame(struct walk *walk, const struct exu_py_frame *frame) {
  look_at_finally(walk, frame);
  if (exu_py_has(walk->py->runtime->layout.code_exceptiontable)) {
    look_at_table(walk, frame);
  } else {
    look_at_blocks(walk, frame);
  }
}

/* They may be nested, in each other's way even: each object is looked into once. */
static void look_inside(struct walk *walk) {
  for (size_t i = 0; i < walk->inner.count && !walk->no_memory; i++) {
    const struct inner inner = walk->inner.items[i]; /* the list may move */
    if (inner.method.self) {
      add_object(walk, &inner.frame, inner.method, EXU_TAKEN_BY_EXIT_STACK);
    } else {
      look_at_frame(walk, &inner.frame);
    }
  }
  walk->inner.count = 0;
}

bool exu_py_held(struct exu_py *py, const struct exu_py_frame *frames, size_t count, size_t thread,
                 struct exu_py_held_list *held) {
  struct walk walk = {.py = py, .thread = thread, .held = held, .frames = frames};
  for (size_t i = 0; i < count && !walk.no_memory; i++) {
    const struct exu_py_frame *frame = &frames[i];
    if (!frame->code || !frame->code->valid) continue;
    note_released(&walk, frame);
    look_at_work(&walk, frame);
    walk.index = i;
    look_at_frame(&walk, frame);
    look_inside(&walk);
  }
  exu_map_deinit(&walk.codes);
  exu_map_deinit(&walk.looked);
  exu_map_deinit(&walk.seen);
  return !walk.no_memory;
}
