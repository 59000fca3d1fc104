/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a frame to its caller where there is no unwinding information: never by guessing, only by what can be checked.
 */
#include <elf.h>
#include <string.h>

#include "binary/debug_file.h"
#include "native/unwind_private.h"

static bool read_words(const struct exu_unwinder *unwinder, uint64_t address, uint64_t *words, size_t count) {
  return exu_unwind_read(unwinder, address, words, count * sizeof *words);
}

bool exu_unwind_is_executable(const struct exu_unwinder *unwinder, uint64_t address) {
  const struct exu_region *region = exu_space_find(unwinder->process->space, address);
  if (!region || !(region->prot & EXU_PROT_UNKNOWN)) return region && (region->prot & EXU_PROT_EXEC);
  const struct exu_binary *module = exu_modules_find(unwinder->modules, address);
  for (size_t i = 0; module && module->image && i < module->image->segment_count; i++) {
    const struct exu_elf_segment *segment = &module->image->segments[i];
    if (segment->type != PT_LOAD || !(segment->flags & PF_X)) continue;
    if (address >= module->bias + segment->vaddr && address - module->bias - segment->vaddr < segment->memsz)
      return true;
  }
  return false;
}

bool exu_unwind_same_stack(const struct exu_unwinder *unwinder, uint64_t a, uint64_t b) {
  const struct exu_region *region = exu_space_find(unwinder->process->space, a);
  return region && b >= region->start && b < region->end;
}

/* ---- Return addresses -------------------------------------------------------------------------------------------- */

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

enum { LONGEST_CALL = 7 };

static bool read_before(const struct exu_unwinder *unwinder, uint64_t address, uint8_t bytes[LONGEST_CALL]) {
  if (address < LONGEST_CALL || !exu_unwind_is_executable(unwinder, address - 1)) return false;
  return exu_space_read(unwinder->process->space, address - LONGEST_CALL, bytes, LONGEST_CALL) == EXU_READABLE;
}

static bool ends_with_call(const uint8_t bytes[LONGEST_CALL]) {
  if (bytes[LONGEST_CALL - 5] == 0xe8) return true; /* call rel32 */
  for (size_t size = 2; size <= LONGEST_CALL; size++)
    if (indirect_call_size(bytes + LONGEST_CALL - size, size) == size) return true;
  return false;
}

bool exu_unwind_is_return_address(const struct exu_unwinder *unwinder, uint64_t address) {
  uint8_t bytes[LONGEST_CALL];
  return read_before(unwinder, address, bytes) && ends_with_call(bytes);
}

bool exu_unwind_is_no_return_address(const struct exu_unwinder *unwinder, uint64_t address) {
  uint8_t bytes[LONGEST_CALL];
  return read_before(unwinder, address, bytes) && !ends_with_call(bytes);
}

/* Through the jumps of a procedure linkage table: [endbr64] [bnd] jmp *offset(%rip), or jmp offset. */
static uint64_t behind_jumps(const struct exu_unwinder *unwinder, uint64_t target) {
  static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
  for (int i = 0; i < 2; i++) {
    uint8_t bytes[16];
    size_t at = 0;
    int32_t offset;
    if (exu_space_read(unwinder->process->space, target, bytes, sizeof bytes) != EXU_READABLE) return target;
    if (memcmp(bytes, endbr, sizeof endbr) == 0) at += sizeof endbr;
    if (bytes[at] == 0xf2) at++;
    bool indirect = bytes[at] == 0xff && bytes[at + 1] == 0x25;
    if (!indirect && bytes[at] != 0xe9) return target;
    at += indirect ? 2 : 1;
    memcpy(&offset, bytes + at, sizeof offset);
    uint64_t next = target + at + sizeof offset + (uint64_t)(int64_t)offset;
    /* A slot is written once, before it is first jumped through: it may be read when the process runs again. */
    if (indirect && exu_space_read(unwinder->process->space, next, &next, sizeof next) != EXU_READABLE) return target;
    target = next;
  }
  return target;
}

bool exu_unwind_call_target(const struct exu_unwinder *unwinder, uint64_t return_address, uint64_t *target) {
  uint8_t bytes[6];
  int32_t offset;
  uint64_t slot;
  if (return_address < sizeof bytes) return false;
  if (exu_space_read(unwinder->process->space, return_address - sizeof bytes, bytes, sizeof bytes) != EXU_READABLE)
    return false;
  memcpy(&offset, bytes + 2, sizeof offset);
  slot = return_address + (uint64_t)(int64_t)offset;
  /* call *offset(%rip): through a slot of the linker's, which is written once (-fno-plt) */
  if (bytes[0] == 0xff && bytes[1] == 0x15)
    return exu_space_read(unwinder->process->space, slot, target, sizeof *target) == EXU_READABLE;
  if (bytes[1] != 0xe8) return false;
  *target = behind_jumps(unwinder, slot);
  return true;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

bool exu_unwind_bad_call_step(const struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                              struct exu_unwind_state *caller) {
  uint64_t sp = state->value[EXU_RSP], word;
  /* Where code can be executed some of it may have run. */
  if (!state->exact || !(state->valid >> EXU_RSP & 1) || exu_unwind_is_executable(unwinder, state->pc)) return false;
  if (!read_words(unwinder, sp, &word, 1) || !exu_unwind_is_return_address(unwinder, word)) return false;
  *caller = *state;
  caller->value[EXU_RSP] = sp + 8;
  caller->pc = word;
  caller->exact = false;
  return true;
}

bool exu_unwind_after_system_call(const struct exu_unwinder *unwinder, uint64_t pc) {
  static const uint8_t syscall[] = {0x0f, 0x05};
  uint8_t bytes[sizeof syscall];
  return pc >= sizeof bytes &&
         exu_space_read(unwinder->process->space, pc - sizeof bytes, bytes, sizeof bytes) == EXU_READABLE &&
         memcmp(bytes, syscall, sizeof syscall) == 0;
}

bool exu_unwind_system_call_step(const struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                                 struct exu_unwind_state *caller) {
  enum { BOTH = 1 << EXU_RAX | 1 << EXU_RSP, FUNCTION_MAX = 256 };
  uint64_t sp = state->value[EXU_RSP], word, target;
  if (!state->exact || (state->valid & BOTH) != BOTH || state->value[EXU_RAX] == 0) return false;
  if (!exu_unwind_after_system_call(unwinder, state->pc) || !read_words(unwinder, sp, &word, 1)) return false;
  if (!exu_unwind_call_target(unwinder, word, &target)) return false;
  if (target >= state->pc || state->pc - target > FUNCTION_MAX) return false;
  *caller = *state;
  caller->value[EXU_RSP] = sp + 8;
  caller->pc = word;
  caller->exact = false;
  return true;
}

/* Does the code at a function's start make rbp its frame pointer, before pc? push %rbp; mov %rsp, %rbp */
static bool makes_frame(const struct exu_unwinder *unwinder, uint64_t start, uint64_t pc) {
  enum { RET = 0xc3, FUNCTION_MAX = 1 << 20 };
  static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa}, one[] = {0x55, 0x48, 0x89, 0xe5},
                       other[] = {0x55, 0x48, 0x8b, 0xec};
  uint8_t bytes[8], now;
  if (start >= pc || pc - start > FUNCTION_MAX) return false;
  if (exu_space_read(unwinder->process->space, start, bytes, sizeof bytes) != EXU_READABLE) return false;
  size_t skip = memcmp(bytes, endbr, sizeof endbr) == 0 ? sizeof endbr : 0;
  bool made = memcmp(bytes + skip, one, sizeof one) == 0 || memcmp(bytes + skip, other, sizeof other) == 0;
  if (!made || pc - start < skip + sizeof one) return false;
  return exu_space_read(unwinder->process->space, pc, &now, 1) == EXU_READABLE && now != RET;
}

/* Where the function that contains pc begins, by its symbol; 0: unknown. */
static uint64_t start_by_symbol(const struct exu_unwinder *unwinder, uint64_t pc) {
  struct exu_binary *module = exu_modules_find(unwinder->modules, pc);
  struct exu_elf_file *file = module ? exu_modules_file_or_image(unwinder->modules, module) : NULL;
  if (!file) return 0;
  struct exu_elf_cover cover = {.address = pc - module->bias};
  exu_elf_file_cover(file, &cover, 1, unwinder->arena);
  return cover.name.data ? cover.start + module->bias : 0;
}

/* By its symbol, once for every pc. */
static bool is_framed(struct exu_unwinder *unwinder, uint64_t pc) {
  static char yes, no; /* only their addresses count */
  bool is_new;
  void **slot = pc ? exu_map_insert(&unwinder->framed, pc, &is_new) : NULL;
  if (!slot) return false;
  if (!*slot) {
    uint64_t start = start_by_symbol(unwinder, pc);
    *slot = start && makes_frame(unwinder, start, pc) ? &yes : &no;
  }
  return *slot == &yes;
}

/*
 * rbp is a frame pointer of the frame at hand only if its own function made it so: else it belongs to a frame further
 * out, and those between would be lost in silence.
 */
bool exu_unwind_frame_pointer_step(struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                                   struct exu_unwind_state *caller) {
  enum { BOTH = 1 << EXU_RBP | 1 << EXU_RSP };
  uint64_t sp = state->value[EXU_RSP], frame = state->value[EXU_RBP], saved[2], target;
  if ((state->valid & BOTH) != BOTH || frame < sp || frame % 8 != 0) return false;
  if (!exu_unwind_same_stack(unwinder, sp, frame) || !read_words(unwinder, frame, saved, 2)) return false;
  /* saved[0] can be anything: the caller need not have a frame pointer. */
  if (!exu_unwind_is_return_address(unwinder, saved[1])) return false;
  bool called = exu_unwind_call_target(unwinder, saved[1], &target) && makes_frame(unwinder, target, state->pc);
  if (!called && !is_framed(unwinder, state->pc)) return false;
  /* What the callee may have done to the other registers is not known. */
  *caller = (struct exu_unwind_state){.valid = BOTH, .pc = saved[1], .by_frame_pointer = true};
  caller->value[EXU_RBP] = saved[0];
  caller->value[EXU_RSP] = frame + 16;
  return true;
}

bool exu_unwind_signal_step(const struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                            struct exu_unwind_state *caller) {
  /* mov $15 (rt_sigreturn), %eax or %rax; syscall */
  static const uint8_t codes[][9] = {{0xb8, 15, 0, 0, 0, 0x0f, 0x05}, {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05}};
  static const size_t sizes[] = {7, 9};
  /* struct sigcontext_64 of the kernel: r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip. */
  static const uint8_t dwarf_order[] = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7};
  enum { CONTEXT = 40, WORDS = 17 }; /* offset of uc_mcontext in struct ucontext, which the stack pointer points to */
  uint64_t words[WORDS];
  uint8_t bytes[9];
  bool found = false;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !found; i++) {
    found = exu_space_read(unwinder->process->space, state->pc, bytes, sizes[i]) == EXU_READABLE &&
            memcmp(bytes, codes[i], sizes[i]) == 0;
  }
  if (!found || !(state->valid >> EXU_RSP & 1)) return false;
  if (!read_words(unwinder, state->value[EXU_RSP] + CONTEXT, words, WORDS)) return false;
  *caller = (struct exu_unwind_state){.valid = (1 << EXU_DWARF_REGISTERS) - 1, .pc = words[WORDS - 1], .exact = true};
  for (size_t i = 0; i < sizeof dwarf_order; i++) caller->value[dwarf_order[i]] = words[i];
  return true;
}
