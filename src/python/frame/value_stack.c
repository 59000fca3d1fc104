/* SPDX-License-Identifier: Apache-2.0 */
#include "python/frame/value_stack.h"

#include "base/str.h"
#include "python/object/str.h"
#include "python/object/types.h"

/*
 * _PyStackRef (pycore_stackref.h) marks how a reference is counted in the lowest bits; objects are aligned to 8 bytes
 * at least.
 */
static const uint64_t tag_mask = 7;

bool exu_py_values(const struct exu_py *py, const struct exu_py_frame *frame, struct exu_py_values *values) {
  const struct exu_layout *layout = &py->runtime->layout;
  const struct exu_py_code *code = frame->code;
  uint64_t count = code->local_count;
  if (code->stack_size > EXU_PY_STACK_MAX) return false;
  values->stack_size = code->stack_size;
  if (exu_py_has(layout->iframe_localsplus)) {
    values->locals = frame->address + layout->iframe_localsplus.offset;
    values->stack = exu_py_at(py, values->locals, count);
  } else {
    if (!exu_py_has(layout->frame_localsplus)) return false;
    if (!exu_py_get(py, frame->address, layout->frame_valuestack, &values->stack)) return false;
    values->locals = frame->address + layout->frame_localsplus.offset;
    if (values->stack < values->locals) return false;
    count = (values->stack - values->locals) / exu_py_word_size(py);
  }
  values->local_count = (uint32_t)count;
  return count <= EXU_PY_LOCALS_MAX;
}

bool exu_py_slot(const struct exu_py *py, uint64_t address, uint64_t *object) {
  uint64_t word;
  if (!exu_py_word(py, address, &word)) return false;
  *object = word & ~tag_mask;
  return exu_py_plausible(*object);
}

static bool in_cell(struct exu_py *py, uint64_t cell, uint64_t *object) {
  return exu_string_is(exu_py_type_name(py, cell), "cell") &&
         exu_py_get(py, cell, py->runtime->layout.cell_ref, object) && exu_py_plausible(*object);
}

/*
 * An argument that an inner function refers to is in a cell: since 3.11 in its own slot, before in a later one, and its
 * own is empty. Which of the cells that is, up to 3.10, is not looked up: the first one is taken.
 */
bool exu_py_first_argument(struct exu_py *py, const struct exu_py_frame *frame, uint64_t *object) {
  enum { CELLS_AFTER = 32 };
  struct exu_py_values values;
  uint64_t slot, inner;
  if (!exu_py_values(py, frame, &values) || values.local_count == 0) return false;
  if (exu_py_slot(py, values.locals, &slot)) {
    *object = in_cell(py, slot, &inner) ? inner : slot;
    return true;
  }
  for (uint32_t i = 1; i < values.local_count && i < CELLS_AFTER; i++) {
    if (exu_py_slot(py, exu_py_at(py, values.locals, i), &slot) && in_cell(py, slot, object)) return true;
  }
  return false;
}

/* The name object of a local variable; false behind the last. */
static bool name_of(const struct exu_py *py, const struct exu_py_code *code, uint32_t index, uint64_t *name) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t count;
  if (!exu_py_plausible(code->local_names) || !exu_py_has(layout->tuple_items)) return false;
  if (!exu_py_get(py, code->local_names, layout->var_size, &count) || index >= count) return false;
  return exu_py_word(py, exu_py_at(py, code->local_names + layout->tuple_items.offset, index), name);
}

bool exu_py_local(struct exu_py *py, const struct exu_py_frame *frame, const char *name, uint64_t *object) {
  struct exu_py_values values;
  if (!exu_py_values(py, frame, &values)) return false;
  for (uint32_t i = 0; i < values.local_count; i++) {
    uint64_t text;
    if (!name_of(py, frame->code, i, &text)) return false;
    if (exu_py_text_equals(py, text, name)) return exu_py_slot(py, exu_py_at(py, values.locals, i), object);
  }
  return false;
}

struct exu_string exu_py_local_name(struct exu_py *py, const struct exu_py_code *code, uint32_t index) {
  struct exu_string text = {NULL, 0};
  uint64_t name;
  if (!name_of(py, code, index, &name) || exu_py_text(py, name, &text) != EXU_PY_TEXT_OK) {
    return (struct exu_string){NULL, 0};
  }
  return text;
}
