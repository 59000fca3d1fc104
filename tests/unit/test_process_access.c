/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor is the judge: every instruction below is executed with an address that faults, and what the decoder
 * says must be what the page fault's error code says (bit 1: it was a write).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "arch/machines.h"

#ifdef __x86_64__

#include <signal.h>
#include <ucontext.h>

static sigjmp_buf back;
static struct exu_registers faulted;
static uint64_t fault_address;
static bool fault_writes;
static uint8_t fault_code[EXU_INSTRUCTION_MAX];

static void on_fault(int number, siginfo_t *info, void *context) {
  (void)number;
  static const int order[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
                              REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
  const greg_t *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;
  faulted = (struct exu_registers){.valid = (1 << 17) - 1, .syscall = -1};
  for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) faulted.value[i] = (uint64_t)registers[order[i]];
  faulted.pc = (uint64_t)registers[REG_RIP];
  faulted.sp = (uint64_t)registers[REG_RSP];
  fault_address = (uint64_t)(uintptr_t)info->si_addr;
  fault_writes = registers[REG_ERR] & 2;
  memcpy(fault_code, (const void *)(uintptr_t)faulted.pc, sizeof fault_code);
  siglongjmp(back, 1);
}

enum { BAD = 0x1000, INDEX = 8 }; /* an address that nothing is mapped at */

/* rax = BAD, rcx = INDEX, rsi and rdi as given; the instruction faults or the test fails. */
#define CASE(name, text)                                                                                               \
  static void run_##name(uint64_t rsi, uint64_t rdi) {                                                                 \
    __asm__ volatile("cld\n\t" text "\n\t.skip 16, 0x90"                                                               \
                     : "+S"(rsi), "+D"(rdi)                                                                            \
                     : "a"((uint64_t)BAD), "c"((uint64_t)INDEX), "d"((uint64_t)1)                                      \
                     : "memory", "cc", "r8", "r9", "xmm0", "xmm1");                                                    \
  }

CASE(mov_load, "mov (%%rax), %%r8")
CASE(mov_store, "mov %%edx, 0x40(%%rax)")
CASE(mov_store_byte, "movb $7, 5(%%rax,%%rcx,4)")
CASE(mov_store_immediate, "movq $0x11223344, 0x12345(%%rax)")
CASE(mov_store_immediate16, "movw $0x1122, (%%rax)")
CASE(movabs_like, "mov 0x2000, %%r8d")
CASE(indexed_only, "mov 0x40(,%%rax,2), %%r9")
CASE(movzx, "movzbl -3(%%rax), %%r8d")
CASE(movsx, "movswq (%%rax,%%rcx), %%r8")
CASE(movsxd, "movslq 4(%%rax), %%r9")
CASE(cmp_mem_reg, "cmp %%rdx, 0x18(%%rax)")
CASE(cmp_mem_imm8, "cmpl $1, 0x18(%%rax)")
CASE(cmp_mem_imm32, "cmpl $0x12345678, 0x18(%%rax)")
CASE(test_mem, "testb $1, 0x57(%%rax)")
CASE(test_mem32, "testl $0x10000, 0xa8(%%rax)")
CASE(add_from, "add 8(%%rax), %%rdx")
CASE(imul_imm, "imul $1000, (%%rax), %%r8d")
CASE(imul, "imul (%%rax), %%r8")
CASE(div_mem, "divq (%%rax)")
CASE(cmov, "cmove (%%rax), %%r8")
CASE(setcc, "sete (%%rax)")
CASE(bt_imm, "btl $3, (%%rax)")
CASE(popcnt, "popcnt (%%rax), %%r8")
CASE(jmp_mem, "jmp *0x10(%%rax)")
CASE(call_mem, "call *0x28(%%rax)")
CASE(push_mem, "pushq (%%rax)")
CASE(movups_load, "movups (%%rax), %%xmm0")
CASE(movups_store, "movups %%xmm0, 0x100(%%rax)")
CASE(movaps_store, "movaps %%xmm0, 0x80(%%rax)")
CASE(movdqu_load, "movdqu (%%rax,%%rcx,8), %%xmm1")
CASE(movdqa_store, "movdqa %%xmm1, (%%rax)")
CASE(movss_load, "movss (%%rax), %%xmm0")
CASE(movsd_store, "movsd %%xmm0, (%%rax)")
CASE(movq_load, "movq (%%rax), %%xmm0")
CASE(movq_store, "movq %%xmm0, (%%rax)")
CASE(movd_store, "movd %%xmm0, (%%rax)")
CASE(movhps_load, "movhps (%%rax), %%xmm0")
CASE(movhps_store, "movhps %%xmm0, 8(%%rax)")
CASE(movlps_store, "movlps %%xmm0, 8(%%rax)")
CASE(movnti, "movnti %%rdx, (%%rax)")
CASE(addsd, "addsd (%%rax), %%xmm0")
CASE(pcmpeqb, "pcmpeqb (%%rax), %%xmm0")
CASE(pshufd, "pshufd $1, (%%rax), %%xmm0")
CASE(cvtsi2sd, "cvtsi2sdl (%%rax), %%xmm0")
CASE(ucomisd, "ucomisd (%%rax), %%xmm0")
CASE(pinsrw, "pinsrw $1, (%%rax), %%xmm0")
CASE(pextrd, "pextrd $1, %%xmm0, (%%rax)")
CASE(pcmpistri, "pcmpistri $0x1a, (%%rax), %%xmm0")
CASE(movbe_store, "movbe %%rdx, (%%rax)")
CASE(crc32, "crc32b (%%rax), %%r8d")
CASE(movsb, "rep movsb")
CASE(movsq, "movsq")
CASE(stosq, "rep stosq")
CASE(lodsb, "lodsb")
CASE(scasb, "repne scasb")
CASE(cmpsb, "repe cmpsb")
CASE(ret, "mov %%rsp, %%r8\n\tmov %%rax, %%rsp\n\tret")
CASE(pop, "mov %%rax, %%rsp\n\tpop %%r8")
CASE(push, "mov %%rax, %%rsp\n\tpush %%r8")
CASE(call, "mov %%rax, %%rsp\n\tcall 1f\n1:")
CASE(leave, "mov %%rax, %%rbp\n\tleave")
CASE(vmovdqu_load, "vmovdqu 0x20(%%rax), %%ymm0")
CASE(vmovdqu_store, "vmovdqu %%ymm0, 0x200(%%rax)")
CASE(vpcmpeqb, "vpcmpeqb (%%rax), %%ymm0, %%ymm1")
CASE(vpminub, "vpminub 0x40(%%rax,%%rcx), %%ymm0, %%ymm1")
CASE(vpalignr, "vpalignr $3, (%%rax), %%ymm0, %%ymm1")
CASE(vextracti128, "vextracti128 $1, %%ymm0, (%%rax)")
CASE(vbroadcastss, "vbroadcastss (%%rax), %%ymm0")
CASE(vmovss_store, "vmovss %%xmm0, (%%rax)")
CASE(andn, "andn (%%rax), %%rdx, %%r8")
CASE(rorx, "rorx $5, (%%rax), %%r8")
CASE(evex_load, "vmovdqu64 0x40(%%rax), %%zmm0")
CASE(evex_store, "vmovups %%zmm0, 0x1c0(%%rax)")
CASE(evex_ymm, "vmovdqu8 0x60(%%rax), %%ymm16")
CASE(evex_compare, "vpcmpub $4, 0x20(%%rax), %%ymm16, %%k1")
CASE(evex_testnm, "vptestnmb 0x20(%%rax), %%ymm16, %%k1")

/* Not for the decoder to tell, or not known to it. */
CASE(add_to, "add %%rdx, (%%rax)")
CASE(inc, "incl (%%rax)")
CASE(xchg, "xchg %%rdx, (%%rax)")
CASE(cmpxchg, "lock cmpxchg %%rdx, (%%rax)")
CASE(xadd, "lock xadd %%rdx, (%%rax)")
CASE(x87, "fldl (%%rax)")
CASE(bts_register, "bt %%rdx, (%%rax)")
CASE(address32, "movl (%%eax), %%r8d")

enum needs { ANY, AVX2, BMI, AVX512 };

static bool cpu_has(enum needs needs) {
  switch (needs) {
  case AVX2: return __builtin_cpu_supports("avx2");
  case BMI: return __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  case AVX512: return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  default: return true;
  }
}

static const struct {
  const char *name;
  void (*run)(uint64_t rsi, uint64_t rdi);
  enum needs needs;
} certain[] = {
#define ENTRY(name)                                                                                                    \
  { #name, run_##name, ANY }
#define ENTRY_IF(name, needs)                                                                                          \
  { #name, run_##name, needs }
    ENTRY(mov_load),
    ENTRY(mov_store),
    ENTRY(mov_store_byte),
    ENTRY(mov_store_immediate),
    ENTRY(mov_store_immediate16),
    ENTRY(movabs_like),
    ENTRY(indexed_only),
    ENTRY(movzx),
    ENTRY(movsx),
    ENTRY(movsxd),
    ENTRY(cmp_mem_reg),
    ENTRY(cmp_mem_imm8),
    ENTRY(cmp_mem_imm32),
    ENTRY(test_mem),
    ENTRY(test_mem32),
    ENTRY(add_from),
    ENTRY(imul_imm),
    ENTRY(imul),
    ENTRY(div_mem),
    ENTRY(cmov),
    ENTRY(setcc),
    ENTRY(bt_imm),
    ENTRY(popcnt),
    ENTRY(jmp_mem),
    ENTRY(call_mem),
    ENTRY(push_mem),
    ENTRY(movups_load),
    ENTRY(movups_store),
    ENTRY(movaps_store),
    ENTRY(movdqu_load),
    ENTRY(movdqa_store),
    ENTRY(movss_load),
    ENTRY(movsd_store),
    ENTRY(movq_load),
    ENTRY(movq_store),
    ENTRY(movd_store),
    ENTRY(movhps_load),
    ENTRY(movhps_store),
    ENTRY(movlps_store),
    ENTRY(movnti),
    ENTRY(addsd),
    ENTRY(pcmpeqb),
    ENTRY(pshufd),
    ENTRY(cvtsi2sd),
    ENTRY(ucomisd),
    ENTRY(pinsrw),
    ENTRY(pextrd),
    ENTRY(pcmpistri),
    ENTRY_IF(movbe_store, BMI),
    ENTRY(crc32),
    ENTRY(stosq),
    ENTRY(lodsb),
    ENTRY(scasb),
    ENTRY(ret),
    ENTRY(pop),
    ENTRY(push),
    ENTRY(call),
    ENTRY(leave),
    ENTRY_IF(vmovdqu_load, AVX2),
    ENTRY_IF(vmovdqu_store, AVX2),
    ENTRY_IF(vpcmpeqb, AVX2),
    ENTRY_IF(vpminub, AVX2),
    ENTRY_IF(vpalignr, AVX2),
    ENTRY_IF(vextracti128, AVX2),
    ENTRY_IF(vbroadcastss, AVX2),
    ENTRY_IF(vmovss_store, AVX2),
    ENTRY_IF(andn, BMI),
    ENTRY_IF(rorx, BMI),
    ENTRY_IF(evex_load, AVX512),
    ENTRY_IF(evex_store, AVX512),
    ENTRY_IF(evex_ymm, AVX512),
    ENTRY_IF(evex_compare, AVX512),
    ENTRY_IF(evex_testnm, AVX512),
};

static const struct {
  const char *name;
  void (*run)(uint64_t rsi, uint64_t rdi);
  enum exu_access access;
} uncertain[] = {
    {"add_to", run_add_to, EXU_ACCESS_MODIFY},
    {"inc", run_inc, EXU_ACCESS_MODIFY},
    {"xchg", run_xchg, EXU_ACCESS_MODIFY},
    {"cmpxchg", run_cmpxchg, EXU_ACCESS_MODIFY},
    {"xadd", run_xadd, EXU_ACCESS_MODIFY},
    {"x87", run_x87, EXU_ACCESS_UNKNOWN},
    {"bts_register", run_bts_register, EXU_ACCESS_UNKNOWN},
    {"address32", run_address32, EXU_ACCESS_UNKNOWN},
};

static enum exu_access decode(void) {
  return exu_arch_access(&exu_arch_x86_64, fault_code, sizeof fault_code, &faulted, fault_address);
}

/* From within a test: cmocka has a handler of its own, installed just before. */
static void install(void) {
  /* On a stack of its own: some cases fault with rsp pointing nowhere. */
  static uint8_t stack[64 * 1024];
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  assert_int_equal(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL), 0);
  assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
}

static void fault_in(void (*run)(uint64_t, uint64_t), uint64_t rsi, uint64_t rdi) {
  fault_address = 0;
  if (sigsetjmp(back, 1) == 0) {
    run(rsi, rdi);
    fail_msg("the instruction did not fault");
  }
}

static void the_processor_agrees(void **state) {
  (void)state;
  install();
  for (size_t i = 0; i < sizeof certain / sizeof certain[0]; i++) {
    if (!cpu_has(certain[i].needs)) continue;
    fault_in(certain[i].run, BAD, BAD);
    enum exu_access expected = fault_writes ? EXU_ACCESS_WRITE : EXU_ACCESS_READ;
    if (decode() != expected) fail_msg("%s: %d, not %d", certain[i].name, decode(), expected);
  }
}

static void an_operand_that_is_read_and_written_is_left_open(void **state) {
  (void)state;
  install();
  for (size_t i = 0; i < sizeof uncertain / sizeof uncertain[0]; i++) {
    fault_in(uncertain[i].run, BAD, BAD);
    if (decode() != uncertain[i].access) fail_msg("%s: %d", uncertain[i].name, decode());
  }
}

static void string_moves_are_told_by_which_operand_holds_the_address(void **state) {
  (void)state;
  install();
  char good[64] = "";
  void (*const moves[])(uint64_t, uint64_t) = {run_movsb, run_movsq};
  for (size_t i = 0; i < 2; i++) {
    fault_in(moves[i], BAD, (uint64_t)(uintptr_t)good);
    assert_false(fault_writes);
    assert_int_equal(decode(), EXU_ACCESS_READ);
    fault_in(moves[i], (uint64_t)(uintptr_t)good, BAD);
    assert_true(fault_writes);
    assert_int_equal(decode(), EXU_ACCESS_WRITE);
    fault_in(moves[i], BAD, BAD);
    assert_int_equal(decode(), EXU_ACCESS_UNKNOWN);
  }
  fault_in(run_cmpsb, BAD, (uint64_t)(uintptr_t)good);
  assert_int_equal(decode(), EXU_ACCESS_READ);
}

static void another_address_than_the_operands_proves_nothing(void **state) {
  (void)state;
  install();
  for (size_t i = 0; i < sizeof certain / sizeof certain[0]; i++) {
    if (!cpu_has(certain[i].needs)) continue;
    fault_in(certain[i].run, BAD, BAD);
    const uint64_t elsewhere[] = {fault_address + 64, fault_address - 64, 0, UINT64_MAX, fault_address ^ (1u << 31)};
    for (size_t j = 0; j < sizeof elsewhere / sizeof elsewhere[0]; j++)
      assert_int_equal(exu_arch_access(&exu_arch_x86_64, fault_code, sizeof fault_code, &faulted, elsewhere[j]),
                       EXU_ACCESS_UNKNOWN);
    faulted.valid &= ~UINT64_C(1);
    assert_int_equal(decode(), EXU_ACCESS_UNKNOWN); /* not without all registers */
  }
}

#endif

/* The rest runs on every machine. */

static struct exu_registers all_registers(void) {
  struct exu_registers registers = {.valid = (1 << 17) - 1, .pc = 0x400000, .syscall = -1};
  for (size_t i = 0; i < 17; i++) registers.value[i] = 0x10000 * (i + 1);
  return registers;
}

static void an_address_relative_to_the_pc_counts_from_the_next_instruction(void **state) {
  (void)state;
  struct exu_registers registers = all_registers();
  static const uint8_t load[] = {0x8b, 0x05, 0x10, 0, 0, 0};                         /* mov 0x10(%rip), %eax */
  static const uint8_t store[] = {0xc7, 0x05, 0x10, 0, 0, 0, 1, 2, 3, 4};            /* movl $..., 0x10(%rip) */
  static const uint8_t compare[] = {0x66, 0x81, 0x3d, 0xf0, 0xff, 0xff, 0xff, 1, 2}; /* cmpw $..., -0x10(%rip) */
  assert_int_equal(exu_arch_access(&exu_arch_x86_64, load, sizeof load, &registers, 0x400016), EXU_ACCESS_READ);
  assert_int_equal(exu_arch_access(&exu_arch_x86_64, store, sizeof store, &registers, 0x40001a), EXU_ACCESS_WRITE);
  assert_int_equal(exu_arch_access(&exu_arch_x86_64, store, sizeof store, &registers, 0x40001e), EXU_ACCESS_UNKNOWN);
  assert_int_equal(exu_arch_access(&exu_arch_x86_64, compare, sizeof compare, &registers, 0x3ffff9), EXU_ACCESS_READ);
}

static void the_base_of_fs_is_added_when_it_is_known(void **state) {
  (void)state;
  struct exu_registers registers = all_registers();
  static const uint8_t load[] = {0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0}; /* mov %fs:0x28, %rax */
  assert_int_equal(exu_arch_access(&exu_arch_x86_64, load, sizeof load, &registers, 0x28), EXU_ACCESS_UNKNOWN);
  registers.has_thread_pointer = true;
  registers.thread_pointer = 0x7000;
  assert_int_equal(exu_arch_access(&exu_arch_x86_64, load, sizeof load, &registers, 0x7028), EXU_ACCESS_READ);
  static const uint8_t gs[] = {0x65, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0};
  assert_int_equal(exu_arch_access(&exu_arch_x86_64, gs, sizeof gs, &registers, 0x28), EXU_ACCESS_UNKNOWN);
}

static void an_instruction_that_is_cut_off_proves_nothing(void **state) {
  (void)state;
  struct exu_registers registers = all_registers();
  static const uint8_t store[] = {0x48, 0xc7, 0x84, 0x88, 1, 0, 0, 0, 1, 2, 3, 4}; /* movq $..., 1(%rax,%rcx,4) */
  uint64_t address = 0x10000 + 4 * 0x30000 + 1;
  assert_int_equal(exu_arch_access(&exu_arch_x86_64, store, sizeof store, &registers, address), EXU_ACCESS_WRITE);
  for (size_t size = 0; size < sizeof store; size++)
    assert_int_equal(exu_arch_access(&exu_arch_x86_64, store, size, &registers, address), EXU_ACCESS_UNKNOWN);
}

static void random_bytes_are_decoded_without_a_crash(void **state) {
  (void)state;
  struct exu_registers registers = all_registers();
  uint64_t random = 88172645463325252u;
  for (int i = 0; i < 300000; i++) {
    uint8_t code[16];
    for (size_t j = 0; j < 16; j += 8) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      memcpy(code + j, &random, 8);
    }
    (void)exu_arch_access(&exu_arch_x86_64, code, (size_t)(random % 17), &registers, random);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
#ifdef __x86_64__
      cmocka_unit_test(the_processor_agrees),
      cmocka_unit_test(an_operand_that_is_read_and_written_is_left_open),
      cmocka_unit_test(string_moves_are_told_by_which_operand_holds_the_address),
      cmocka_unit_test(another_address_than_the_operands_proves_nothing),
#endif
      cmocka_unit_test(an_address_relative_to_the_pc_counts_from_the_next_instruction),
      cmocka_unit_test(the_base_of_fs_is_added_when_it_is_known),
      cmocka_unit_test(an_instruction_that_is_cut_off_proves_nothing),
      cmocka_unit_test(random_bytes_are_decoded_without_a_crash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
