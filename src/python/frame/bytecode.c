/* SPDX-License-Identifier: Apache-2.0 */
#include "python/frame/bytecode.h"

/* ---- Opcodes ----------------------------------------------------------------------------------------------------- */

#define OPCODE(number, kind, count, how) [number] = {EXU_OP_##kind, count, EXU_JUMP_##how},
static const struct exu_opcode opcodes_2_7[256] = {
#include "offsets/opcodes_2_7.inc"
};
static const struct exu_opcode opcodes_3_6[256] = {
#include "offsets/opcodes_3_6.inc"
};
static const struct exu_opcode opcodes_3_7[256] = {
#include "offsets/opcodes_3_7.inc"
};
static const struct exu_opcode opcodes_3_8[256] = {
#include "offsets/opcodes_3_8.inc"
};
static const struct exu_opcode opcodes_3_9[256] = {
#include "offsets/opcodes_3_9.inc"
};
static const struct exu_opcode opcodes_3_10[256] = {
#include "offsets/opcodes_3_10.inc"
};
static const struct exu_opcode opcodes_3_11[256] = {
#include "offsets/opcodes_3_11.inc"
};
static const struct exu_opcode opcodes_3_12[256] = {
#include "offsets/opcodes_3_12.inc"
};
static const struct exu_opcode opcodes_3_13[256] = {
#include "offsets/opcodes_3_13.inc"
};
static const struct exu_opcode opcodes_3_14[256] = {
#include "offsets/opcodes_3_14.inc"
};
static const struct exu_opcode opcodes_3_15[256] = {
#include "offsets/opcodes_3_15.inc"
};
#undef OPCODE

const struct exu_opcode *exu_opcodes(uint8_t major, uint8_t minor) {
  static const struct {
    uint8_t major, minor;
    const struct exu_opcode *opcodes;
  } versions[] = {
      {2, 7, opcodes_2_7},   {3, 6, opcodes_3_6},   {3, 7, opcodes_3_7},   {3, 8, opcodes_3_8},
      {3, 9, opcodes_3_9},   {3, 10, opcodes_3_10}, {3, 11, opcodes_3_11}, {3, 12, opcodes_3_12},
      {3, 13, opcodes_3_13}, {3, 14, opcodes_3_14}, {3, 15, opcodes_3_15},
  };
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    if (versions[i].major == major && versions[i].minor == minor) return versions[i].opcodes;
  }
  return NULL;
}

static bool at_least(const struct exu_bytecode *bytecode, uint8_t minor) {
  return bytecode->major > 3 || (bytecode->major == 3 && bytecode->minor >= minor);
}

/* ---- One instruction --------------------------------------------------------------------------------------------- */

/* One opcode with its argument: since 3.6 two bytes ("wordcode"); before, three from HAVE_ARGUMENT on, and one. */
static bool unit(const struct exu_bytecode *bytecode, uint32_t offset, struct exu_opcode *opcode, uint32_t *arg,
                 uint32_t *next) {
  enum { HAVE_ARGUMENT = 90 };
  const uint8_t *bytes = bytecode->bytes;
  bool wordcode = bytecode->major >= 3;
  if (offset >= bytecode->size) return false;
  uint32_t width = wordcode ? 2 : bytes[offset] >= HAVE_ARGUMENT ? 3 : 1;
  if (bytecode->size - offset < width) return false;
  *opcode = bytecode->opcodes[bytes[offset]];
  *arg = width == 1 ? 0 : bytes[offset + 1];
  if (width == 3) *arg |= (uint32_t)bytes[offset + 2] << 8;
  *next = offset + width + 2u * opcode->caches;
  return opcode->op != EXU_OP_UNKNOWN;
}

/* Arguments of jumps count bytes, since 3.10 code units. UINT32_MAX also for one that leads out of the code. */
static uint32_t target_of(const struct exu_bytecode *bytecode, const struct exu_instruction *instruction,
                          enum exu_jump jump) {
  uint64_t distance = (uint64_t)instruction->arg * (at_least(bytecode, 10) ? 2 : 1), process = UINT32_MAX;
  if (jump == EXU_JUMP_ABSOLUTE) process = distance;
  if (jump == EXU_JUMP_FORWARD) process = instruction->next + distance;
  if (jump == EXU_JUMP_BACKWARD && distance <= instruction->next) process = instruction->next - distance;
  return process < bytecode->size ? (uint32_t)process : UINT32_MAX;
}

bool exu_bytecode_at(const struct exu_bytecode *bytecode, uint32_t offset, struct exu_instruction *instruction) {
  enum { EXTENDED_MAX = 3 };
  struct exu_opcode opcode;
  uint32_t arg, high = 0;
  if (!bytecode->opcodes) return false;
  instruction->start = offset;
  for (int i = 0; i <= EXTENDED_MAX; i++) {
    if (!unit(bytecode, offset, &opcode, &arg, &instruction->next)) return false;
    if (opcode.op != EXU_OP_EXTENDED_ARG) {
      instruction->offset = offset;
      instruction->op = (enum exu_op)opcode.op;
      instruction->arg = high | arg;
      instruction->process = target_of(bytecode, instruction, (enum exu_jump)opcode.jump);
      return true;
    }
    high = (high | arg) << (bytecode->major >= 3 ? 8 : 16);
    offset = instruction->next;
  }
  return false;
}

/* YIELD_VALUE takes one code unit in 3.13 and later; what is in front of that does not matter. */
bool exu_bytecode_at_yield(const struct exu_bytecode *bytecode, uint32_t at) {
  enum { UNIT = 2 };
  struct exu_opcode opcode;
  uint32_t arg, next;
  if (!bytecode->opcodes) return false;
  if (at_least(bytecode, 13)) {
    if (at < UNIT) return false;
    at -= UNIT;
  }
  return unit(bytecode, at, &opcode, &arg, &next) && opcode.op == EXU_OP_YIELD_VALUE;
}

/* ---- Straight lines ---------------------------------------------------------------------------------------------- */

/* 3.14's LOAD_SPECIAL runs nothing of a lock; a `with` that was entered has a CALL behind it, which is OTHER code. */
static bool runs_nothing(enum exu_op op) {
  switch (op) {
  case EXU_OP_NOTHING:
  case EXU_OP_LOAD_SPECIAL:
  case EXU_OP_LOAD_FAST:
  case EXU_OP_LOAD_DEREF:
  case EXU_OP_LOAD_GLOBAL: return true;
  default: return false;
  }
}

bool exu_bytecode_is_straight(const struct exu_bytecode *bytecode, uint32_t from, uint32_t to) {
  struct exu_instruction instruction;
  if (from > to) return false;
  for (uint32_t at = from; at < to; at = instruction.next) {
    if (!exu_bytecode_at(bytecode, at, &instruction) || instruction.next > to) return false;
    if (!runs_nothing(instruction.op) && !(at == from && instruction.op == EXU_OP_POP_TOP)) return false;
  }
  uint32_t at = 0;
  for (; exu_bytecode_at(bytecode, at, &instruction); at = instruction.next) {
    if (instruction.process != UINT32_MAX && instruction.process > from && instruction.process <= to) return false;
  }
  return at >= bytecode->size;
}

/* ---- Calls of methods -------------------------------------------------------------------------------------------- */

/* Index in co_names. LOAD_GLOBAL has had a flag in its lowest bit since 3.11, LOAD_ATTR since 3.12. */
static uint32_t name_index(const struct exu_bytecode *bytecode, const struct exu_instruction *instruction) {
  bool flag = (instruction->op == EXU_OP_LOAD_GLOBAL && at_least(bytecode, 11)) ||
              (instruction->op == EXU_OP_LOAD_ATTR && at_least(bytecode, 12));
  return instruction->arg >> flag;
}

static bool next_of(const struct exu_bytecode *bytecode, uint32_t *offset, struct exu_instruction *instruction) {
  do {
    if (!exu_bytecode_at(bytecode, *offset, instruction)) return false;
    *offset = instruction->next;
  } while (instruction->op == EXU_OP_NOTHING || instruction->op == EXU_OP_PUSH_EXC_INFO);
  return true;
}

bool exu_bytecode_method_call(const struct exu_bytecode *bytecode, uint32_t offset, struct exu_method_call *call) {
  struct exu_instruction instruction;
  uint32_t names[2];
  int count = 0;
  if (!next_of(bytecode, &offset, &instruction)) return false;
  call->load = instruction.op;
  if (call->load == EXU_OP_LOAD_GLOBAL) {
    call->variable = name_index(bytecode, &instruction);
  } else if (call->load == EXU_OP_LOAD_FAST || call->load == EXU_OP_LOAD_DEREF) {
    call->variable = instruction.arg;
  } else {
    return false;
  }
  for (;;) {
    if (!next_of(bytecode, &offset, &instruction)) return false;
    if (instruction.op == EXU_OP_CALL) break;
    if ((instruction.op != EXU_OP_LOAD_ATTR && instruction.op != EXU_OP_LOAD_METHOD) || count == 2) return false;
    names[count++] = name_index(bytecode, &instruction);
  }
  if (count == 0 || instruction.arg != 0) return false;
  call->has_attribute = count == 2;
  call->attribute = names[0];
  call->method = names[count - 1];
  call->end = offset;
  return true;
}

/* ---- Right after a `with` ---------------------------------------------------------------------------------------- */

/* The instruction that `offset` is inside of: of its bytes, or of its caches. */
static bool containing(const struct exu_bytecode *bytecode, uint32_t offset, struct exu_instruction *instruction) {
  for (uint32_t at = 0; at <= offset; at = instruction->next) {
    if (!exu_bytecode_at(bytecode, at, instruction)) return false;
    if (offset < instruction->next) return true;
  }
  return false;
}

/* Does it enter a `with`? `before` is the one in front of it. */
static bool enters(const struct exu_instruction *before, const struct exu_instruction *instruction) {
  if (instruction->op == EXU_OP_SETUP_WITH || instruction->op == EXU_OP_BEFORE_WITH) return true;
  return instruction->op == EXU_OP_CALL && before->op == EXU_OP_LOAD_SPECIAL;
}

/* Is `from` followed in a straight line by what ends with the instruction `last`, which takes a lock? */
static bool leads_to(const struct exu_bytecode *bytecode, uint32_t from, const struct exu_instruction *last,
                     struct exu_method_call *call) {
  struct exu_instruction before = {.op = EXU_OP_UNKNOWN}, instruction;
  for (uint32_t at = from; at <= last->start; at = instruction.next) {
    if (!exu_bytecode_at(bytecode, at, &instruction)) return false;
    bool is_last = instruction.start == last->start;
    if (is_last && enters(&before, &instruction)) {
      call->end = 0;
      return exu_bytecode_is_straight(bytecode, from, at);
    }
    bool calls = exu_bytecode_method_call(bytecode, at, call) && call->end == last->next;
    if (calls && instruction.op != EXU_OP_NOTHING && !call->has_attribute)
      return exu_bytecode_is_straight(bytecode, from, at);
    if (is_last || (!runs_nothing(instruction.op) && !(at == from && instruction.op == EXU_OP_POP_TOP))) return false;
    before = instruction;
  }
  return false;
}

bool exu_bytecode_just_entered(const struct exu_bytecode *bytecode, uint32_t at, struct exu_method_call *call) {
  struct exu_instruction before = {.op = EXU_OP_UNKNOWN}, instruction, last;
  if (!containing(bytecode, at, &last)) return false;
  for (uint32_t offset = 0; offset < last.start; offset = instruction.next) {
    if (!exu_bytecode_at(bytecode, offset, &instruction)) return false;
    if (enters(&before, &instruction) && leads_to(bytecode, instruction.next, &last, call)) return true;
    before = instruction;
  }
  return false;
}

/* ---- A call, and a `try` whose `finally` takes it back ----------------------------------------------------------- */

static bool same_object(const struct exu_method_call *one, const struct exu_method_call *other) {
  return one->load == other->load && one->variable == other->variable && one->has_attribute == other->has_attribute &&
         (!one->has_attribute || one->attribute == other->attribute);
}

/*
 * Up to 3.10: is the block that begins at `setup` still there at `at`? Counted along the line: code that leaves the
 * block early takes blocks away that other code still has, and makes this false.
 */
static bool in_block(const struct exu_bytecode *bytecode, const struct exu_instruction *setup, uint32_t at) {
  struct exu_instruction instruction;
  int depth = 1;
  if (at < setup->next || at >= setup->process) return false;
  for (uint32_t offset = setup->next; offset < at && depth > 0; offset = instruction.next) {
    if (!exu_bytecode_at(bytecode, offset, &instruction)) return false;
    if (instruction.op == EXU_OP_SETUP || instruction.op == EXU_OP_SETUP_FINALLY || instruction.op == EXU_OP_SETUP_WITH)
      depth++;
    if (instruction.op == EXU_OP_POP_BLOCK) depth--;
  }
  return depth > 0;
}

/* Where the `finally` begins of a `try` whose first instruction is at `start`, when `at` is inside of it. */
static bool finally_of(const struct exu_bytecode *bytecode, uint32_t before, uint32_t start, uint32_t at,
                       exu_handler_callback *handler, void *context, uint32_t *process) {
  enum { CHAIN_MAX = 32 };
  struct exu_instruction instruction;
  uint32_t outer, around = UINT32_MAX;
  if (!exu_bytecode_at(bytecode, start, &instruction)) return false;
  if (!handler) {
    *process = instruction.process;
    return instruction.op == EXU_OP_SETUP_FINALLY && *process != UINT32_MAX && in_block(bytecode, &instruction, at);
  }
  /* The call in front of it may be inside of another `try`; the NOP that `try` leaves may be of either. */
  if (!handler(context, before, &around)) around = UINT32_MAX;
  while (!handler(context, instruction.offset, process) || *process == around) {
    if (instruction.op != EXU_OP_NOTHING || !exu_bytecode_at(bytecode, instruction.next, &instruction)) return false;
  }
  if (at < instruction.start) return false;
  /* The exceptions of `at` get there, too, over the handlers of what is inside. */
  outer = at;
  for (int i = 0; i < CHAIN_MAX && handler(context, outer, &outer); i++) {
    if (outer == *process) return true;
  }
  return false;
}

static bool is_stored(const struct exu_bytecode *bytecode, const struct exu_method_call *call) {
  struct exu_instruction instruction;
  uint32_t at = call->end;
  if (call->load != EXU_OP_LOAD_FAST || call->has_attribute) return true;
  for (; exu_bytecode_at(bytecode, at, &instruction); at = instruction.next) {
    if (instruction.op == EXU_OP_STORE_TWO) return true;
    if (instruction.op == EXU_OP_STORE_FAST && instruction.arg == call->variable) return true;
  }
  return at < bytecode->size; /* not read to its end */
}

bool exu_bytecode_guarded(const struct exu_bytecode *bytecode, uint32_t *from, uint32_t at,
                          exu_handler_callback *handler, void *context, struct exu_guarded *guarded) {
  struct exu_instruction instruction, dropped;
  uint32_t process;
  while (*from < at && exu_bytecode_at(bytecode, *from, &instruction)) {
    uint32_t offset = *from;
    *from = instruction.next;
    if (!exu_bytecode_method_call(bytecode, offset, &guarded->before)) continue;
    if (!exu_bytecode_at(bytecode, guarded->before.end, &dropped) || dropped.op != EXU_OP_POP_TOP) continue;
    if (!finally_of(bytecode, dropped.offset, dropped.next, at, handler, context, &process)) continue;
    if (!exu_bytecode_method_call(bytecode, process, &guarded->finally)) continue;
    if (!same_object(&guarded->before, &guarded->finally)) continue;
    guarded->stored = is_stored(bytecode, &guarded->before);
    return true;
  }
  return false;
}
