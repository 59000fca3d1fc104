/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64_unwind.h"

#include <string.h>

#include "arch/x86_64_return_path.h"

/* ---- Calls and jumps --------------------------------------------------------------------------------------------- */

enum { LONGEST_CALL = 7, JUMP = 5 };

/* Bytes of "call r/m64" from its opcode FF on, by its ModRM and SIB bytes; 0: it is not one. */
static size_t indirect_call_size(const uint8_t *bytes, size_t size) {
  if (size < 2 || bytes[0] != 0xff || (bytes[1] >> 3 & 7) != 2) return 0;
  unsigned mode = bytes[1] >> 6, base = bytes[1] & 7;
  if (mode == 3) return 2;
  size_t length = 2;
  if (base == 4) {
    if (size < 3) return 0;
    length++;
    if (mode == 0 && (bytes[2] & 7) == 5) length += 4;
  } else if (mode == 0 && base == 5) {
    length += 4; /* relative to the next instruction */
  }
  return length + (mode == 1 ? 1U : mode == 2 ? 4U : 0U);
}

static bool ends_with_call(const uint8_t *bytes) {
  if (bytes[LONGEST_CALL - 5] == 0xe8) return true; /* call rel32 */
  for (size_t size = 2; size <= LONGEST_CALL; size++)
    if (indirect_call_size(bytes + LONGEST_CALL - size, size) == size) return true;
  return false;
}

/* Through the jumps of a procedure linkage table: [endbr64] [bnd] jmp *offset(%rip), or jmp offset. */
static uint64_t behind_jumps(const struct exu_code_memory *memory, uint64_t target) {
  static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
  for (int i = 0; i < 2; i++) {
    uint8_t bytes[16];
    size_t at = 0;
    int32_t offset;
    if (!memory->read(memory->context, target, bytes, sizeof bytes)) return target;
    if (memcmp(bytes, endbr, sizeof endbr) == 0) at += sizeof endbr;
    if (bytes[at] == 0xf2) at++;
    bool indirect = bytes[at] == 0xff && bytes[at + 1] == 0x25;
    if (!indirect && bytes[at] != 0xe9) return target;
    at += indirect ? 2 : 1;
    memcpy(&offset, bytes + at, sizeof offset);
    uint64_t next = target + at + sizeof offset + (uint64_t)(int64_t)offset;
    /* A slot is written once, before it is first jumped through: it may be read when the process runs again. */
    if (indirect && !memory->read(memory->context, next, &next, sizeof next)) return target;
    target = next;
  }
  return target;
}

static bool call_target(const struct exu_code_memory *memory, uint64_t return_address, uint64_t *target) {
  uint8_t bytes[6];
  int32_t offset;
  uint64_t slot;
  if (return_address < sizeof bytes) return false;
  if (!memory->read(memory->context, return_address - sizeof bytes, bytes, sizeof bytes)) return false;
  memcpy(&offset, bytes + 2, sizeof offset);
  slot = return_address + (uint64_t)(int64_t)offset;
  /* call *offset(%rip): through a slot of the linker's, which is written once (-fno-plt) */
  if (bytes[0] == 0xff && bytes[1] == 0x15) return memory->read(memory->context, slot, target, sizeof *target);
  if (bytes[1] != 0xe8) return false;
  *target = behind_jumps(memory, slot);
  return true;
}

static size_t next_call(const uint8_t *code, size_t size, size_t from) {
  enum { LONGEST = 6 };
  for (size_t end = from ? from + 1 : LONGEST; end <= size; end++)
    if (code[end - 5] == 0xe8 || (code[end - 6] == 0xff && code[end - 5] == 0x15)) return end;
  return 0;
}

static size_t next_jump(const uint8_t *code, size_t size, size_t from, uint64_t *distance) {
  for (size_t i = from ? from - JUMP + 1 : 0; i + JUMP <= size; i++) {
    int32_t offset;
    bool jump = code[i] == 0xe9, branch = i > 0 && code[i - 1] == 0x0f && (code[i] & 0xf0) == 0x80;
    if (!jump && !branch) continue;
    memcpy(&offset, code + i + 1, sizeof offset);
    *distance = (uint64_t)(int64_t)offset;
    return i + JUMP;
  }
  return 0;
}

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

/* push %rbp; mov %rsp, %rbp */
static bool makes_frame(const struct exu_code_memory *memory, uint64_t start, uint64_t pc) {
  enum { RET = 0xc3 };
  static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa}, one[] = {0x55, 0x48, 0x89, 0xe5},
                       other[] = {0x55, 0x48, 0x8b, 0xec};
  uint8_t bytes[8], now;
  if (!memory->read(memory->context, start, bytes, sizeof bytes)) return false;
  size_t skip = memcmp(bytes, endbr, sizeof endbr) == 0 ? sizeof endbr : 0;
  bool made = memcmp(bytes + skip, one, sizeof one) == 0 || memcmp(bytes + skip, other, sizeof other) == 0;
  if (!made || pc - start < skip + sizeof one) return false;
  return memory->read(memory->context, pc, &now, 1) && now != RET;
}

/* add %reg, %rsp; add %reg, %rbp, by inline assembly in all versions. */
static bool moves_stack(const uint8_t *code, size_t size) {
  enum { ADD = 0x01, RSP = 4, RBP = 5, REG = 7 << 3, DIRECT = 0xc0 };
  for (size_t i = 0; i + 6 <= size; i++) {
    const uint8_t *first = code + i, *second = first + 3;
    bool same = first[0] == second[0] && (first[2] & REG) == (second[2] & REG);
    if (same && (first[0] & 0xfb) == 0x48 && first[1] == ADD && second[1] == ADD &&
        (first[2] & ~REG) == (DIRECT | RSP) && (second[2] & ~REG) == (DIRECT | RBP))
      return true;
  }
  return false;
}

/* mov $15 (rt_sigreturn), %eax or %rax; syscall */
static bool is_signal_return(const struct exu_code_memory *memory, uint64_t pc) {
  static const uint8_t codes[][9] = {{0xb8, 15, 0, 0, 0, 0x0f, 0x05}, {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05}};
  static const size_t sizes[] = {7, 9};
  uint8_t bytes[9];
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (memory->read(memory->context, pc, bytes, sizes[i]) && memcmp(bytes, codes[i], sizes[i]) == 0) return true;
  return false;
}

/* With the call of the evaluator in the middle: `call *%rcx`. */
static const struct exu_call_pattern perf_trampolines[] = {
    /* 3.12, 3.13: sub $8, %rsp; call *%rcx; add $8, %rsp; ret */
    {{0x48, 0x83, 0xec, 0x08, 0xff, 0xd1, 0x48, 0x83, 0xc4, 0x08, 0xc3}, 11, 6},
    /* Later: push %rbp; mov %rsp, %rbp; call *%rcx; pop %rbp; ret */
    {{0x55, 0x48, 0x89, 0xe5, 0xff, 0xd1, 0x5d, 0xc3}, 8, 6},
};

/* DWARF numbers of the psABI: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15, then the return address. */
enum { RBX = 3, RBP = 6, RSP = 7, R12 = 12, R13, R14, R15, PC };

const struct exu_arch_unwind exu_unwind_x86_64 = {
    .register_count = PC,
    .pc = PC,
    .sp = RSP,
    .frame_pointer = RBP,
    .callee_saved = 1 << RBX | 1 << RBP | 1 << R12 | 1 << R13 | 1 << R14 | 1 << R15,
    .call_pushes = true,
    .call_size_max = LONGEST_CALL,
    .jump_size = JUMP,
    .context_above_sp = 0,
    .ends_with_call = ends_with_call,
    .call_target = call_target,
    .next_call = next_call,
    .next_jump = next_jump,
    .makes_frame = makes_frame,
    .is_signal_return = is_signal_return,
    .moves_stack = moves_stack,
    .follow_return = exu_follow_return_x86_64,
    .perf_trampolines = perf_trampolines,
    .perf_trampoline_count = sizeof perf_trampolines / sizeof *perf_trampolines,
};
