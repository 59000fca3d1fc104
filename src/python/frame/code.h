/* SPDX-License-Identifier: Apache-2.0 */
/* Code objects: names, file, and where their instructions come from. Read once each. */
#ifndef EXUVIA_PYTHON_FRAME_CODE_H
#define EXUVIA_PYTHON_FRAME_CODE_H

#include "python/frame/lines.h"
#include "python/reader.h"

struct exu_py_code {
  uint64_t address; /* of the code object */
  bool valid;       /* false: the object is no code object, or too damaged to name it */
  struct exu_string function;
  struct exu_string qualname; /* unknown before 3.11 */
  struct exu_string file;
  int32_t first_line;
  enum exu_line_format format;
  const uint8_t *table; /* the line table, in the arena; NULL when it could not be read */
  size_t table_size;
  uint64_t
      bytecode; /* address of the first instruction; 0: instructions are counted, not addressed (3.10 and before) */
  uint64_t bytecode_size; /* in bytes; 0: unknown */
  uint64_t tlbc;          /* address of the array of thread-local copies of the bytecode (free-threaded), or 0 */
  uint64_t traceable;     /* offset of the first instruction that a tracer would see, in bytes */
  uint64_t
      local_names; /* address of a tuple of names: of all locals (3.11 on), of those that are no cells; 0: unknown */
  uint64_t names;  /* address of a tuple of names: of globals and attributes that it uses; 0: unknown */
  uint32_t local_count; /* locals, cells and free variables: since 3.11 the value stack begins after them */
  uint32_t stack_size;  /* values that the value stack has room for */
  uint64_t exceptions;  /* address of the exception table, a bytes object; 0: none (up to 3.10) */
  /* Names of methods that it uses, of whatever; found out when it is asked for (held.c). */
  bool names_known, uses_acquire, uses_release;
  /* The last answer of exu_py_code_position: recursion asks for the same one again and again. */
  int64_t last_instruction;
  struct exu_position last_position;
};

/*
 * The code object at `address`; also for a damaged one (valid == false), so that it is looked at once. NULL only
 * without memory. Never reports a diagnostic for an object that is no code object: that is the caller's knowledge.
 */
struct exu_py_code *exu_py_code(struct exu_py *py, uint64_t address);

/* Position of the instruction at byte offset `instruction`. */
struct exu_position exu_py_code_position(struct exu_py_code *code, int64_t instruction);

#endif
