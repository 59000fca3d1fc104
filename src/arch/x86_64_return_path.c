/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code without unwinding information still says where it returns to: follow it to its `ret`.
 *
 * Hand-written kernels (OpenBLAS, MLAS), code made at run time (oneDNN, LLVM's leaf functions, perf trampolines) and
 * the like have no tables, and use rbp as they please. What they cannot do is return without having put the stack
 * pointer back to where the return address is, and the callee-saved registers back to what they were. So every way that
 * the code can take from pc on, by direct jumps and both sides of each branch, is followed up to a `ret`, with what is
 * known of the registers. How deep the stack is at an instruction is the same on all ways that lead there, or the code
 * could not work: any way that ends with a `ret` finds the slot of the return address. It is believed if
 *
 * - all ways that end with a `ret` find one and the same slot, and there is at least one; - no two ways come to an
 * instruction with different stack pointers; of the callee-saved registers what they know alike is known from there on;
 * - the slot holds the address behind an instruction that calls (which the caller of this file looks at).
 *
 * A way is given up, without harm to the others, where it is not certain that it goes on, or where: at calls (what is
 * called need not return), indirect jumps, traps, instructions that are not known; and where the stack pointer comes
 * from something else than itself and callee-saved registers, as in code that switches stacks.
 */
#include "arch/x86_64_return_path.h"

#include <stdlib.h>
#include <string.h>

#include "arch/access.h"
#include "arch/x86_64_decode.h"
#include "base/guard.h"
#include "base/map.h"

enum {
  STEPS_MAX = 32 * 1024, /* instructions that are looked at for one return */
  WAYS_MAX = 1024,       /* that are still to be gone, at a time */
  WORDS_MAX = 48,        /* of the stack that are written on one way */
  FRAME_SIZE_MAX = 1024 * 1024,
  CHUNK = 4096,
  REGISTERS = 16,
};

/* A word of the stack that was written on the way. */
struct word {
  uint64_t address;
  uint64_t value;
  bool known;
};

/* What is known at an instruction. Registers are numbered as in instructions. */
struct way {
  uint64_t pc;
  uint64_t value[REGISTERS];
  uint32_t known;
  size_t word_count;
  struct word words[WORDS_MAX];
};

/*
 * With what an instruction was come to, on all ways so far: what only some of them know, or know otherwise, is unknown.
 */
struct arrival {
  uint64_t sp;
  uint64_t value[REGISTERS];
  uint32_t known; /* callee-saved registers only */
};

struct walk {
  const struct exu_code_memory *memory;
  uint64_t sp;         /* where the walk began */
  struct exu_map seen; /* instruction -> index of its arrival, plus one */
  struct arrival *arrivals;
  size_t arrival_count;
  size_t arrival_capacity;
  struct way *ways; /* still to be gone */
  size_t way_count;
  size_t way_capacity;
  uint64_t chunk_start; /* of the code that was read last */
  size_t chunk_size;
  uint8_t chunk[CHUNK];
  bool contradiction;
  bool no_memory; /* not all ways could be gone */
  bool found;
  uint64_t slot; /* of the return address */
  uint64_t value[REGISTERS];
  uint32_t known;
};

/* DWARF's numbers of the registers, in the order in which instructions number them. */
static const uint8_t dwarf_of[REGISTERS] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};

enum { CALLEE_SAVED = 1 << EXU_X86_RBX | 1 << EXU_X86_RBP | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15 };

static bool knows(const struct way *way, unsigned number) { return number < REGISTERS && (way->known >> number & 1); }

static void set(struct way *way, unsigned number, bool known, uint64_t value) {
  way->value[number] = value;
  way->known = (way->known & ~(1U << number)) | (known ? 1U << number : 0);
}

/* ---- The stack --------------------------------------------------------------------------------------------------- */

/* A word of a stack, as the way finds it. What lies elsewhere, or was there before this call, tells nothing. */
static bool load(const struct walk *walk, const struct way *way, uint64_t address, uint64_t *value) {
  for (size_t i = way->word_count; i-- > 0;) {
    const struct word *word = &way->words[i];
    if (address - word->address >= 8 && word->address - address >= 8) continue;
    *value = word->value;
    return word->known && word->address == address;
  }
  if (address < walk->sp || address - walk->sp > FRAME_SIZE_MAX) return false;
  return walk->memory->read_stack(walk->memory->context, address, value);
}

/* False: too much is written to keep in mind. */
static bool store(struct way *way, uint64_t address, bool known, uint64_t value) {
  for (size_t i = 0; i < way->word_count; i++) {
    if (way->words[i].address != address) continue;
    memmove(way->words + i, way->words + i + 1, (--way->word_count - i) * sizeof *way->words);
    break;
  }
  if (way->word_count == WORDS_MAX) return false;
  way->words[way->word_count++] = (struct word){address, value, known};
  return true;
}

static bool push(struct way *way, bool known, uint64_t value) {
  way->value[EXU_X86_RSP] -= 8;
  return store(way, way->value[EXU_X86_RSP], known, value);
}

/* ---- What instructions do ---------------------------------------------------------------------------------------- */

enum fate { GOES_ON, GIVEN_UP, RETURNS };

/* The operand in memory, if it is known where it is. */
static bool address_of(const struct way *way, const struct exu_x86_decoded *code, uint64_t *address) {
  if (!code->has_modrm || code->mod == 3 || code->odd || !knows(way, code->base)) return false;
  if (code->index != EXU_X86_NO_REGISTER) return false;
  *address = way->value[code->base] + (uint64_t)code->displacement;
  return true;
}

static bool is_near(const struct walk *walk, uint64_t address) {
  return address - (walk->sp - FRAME_SIZE_MAX) < UINT64_C(2) * FRAME_SIZE_MAX;
}

/* Words of the stack that an instruction writes, whatever to. */
static bool overwrite(const struct walk *walk, struct way *way, const struct exu_x86_decoded *code) {
  uint64_t address;
  if (!exu_x86_stores(code) || !address_of(way, code, &address) || !is_near(walk, address)) return true;
  const struct exu_x86_form form = exu_x86_form(&code->instruction, code->reg & 7);
  const uint64_t size = form.access == EXU_ACCESS_UNKNOWN ? code->instruction.vector_size : form.size;
  for (uint64_t at = address & ~UINT64_C(7); at < address + size; at += 8)
    if (!store(way, at, false, 0)) return false;
  return true;
}

/* Everything that is not known better: what it may write is not known any more. */
static enum fate unknown(const struct walk *walk, struct way *way, const struct exu_x86_decoded *code) {
  way->known &= ~exu_x86_written(code);
  return knows(way, EXU_X86_RSP) && overwrite(walk, way, code) ? GOES_ON : GIVEN_UP;
}

/*
 * The stack pointer gets the value of a register. What a caller's frame is found by is kept in one that is preserved;
 * the stack of another coroutine is an argument.
 */
static bool may_be_stack(const struct walk *walk, const struct way *way, unsigned number, uint64_t value) {
  if (!knows(way, number) || !(CALLEE_SAVED >> number & 1)) return false;
  return value >= way->value[EXU_X86_RSP] && value <= walk->sp + FRAME_SIZE_MAX &&
         walk->memory->same_stack(walk->memory->context, walk->sp, value);
}

static enum fate move(const struct walk *walk, struct way *way, unsigned to, unsigned from, uint64_t distance) {
  const uint64_t value = (from < REGISTERS ? way->value[from] : 0) + distance;
  if (to == EXU_X86_RSP && from != EXU_X86_RSP && !may_be_stack(walk, way, from, value)) return GIVEN_UP;
  set(way, to, knows(way, from), value);
  return GOES_ON;
}

/* 64-bit mov, lea, and arithmetic with a constant, which is what stack pointers are moved by. */
static enum fate compute(const struct walk *walk, struct way *way, const struct exu_x86_decoded *code) {
  const uint8_t opcode = code->instruction.opcode, group = code->reg & 7;
  const uint64_t constant = (uint64_t)code->immediate;
  uint64_t address, value = 0;
  bool known;
  if (!code->instruction.wide || code->odd) return unknown(walk, way, code);
  switch (opcode) {
  case 0x89:
    if (code->mod == 3) return move(walk, way, code->rm, code->reg, 0);
    if (!address_of(way, code, &address) || !is_near(walk, address)) return GOES_ON;
    return store(way, address, knows(way, code->reg), way->value[code->reg]) ? GOES_ON : GIVEN_UP;
  case 0x8b:
    if (code->mod == 3) return move(walk, way, code->reg, code->rm, 0);
    if (code->reg == EXU_X86_RSP) return GIVEN_UP;
    known = address_of(way, code, &address) && load(walk, way, address, &value);
    set(way, code->reg, known, value);
    return GOES_ON;
  case 0x8d:
    if (code->index != EXU_X86_NO_REGISTER) return unknown(walk, way, code);
    return move(walk, way, code->reg, code->base, (uint64_t)code->displacement);
  case 0x81:
  case 0x83:
    if (code->mod != 3 || !knows(way, code->rm)) return unknown(walk, way, code);
    if (group != 0 && group != 4 && group != 5) return unknown(walk, way, code); /* add, and, sub */
    value = way->value[code->rm];
    way->value[code->rm] = group == 0 ? value + constant : group == 4 ? value & constant : value - constant;
    return GOES_ON;
  default: return unknown(walk, way, code);
  }
}

static enum fate pop(const struct walk *walk, struct way *way, unsigned number) {
  uint64_t value = 0;
  if (number == EXU_X86_RSP) return GIVEN_UP;
  const bool known = load(walk, way, way->value[EXU_X86_RSP], &value);
  set(way, number, known, value);
  way->value[EXU_X86_RSP] += 8;
  return GOES_ON;
}

static enum fate one_byte(const struct walk *walk, struct way *way, const struct exu_x86_decoded *code) {
  const uint8_t opcode = code->instruction.opcode, group = code->reg & 7;
  if (opcode >= 0x50 && opcode <= 0x5f) {
    if (code->instruction.has_66) return GIVEN_UP;
    if (opcode >= 0x58) return pop(walk, way, code->rm);
    return push(way, knows(way, code->rm), way->value[code->rm]) ? GOES_ON : GIVEN_UP;
  }
  switch (opcode) {
  case 0x68:
  case 0x6a:
  case 0x9c: return push(way, false, 0) ? GOES_ON : GIVEN_UP;
  case 0x9d: way->value[EXU_X86_RSP] += 8; return GOES_ON;
  case 0xc3: return RETURNS;
  case 0xc9:
    if (move(walk, way, EXU_X86_RSP, EXU_X86_RBP, 0) != GOES_ON) return GIVEN_UP;
    return pop(walk, way, EXU_X86_RBP);
  case 0xff:
    if (group == 6) return push(way, false, 0) ? GOES_ON : GIVEN_UP;
    return group < 2 ? unknown(walk, way, code) : GIVEN_UP;
  case 0x8f:
    if (code->mod == 3) return GIVEN_UP;
    way->value[EXU_X86_RSP] += 8;
    return GOES_ON;
  /* Calls, returns of other kinds, traps, halts, xbegin and xabort. */
  case 0xc2:
  case 0xc7:
    if (opcode == 0xc7 && group == 0) return unknown(walk, way, code);
    return GIVEN_UP;
  case 0xca:
  case 0xcb:
  case 0xcc:
  case 0xcd:
  case 0xcf:
  case 0xe8:
  case 0xf1:
  case 0xf4: return GIVEN_UP;
  default: return compute(walk, way, code);
  }
}

static enum fate execute(const struct walk *walk, struct way *way, const struct exu_x86_decoded *code) {
  if (code->instruction.encoding != EXU_X86_LEGACY) return unknown(walk, way, code);
  if (code->instruction.map == 0) return one_byte(walk, way, code);
  const uint8_t opcode = code->instruction.opcode;
  /* System calls and returns from them, undefined instructions, pushes of segments. */
  const bool stops = opcode <= 0x0b || opcode == 0x0e || opcode == 0x30 || (opcode >= 0x32 && opcode <= 0x35) ||
                     opcode == 0xa0 || opcode == 0xa1 || opcode == 0xa8 || opcode == 0xa9 || opcode == 0xaa ||
                     opcode == 0xb9 || opcode == 0xff;
  const bool xgetbv = opcode == 0x01 && code->mod == 3 && code->reg == 2 && code->rm == 0;
  return code->instruction.map == 1 && stops && !xgetbv ? GIVEN_UP : unknown(walk, way, code);
}

/* ---- Ways -------------------------------------------------------------------------------------------------------- */

/* The code at an address, of which `size` bytes can be read; NULL: none. */
static const uint8_t *code_at(struct walk *walk, uint64_t pc, size_t *size) {
  if (pc < walk->chunk_start || pc - walk->chunk_start + EXU_INSTRUCTION_MAX > walk->chunk_size) {
    walk->chunk_start = pc;
    walk->chunk_size = walk->memory->read_code(walk->memory->context, pc, walk->chunk, sizeof walk->chunk);
  }
  *size = walk->chunk_size - (size_t)(pc - walk->chunk_start);
  return *size ? walk->chunk + (pc - walk->chunk_start) : NULL;
}

/* Where a jump leads, and whether it is one; a branch may also go on behind it. */
static bool is_jump(const struct exu_x86_decoded *code, bool *branch) {
  const struct exu_x86_instruction *instruction = &code->instruction;
  *branch = false;
  if (instruction->encoding != EXU_X86_LEGACY) return false;
  if (instruction->map == 0 && (instruction->opcode == 0xe9 || instruction->opcode == 0xeb)) return true;
  *branch = (instruction->map == 0 && ((instruction->opcode & 0xf0) == 0x70 || (instruction->opcode & 0xfc) == 0xe0)) ||
            (instruction->map == 1 && (instruction->opcode & 0xf0) == 0x80);
  return *branch;
}

/* Go on at another place, later. */
static bool add_way(struct walk *walk, const struct way *from, uint64_t pc) {
  if (walk->way_count == walk->way_capacity) {
    const size_t capacity = walk->way_capacity ? walk->way_capacity * 2 : 16;
    if (capacity > WAYS_MAX) return false;
    struct way *ways = reallocarray(walk->ways, capacity, sizeof *ways);
    if (!ways) return false;
    walk->ways = ways;
    walk->way_capacity = capacity;
  }
  walk->ways[walk->way_count] = *from;
  walk->ways[walk->way_count++].pc = pc;
  return true;
}

/* The arrival at an instruction, made of the first way that comes to it: *fresh. NULL without memory. */
static struct arrival *arrival_at(struct walk *walk, const struct way *way, bool *fresh) {
  uint64_t *number = way->pc ? exu_map_insert_number(&walk->seen, way->pc, fresh) : NULL;
  walk->no_memory |= way->pc && !number;
  if (!number) return NULL;
  if (!*fresh) return &walk->arrivals[*number - 1];
  if (walk->arrival_count == walk->arrival_capacity) {
    const size_t capacity = walk->arrival_capacity ? walk->arrival_capacity * 2 : 256;
    struct arrival *arrivals = reallocarray(walk->arrivals, capacity, sizeof *arrivals);
    walk->no_memory |= !arrivals;
    if (!arrivals) return NULL;
    walk->arrivals = arrivals;
    walk->arrival_capacity = capacity;
  }
  struct arrival *arrival = &walk->arrivals[walk->arrival_count++];
  *arrival = (struct arrival){.sp = way->value[EXU_X86_RSP], .known = way->known & CALLEE_SAVED};
  memcpy(arrival->value, way->value, sizeof arrival->value);
  *number = walk->arrival_count;
  return arrival;
}

/*
 * Is the way to be gone on: does it come to a new instruction, or to one that was gone on from with more than it knows?
 * Then with no more than all ways know that led there. It must come with the same stack pointer. False also without
 * memory.
 */
static bool goes_on(struct walk *walk, struct way *way) {
  bool fresh = false;
  struct arrival *arrival = arrival_at(walk, way, &fresh);
  if (!arrival || fresh) return arrival != NULL;
  if (arrival->sp != way->value[EXU_X86_RSP]) walk->contradiction = true;
  uint32_t common = arrival->known & way->known;
  for (unsigned i = 0; i < REGISTERS; i++)
    if ((common >> i & 1) && arrival->value[i] != way->value[i]) common &= ~(1U << i);
  if (common == arrival->known || walk->contradiction) return false;
  arrival->known = common;
  way->known &= common | ~(uint32_t)CALLEE_SAVED;
  return true;
}

static void take_return(struct walk *walk, const struct way *way) {
  const uint64_t slot = way->value[EXU_X86_RSP];
  if (!walk->found) {
    walk->found = true;
    walk->slot = slot;
    memcpy(walk->value, way->value, sizeof walk->value);
    walk->known = way->known;
    return;
  }
  if (walk->slot != slot) walk->contradiction = true;
  for (unsigned i = 0; i < REGISTERS; i++)
    if (walk->value[i] != way->value[i]) walk->known &= ~(1U << i);
  walk->known &= way->known;
}

/* From one place to where nothing new is come to. False: the walk is over. */
static bool go(struct walk *walk, struct way *way, size_t *steps) {
  for (;;) {
    struct exu_x86_decoded code;
    size_t size = 0;
    bool branch;
    if (!goes_on(walk, way)) return !walk->contradiction && !walk->no_memory;
    if ((*steps)++ >= STEPS_MAX) return false;
    const uint8_t *bytes = code_at(walk, way->pc, &size);
    if (!bytes || !exu_x86_decode(bytes, size, &code)) return true;
    const uint64_t next = way->pc + code.length, destination = next + (uint64_t)code.immediate;
    if (is_jump(&code, &branch)) {
      if (!branch) {
        way->pc = destination;
        continue;
      }
      way->known &= ~exu_x86_written(&code);
      if (!add_way(walk, way, destination)) return false;
    } else {
      const enum fate fate = execute(walk, way, &code);
      if (fate == RETURNS) take_return(walk, way);
      if (fate != GOES_ON) return !walk->contradiction;
    }
    way->pc = next;
  }
}

/* All ways. False: not all could be gone, or they contradict each other. */
static bool go_all(struct walk *walk, size_t *steps) {
  bool complete = true;
  while (walk->way_count > 0 && complete) {
    struct way way = walk->ways[--walk->way_count];
    complete = go(walk, &way, steps);
  }
  return complete && walk->found && !walk->contradiction;
}

static bool begin(struct walk *walk, const struct exu_frame_registers *frame) {
  struct way way = {.pc = frame->pc};
  for (unsigned i = 0; i < REGISTERS; i++) {
    const bool kept = i == EXU_X86_RSP || (CALLEE_SAVED >> i & 1);
    set(&way, i, kept && (frame->valid >> dwarf_of[i] & 1), frame->value[dwarf_of[i]]);
  }
  walk->sp = way.value[EXU_X86_RSP];
  return knows(&way, EXU_X86_RSP) && add_way(walk, &way, frame->pc);
}

static bool find_return(struct walk *walk, const struct exu_frame_registers *frame, struct exu_frame_registers *caller,
                        size_t *steps) {
  const struct exu_code_memory *memory = walk->memory;
  uint64_t word;
  if (!begin(walk, frame) || !go_all(walk, steps)) return false;
  if (walk->slot < walk->sp || !memory->same_stack(memory->context, walk->sp, walk->slot)) return false;
  if (!memory->read_stack(memory->context, walk->slot, &word)) return false;
  const uint8_t sp = dwarf_of[EXU_X86_RSP];
  *caller = (struct exu_frame_registers){.pc = word, .valid = 1U << sp};
  caller->value[sp] = walk->slot + sizeof word;
  for (unsigned i = 0; i < REGISTERS; i++) {
    if (!(walk->known & CALLEE_SAVED & 1U << i)) continue;
    caller->value[dwarf_of[i]] = walk->value[i];
    caller->valid |= 1U << dwarf_of[i];
  }
  return true;
}

bool exu_follow_return_x86_64(const struct exu_code_memory *memory, const struct exu_frame_registers *frame,
                              struct exu_frame_registers *caller, size_t *steps, bool *hopeless) {
  *steps = 0;
  *hopeless = false;
  struct walk *walk EXU_GUARD(free) = calloc(1, sizeof *walk);
  if (!walk) return false;
  walk->memory = memory;
  const bool found = find_return(walk, frame, caller, steps);
  /* The code that leads to no return, or to contradictions, will do so again. */
  *hopeless = !walk->no_memory && (!walk->found || walk->contradiction);
  exu_map_deinit(&walk->seen);
  free(walk->ways);
  free(walk->arrivals);
  return found;
}
