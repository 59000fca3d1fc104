/* SPDX-License-Identifier: Apache-2.0 */
/* Opcode maps: Intel SDM volume 2, appendix A. Ranges are written as there: by the first and the last opcode. */
#include "arch/x86_64_opcodes.h"

#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Sizes that depend on prefixes. */
enum size {
  BYTE = 1,
  WORD = 2,
  DWORD = 4,
  QWORD = 8,
  XMM = 16,
  YMM = 32,
  OPERAND = 100,
  VECTOR = 101,
  DWORD_OR_QWORD = 102
};

/* Prefixes that select an instruction: any of these bits. */
enum prefix { NP = 1, P66 = 2, PF3 = 4, PF2 = 8, ANY = 15, NP66 = NP | P66 };

struct rule {
  uint8_t first;
  uint8_t last;
  uint8_t prefix;
  enum exu_access access;
  uint8_t size;
  uint8_t immediate;
};

#define R EXU_ACCESS_READ
#define W EXU_ACCESS_WRITE
#define M EXU_ACCESS_MODIFY

/* 0F: what old and VEX encodings share. */
static const struct rule map1_common[] = {
    {0x10, 0x10, NP66, R, VECTOR, 0},
    {0x10, 0x10, PF3, R, DWORD, 0},
    {0x10, 0x10, PF2, R, QWORD, 0},
    {0x11, 0x11, NP66, W, VECTOR, 0},
    {0x11, 0x11, PF3, W, DWORD, 0},
    {0x11, 0x11, PF2, W, QWORD, 0},
    {0x12, 0x12, NP66, R, QWORD, 0},
    {0x12, 0x12, PF3 | PF2, R, VECTOR, 0},
    {0x13, 0x13, NP66, W, QWORD, 0},
    {0x14, 0x15, NP66, R, VECTOR, 0},
    {0x16, 0x16, NP66, R, QWORD, 0},
    {0x16, 0x16, PF3, R, VECTOR, 0},
    {0x17, 0x17, NP66, W, QWORD, 0},
    {0x28, 0x28, NP66, R, VECTOR, 0},
    {0x29, 0x29, NP66, W, VECTOR, 0},
    {0x2a, 0x2a, ANY, R, QWORD, 0},
    {0x2b, 0x2b, NP66, W, VECTOR, 0},
    {0x2c, 0x2d, ANY, R, XMM, 0},
    {0x2e, 0x2f, NP66, R, QWORD, 0},
    {0x51, 0x5f, ANY, R, VECTOR, 0},
    {0x60, 0x6d, NP66, R, VECTOR, 0},
    {0x6e, 0x6e, NP66, R, DWORD_OR_QWORD, 0},
    {0x6f, 0x6f, NP | P66 | PF3, R, VECTOR, 0},
    {0x70, 0x70, ANY, R, VECTOR, 1},
    {0x74, 0x76, NP66, R, VECTOR, 0},
    {0x7c, 0x7d, P66 | PF2, R, VECTOR, 0},
    {0x7e, 0x7e, NP66, W, DWORD_OR_QWORD, 0},
    {0x7e, 0x7e, PF3, R, QWORD, 0},
    {0x7f, 0x7f, NP | P66 | PF3, W, VECTOR, 0},
    {0xc2, 0xc2, ANY, R, VECTOR, 1},
    {0xc4, 0xc4, NP66, R, WORD, 1},
    {0xc6, 0xc6, NP66, R, VECTOR, 1},
    {0xd0, 0xd0, P66 | PF2, R, VECTOR, 0},
    {0xd1, 0xd5, NP66, R, VECTOR, 0},
    {0xd6, 0xd6, P66, W, QWORD, 0},
    {0xd8, 0xe5, NP66, R, VECTOR, 0},
    {0xe6, 0xe6, P66 | PF3 | PF2, R, VECTOR, 0},
    {0xe7, 0xe7, NP66, W, VECTOR, 0},
    {0xe8, 0xef, NP66, R, VECTOR, 0},
    {0xf0, 0xf0, PF2, R, VECTOR, 0},
    {0xf1, 0xf6, NP66, R, VECTOR, 0},
    {0xf8, 0xfe, NP66, R, VECTOR, 0},
};

/* 0F: old encoding only. Bit strings with a register index (bt and its like) reach beyond their operand: left out. */
static const struct rule map1_legacy[] = {
    {0x40, 0x4f, NP66, R, OPERAND, 0},
    {0x90, 0x9f, NP66, W, BYTE, 0},
    {0xa4, 0xa4, NP66, M, OPERAND, 1},
    {0xa5, 0xa5, NP66, M, OPERAND, 0},
    {0xac, 0xac, NP66, M, OPERAND, 1},
    {0xad, 0xad, NP66, M, OPERAND, 0},
    {0xaf, 0xaf, NP66, R, OPERAND, 0},
    {0xb0, 0xb0, ANY, M, BYTE, 0},
    {0xb1, 0xb1, ANY, M, OPERAND, 0},
    {0xb6, 0xb6, NP66, R, BYTE, 0},
    {0xb7, 0xb7, NP66, R, WORD, 0},
    {0xb8, 0xb8, PF3, R, OPERAND, 0},
    {0xbc, 0xbd, NP | P66 | PF3, R, OPERAND, 0},
    {0xbe, 0xbe, NP66, R, BYTE, 0},
    {0xbf, 0xbf, NP66, R, WORD, 0},
    {0xc0, 0xc0, ANY, M, BYTE, 0},
    {0xc1, 0xc1, ANY, M, OPERAND, 0},
    {0xc3, 0xc3, NP, W, OPERAND, 0},
};

static const struct rule map2_legacy[] = {
    {0x00, 0x0b, NP66, R, VECTOR, 0}, {0x10, 0x10, P66, R, VECTOR, 0},   {0x14, 0x15, P66, R, VECTOR, 0},
    {0x17, 0x17, P66, R, VECTOR, 0},  {0x1c, 0x1e, NP66, R, VECTOR, 0},  {0x20, 0x25, P66, R, VECTOR, 0},
    {0x28, 0x2b, P66, R, VECTOR, 0},  {0x30, 0x41, P66, R, VECTOR, 0},   {0xc8, 0xcd, NP, R, VECTOR, 0},
    {0xdb, 0xdf, P66, R, VECTOR, 0},  {0xf0, 0xf0, NP66, R, OPERAND, 0}, {0xf1, 0xf1, NP66, W, OPERAND, 0},
    {0xf0, 0xf0, PF2, R, BYTE, 0},    {0xf1, 0xf1, PF2, R, OPERAND, 0},  {0xf6, 0xf6, P66 | PF3, R, DWORD_OR_QWORD, 0},
};

static const struct rule map3_legacy[] = {
    {0x08, 0x0f, NP66, R, VECTOR, 1},        {0x14, 0x14, P66, W, BYTE, 1},           {0x15, 0x15, P66, W, WORD, 1},
    {0x16, 0x16, P66, W, DWORD_OR_QWORD, 1}, {0x17, 0x17, P66, W, DWORD, 1},          {0x20, 0x20, P66, R, BYTE, 1},
    {0x21, 0x21, P66, R, DWORD, 1},          {0x22, 0x22, P66, R, DWORD_OR_QWORD, 1}, {0x40, 0x42, P66, R, VECTOR, 1},
    {0x44, 0x44, P66, R, VECTOR, 1},         {0x60, 0x63, P66, R, VECTOR, 1},         {0xcc, 0xcc, NP, R, VECTOR, 1},
    {0xdf, 0xdf, P66, R, VECTOR, 1},
};

/* Masked loads and stores touch a part of their operand; gathers (90 to 93) compute many addresses: left out. */
static const struct rule map2_vex[] = {
    {0x00, 0x0f, P66, R, VECTOR, 0},
    {0x13, 0x13, P66, R, XMM, 0},
    {0x16, 0x17, P66, R, VECTOR, 0},
    {0x18, 0x18, P66, R, DWORD, 0},
    {0x19, 0x19, P66, R, QWORD, 0},
    {0x1a, 0x1a, P66, R, XMM, 0},
    {0x1c, 0x1e, P66, R, VECTOR, 0},
    {0x20, 0x25, P66, R, VECTOR, 0},
    {0x28, 0x2d, P66, R, VECTOR, 0},
    {0x2e, 0x2f, P66, W, VECTOR, 0},
    {0x30, 0x41, P66, R, VECTOR, 0},
    {0x45, 0x47, P66, R, VECTOR, 0},
    {0x58, 0x58, P66, R, DWORD, 0},
    {0x59, 0x59, P66, R, QWORD, 0},
    {0x5a, 0x5a, P66, R, XMM, 0},
    {0x78, 0x78, P66, R, BYTE, 0},
    {0x79, 0x79, P66, R, WORD, 0},
    {0x8c, 0x8c, P66, R, VECTOR, 0},
    {0x8e, 0x8e, P66, W, VECTOR, 0},
    {0x96, 0x9f, P66, R, VECTOR, 0},
    {0xa6, 0xaf, P66, R, VECTOR, 0},
    {0xb6, 0xbf, P66, R, VECTOR, 0},
    {0xdb, 0xdf, P66, R, VECTOR, 0},
    {0xf2, 0xf3, NP, R, DWORD_OR_QWORD, 0},
    {0xf5, 0xf5, NP | PF3 | PF2, R, DWORD_OR_QWORD, 0},
    {0xf6, 0xf6, PF2, R, DWORD_OR_QWORD, 0},
    {0xf7, 0xf7, ANY, R, DWORD_OR_QWORD, 0},
};

static const struct rule map3_vex[] = {
    {0x00, 0x02, P66, R, VECTOR, 1},
    {0x04, 0x06, P66, R, VECTOR, 1},
    {0x08, 0x0f, P66, R, VECTOR, 1},
    {0x14, 0x14, P66, W, BYTE, 1},
    {0x15, 0x15, P66, W, WORD, 1},
    {0x16, 0x16, P66, W, DWORD_OR_QWORD, 1},
    {0x17, 0x17, P66, W, DWORD, 1},
    {0x18, 0x18, P66, R, XMM, 1},
    {0x19, 0x19, P66, W, XMM, 1},
    {0x1d, 0x1d, P66, W, XMM, 1},
    {0x20, 0x20, P66, R, BYTE, 1},
    {0x21, 0x21, P66, R, DWORD, 1},
    {0x22, 0x22, P66, R, DWORD_OR_QWORD, 1},
    {0x38, 0x38, P66, R, XMM, 1},
    {0x39, 0x39, P66, W, XMM, 1},
    {0x40, 0x42, P66, R, VECTOR, 1},
    {0x44, 0x44, P66, R, VECTOR, 1},
    {0x46, 0x46, P66, R, VECTOR, 1},
    {0x4a, 0x4c, P66, R, VECTOR, 1},
    {0x60, 0x63, P66, R, XMM, 1},
    {0xdf, 0xdf, P66, R, XMM, 1},
    {0xf0, 0xf0, PF2, R, DWORD_OR_QWORD, 1},
};

/* EVEX: only forms whose operand is a full vector, because the others scale their displacement differently. */
static const struct rule map1_evex[] = {
    {0x10, 0x10, NP66, R, VECTOR, 0}, {0x11, 0x11, NP66, W, VECTOR, 0},
    {0x28, 0x28, NP66, R, VECTOR, 0}, {0x29, 0x29, NP66, W, VECTOR, 0},
    {0x2b, 0x2b, NP66, W, VECTOR, 0}, {0x54, 0x57, NP66, R, VECTOR, 0},
    {0x58, 0x59, NP66, R, VECTOR, 0}, {0x5c, 0x5f, NP66, R, VECTOR, 0},
    {0x60, 0x6d, P66, R, VECTOR, 0},  {0x6f, 0x6f, P66 | PF3 | PF2, R, VECTOR, 0},
    {0x74, 0x76, P66, R, VECTOR, 0},  {0x7f, 0x7f, P66 | PF3 | PF2, W, VECTOR, 0},
    {0xd4, 0xd5, P66, R, VECTOR, 0},  {0xd8, 0xe0, P66, R, VECTOR, 0},
    {0xe3, 0xe5, P66, R, VECTOR, 0},  {0xe7, 0xe7, P66, W, VECTOR, 0},
    {0xe8, 0xef, P66, R, VECTOR, 0},  {0xf4, 0xf6, P66, R, VECTOR, 0},
    {0xf8, 0xfe, P66, R, VECTOR, 0},
};

static const struct rule map2_evex[] = {
    {0x00, 0x00, P66, R, VECTOR, 0},
    {0x26, 0x27, P66 | PF3, R, VECTOR, 0},
    {0x38, 0x3f, P66, R, VECTOR, 0},
};

static const struct rule map3_evex[] = {
    {0x1e, 0x1f, P66, R, VECTOR, 1},
    {0x25, 0x25, P66, R, VECTOR, 1},
    {0x3e, 0x3f, P66, R, VECTOR, 1},
};

uint8_t exu_x86_operand_size(const struct exu_x86_instruction *instruction) {
  if (instruction->wide) return 8;
  return instruction->has_66 ? 2 : 4;
}

static uint8_t size_in_bytes(const struct exu_x86_instruction *instruction, uint8_t size) {
  switch (size) {
  case OPERAND: return exu_x86_operand_size(instruction);
  case VECTOR: return instruction->vector_size;
  case DWORD_OR_QWORD: return instruction->wide ? 8 : 4;
  default: return size;
  }
}

static struct exu_x86_form form_of(enum exu_access access, uint8_t size, uint8_t immediate) {
  return (struct exu_x86_form){.access = access, .size = size, .immediate = immediate};
}

static struct exu_x86_form lookup(const struct exu_x86_instruction *instruction, const struct rule *rules,
                                  size_t count) {
  /* F2 and F3 select before 66 does. */
  unsigned prefix = instruction->repeat == 0xf3   ? PF3
                    : instruction->repeat == 0xf2 ? PF2
                    : instruction->has_66         ? P66
                                                  : NP;
  for (size_t i = 0; i < count; i++) {
    const struct rule *rule = &rules[i];
    if (instruction->opcode < rule->first || instruction->opcode > rule->last || !(rule->prefix & prefix)) continue;
    return form_of(rule->access, size_in_bytes(instruction, rule->size), rule->immediate);
  }
  return (struct exu_x86_form){.access = EXU_ACCESS_UNKNOWN};
}

/* 00 to 3F: eight operations in four forms each; the other four have no ModRM byte. The eighth is cmp. */
static struct exu_x86_form arithmetic(const struct exu_x86_instruction *instruction) {
  enum { CMP = 7 };
  uint8_t opcode = instruction->opcode;
  struct exu_x86_form form = {.size = opcode & 1 ? exu_x86_operand_size(instruction) : BYTE};
  if ((opcode & 7) > 3) return form;
  bool only_read = (opcode & 2) || opcode >> 3 == CMP;
  form.access = only_read ? EXU_ACCESS_READ : EXU_ACCESS_MODIFY;
  return form;
}

static struct exu_x86_form one_byte(const struct exu_x86_instruction *instruction, unsigned group) {
  const uint8_t opcode = instruction->opcode;
  const uint8_t operand = opcode & 1 ? exu_x86_operand_size(instruction) : BYTE;
  const uint8_t immediate = operand == 8 ? 4 : operand; /* immediates have 32 bits at most */
  if (opcode < 0x40) return arithmetic(instruction);
  switch (opcode) {
  case 0x63: return form_of(R, DWORD, 0);           /* movsxd */
  case 0x69: return form_of(R, operand, immediate); /* imul */
  case 0x6b: return form_of(R, operand, 1);
  case 0x80:
  case 0x81: /* add to cmp */ return form_of(group == 7 ? R : M, operand, immediate);
  case 0x83: return form_of(group == 7 ? R : M, operand, 1);
  case 0x84:
  case 0x85: return form_of(R, operand, 0); /* test */
  case 0x86:
  case 0x87: return form_of(M, operand, 0); /* xchg */
  case 0x88:
  case 0x89: return form_of(W, operand, 0); /* mov */
  case 0x8a:
  case 0x8b: return form_of(R, operand, 0);
  case 0xc0:
  case 0xc1: return form_of(M, operand, 1); /* shifts */
  case 0xc6:
  case 0xc7: /* mov */ return form_of(group == 0 ? W : EXU_ACCESS_UNKNOWN, operand, immediate);
  case 0xd0:
  case 0xd1:
  case 0xd2:
  case 0xd3: return form_of(M, operand, 0);
  case 0xf6:
  case 0xf7: /* test, not, neg, mul, imul, div, idiv */
    if (group < 2) return form_of(R, operand, immediate);
    return form_of(group < 4 ? M : R, operand, 0);
  case 0xfe: return form_of(group < 2 ? M : EXU_ACCESS_UNKNOWN, BYTE, 0); /* inc, dec */
  case 0xff:
    if (group < 2) return form_of(M, operand, 0);
    if (instruction->has_66) break;
    if (group == 4) return form_of(R, QWORD, 0); /* jmp */
    if (group == 2 || group == 6)
      return (struct exu_x86_form){.access = R, .size = QWORD, .pushes = true}; /* call, push */
    break;
  default: break;
  }
  return (struct exu_x86_form){.access = EXU_ACCESS_UNKNOWN};
}

static struct exu_x86_form two_byte(const struct exu_x86_instruction *instruction, unsigned group) {
  if (instruction->opcode == 0xba && group >= 4) /* bt, bts, btr, btc with an immediate index: within the operand */
    return form_of(group == 4 ? R : M, exu_x86_operand_size(instruction), 1);
  if (instruction->opcode == 0xc7 && group == 1) /* cmpxchg8b, cmpxchg16b */
    return form_of(M, instruction->wide ? 16 : 8, 0);
  struct exu_x86_form form = lookup(instruction, map1_legacy, COUNT(map1_legacy));
  if (form.access != EXU_ACCESS_UNKNOWN) return form;
  return lookup(instruction, map1_common, COUNT(map1_common));
}

static struct exu_x86_form vex(const struct exu_x86_instruction *instruction) {
  if (instruction->map == 1) return lookup(instruction, map1_common, COUNT(map1_common));
  if (instruction->map == 2) return lookup(instruction, map2_vex, COUNT(map2_vex));
  return lookup(instruction, map3_vex, COUNT(map3_vex));
}

static struct exu_x86_form evex(const struct exu_x86_instruction *instruction) {
  if (instruction->map == 1) return lookup(instruction, map1_evex, COUNT(map1_evex));
  if (instruction->map == 2) return lookup(instruction, map2_evex, COUNT(map2_evex));
  return lookup(instruction, map3_evex, COUNT(map3_evex));
}

struct exu_x86_form exu_x86_form(const struct exu_x86_instruction *instruction, unsigned group) {
  if (instruction->encoding == EXU_X86_VEX) return vex(instruction);
  if (instruction->encoding == EXU_X86_EVEX) return evex(instruction);
  switch (instruction->map) {
  case 0: return one_byte(instruction, group);
  case 1: return two_byte(instruction, group);
  case 2: return lookup(instruction, map2_legacy, COUNT(map2_legacy));
  default: return lookup(instruction, map3_legacy, COUNT(map3_legacy));
  }
}

enum exu_access exu_x86_stack_access(uint8_t opcode) {
  if (opcode >= 0x50 && opcode <= 0x57) return EXU_ACCESS_WRITE; /* push */
  if (opcode >= 0x58 && opcode <= 0x5f) return EXU_ACCESS_READ;  /* pop */
  switch (opcode) {
  case 0x68:
  case 0x6a:
  case 0x9c:
  case 0xe8: return EXU_ACCESS_WRITE; /* push, pushf, call */
  case 0xc2:
  case 0xc3:
  case 0xc9:
  case 0x9d: return EXU_ACCESS_READ; /* ret, leave, popf */
  default: return EXU_ACCESS_UNKNOWN;
  }
}
