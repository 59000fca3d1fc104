/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instruction formats: Intel SDM volume 2, chapter 2. What is left out is left out on purpose: x87, gathers, bit
 * strings and whatever else computes its address in another way than from ModRM.
 */
#include "arch/x86_64_access.h"

#include "arch/x86_64_opcodes.h"
#include "base/cursor.h"

enum { RCX_ = 1, RSP_ = 4, RBP_ = 5, RSI_ = 6, RDI_ = 7 };

/* DWARF numbers of the registers, in the order in which instructions number them. */
static const uint8_t dwarf_of[16] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};

struct decoder {
  struct exu_cursor code;
  const uint8_t *start;
  const struct exu_registers *registers;
  struct exu_operands *operands;
  struct exu_x86_instruction instruction;
  bool segment_fs;
  uint8_t rex_x; /* extension bits of the index and base registers */
  uint8_t rex_b;
  unsigned displacement_scale; /* EVEX: what an 8-bit displacement is multiplied by; else 1 */
};

static uint64_t value_of(const struct decoder *decoder, unsigned number) {
  return decoder->registers->value[dwarf_of[number & 15]];
}

static void add(struct decoder *decoder, enum exu_access access, uint64_t address, uint64_t size) {
  struct exu_operands *operands = decoder->operands;
  operands->items[operands->count++] = (struct exu_operand){.access = access, .address = address, .size = size};
}

/*
 * Prefixes of the old kind. Returns the first byte that is none; *fine becomes false when one of them is not handled.
 */
static uint8_t prefixes(struct decoder *decoder, bool *fine) {
  struct exu_x86_instruction *instruction = &decoder->instruction;
  for (;;) {
    uint8_t byte = exu_cursor_u8(&decoder->code);
    if (decoder->code.failed) *fine = false;
    switch (byte) {
    case 0x66: instruction->has_66 = true; continue;
    case 0xf2:
    case 0xf3: instruction->repeat = byte; continue;
    case 0x64: decoder->segment_fs = true; continue;
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0xf0: continue; /* segments without a base; lock */
    case 0x65:
    case 0x67: *fine = false; return byte; /* gs is not in the registers; 32-bit addresses */
    default: return byte;
    }
  }
}

static void set_pp(struct exu_x86_instruction *instruction, unsigned pp) {
  static const uint8_t repeat[] = {0, 0, 0xf3, 0xf2};
  instruction->has_66 = pp == 1;
  instruction->repeat = repeat[pp & 3];
}

/* VEX and EVEX: the rest of the prefix that `byte` begins. */
static bool vector_prefix(struct decoder *decoder, uint8_t byte) {
  struct exu_x86_instruction *instruction = &decoder->instruction;
  /* They are invalid after one of the old prefixes but a segment's. */
  if (instruction->has_66 || instruction->repeat) return false;
  uint8_t first = exu_cursor_u8(&decoder->code);
  instruction->encoding = EXU_X86_VEX;
  if (byte == 0xc5) {
    instruction->map = 1;
    instruction->vector_size = first & 4 ? 32 : 16;
    set_pp(instruction, first & 3);
    return true;
  }
  uint8_t second = exu_cursor_u8(&decoder->code);
  decoder->rex_x = first & 0x40 ? 0 : 8; /* stored inverted */
  decoder->rex_b = first & 0x20 ? 0 : 8;
  instruction->wide = second & 0x80;
  set_pp(instruction, second & 3);
  if (byte == 0xc4) {
    instruction->map = first & 0x1f;
    instruction->vector_size = second & 4 ? 32 : 16;
    return instruction->map >= 1 && instruction->map <= 3;
  }
  uint8_t third = exu_cursor_u8(&decoder->code);
  instruction->encoding = EXU_X86_EVEX;
  instruction->map = first & 7;
  bool broadcast = third & 0x10;
  decoder->operands->masked = third & 7;
  unsigned length = (third >> 5) & 3;
  if ((first & 8) || !(second & 4) || broadcast || length == 3) return false;
  instruction->vector_size = (uint8_t)(16 << length);
  decoder->displacement_scale = instruction->vector_size; /* the "full vector" forms, the only ones that are known */
  return instruction->map >= 1 && instruction->map <= 3;
}

/* Everything up to the opcode. */
static bool decode_opcode(struct decoder *decoder) {
  struct exu_x86_instruction *instruction = &decoder->instruction;
  bool fine = true;
  uint8_t byte = prefixes(decoder, &fine);
  if (!fine) return false;
  instruction->vector_size = 16;
  if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
    if (!vector_prefix(decoder, byte)) return false;
    instruction->opcode = exu_cursor_u8(&decoder->code);
    return !decoder->code.failed;
  }
  if ((byte & 0xf0) == 0x40) {
    instruction->wide = byte & 8;
    decoder->rex_x = byte & 2 ? 8 : 0;
    decoder->rex_b = byte & 1 ? 8 : 0;
    byte = exu_cursor_u8(&decoder->code);
  }
  if (byte == 0x0f) {
    instruction->map = 1;
    byte = exu_cursor_u8(&decoder->code);
    if (byte == 0x38 || byte == 0x3a) {
      instruction->map = byte == 0x38 ? 2 : 3;
      byte = exu_cursor_u8(&decoder->code);
    }
  }
  instruction->opcode = byte;
  return !decoder->code.failed;
}

/*
 * The index register's share of an address with a SIB byte, and the base's; false: it has no base but a displacement.
 */
static bool sib_address(struct decoder *decoder, unsigned mod, uint64_t *address) {
  uint8_t sib = exu_cursor_u8(&decoder->code);
  unsigned index = ((sib >> 3) & 7) | decoder->rex_x;
  unsigned base = sib & 7;
  *address = index == RSP_ ? 0 : value_of(decoder, index) << (sib >> 6);
  if (base == RBP_ && mod == 0) return false;
  *address += value_of(decoder, base | decoder->rex_b);
  return true;
}

/* The address of the memory operand that `modrm` names, followed by `immediate` bytes in the instruction. */
static uint64_t effective_address(struct decoder *decoder, uint8_t modrm, unsigned immediate) {
  unsigned mod = modrm >> 6;
  unsigned rm = modrm & 7;
  uint64_t address = 0;
  bool long_displacement = mod == 2;
  if (rm == RSP_) {
    if (!sib_address(decoder, mod, &address)) long_displacement = true;
  } else if (rm == RBP_ && mod == 0) { /* relative to the next instruction */
    uint64_t displacement = (uint64_t)(int64_t)(int32_t)exu_cursor_u32(&decoder->code);
    uint64_t length = (uint64_t)(decoder->code.next - decoder->start) + immediate;
    return decoder->registers->pc + length + displacement;
  } else {
    address = value_of(decoder, rm | decoder->rex_b);
  }
  if (mod == 1) {
    enum { SIGN = 0x80 };
    uint64_t displacement = ((uint64_t)exu_cursor_u8(&decoder->code) ^ SIGN) - SIGN; /* sign-extended */
    address += displacement * decoder->displacement_scale;
  } else if (long_displacement) {
    address += (uint64_t)(int64_t)(int32_t)exu_cursor_u32(&decoder->code);
  }
  return address;
}

/* String instructions: no ModRM, always rsi and rdi. A repeated one moves up to a cache line at a time. */
static void string_operands(struct decoder *decoder) {
  enum { CACHE_LINE = 64 };
  const struct exu_x86_instruction *instruction = &decoder->instruction;
  uint64_t source = value_of(decoder, RSI_);
  uint64_t destination = value_of(decoder, RDI_);
  uint64_t size = instruction->opcode & 1 ? exu_x86_operand_size(instruction) : 1;
  if (instruction->repeat) {
    if (value_of(decoder, RCX_) == 0) return;
    size = CACHE_LINE;
  }
  /* fs applies to rsi only; nobody writes such code, and a base that is added may hide which operand it was. */
  if (decoder->segment_fs) return;
  const uint8_t opcode = instruction->opcode & 0xfe;
  enum { MOVS = 0xa4, CMPS = 0xa6, STOS = 0xaa, LODS = 0xac, SCAS = 0xae };
  if (opcode == MOVS || opcode == CMPS || opcode == LODS) add(decoder, EXU_ACCESS_READ, source, size);
  if (opcode == CMPS || opcode == SCAS) add(decoder, EXU_ACCESS_READ, destination, size);
  if (opcode == MOVS || opcode == STOS) add(decoder, EXU_ACCESS_WRITE, destination, size);
}

/* Instructions whose only memory operand is the stack. */
static void stack_operand(struct decoder *decoder, enum exu_access access) {
  enum { SLOT = 8, LEAVE = 0xc9 };
  if (decoder->instruction.has_66) return;
  uint64_t sp = value_of(decoder, decoder->instruction.opcode == LEAVE ? RBP_ : RSP_);
  add(decoder, access, access == EXU_ACCESS_WRITE ? sp - SLOT : sp, SLOT);
}

/*
 * movaps, movapd, movdqa and the stores that pass the caches by want their vectors aligned; so do the operations of SSE
 * in its old encoding. Those of MMX have no prefix and do not.
 */
static bool wants_alignment(const struct exu_x86_instruction *instruction) {
  const uint8_t opcode = instruction->opcode;
  if (instruction->map != 1 || instruction->repeat) return false;
  switch (opcode) {
  case 0x28:
  case 0x29:
  case 0x2b: return true;
  case 0x6f:
  case 0x7f:
  case 0xe7: return instruction->has_66;
  default: break;
  }
  if (instruction->encoding != EXU_X86_LEGACY) return false;
  if (opcode == 0x14 || opcode == 0x15 || opcode == 0x51 || (opcode >= 0x54 && opcode <= 0x59) ||
      (opcode >= 0x5c && opcode <= 0x5f))
    return true;
  return instruction->has_66 && ((opcode >= 0x60 && opcode <= 0x6d) || (opcode >= 0xd1 && opcode <= 0xfe)) &&
         opcode != 0xd6 && opcode != 0xd7 && opcode != 0xf7;
}

static void note_division(struct decoder *decoder, uint8_t modrm) {
  enum { DIV = 6, BYTE_FORM = 0xf6, WORD_FORM = 0xf7, REGISTERS = 0xc0, HIGH_BYTES = 4 };
  const struct exu_x86_instruction *instruction = &decoder->instruction;
  if (instruction->encoding != EXU_X86_LEGACY || instruction->map != 0 || (modrm >> 3 & 7) < DIV) return;
  if (instruction->opcode != BYTE_FORM && instruction->opcode != WORD_FORM) return;
  const uint8_t size = instruction->opcode == BYTE_FORM ? 1 : exu_x86_operand_size(instruction);
  /* ah, ch, dh and bh, or with a prefix other registers */
  if (size == 1 && modrm >= REGISTERS && (modrm & 7) >= HIGH_BYTES) return;
  decoder->operands->divides = size;
  decoder->operands->has_divisor = modrm >= REGISTERS;
  if (modrm < REGISTERS) return;
  uint64_t value = value_of(decoder, (modrm & 7U) | decoder->rex_b);
  decoder->operands->divisor = size < 8 ? value & ((UINT64_C(1) << 8 * size) - 1) : value;
}

/* Is there a ModRM byte, which names memory? Of one-byte opcodes only x87's are not known here. */
static bool may_have_operand(const struct exu_x86_instruction *instruction) {
  const uint8_t opcode = instruction->opcode;
  if (instruction->encoding != EXU_X86_LEGACY || instruction->map > 1) return true;
  if (instruction->map == 0) return opcode >= 0xd8 && opcode <= 0xdf;
  const bool jump = opcode >= 0x80 && opcode <= 0x8f, swap = opcode >= 0xc8 && opcode <= 0xcf;
  const bool system = opcode < 0x10 || (opcode >= 0x30 && opcode <= 0x37) || opcode == 0xa2 || opcode == 0x77;
  return !jump && !swap && !system;
}

static void modrm_operands(struct decoder *decoder) {
  enum { SLOT = 8, XMM = 16 };
  uint8_t modrm = exu_cursor_u8(&decoder->code);
  if (decoder->code.failed) return;
  note_division(decoder, modrm);
  if (modrm >= 0xc0) return; /* registers only */
  struct exu_x86_form form = exu_x86_form(&decoder->instruction, (modrm >> 3) & 7);
  decoder->operands->unknown = form.access == EXU_ACCESS_UNKNOWN && may_have_operand(&decoder->instruction);
  if (form.access == EXU_ACCESS_UNKNOWN) return;
  uint64_t address = effective_address(decoder, modrm, form.immediate);
  exu_cursor_skip(&decoder->code, form.immediate);
  if (decoder->code.failed) return;
  if (decoder->segment_fs) {
    if (!decoder->registers->has_thread_pointer) return;
    address += decoder->registers->thread_pointer;
  }
  if (form.size >= XMM && wants_alignment(&decoder->instruction)) decoder->operands->alignment = form.size;
  add(decoder, form.pushes ? EXU_ACCESS_READ : form.access, address, form.size);
  if (form.pushes) add(decoder, EXU_ACCESS_WRITE, value_of(decoder, RSP_) - SLOT, SLOT);
}

/* Opcodes that are there to be undefined. */
static bool is_invalid(const uint8_t *code, size_t size) {
  enum { UD2 = 0x0b, UD1 = 0xb9, UD0 = 0xff };
  return size >= 2 && code[0] == 0x0f && (code[1] == UD2 || code[1] == UD1 || code[1] == UD0);
}

/* hlt, cli, sti, in and out; iopl(2) is not for programs of today. */
static bool is_privileged(uint8_t code) {
  return code == 0xf4 || code == 0xfa || code == 0xfb || (code >= 0x6c && code <= 0x6f) ||
         (code >= 0xe4 && code <= 0xe7) || (code >= 0xec && code <= 0xef);
}

void exu_operands_x86_64(const uint8_t *code, size_t size, const struct exu_registers *registers,
                         struct exu_operands *operands) {
  const uint64_t all = (UINT64_C(1) << 17) - 1;
  *operands =
      (struct exu_operands){.invalid = is_invalid(code, size), .privileged = size > 0 && is_privileged(code[0])};
  if ((registers->valid & all) != all) return;
  struct decoder decoder = {.code = exu_cursor(code, size < EXU_INSTRUCTION_MAX ? size : EXU_INSTRUCTION_MAX, false),
                            .start = code,
                            .registers = registers,
                            .operands = operands,
                            .displacement_scale = 1};
  if (!decode_opcode(&decoder)) return;
  const struct exu_x86_instruction *instruction = &decoder.instruction;
  if (instruction->encoding == EXU_X86_LEGACY && instruction->map == 0) {
    uint8_t opcode = instruction->opcode;
    if ((opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf)) {
      string_operands(&decoder);
      return;
    }
    enum exu_access stack = exu_x86_stack_access(opcode);
    if (stack != EXU_ACCESS_UNKNOWN) {
      stack_operand(&decoder, stack);
      return;
    }
  }
  modrm_operands(&decoder);
}
