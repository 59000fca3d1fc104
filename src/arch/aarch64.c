/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/arch.h"
#include "arch/machines.h"
#include "base/cursor.h"

/* struct user_pt_regs (asm/ptrace.h): x0 to x30, sp, pc, pstate. DWARF has the same numbers up to sp. */
enum { SP = 31, PC = 32, WORDS = 34 };

static bool decode_registers(const void *pr_reg, size_t size, struct exu_registers *registers) {
  uint64_t word[WORDS];
  struct exu_cursor cursor = exu_cursor(pr_reg, size, false);
  for (size_t i = 0; i < WORDS; i++) word[i] = exu_cursor_u64(&cursor);
  if (cursor.failed) return false;

  /*
   * The thread pointer is in a note of its own (NT_ARM_TLS). The number of the system call is in none that can be
   * relied on: the kernel forgets it before it delivers a signal.
   */
  *registers = (struct exu_registers){.pc = word[PC], .sp = word[SP], .syscall = -1};
  for (size_t i = 0; i <= SP; i++) {
    registers->value[i] = word[i];
    registers->valid |= UINT64_C(1) << i;
  }
  return true;
}

/* The C library keeps its thread block below TPIDR_EL0, at a distance that differs from version to version. */
static uint64_t pthread_self_of(uint64_t thread_pointer) {
  (void)thread_pointer;
  return 0;
}

/* struct _aarch64_ctx of the floating point registers (asm/sigcontext.h): FPSIMD_MAGIC and the size. */
#define FPSIMD_CONTEXT UINT64_C(0x0000021046508001)

/* mov x8, #imm16; svc #0 */
static int64_t call_number_in_code(const uint8_t code[EXU_CALL_CODE_SIZE]) {
  struct exu_cursor cursor = exu_cursor(code, EXU_CALL_CODE_SIZE, false);
  const uint32_t load = exu_cursor_u32(&cursor), call = exu_cursor_u32(&cursor);
  if (call != 0xd4000001 || (load & 0xffe0001f) != 0xd2800008) return -1;
  return load >> 5 & 0xffff;
}

const struct exu_arch exu_arch_aarch64 = {
    .name = "aarch64",
    .machine = 183,
    .word_size = 8,
    .big_endian = false,
    .address_mask = (UINT64_C(1) << 52) - 1, /* 52-bit addresses; the bits above may be tags */
    .prstatus_size = 392,
    .prstatus_pid = 32,
    .prstatus_cursig = 12,
    .prstatus_registers = 112,
    .decode_registers = decode_registers,
    .pthread_self = pthread_self_of,
    .calls = &exu_calls_generic,
    .keeps_call_number = false,
    .system_call_size = 4,
    .system_call_code = {0x01, 0x00, 0x00, 0xd4}, /* svc #0 */
    .call_number_in_code = call_number_in_code,
    .call_number_register = 8,
    .call_result = 0,
    .prstatus_result = 0,
    .call_arguments = {0, 1, 2, 3, 4, 5},
    .context_words = {FPSIMD_CONTEXT, FPSIMD_CONTEXT},
};
