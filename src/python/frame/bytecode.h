/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions of code objects, as far as they tell of locks: what may run other code, where jumps go, which name a
 * method is called of. Pure functions over bytes; opcodes are data (offsets/opcodes_X_Y.inc, tools/gen_opcodes.py).
 */
#ifndef EXUVIA_PYTHON_FRAME_BYTECODE_H
#define EXUVIA_PYTHON_FRAME_BYTECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exu_op {
  EXU_OP_UNKNOWN, /* no opcode of this version, or one of tracing or the JIT */
  EXU_OP_OTHER,   /* may run other code */
  EXU_OP_NOTHING, /* runs no other code */
  EXU_OP_EXTENDED_ARG,
  EXU_OP_POP_TOP,
  EXU_OP_PUSH_EXC_INFO,
  EXU_OP_SETUP, /* up to 3.10: begins a block, for another reason than the next two */
  EXU_OP_SETUP_FINALLY,
  EXU_OP_SETUP_WITH, /* up to 3.10 */
  EXU_OP_POP_BLOCK,
  EXU_OP_BEFORE_WITH,  /* 3.11 to 3.13 */
  EXU_OP_LOAD_SPECIAL, /* 3.14 on: twice, then CALL; before that LOAD_METHOD is another one */
  EXU_OP_LOAD_FAST,
  EXU_OP_LOAD_DEREF,
  EXU_OP_LOAD_GLOBAL,
  EXU_OP_LOAD_ATTR,
  EXU_OP_LOAD_METHOD,
  EXU_OP_CALL,
  EXU_OP_STORE_FAST,
  EXU_OP_STORE_TWO, /* 3.13 on: to one or two local variables */
  EXU_OP_STORE_DEREF,
  EXU_OP_YIELD_VALUE,
};

enum exu_jump { EXU_JUMP_NONE, EXU_JUMP_FORWARD, EXU_JUMP_BACKWARD, EXU_JUMP_ABSOLUTE };

struct exu_opcode {
  uint8_t op;     /* enum exu_op */
  uint8_t caches; /* code units behind the instruction that belong to it */
  uint8_t jump;   /* enum exu_jump */
};

struct exu_bytecode {
  const uint8_t *bytes;
  size_t size;
  uint8_t major, minor;
  const struct exu_opcode *opcodes; /* of that version, 256; NULL: none are known */
};

/* The opcodes of a version. NULL: it is not known. */
const struct exu_opcode *exu_opcodes(uint8_t major, uint8_t minor);

/* Offsets are in bytes from the beginning. */
struct exu_instruction {
  uint32_t start;  /* with its EXTENDED_ARGs */
  uint32_t offset; /* of the opcode itself */
  uint32_t next;   /* behind its caches */
  enum exu_op op;
  uint32_t arg;
  uint32_t process; /* of a jump; UINT32_MAX: it is none */
};

/* The instruction at `offset`. False at the end, and for an opcode that is not known. */
bool exu_bytecode_at(const struct exu_bytecode *bytecode, uint32_t offset, struct exu_instruction *instruction);

/*
 * Does control come to `to` from `from`, and from nowhere else, over instructions that run no other code? The first may
 * drop what a `with` was entered with. Both are offsets of instructions.
 */
bool exu_bytecode_is_straight(const struct exu_bytecode *bytecode, uint32_t from, uint32_t to);

/*
 * Is the instruction at `at` where a generator is that is suspended at a `yield`: that one itself, or, since 3.13, the
 * one behind it?
 */
bool exu_bytecode_at_yield(const struct exu_bytecode *bytecode, uint32_t at);

/* "x.acquire()" or "self.x.acquire()": what is loaded, and whose method is called. */
struct exu_method_call {
  enum exu_op load;   /* EXU_OP_LOAD_FAST, _DEREF or _GLOBAL */
  uint32_t variable;  /* its index: of a local, of a cell, or in co_names */
  bool has_attribute; /* of what the variable is, an attribute is taken first: */
  uint32_t attribute; /* index in co_names */
  uint32_t method;    /* index in co_names */
  uint32_t end;       /* offset behind the call */
};

/*
 * A call without arguments that begins at `offset`; false when what stands there is none. 3.11's PUSH_EXC_INFO in front
 * of it is passed over.
 */
bool exu_bytecode_method_call(const struct exu_bytecode *bytecode, uint32_t offset, struct exu_method_call *call);

/*
 * Has the instruction at `at` been reached in a straight line from the entry of a `with`, and does it take a lock
 * itself, if that is what it is called with? Either it enters another `with` (`call->end` is 0), or it calls a method.
 */
bool exu_bytecode_just_entered(const struct exu_bytecode *bytecode, uint32_t at, struct exu_method_call *call);

/*
 * A call whose result is dropped, right in front of a `try` whose `finally` calls another method of the same: both,
 * when the instruction at `at` is inside of that `try`. Looks from `from` on, which becomes where the next search goes
 * on. `handler` is NULL up to 3.10; since 3.11 it is asked where the exceptions of an instruction go.
 */
struct exu_guarded {
  struct exu_method_call before, finally;
  bool stored; /* the variable is another one than a local one, or is stored to after the call */
};
typedef bool exu_handler_callback(void *context, uint32_t offset, uint32_t *process);
bool exu_bytecode_guarded(const struct exu_bytecode *bytecode, uint32_t *from, uint32_t at,
                          exu_handler_callback *handler, void *context, struct exu_guarded *guarded);

#endif
