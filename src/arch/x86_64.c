/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "arch/arch.h"
#include "arch/machines.h"
#include "arch/x86_64_access.h"
#include "arch/x86_64_unwind.h"
#include "base/cursor.h"

/* Words of struct user_regs_struct (asm/user_64.h), which is what pr_reg holds. */
enum word {
  R15,
  R14,
  R13,
  R12,
  RBP,
  RBX,
  R11,
  R10,
  R9,
  R8,
  RAX,
  RCX,
  RDX,
  RSI,
  RDI,
  ORIG_RAX,
  RIP,
  CS,
  EFLAGS,
  RSP,
  SS,
  FS_BASE,
  GS_BASE,
  DS,
  ES,
  FS,
  GS,
  WORDS
};

/* DWARF numbers of the System V psABI for AMD64, figure 3.36. Number 16 is the return address, the pc here. */
static const uint8_t dwarf_order[] = {RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8,
                                      R9,  R10, R11, R12, R13, R14, R15, RIP};

enum { CONTEXT_SIZE = 304 };

/*
 * RF in rflags: the processor sets it in what it saves when an instruction faults, and clears it when one has been
 * carried out (Intel SDM volume 3, 18.3.1.1; AMD APM volume 2, 3.1.6). rt_sigreturn(2) gives it back (FIX_EFLAGS).
 */
enum { RESUME_FLAG = 1 << 16 };

static bool decode_registers(const void *pr_reg, size_t size, struct exu_registers *registers) {
  uint64_t word[WORDS];
  struct exu_cursor cursor = exu_cursor(pr_reg, size, false);
  for (size_t i = 0; i < WORDS; i++) word[i] = exu_cursor_u64(&cursor);
  if (cursor.failed) return false;

  *registers = (struct exu_registers){.pc = word[RIP], .sp = word[RSP], .syscall = -1};
  for (size_t i = 0; i < sizeof dwarf_order; i++) {
    registers->value[i] = word[dwarf_order[i]];
    registers->valid |= UINT64_C(1) << i;
  }
  registers->thread_pointer = word[FS_BASE];
  registers->has_thread_pointer = word[FS_BASE] != 0; /* valgrind does not save it */
  /* The kernel keeps -1 here for a thread that it entered through an exception or an interrupt. */
  registers->outside = (int64_t)word[ORIG_RAX] < 0;
  registers->faulted = registers->outside && (word[EFLAGS] & RESUME_FLAG);
  if (!registers->outside) {
    static const uint8_t arguments[] = {RDI, RSI, RDX, R10, R8, R9};
    registers->syscall = (int64_t)word[ORIG_RAX];
    for (size_t i = 0; i < sizeof arguments; i++) registers->syscall_args[i] = word[arguments[i]];
  }
  return true;
}

/* Exceptions: Intel SDM volume 3, table 6-1. */
static enum exu_exception_kind kind_of(uint64_t number) {
  switch (number) {
  case 0: return EXU_EXCEPTION_DIVISION;
  case 6: return EXU_EXCEPTION_INVALID;
  case 13: return EXU_EXCEPTION_PROTECTION;
  case 14: return EXU_EXCEPTION_PAGE;
  case 16: /* of the x87 */
  case 19: return EXU_EXCEPTION_FLOAT;
  default: return EXU_EXCEPTION_OTHER;
  }
}

/*
 * struct ucontext up to its uc_sigmask, and there struct sigcontext_64 (asm/sigcontext.h): r8 to r15, rdi, rsi, rbp,
 * rbx, rdx, rax, rcx, rsp, rip, flags, segments, err, trapno, oldmask, cr2.
 */
static void decode_context(const void *context, struct exu_registers *registers, struct exu_exception *exception) {
  static const uint8_t order[] = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16};
  enum { MCONTEXT = 40, FLAGS_AND_SEGMENTS = 16 };
  enum { PAGE_PRESENT = 1, PAGE_WRITE = 2, PAGE_FETCH = 16 }; /* bits of a page fault's error code */
  struct exu_cursor cursor = exu_cursor(context, CONTEXT_SIZE, false);
  exu_cursor_skip(&cursor, MCONTEXT);
  *registers = (struct exu_registers){.syscall = -1};
  for (size_t i = 0; i < sizeof order; i++) {
    registers->value[order[i]] = exu_cursor_u64(&cursor);
    registers->valid |= UINT64_C(1) << order[i];
  }
  registers->sp = registers->value[7];
  registers->pc = registers->value[16];
  exu_cursor_skip(&cursor, FLAGS_AND_SEGMENTS);
  const uint64_t error = exu_cursor_u64(&cursor);
  exception->kind = kind_of(exu_cursor_u64(&cursor));
  exception->page_present = error & PAGE_PRESENT;
  exception->access = error & PAGE_FETCH ? EXU_ACCESS_EXECUTE : error & PAGE_WRITE ? EXU_ACCESS_WRITE : EXU_ACCESS_READ;
  exu_cursor_skip(&cursor, 8); /* oldmask */
  exception->address = exu_cursor_u64(&cursor);
}

/*
 * arch/x86/kernel/signal_64.c: few uc_flags, no link, and the floating point state behind it all, aligned for FXSAVE at
 * least. Bit 1 of rflags is always set, those from 22 on never.
 */
static bool is_context(const void *context) {
  enum { RFLAGS = 176, FPSTATE = 224, UC_FLAGS = 7, ALIGNMENT = 16, ALWAYS = 2, RFLAGS_BITS = 22 };
  struct exu_cursor cursor = exu_cursor(context, CONTEXT_SIZE, false);
  uint64_t flags = exu_cursor_u64(&cursor);
  uint64_t link = exu_cursor_u64(&cursor);
  exu_cursor_skip(&cursor, RFLAGS - 16);
  uint64_t rflags = exu_cursor_u64(&cursor);
  exu_cursor_skip(&cursor, FPSTATE - RFLAGS - 8);
  uint64_t fpstate = exu_cursor_u64(&cursor);
  return flags <= UC_FLAGS && link == 0 && (rflags & ALWAYS) && rflags >> RFLAGS_BITS == 0 && fpstate != 0 &&
         fpstate % ALIGNMENT == 0;
}

/* glibc and musl: %fs:0 points to itself and is the pthread_t. */
static uint64_t pthread_self_of(uint64_t thread_pointer) { return thread_pointer; }

/* Skip these bytes when they are next. */
static bool skip(struct exu_cursor *cursor, const void *bytes, size_t size) {
  if (exu_cursor_left(cursor) < size || memcmp(cursor->next, bytes, size) != 0) return false;
  return exu_cursor_skip(cursor, size);
}

/* [endbr64] [push %rbp; mov %rsp,%rbp] mov N(%rip),%eax [pop %rbp] ret: what compilers make of `return variable;`. */
static uint64_t returned_variable(uint64_t address, const uint8_t *code, size_t size) {
  struct exu_cursor cursor = exu_cursor(code, size, false);
  skip(&cursor, "\xf3\x0f\x1e\xfa", 4);
  const bool has_frame = skip(&cursor, "\x55\x48\x89\xe5", 4);
  if (!skip(&cursor, "\x8b\x05", 2)) return 0;
  const int32_t offset = (int32_t)exu_cursor_u32(&cursor);
  const uint64_t next = address + (uint64_t)(cursor.next - code);
  if (has_frame && !skip(&cursor, "\x5d", 1)) return 0;
  return skip(&cursor, "\xc3", 1) ? next + (uint64_t)(int64_t)offset : 0;
}

/* mov $imm32,%eax; syscall */
static int64_t call_number_in_code(const uint8_t code[EXU_CALL_CODE_SIZE]) {
  struct exu_cursor cursor = exu_cursor(code + 2, 4, false);
  if (code[6] != 0x0f || code[7] != 0x05 || code[1] != 0xb8) return -1;
  return (int64_t)exu_cursor_u32(&cursor);
}

const struct exu_arch exu_arch_x86_64 = {
    .name = "x86_64",
    .machine = 62,
    .word_size = 8,
    .big_endian = false,
    .address_mask = (UINT64_C(1) << 56) - 1, /* five-level paging; four levels have 47 bits */
    .prstatus_size = 336,
    .prstatus_pid = 32,
    .prstatus_cursig = 12,
    .prstatus_registers = 112,
    .decode_registers = decode_registers,
    .pthread_self = pthread_self_of,
    .returned_variable = returned_variable,
    .find_operands = exu_operands_x86_64,
    /* With four levels of page tables; with five there are more addresses, but nothing is mapped there unasked. */
    .canonical_bits = 47,
    .unwind = &exu_unwind_x86_64,
    .red_zone = 128,
    .calls = &exu_calls_x86_64,
    .keeps_call_number = true,
    .system_call_size = 2,
    .system_call_code = {0x0f, 0x05},
    .call_number_in_code = call_number_in_code,
    .call_number_register = -1, /* rax has the result */
    .call_result = 0,
    .prstatus_result = RAX * sizeof(uint64_t),
    .call_arguments = {5, 4, 1, 10, 8, 9},
    .context_size = CONTEXT_SIZE,
    .decode_context = decode_context,
    /* cs, gs, fs and ss of a 64-bit program; kernels before 4.7 left ss out. */
    .context_words = {UINT64_C(0x002b000000000033), 0x33},
    .context_word = 184,
    .is_context = is_context,
};
