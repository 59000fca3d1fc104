/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/python_lock.h"

#include <string.h>

#include "base/str.h"
#include "python/frame/value_stack.h"
#include "python/object/dict.h"
#include "python/object/types.h"
#include "waits/evidence.h"

/*
 * The call that takes a lock has it, or its bound method, on the value stack of the frame that calls; a few wrappers
 * written in C may lie between. Only the innermost frames are looked at.
 */
enum { FRAMES = 3, WORDS = 512 };

struct exu_place exu_py_place(const struct exu_py_frame *frame) {
  return (struct exu_place){frame->code->function, frame->code->file, frame->position.line};
}

static bool is_lock(struct exu_py *py, uint64_t object, const struct exu_py_sleep *sleep,
                    struct exu_py_found_lock *found) {
  if (!exu_py_plausible(object)) return false;
  enum exu_py_lock_type type = exu_py_lock_type(py, object);
  if (!exu_py_lock_is(py, object, type, sleep)) return false;
  found->type = type;
  found->object = object;
  return true;
}

/* A text stream writes to another one, and a pair of streams has two. */
static bool in_stream(struct exu_py *py, uint64_t object, const struct exu_py_sleep *sleep,
                      struct exu_py_found_lock *found) {
  const struct exu_layout *layout = &py->runtime->layout;
  struct exu_string type = exu_py_native_type_name(py, object);
  uint64_t reader, writer;
  if (exu_string_is(type, "_io.TextIOWrapper")) {
    if (!exu_py_get(py, object, layout->textio_buffer, &object)) return false;
    if (is_lock(py, object, sleep, found)) return true;
    type = exu_py_native_type_name(py, object);
  }
  if (!exu_string_is(type, "_io.BufferedRWPair")) return false;
  return (exu_py_get(py, object, layout->rwpair_reader, &reader) && is_lock(py, reader, sleep, found)) ||
         (exu_py_get(py, object, layout->rwpair_writer, &writer) && is_lock(py, writer, sleep, found));
}

/*
 * The object itself, or the one that a cell or a bound method leads to. What the object is is not asked: that the lock
 * is the one that the thread sleeps on says enough.
 */
static bool leads_to_lock(struct exu_py *py, uint64_t object, const struct exu_py_sleep *sleep,
                          struct exu_py_found_lock *found) {
  const struct exu_layout *layout = &py->runtime->layout;
  const struct exu_field fields[] = {layout->cfunction_self, layout->method_self, layout->cell_ref};
  uint64_t inner;
  if (is_lock(py, object, sleep, found) || in_stream(py, object, sleep, found)) return true;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    if (!exu_py_get(py, object, fields[i], &inner)) continue;
    if (is_lock(py, inner, sleep, found) || in_stream(py, inner, sleep, found)) return true;
  }
  return false;
}

static struct exu_evidence where_in(struct exu_py *py, const struct exu_py_frame *frame,
                                    const struct exu_py_values *values, uint32_t index) {
  struct exu_evidence where = {.kind = EXU_EVIDENCE_CALL, .place = exu_py_place(frame)};
  if (index < values->local_count) where.name = exu_py_local_name(py, frame->code, index);
  if (where.name.data) where.kind = EXU_EVIDENCE_LOCAL;
  return where;
}

/* Locals first: they have names. False: no lock of this frame is it. */
static bool search_frame(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_py_sleep *sleep,
                         struct exu_py_found_lock *found, struct exu_evidence *where) {
  struct exu_py_values values;
  uint64_t last = 0;
  if (!exu_py_values(py, frame, &values)) return false;
  uint32_t total = values.local_count + values.stack_size;
  /* Of a very large frame the end, with the value stack. */
  for (uint32_t i = total > WORDS ? total - WORDS : 0; i < total; i++) {
    uint64_t object;
    if (!exu_py_slot(py, exu_py_at(py, values.locals, i), &object) || object == last) continue;
    last = object;
    if (!leads_to_lock(py, object, sleep, found)) continue;
    *where = where_in(py, frame, &values, i);
    return true;
  }
  return false;
}

/* The local variable of a frame that has the SemLock as its attribute; 0: none has. */
static uint64_t find_wrapper(struct exu_py *py, const struct exu_py_frame *frame, uint64_t semlock) {
  enum { LOCALS = 32 };
  struct exu_py_values values;
  uint64_t object, inner;
  if (!frame->code || !frame->code->valid || !exu_py_values(py, frame, &values)) return 0;
  for (uint32_t i = 0; i < values.local_count && i < LOCALS; i++) {
    if (!exu_py_slot(py, exu_py_at(py, values.locals, i), &object)) continue;
    if (exu_string_is(exu_py_type_name(py, object), "cell") &&
        (!exu_py_get(py, object, py->runtime->layout.cell_ref, &object) || !exu_py_plausible(object))) {
      continue;
    }
    if (exu_py_attribute(py, object, "_semlock", &inner) && inner == semlock) return object;
  }
  return 0;
}

static const char *const streams[] = {"stdout", "stderr", "stdin", "__stdout__", "__stderr__", "__stdin__"};
enum { STREAMS = sizeof streams / sizeof *streams };

/* Once in a process: dictionaries are looked through in order. */
static void find_streams(struct exu_py *py) {
  uint64_t modules, sys, dict;
  _Static_assert(STREAMS == sizeof py->streams / sizeof *py->streams, "one each");
  if (py->streams_sought) return;
  py->streams_sought = true;
  if (!exu_py_get(py, py->runtime->interpreters, py->runtime->layout.interp_modules, &modules) ||
      !exu_py_plausible(modules))
    return;
  if (!exu_py_dict_get(py, modules, "sys", &sys) || !exu_py_plausible(sys)) return;
  if (!exu_py_get(py, sys, py->runtime->layout.module_dict, &dict) || !exu_py_plausible(dict)) return;
  for (size_t i = 0; i < STREAMS; i++) {
    if (!exu_py_dict_get(py, dict, streams[i], &py->streams[i])) py->streams[i] = 0;
  }
}

/* print() and input() have theirs on no value stack. */
static bool standard_stream(struct exu_py *py, const struct exu_py_sleep *sleep, struct exu_py_found_lock *found,
                            struct exu_evidence *where) {
  if (!exu_py_has(py->runtime->layout.buffered_lock)) return false;
  find_streams(py);
  for (size_t i = 0; i < STREAMS; i++) {
    if (!exu_py_plausible(py->streams[i])) continue;
    if (!is_lock(py, py->streams[i], sleep, found) && !in_stream(py, py->streams[i], sleep, found)) continue;
    *where = (struct exu_evidence){.kind = EXU_EVIDENCE_STREAM, .name = exu_string_of(streams[i])};
    return true;
  }
  return false;
}

void exu_py_find_lock(struct exu_py *py, const struct exu_py_frame *frames, size_t count,
                      const struct exu_py_sleep *sleep, struct exu_py_found_lock *found) {
  static const char *const names[] = {"", "lock", "RLock", "SimpleQueue", "SemLock", "buffered stream"};
  struct exu_evidence where = {.kind = EXU_EVIDENCE_RAN}; /* it is known only if it is another one */
  *found = (struct exu_py_found_lock){.type = EXU_PY_NO_LOCK};
  for (size_t i = 0; i < count && i < FRAMES && !found->type; i++) {
    if (frames[i].code && frames[i].code->valid) search_frame(py, &frames[i], sleep, found, &where);
  }
  if (!found->type && count > 0) standard_stream(py, sleep, found, &where);
  if (!found->type && sleep->parked) found->type = exu_py_lock_of_mutex(py, sleep->parked, &found->object);
  if (!found->type) return;
  for (size_t i = 0; found->type == EXU_PY_SEMLOCK && i < count && i < FRAMES && !found->wrapper; i++) {
    found->wrapper = find_wrapper(py, &frames[i], found->object);
  }
  exu_evidence_add(py->arena, &found->evidence,
                   (struct exu_evidence){.kind = sleep->parked ? EXU_EVIDENCE_PARKED : EXU_EVIDENCE_FUTEX_OF,
                                         .address = sleep->parked ? sleep->parked : sleep->futex,
                                         .type = exu_string_of(names[found->type]),
                                         .object = found->object});
  if (where.kind != EXU_EVIDENCE_RAN) exu_evidence_add(py->arena, &found->evidence, where);
}
