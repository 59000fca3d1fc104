/* SPDX-License-Identifier: Apache-2.0 */
/* Intel SDM volume 2: chapter 2 for the formats, appendix A for the opcode maps. */
#include "arch/x86_64_decode.h"

#include "arch/access.h"
#include "base/cursor.h"

enum { LEGACY_MAPS = 4, REGISTERS = 16 };

/* Bit maps over the 256 opcodes of a map, 16 to a row as in the manual. */
typedef uint16_t opcodes[16];

#define ALL 0xffff

/* One-byte opcodes with a ModRM byte; those that do not exist in 64-bit mode, or are prefixes. */
static const opcodes one_byte_modrm = {0x0f0f, 0x0f0f, 0x0f0f, 0x0f0f, 0,      0,      0x0a08, 0,
                                       0xfffb, 0,      0,      0,      0x00c3, 0xff0f, 0,      0xc0c0};
static const opcodes one_byte_invalid = {0xc0c0, 0xc0c0, 0xc0c0, 0xc0c0, ALL,    0,      0x00f7, 0,
                                         0x0004, 0x0400, 0,      0,      0x4030, 0x0070, 0x0400, 0x000d};

/* 0F: without a ModRM byte; not decoded. Moves of control and debug registers and what a processor once had. */
static const opcodes two_byte_plain = {0x4be0, 0, 0, 0x00ff, 0, 0, 0, 0x0080, ALL, 0, 0x0707, 0, 0xff00, 0, 0, 0};
static const opcodes two_byte_invalid = {0x9410, 0, 0x00ff, 0xfe40, 0, 0, 0, 0x0300, 0, 0, 0x00c0, 0, 0, 0, 0, 0};

static bool is_in(const opcodes set, uint8_t opcode) { return set[opcode >> 4] >> (opcode & 15) & 1; }

/* ---- Prefixes ---------------------------------------------------------------------------------------------------- */

struct decoding {
  struct exu_cursor code;
  struct exu_x86_decoded *decoded;
  uint8_t extend_reg; /* 0 or 8 */
  uint8_t extend_index;
  uint8_t extend_base;
  bool scaled; /* EVEX: an 8-bit displacement counts vectors */
};

/* Prefixes of the old kind. Returns the first byte that is none. */
static uint8_t old_prefixes(struct decoding *decoding) {
  struct exu_x86_instruction *instruction = &decoding->decoded->instruction;
  for (;;) {
    uint8_t byte = exu_cursor_u8(&decoding->code);
    switch (byte) {
    case 0x66: instruction->has_66 = true; continue;
    case 0xf2:
    case 0xf3: instruction->repeat = byte; continue;
    case 0x64:
    case 0x65:
    case 0x67: decoding->decoded->odd = true; continue;
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0xf0: continue;
    default: return byte;
    }
  }
}

static void set_pp(struct exu_x86_instruction *instruction, unsigned pp) {
  static const uint8_t repeat[] = {0, 0, 0xf3, 0xf2};
  instruction->has_66 = pp == 1;
  instruction->repeat = repeat[pp & 3];
}

/* The rest of the prefix that `byte` begins. */
static bool vector_prefix(struct decoding *decoding, uint8_t byte) {
  struct exu_x86_decoded *decoded = decoding->decoded;
  struct exu_x86_instruction *instruction = &decoded->instruction;
  if (instruction->has_66 || instruction->repeat) return false;
  const uint8_t first = exu_cursor_u8(&decoding->code);
  instruction->encoding = EXU_X86_VEX;
  decoding->extend_reg = first & 0x80 ? 0 : 8; /* stored inverted, as all of these */
  if (byte == 0xc5) {
    instruction->map = 1;
    instruction->vector_size = first & 4 ? 32 : 16;
    decoded->other = ~(first >> 3) & 15;
    set_pp(instruction, first & 3);
    return true;
  }
  const uint8_t second = exu_cursor_u8(&decoding->code);
  decoding->extend_index = first & 0x40 ? 0 : 8;
  decoding->extend_base = first & 0x20 ? 0 : 8;
  instruction->wide = second & 0x80;
  decoded->other = ~(second >> 3) & 15;
  set_pp(instruction, second & 3);
  if (byte == 0xc4) {
    instruction->map = first & 0x1f;
    instruction->vector_size = second & 4 ? 32 : 16;
    return instruction->map >= 1 && instruction->map <= 3;
  }
  const uint8_t third = exu_cursor_u8(&decoding->code);
  instruction->encoding = EXU_X86_EVEX;
  instruction->map = first & 7;
  /* With rounding the length is something else. */
  instruction->vector_size = (third & 0x60) == 0 ? 16 : (third & 0x60) == 0x20 ? 32 : 64;
  decoding->scaled = true;
  return !(first & 8) && (second & 4) && instruction->map >= 1 && instruction->map <= 6 && instruction->map != 4;
}

/* Everything up to the opcode. */
static bool opcode(struct decoding *decoding) {
  struct exu_x86_decoded *decoded = decoding->decoded;
  struct exu_x86_instruction *instruction = &decoded->instruction;
  uint8_t byte = old_prefixes(decoding);
  instruction->vector_size = 16;
  if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
    if (!vector_prefix(decoding, byte)) return false;
    instruction->opcode = exu_cursor_u8(&decoding->code);
    return true;
  }
  if ((byte & 0xf0) == 0x40) {
    decoded->rex = true;
    instruction->wide = byte & 8;
    decoding->extend_reg = byte & 4 ? 8 : 0;
    decoding->extend_index = byte & 2 ? 8 : 0;
    decoding->extend_base = byte & 1 ? 8 : 0;
    byte = exu_cursor_u8(&decoding->code);
  }
  if (byte == 0x0f) {
    instruction->map = 1;
    byte = exu_cursor_u8(&decoding->code);
    if (byte == 0x38 || byte == 0x3a) {
      instruction->map = byte == 0x38 ? 2 : 3;
      byte = exu_cursor_u8(&decoding->code);
    }
  }
  instruction->opcode = byte;
  return true;
}

/* ---- Operands ---------------------------------------------------------------------------------------------------- */

static bool has_modrm(const struct exu_x86_instruction *instruction) {
  if (instruction->encoding != EXU_X86_LEGACY) return instruction->map != 1 || instruction->opcode != 0x77;
  if (instruction->map == 0) return is_in(one_byte_modrm, instruction->opcode);
  return instruction->map != 1 || !is_in(two_byte_plain, instruction->opcode);
}

static bool is_valid(const struct exu_x86_instruction *instruction) {
  if (instruction->encoding != EXU_X86_LEGACY) return true;
  if (instruction->map == 0) return !is_in(one_byte_invalid, instruction->opcode);
  return instruction->map != 1 || !is_in(two_byte_invalid, instruction->opcode);
}

static int64_t signed_number(struct exu_cursor *code, unsigned size) {
  switch (size) {
  case 1: return (int8_t)exu_cursor_u8(code);
  case 2: return (int16_t)exu_cursor_u16(code);
  case 4: return (int32_t)exu_cursor_u32(code);
  case 8: return (int64_t)exu_cursor_u64(code);
  default: return 0;
  }
}

static void modrm(struct decoding *decoding) {
  struct exu_x86_decoded *decoded = decoding->decoded;
  const uint8_t byte = exu_cursor_u8(&decoding->code);
  const unsigned rm = byte & 7;
  unsigned displacement = byte >> 6 == 1 ? 1 : byte >> 6 == 2 ? 4 : 0;
  decoded->has_modrm = true;
  decoded->mod = byte >> 6;
  decoded->reg = (byte >> 3 & 7) | decoding->extend_reg;
  decoded->rm = (uint8_t)rm | decoding->extend_base;
  if (decoded->mod == 3) return;
  decoded->base = decoded->rm;
  if (rm == EXU_X86_RSP) {
    const uint8_t sib = exu_cursor_u8(&decoding->code);
    const uint8_t index = (sib >> 3 & 7) | decoding->extend_index;
    if (index != EXU_X86_RSP) decoded->index = index;
    decoded->base = (sib & 7) | decoding->extend_base;
    if ((sib & 7) == EXU_X86_RBP && decoded->mod == 0) {
      decoded->base = EXU_X86_NO_REGISTER;
      displacement = 4;
    }
  } else if (rm == EXU_X86_RBP && decoded->mod == 0) {
    decoded->base = EXU_X86_RIP;
    displacement = 4;
  }
  decoded->displacement = signed_number(&decoding->code, displacement);
  if (displacement == 1 && decoding->scaled) decoded->displacement *= decoded->instruction.vector_size;
}

static unsigned one_byte_immediate(const struct exu_x86_decoded *decoded) {
  const struct exu_x86_instruction *instruction = &decoded->instruction;
  const uint8_t opcode = instruction->opcode;
  const unsigned full = instruction->has_66 && !instruction->wide ? 2 : 4;
  if (opcode < 0x40) return (opcode & 7) == 4 ? 1 : (opcode & 7) == 5 ? full : 0;
  if ((opcode >= 0x70 && opcode <= 0x7f) || (opcode >= 0xb0 && opcode <= 0xb7)) return 1;
  if (opcode >= 0xb8 && opcode <= 0xbf) return instruction->wide ? 8 : full;
  if (opcode >= 0xa0 && opcode <= 0xa3) return 8; /* an address */
  if (opcode >= 0xe0 && opcode <= 0xe7) return 1;
  switch (opcode) {
  case 0x68:
  case 0x69:
  case 0x81:
  case 0xa9:
  case 0xc7: return full;
  case 0x6a:
  case 0x6b:
  case 0x80:
  case 0x83:
  case 0xa8:
  case 0xc0:
  case 0xc1:
  case 0xc6:
  case 0xcd:
  case 0xeb: return 1;
  case 0xc2: return 2;
  case 0xe8:
  case 0xe9: return 4;
  case 0xf6: return (decoded->reg & 7) < 2 ? 1 : 0;
  case 0xf7: return (decoded->reg & 7) < 2 ? full : 0;
  default: return 0;
  }
}

/* 0F, old and new: shuffles, shifts, comparisons, insertions. */
static unsigned two_byte_immediate(const struct exu_x86_instruction *instruction) {
  const uint8_t opcode = instruction->opcode;
  if ((opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6)) return 1;
  if (instruction->encoding != EXU_X86_LEGACY) return 0;
  if (opcode >= 0x80 && opcode <= 0x8f) return 4;
  return opcode == 0xa4 || opcode == 0xac || opcode == 0xba ? 1 : 0;
}

static unsigned immediate_size(const struct exu_x86_decoded *decoded) {
  switch (decoded->instruction.map) {
  case 0: return one_byte_immediate(decoded);
  case 1: return two_byte_immediate(&decoded->instruction);
  case 3: return 1;
  default: return 0;
  }
}

bool exu_x86_decode(const uint8_t *code, size_t size, struct exu_x86_decoded *decoded) {
  *decoded = (struct exu_x86_decoded){.base = EXU_X86_NO_REGISTER, .index = EXU_X86_NO_REGISTER};
  struct decoding decoding = {.code = exu_cursor(code, size < EXU_INSTRUCTION_MAX ? size : EXU_INSTRUCTION_MAX, false),
                              .decoded = decoded};
  if (!opcode(&decoding) || decoding.code.failed || !is_valid(&decoded->instruction)) return false;
  const struct exu_x86_instruction *instruction = &decoded->instruction;
  if (has_modrm(instruction)) {
    modrm(&decoding);
  } else {
    decoded->rm = (instruction->opcode & 7) | decoding.extend_base; /* of push, pop, mov and the like */
  }
  /* enter has two immediates; jumps and calls of 16 bits are another thing on every make of processor. */
  const bool near = instruction->map == 0 && (instruction->opcode == 0xe8 || instruction->opcode == 0xe9);
  if (instruction->map == 0 && instruction->opcode == 0xc8) return false;
  if (near && instruction->has_66) return false;
  decoded->immediate = signed_number(&decoding.code, immediate_size(decoded));
  decoded->length = (uint8_t)(decoding.code.next - code);
  return !decoding.code.failed;
}

/* ---- Registers that are written ---------------------------------------------------------------------------------- */

static uint32_t bit(unsigned number) { return 1U << (number & (REGISTERS - 1)); }

/* The operand that may be in memory. Byte registers 4 to 7 are the second bytes of rax to rbx, if there is no REX. */
static uint32_t to_rm(const struct exu_x86_decoded *decoded, bool byte) {
  if (decoded->has_modrm && decoded->mod != 3) return 0;
  return bit(byte && !decoded->rex ? decoded->rm & 3 : decoded->rm);
}

static uint32_t to_reg(const struct exu_x86_decoded *decoded, bool byte) {
  return bit(byte && !decoded->rex ? decoded->reg & 3 : decoded->reg);
}

static uint32_t one_byte_written(const struct exu_x86_decoded *decoded) {
  enum {
    ACCUMULATOR = 1 << EXU_X86_RAX,
    STRINGS = 1 << EXU_X86_RAX | 1 << EXU_X86_RCX | 1 << EXU_X86_RSI | 1 << EXU_X86_RDI
  };
  const uint8_t opcode = decoded->instruction.opcode, group = decoded->reg & 7;
  const bool byte = !(opcode & 1);
  if (opcode < 0x40) {
    if (opcode >= 0x38) return 0; /* cmp */
    return (opcode & 7) < 2 ? to_rm(decoded, byte) : (opcode & 7) < 4 ? to_reg(decoded, byte) : ACCUMULATOR;
  }
  if (opcode >= 0xb0 && opcode <= 0xbf) return to_rm(decoded, opcode < 0xb8);
  if (opcode >= 0x90 && opcode <= 0x97)
    return opcode == 0x90 && decoded->rm == EXU_X86_RAX ? 0 : ACCUMULATOR | to_rm(decoded, false);
  if ((opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf)) return STRINGS;
  switch (opcode) {
  case 0x58:
  case 0x59:
  case 0x5a:
  case 0x5b:
  case 0x5c:
  case 0x5d:
  case 0x5e:
  case 0x5f: return to_rm(decoded, false);
  case 0x63:
  case 0x69:
  case 0x6b:
  case 0x8b:
  case 0x8d: return to_reg(decoded, false);
  case 0x8a: return to_reg(decoded, true);
  case 0x6c:
  case 0x6d:
  case 0x6e:
  case 0x6f: return STRINGS;
  case 0x80:
  case 0x81:
  case 0x83: return group == 7 ? 0 : to_rm(decoded, byte);
  case 0x86:
  case 0x87: return to_rm(decoded, byte) | to_reg(decoded, byte);
  case 0x8f: return to_rm(decoded, false);
  case 0x88:
  case 0x89:
  case 0x8c:
  case 0xc0:
  case 0xc1:
  case 0xc6:
  case 0xc7:
  case 0xd0:
  case 0xd1:
  case 0xd2:
  case 0xd3: return to_rm(decoded, byte && opcode != 0x8c);
  case 0xc9: return bit(EXU_X86_RBP);
  case 0xf6:
  case 0xf7: return group < 2 ? 0 : group < 4 ? to_rm(decoded, byte) : ACCUMULATOR | bit(EXU_X86_RDX);
  case 0xfe:
  case 0xff: return group < 2 ? to_rm(decoded, byte) : 0;
  case 0x99: return bit(EXU_X86_RDX);
  case 0xe0:
  case 0xe1:
  case 0xe2: return bit(EXU_X86_RCX);
  case 0x84:
  case 0x85:
  case 0xa8:
  case 0xa9: return 0; /* test */
  default: return ACCUMULATOR;
  }
}

/* 0F, old encoding: what is not vectors. */
static uint32_t two_byte_written(const struct exu_x86_decoded *decoded) {
  const uint8_t opcode = decoded->instruction.opcode, group = decoded->reg & 7;
  const uint32_t four = bit(EXU_X86_RAX) | bit(EXU_X86_RBX) | bit(EXU_X86_RCX) | bit(EXU_X86_RDX);
  if (opcode >= 0x40 && opcode <= 0x4f) return to_reg(decoded, false);
  if (opcode >= 0x80 && opcode <= 0x8f) return 0;
  if (opcode >= 0x90 && opcode <= 0x9f) return to_rm(decoded, true);
  if (opcode >= 0xc8 && opcode <= 0xcf) return to_rm(decoded, false);
  switch (opcode) {
  case 0x00:
  case 0x01: return four | to_rm(decoded, false);
  case 0x02:
  case 0x03:
  case 0xaf:
  case 0xb2:
  case 0xb4:
  case 0xb5:
  case 0xb6:
  case 0xb7:
  case 0xb8:
  case 0xbc:
  case 0xbd:
  case 0xbe:
  case 0xbf: return to_reg(decoded, false);
  case 0x1e:
  case 0xa4:
  case 0xa5:
  case 0xab:
  case 0xac:
  case 0xad:
  case 0xae:
  case 0xb3:
  case 0xbb: return to_rm(decoded, false);
  case 0xba: return group == 4 ? 0 : to_rm(decoded, false);
  case 0x31:
  case 0x33:
  case 0xa2: return four;
  case 0xb0:
  case 0xb1: return bit(EXU_X86_RAX) | to_rm(decoded, opcode == 0xb0);
  case 0xc0:
  case 0xc1: return to_rm(decoded, opcode == 0xc0) | to_reg(decoded, opcode == 0xc0);
  case 0xc7: return bit(EXU_X86_RAX) | bit(EXU_X86_RDX) | to_rm(decoded, false);
  default: return 0;
  }
}

/* Vector instructions with a general register as their result, in the encodings that share the map. */
static uint32_t vector_written(const struct exu_x86_decoded *decoded) {
  const struct exu_x86_instruction *instruction = &decoded->instruction;
  const uint8_t opcode = instruction->opcode;
  const bool is_new = instruction->encoding != EXU_X86_LEGACY;
  switch (instruction->map) {
  case 1:
  case 5:
    if (opcode == 0x2c || opcode == 0x2d || opcode == 0x50 || opcode == 0xc5 || opcode == 0xd7)
      return to_reg(decoded, false);
    if (opcode == 0x7e && instruction->repeat == 0) return to_rm(decoded, false);
    if (is_new && (opcode == 0x93 || opcode == 0x78 || opcode == 0x79)) return to_reg(decoded, false);
    return 0;
  case 2:
    if (is_new && opcode >= 0xe0 && opcode <= 0xf7) return to_reg(decoded, false) | bit(decoded->other);
    return !is_new && opcode >= 0xf0 && opcode <= 0xf6 ? to_reg(decoded, false) : 0;
  case 3:
    if (opcode >= 0x14 && opcode <= 0x17) return to_rm(decoded, false);
    if (opcode >= 0x60 && opcode <= 0x63) return bit(EXU_X86_RCX);
    return is_new && opcode == 0xf0 ? to_reg(decoded, false) : 0;
  default: return 0;
  }
}

uint32_t exu_x86_written(const struct exu_x86_decoded *decoded) {
  const struct exu_x86_instruction *instruction = &decoded->instruction;
  if (instruction->encoding != EXU_X86_LEGACY) return vector_written(decoded);
  if (instruction->map == 0) return one_byte_written(decoded);
  if (instruction->map == 1) return two_byte_written(decoded) | vector_written(decoded);
  return vector_written(decoded);
}

/* ---- Memory that is written -------------------------------------------------------------------------------------- */

static bool one_byte_stores(const struct exu_x86_decoded *decoded) {
  const uint8_t opcode = decoded->instruction.opcode, group = decoded->reg & 7;
  if (opcode < 0x40) return (opcode & 7) < 2 && opcode < 0x38;
  if (opcode >= 0x80 && opcode <= 0x83) return group != 7;
  if (opcode >= 0xf6) return opcode < 0xfe ? group == 2 || group == 3 : group < 2;
  return (opcode >= 0x86 && opcode <= 0x89) || opcode == 0x8c || opcode == 0x8f || opcode >= 0xc0;
}

/* 0F, old encoding: what is not vectors. */
static bool two_byte_stores(const struct exu_x86_decoded *decoded) {
  static const opcodes storing = {0, 0, 0, 0, 0, 0, 0, 0, 0, ALL, 0x7830, 0x080b, 0x008b, 0, 0, 0};
  const uint8_t opcode = decoded->instruction.opcode;
  return is_in(storing, opcode) || (opcode == 0xba && (decoded->reg & 7) > 4);
}

static bool vector_stores(const struct exu_x86_decoded *decoded) {
  /* 0F: moves to memory, also of masks and of the state. */
  static const opcodes moves = {0, 0x008a, 0x0a00, 0, 0, 0, 0, 0xc000, 0, 0x0002, 0x4000, 0, 0, 0x0040, 0x0080, 0};
  const struct exu_x86_instruction *instruction = &decoded->instruction;
  const uint8_t opcode = instruction->opcode;
  const bool is_new = instruction->encoding != EXU_X86_LEGACY;
  switch (instruction->map) {
  case 1:
  case 5: return is_in(moves, opcode) && !(opcode == 0x7e && instruction->repeat == 0xf3);
  case 2:
    if (!is_new) return opcode >= 0xf1;
    /* Masked stores, compressions, scatters, conversions to something narrower, comparisons with an addition. */
    if (opcode == 0x2e || opcode == 0x2f || opcode == 0x63 || opcode == 0x8a || opcode == 0x8b || opcode == 0x8e)
      return true;
    if (opcode >= 0xe0 && opcode <= 0xef) return true;
    if (instruction->encoding == EXU_X86_VEX) return false;
    return (opcode >= 0xa0 && opcode <= 0xa3) || (opcode >= 0x10 && opcode <= 0x35 && instruction->repeat == 0xf3);
  case 3:
    return (opcode >= 0x14 && opcode <= 0x17) || opcode == 0x19 || opcode == 0x1b || opcode == 0x1d || opcode == 0x39 ||
           opcode == 0x3b;
  default: return false;
  }
}

bool exu_x86_stores(const struct exu_x86_decoded *decoded) {
  if (!decoded->has_modrm || decoded->mod == 3) return false;
  const struct exu_x86_instruction *instruction = &decoded->instruction;
  if (instruction->encoding != EXU_X86_LEGACY || instruction->map > 1) return vector_stores(decoded);
  if (instruction->map == 0) return one_byte_stores(decoded);
  return two_byte_stores(decoded) || vector_stores(decoded);
}
