/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/held_code.h"

#include <stdlib.h>

#include "base/str.h"
#include "python/frame/bytecode.h"
#include "python/frame/exception_table.h"
#include "python/frame/value_stack.h"
#include "python/object/dict.h"
#include "python/object/str.h"
#include "python/object/types.h"
#include "waits/locks.h"

enum { SIZE_MAX_BYTES = 64 * 1024, NAMES_MAX = 4096 };

/* A code object whose instructions are looked at. */
struct text {
  struct exu_py *py;
  const struct exu_py_frame *frame;
  struct exu_bytecode bytecode;
  uint8_t *table; /* of exceptions; NULL: up to 3.10, or it has none */
  size_t table_size;
};

static uint8_t *read_all(struct exu_py *py, uint64_t address, uint64_t size) {
  uint8_t *bytes = address && size > 0 && size <= SIZE_MAX_BYTES ? malloc((size_t)size) : NULL;
  if (bytes && exu_space_read(py->space, address, bytes, (size_t)size) == EXU_READABLE) return bytes;
  free(bytes);
  return NULL;
}

static uint8_t *read_bytes(struct exu_py *py, uint64_t object, size_t *size) {
  uint64_t count;
  if (!exu_py_plausible(object) || !exu_py_get(py, object, py->runtime->layout.var_size, &count)) return NULL;
  uint8_t *bytes = read_all(py, object + py->runtime->layout.bytes_data.offset, count);
  *size = bytes ? (size_t)count : 0;
  return bytes;
}

static void text_deinit(struct text *text) {
  free((void *)text->bytecode.bytes);
  free(text->table);
}

static bool text_init(struct exu_py *py, const struct exu_py_frame *frame, struct text *text) {
  const struct exu_py_code *code = frame->code;
  uint64_t bytes;
  *text = (struct text){.py = py, .frame = frame};
  text->bytecode.major = py->runtime->build.version.major;
  text->bytecode.minor = py->runtime->build.version.minor;
  text->bytecode.opcodes = exu_opcodes(text->bytecode.major, text->bytecode.minor);
  if (!text->bytecode.opcodes || frame->instruction < 0) return false;
  if (code->bytecode) {
    text->bytecode.bytes = read_all(py, code->bytecode, code->bytecode_size);
    text->bytecode.size = text->bytecode.bytes ? (size_t)code->bytecode_size : 0;
    text->table = read_bytes(py, code->exceptions, &text->table_size);
  } else if (exu_py_get(py, code->address, py->runtime->layout.code_bytecode, &bytes)) {
    text->bytecode.bytes = read_bytes(py, bytes, &text->bytecode.size);
  }
  return text->bytecode.bytes != NULL;
}

static bool has_table(const struct exu_py *py) { return exu_py_has(py->runtime->layout.code_exceptiontable); }

/* exu_handler_callback */
static bool find_handler(void *context, uint32_t offset, uint32_t *process) {
  const struct text *text = context;
  struct exu_handler handler;
  if (!text->table || !exu_exceptions_find(text->table, text->table_size, offset / 2, &handler)) return false;
  *process = handler.process * 2;
  return handler.process <= UINT32_MAX / 2;
}

/* ---- Names and objects ------------------------------------------------------------------------------------------- */

static uint64_t name_at(struct exu_py *py, const struct exu_py_code *code, uint32_t index) {
  uint64_t count, name;
  if (!exu_py_plausible(code->names) || !exu_py_get(py, code->names, py->runtime->layout.var_size, &count)) return 0;
  if (count > NAMES_MAX || index >= count) return 0;
  if (!exu_py_word(py, exu_py_at(py, code->names + py->runtime->layout.tuple_items.offset, index), &name)) return 0;
  return name;
}

static bool name_is(struct exu_py *py, const struct exu_py_code *code, uint32_t index, const char *expected) {
  uint64_t name = name_at(py, code, index);
  return name && exu_py_text_equals(py, name, expected);
}

/* As a string of C; false for names that have none: exu_py_dict_get takes short ASCII ones. */
static bool name_text(struct exu_py *py, const struct exu_py_code *code, uint32_t index, char text[64]) {
  struct exu_string name;
  uint64_t object = name_at(py, code, index);
  if (!object || exu_py_text(py, object, &name) != EXU_PY_TEXT_OK || name.size == 0 || name.size >= 64) return false;
  for (size_t i = 0; i < name.size; i++) text[i] = name.data[i];
  text[name.size] = 0;
  return true;
}

static bool global(struct exu_py *py, const struct exu_py_frame *frame, uint32_t index, uint64_t *object) {
  bool current = exu_py_has(py->runtime->layout.iframe_globals);
  uint64_t globals;
  char name[64];
  if (!exu_py_get(py, frame->address, current ? py->runtime->layout.iframe_globals : py->runtime->layout.frame_globals,
                  &globals)) {
    return false;
  }
  globals &= ~UINT64_C(7);
  return exu_py_plausible(globals) && name_text(py, frame->code, index, name) &&
         exu_py_dict_get(py, globals, name, object);
}

/* Cells and free variables follow the local variables up to 3.10, and have indexes of their own. */
static bool variable(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_method_call *call,
                     uint64_t *object) {
  struct exu_py_values values;
  uint64_t index = call->variable, count;
  if (call->load == EXU_OP_LOAD_GLOBAL) return global(py, frame, call->variable, object);
  if (!exu_py_values(py, frame, &values)) return false;
  if (call->load == EXU_OP_LOAD_DEREF && !has_table(py)) {
    if (!exu_py_plausible(frame->code->local_names)) return false;
    if (!exu_py_get(py, frame->code->local_names, py->runtime->layout.var_size, &count)) return false;
    if (count > EXU_PY_LOCALS_MAX) return false;
    index += count;
  }
  if (index >= values.local_count || !exu_py_slot(py, exu_py_at(py, values.locals, index), object)) return false;
  if (call->load != EXU_OP_LOAD_DEREF) return true;
  return exu_string_is(exu_py_type_name(py, *object), "cell") &&
         exu_py_get(py, *object, py->runtime->layout.cell_ref, object) && exu_py_plausible(*object);
}

/* What the method is called of, as its name stands for it now. */
static bool object_of(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_method_call *call,
                      uint64_t *object) {
  char name[64];
  if (!variable(py, frame, call, object)) return false;
  if (!call->has_attribute) return true;
  return name_text(py, frame->code, call->attribute, name) && exu_py_attribute(py, *object, name, object);
}

static bool is_lock(struct exu_py *py, uint64_t object) {
  enum exu_py_lock_type type = exu_py_lock_type(py, object);
  return type == EXU_PY_LOCK || type == EXU_PY_RLOCK;
}

/* ---- Both questions ---------------------------------------------------------------------------------------------- */

/* What is being entered lies above what the `with` around it left there, or its bound __exit__ does. */
static bool enters_lock(struct exu_py *py, const struct exu_py_frame *frame, uint32_t depth) {
  struct exu_py_values values;
  uint64_t object, self;
  uint32_t slot = depth + (exu_py_at_least(py, 3, 14) ? 1 : 0);
  if (!exu_py_values(py, frame, &values) || slot >= values.stack_size) return false;
  if (!exu_py_slot(py, exu_py_at(py, values.stack, slot), &object)) return false;
  if (is_lock(py, object)) return true;
  return exu_string_is(exu_py_type_name(py, object), "builtin_function_or_method") &&
         exu_py_get(py, object, py->runtime->layout.cfunction_self, &self) && exu_py_plausible(self) &&
         is_lock(py, self);
}

bool exu_py_just_entered(struct exu_py *py, const struct exu_py_frame *frame, uint32_t depth) {
  struct text text;
  struct exu_method_call call;
  uint64_t object;
  bool entered =
      text_init(py, frame, &text) && exu_bytecode_just_entered(&text.bytecode, (uint32_t)frame->instruction, &call);
  text_deinit(&text);
  if (!entered) return false;
  if (call.end == 0) return enters_lock(py, frame, depth);
  return name_is(py, frame->code, call.method, "acquire") && object_of(py, frame, &call, &object) &&
         is_lock(py, object);
}

bool exu_py_at_yield(struct exu_py *py, const struct exu_py_frame *frame) {
  struct text text;
  bool suspended = text_init(py, frame, &text) && exu_bytecode_at_yield(&text.bytecode, (uint32_t)frame->instruction);
  text_deinit(&text);
  return suspended;
}

size_t exu_py_acquired(struct exu_py *py, const struct exu_py_frame *frame,
                       struct exu_py_acquired acquired[EXU_PY_ACQUIRED_MAX]) {
  struct text text;
  struct exu_guarded guarded;
  uint32_t from = 0;
  size_t count = 0;
  bool readable = text_init(py, frame, &text);
  exu_handler_callback *handler = has_table(py) ? find_handler : NULL;
  while (readable && count < EXU_PY_ACQUIRED_MAX &&
         exu_bytecode_guarded(&text.bytecode, &from, (uint32_t)frame->instruction, handler, &text, &guarded)) {
    struct exu_py_acquired *found = &acquired[count];
    if (!name_is(py, frame->code, guarded.before.method, "acquire")) continue;
    if (!name_is(py, frame->code, guarded.finally.method, "release")) continue;
    if (!object_of(py, frame, &guarded.before, &found->object) || !is_lock(py, found->object)) continue;
    found->by_name = guarded.stored;
    count++;
  }
  text_deinit(&text);
  return count;
}
