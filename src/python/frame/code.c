/* SPDX-License-Identifier: Apache-2.0 */
#include "python/frame/code.h"

#include <string.h>

#include "python/object/str.h"

/* A line table or bytecode of more bytes than this is none: the largest generated modules have a few megabytes. */
enum { BYTES_MAX = 16 * 1024 * 1024, STRUCTURE_MAX = 512, BEYOND_MAX = 16 };

static bool read_string(struct exu_py *py, uint64_t address, const char *what, struct exu_string *text) {
  enum exu_py_text got = exu_py_text(py, address, text);
  if (got == EXU_PY_TEXT_CUT) {
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_STRING_CUT, -1,
                   "a code object's %s at 0x%llx has more than %d characters: cut", what, (unsigned long long)address,
                   EXU_PY_TEXT_MAX);
  }
  return got != EXU_PY_TEXT_DAMAGED;
}

static enum exu_line_format line_format(const struct exu_py *py) {
  if (exu_py_has(py->runtime->layout.code_qualname)) return EXU_LINES_LOCATIONS;
  if (exu_py_has(py->runtime->layout.code_linetable)) return EXU_LINES_LINETABLE;
  return py->runtime->build.version.major >= 3 ? EXU_LINES_LNOTAB_SIGNED : EXU_LINES_LNOTAB_UNSIGNED;
}

/* A bytes object ends with a NUL that its size does not count: a size that is a lie leads elsewhere. */
static bool bytes_size(struct exu_py *py, uint64_t bytes, uint64_t *size) {
  uint8_t nul;
  uint64_t claimed;
  if (!exu_py_plausible(bytes) || !exu_py_get(py, bytes, py->runtime->layout.var_size, &claimed)) return false;
  if (claimed > BYTES_MAX) return false;
  uint64_t end = bytes + py->runtime->layout.bytes_data.offset + claimed;
  if (exu_space_read(py->space, end, &nul, 1) != EXU_READABLE || nul != 0) return false;
  *size = claimed;
  return true;
}

static bool read_line_table(struct exu_py *py, uint64_t bytes, struct exu_py_code *code) {
  uint64_t size;
  if (!bytes_size(py, bytes, &size)) return false;
  uint8_t *table = exu_arena_alloc(py->arena, (size_t)size);
  if (!table) return false;
  if (exu_space_read(py->space, bytes + py->runtime->layout.bytes_data.offset, table, (size_t)size) != EXU_READABLE)
    return false;
  code->table = table;
  code->table_size = (size_t)size;
  return true;
}

/*
 * Is the object of the type that CPython calls `name`? The first one that checks out is remembered in *known. A type is
 * an object of type `type`, which is its own type; its name is a constant of the library, which a core alone lacks.
 */
static bool has_type(struct exu_py *py, uint64_t object, const char *name, uint64_t *known) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t type, meta, itself, text;
  char bytes[8] = {0};
  size_t size = strlen(name) + 1;
  if (!exu_py_get(py, object, layout->object_type, &type)) return false;
  if (*known) return type == *known;
  if (!exu_py_plausible(type)) return false;
  enum exu_fault fault = exu_space_read(py->space, type + layout->object_type.offset, &meta, sizeof meta);
  /* Mapped, but not in the core: nothing speaks against it. */
  if (fault != EXU_READABLE) return fault != EXU_UNMAPPED;
  if (!exu_py_get(py, meta, layout->object_type, &itself)) return exu_space_find(py->space, meta) != NULL;
  if (itself != meta || !exu_py_get(py, type, layout->type_name, &text)) return false;
  if (exu_space_read(py->space, text, bytes, size) == EXU_READABLE && memcmp(bytes, name, size) != 0) return false;
  *known = type;
  return true;
}

/* A name is an exact `str`, in 2.7 too. There it has nothing else to check, but no name that was compiled has a NUL. */
static bool read_name(struct exu_py *py, uint64_t address, const char *what, struct exu_string *text) {
  if (!exu_py_plausible(address) || !has_type(py, address, "str", &py->unicode_type)) return false;
  if (!read_string(py, address, what, text)) return false;
  return py->runtime->build.version.major >= 3 || !memchr(text->data, 0, text->size);
}

static void read_code(struct exu_py *py, uint64_t address, struct exu_py_code *code) {
  const struct exu_layout *layout = &py->runtime->layout;
  const struct exu_field needed[] = {layout->code_filename,  layout->code_name,           layout->code_qualname,
                                     layout->code_lnotab,    layout->code_linetable,      layout->code_firstlineno,
                                     layout->code_bytecode,  layout->code_firsttraceable, layout->code_tlbc,
                                     layout->var_size,       layout->code_local_names,    layout->code_nlocalsplus,
                                     layout->code_stacksize, layout->code_exceptiontable, layout->code_names};
  uint8_t object[STRUCTURE_MAX];
  size_t size = exu_py_extent(needed, sizeof needed / sizeof *needed);
  if (size > sizeof object || exu_space_read(py->space, address, object, size) != EXU_READABLE) return;

  if (!has_type(py, address, "code", &py->code_type)) return;
  if (!read_name(py, exu_py_field(object, size, layout->code_name), "name", &code->function)) return;
  if (!read_name(py, exu_py_field(object, size, layout->code_filename), "file name", &code->file)) return;
  if (exu_py_has(layout->code_qualname) &&
      !read_name(py, exu_py_field(object, size, layout->code_qualname), "qualified name", &code->qualname)) {
    code->qualname = (struct exu_string){NULL, 0};
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_NAME_UNREADABLE, -1,
                   "the qualified name of the code object at 0x%llx cannot be read", (unsigned long long)address);
  }
  code->first_line = (int32_t)exu_py_field(object, size, layout->code_firstlineno);
  code->format = line_format(py);
  bool lnotab = exu_py_has(layout->code_lnotab) && !exu_py_has(layout->code_linetable);
  if (!read_line_table(py, exu_py_field(object, size, lnotab ? layout->code_lnotab : layout->code_linetable), code)) {
    exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_LINE_TABLE_UNREADABLE, -1,
                   "lines in the code object at 0x%llx are unknown: its line table cannot be read",
                   (unsigned long long)address);
  }
  if (exu_py_has(layout->code_adaptive)) {
    code->bytecode = address + layout->code_adaptive.offset;
    code->bytecode_size = exu_py_field(object, size, layout->var_size) * 2; /* ob_size counts code units since 3.11 */
    code->tlbc = exu_py_field(object, size, layout->code_tlbc);
    code->traceable = exu_py_field(object, size, layout->code_firsttraceable) * 2;
    /* _Py_InitCleanup, under which an inlined __init__ runs, says 4 and has 3 instructions: it never is traceable. */
    if (code->traceable > code->bytecode_size + BEYOND_MAX) code->traceable = 0; /* damaged */
  } else {
    bytes_size(py, exu_py_field(object, size, layout->code_bytecode), &code->bytecode_size);
  }
  code->local_names = exu_py_field(object, size, layout->code_local_names);
  code->local_count = (uint32_t)exu_py_field(object, size, layout->code_nlocalsplus);
  code->stack_size = (uint32_t)exu_py_field(object, size, layout->code_stacksize);
  code->names = exu_py_field(object, size, layout->code_names);
  code->exceptions = exu_py_field(object, size, layout->code_exceptiontable);
  code->valid = true;
}

struct exu_py_code *exu_py_code(struct exu_py *py, uint64_t address) {
  bool is_new;
  void **slot = exu_map_insert(&py->codes, address, &is_new);
  if (!slot) return NULL;
  if (!is_new) return *slot;
  struct exu_py_code *code = exu_arena_alloc(py->arena, sizeof *code);
  *slot = code;
  if (!code) return NULL;
  code->address = address;
  code->last_instruction = INT64_MIN;
  code->last_position = (struct exu_position){-1, -1, -1, -1};
  if (exu_py_plausible(address)) read_code(py, address, code);
  return code;
}

struct exu_position exu_py_code_position(struct exu_py_code *code, int64_t instruction) {
  if (!code->table) return (struct exu_position){-1, -1, -1, -1};
  if (code->last_instruction != instruction) {
    code->last_instruction = instruction;
    code->last_position = exu_lines_find(code->format, code->table, code->table_size, code->first_line, instruction);
  }
  return code->last_position;
}
