/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lengths, operands and results of x86-64 instructions; tests/core/test_instructions.py has whole libraries of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/access.h"
#include "arch/x86_64_decode.h"

enum { A = 1 << 0, C = 1 << 1, D = 1 << 2, B = 1 << 3, SP = 1 << 4, BP = 1 << 5, SI = 1 << 6, DI = 1 << 7 };

static const struct {
  uint8_t bytes[12], size;
  uint32_t written;
  bool stores;
} cases[] = {
    {{0x90}, 1, 0, false},
    {{0x48, 0x89, 0xe3}, 3, B, false},                               /* mov %rsp, %rbx */
    {{0x48, 0x89, 0x1c, 0x24}, 4, 0, true},                          /* mov %rbx, (%rsp) */
    {{0x88, 0xc4}, 2, A, false},                                     /* mov %al, %ah: not rsp */
    {{0x40, 0x88, 0xc4}, 3, SP, false},                              /* mov %al, %spl */
    {{0x48, 0x39, 0xd8}, 3, 0, false},                               /* cmp %rbx, %rax */
    {{0x49, 0x83, 0xfc, 0x01}, 4, 0, false},                         /* cmp $1, %r12 */
    {{0x4d, 0x01, 0xe5}, 3, 1 << 13, false},                         /* add %r12, %r13 */
    {{0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, 10, A, false},            /* movabs */
    {{0x66, 0x81, 0xc3, 1, 2}, 5, B, false},                         /* add $513, %bx */
    {{0x48, 0xf7, 0xfb}, 3, A | D, false},                           /* idiv %rbx */
    {{0xf7, 0x04, 0x24, 1, 0, 0, 0}, 7, 0, false},                   /* testl $1, (%rsp) */
    {{0xf3, 0x48, 0xab}, 3, A | C | SI | DI, false},                 /* rep stos: rather too many */
    {{0x0f, 0xb6, 0xdc}, 3, B, false},                               /* movzbl %ah, %ebx */
    {{0x0f, 0x95, 0xc4}, 3, A, false},                               /* setne %ah */
    {{0x48, 0x0f, 0x44, 0xd8}, 4, B, false},                         /* cmove %rax, %rbx */
    {{0xf2, 0x48, 0x0f, 0x2c, 0xd8}, 5, B, false},                   /* cvttsd2si %xmm0, %rbx */
    {{0x0f, 0x28, 0xd8}, 3, 0, false},                               /* movaps %xmm0, %xmm3: not rbx */
    {{0x66, 0x0f, 0x3a, 0x0f, 0xd8, 0x08}, 6, 0, false},             /* palignr */
    {{0xc5, 0xf8, 0x77}, 3, 0, false},                               /* vzeroupper */
    {{0xc5, 0xfc, 0x29, 0x44, 0x24, 0x40}, 6, 0, true},              /* vmovaps %ymm0, 64(%rsp) */
    {{0xc4, 0xe2, 0xe5, 0xb8, 0xd9}, 5, 0, false},                   /* vfmadd231pd %ymm1, %ymm3, %ymm3 */
    {{0xc4, 0xe2, 0xe0, 0xf2, 0xd9}, 5, B, false},                   /* andn %rcx, %rbx, %rbx */
    {{0x62, 0xf1, 0x7c, 0x48, 0x10, 0x44, 0x24, 0x01}, 8, 0, false}, /* vmovups 64(%rsp), %zmm0 */
    {{0x62, 0x92, 0x7d, 0x48, 0x18, 0x5c, 0x16, 0x01}, 8, 0, false}, /* vbroadcastss 4(%r14,%r10), %zmm3 */
    {{0xf6, 0xdb}, 2, B, false},                                     /* neg %bl */
    {{0xf6, 0xc3, 0x01}, 3, 0, false},                               /* test $1, %bl */
    {{0xf7, 0x1c, 0x24}, 3, 0, true},                                /* negl (%rsp) */
    {{0xf7, 0x24, 0x24}, 3, A | D, false},                           /* mull (%rsp) */
    {{0xff, 0x04, 0x24}, 3, 0, true},                                /* incl (%rsp) */
    {{0xff, 0x34, 0x24}, 3, 0, false},                               /* push (%rsp) */
    {{0x39, 0x1c, 0x24}, 3, 0, false},                               /* cmp %ebx, (%rsp) */
    {{0x01, 0x1c, 0x24}, 3, 0, true},                                /* add %ebx, (%rsp) */
    {{0x8a, 0xe0}, 2, A, false},                                     /* mov %al, %ah: not rsp */
    {{0x40, 0x8a, 0xe0}, 3, SP, false},                              /* mov %al, %spl */
    {{0x48, 0x0f, 0xcb}, 3, B, false},                               /* bswap %rbx */
    {{0xe2, 0x10}, 2, C, false},                                     /* loop */
    {{0x66, 0x48, 0x0f, 0x7e, 0xc3}, 5, B, false},                   /* movq %xmm0, %rbx */
    {{0xf3, 0x0f, 0x7e, 0x1c, 0x24}, 5, 0, false},                   /* movq (%rsp), %xmm3 */
    {{0x66, 0x0f, 0x7e, 0x1c, 0x24}, 5, 0, true},                    /* movd %xmm3, (%rsp) */
    {{0x66, 0x0f, 0x3a, 0x16, 0xc3, 0x01}, 6, B, false},             /* pextrd $1, %xmm0, %ebx */
    {{0x66, 0x0f, 0x3a, 0x16, 0x04, 0x24, 0x01}, 7, 0, true},        /* pextrd $1, %xmm0, (%rsp) */
    {{0x62, 0xf2, 0x7d, 0x49, 0xa2, 0x1c, 0x04}, 7, 0, true},        /* vscatterdps %zmm3, (%rsp,%zmm0){%k1} */
};

static void instructions_are_as_long_as_they_are(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct exu_x86_decoded decoded;
    if (!exu_x86_decode(cases[i].bytes, sizeof cases[i].bytes, &decoded)) fail_msg("%zu is not decoded", i);
    if (decoded.length != cases[i].size) fail_msg("%zu has a length of %u", i, decoded.length);
    if (exu_x86_written(&decoded) != cases[i].written) fail_msg("%zu writes %x", i, exu_x86_written(&decoded));
    if (exu_x86_stores(&decoded) != cases[i].stores) fail_msg("%zu stores or not", i);
    for (size_t size = 0; size < cases[i].size; size++)
      if (exu_x86_decode(cases[i].bytes, size, &decoded)) fail_msg("%zu is decoded from %zu bytes", i, size);
  }
}

static void operands_are_where_they_say(void **state) {
  static const uint8_t sib[] = {0x4a, 0x8b, 0x5c, 0xe5, 0xf8}, absolute[] = {0x8b, 0x04, 0x25, 1, 0, 0, 0},
                       relative[] = {0x8b, 0x05, 0xff, 0xff, 0xff, 0xff}, segment[] = {0x64, 0x8b, 0x04, 0x24},
                       vector[] = {0x62, 0xf1, 0x7c, 0x48, 0x11, 0x44, 0x24, 0xff};
  struct exu_x86_decoded decoded;
  (void)state;
  assert_true(exu_x86_decode(sib, sizeof sib, &decoded)); /* mov -8(%rbp,%r12,8), %rbx */
  assert_true(decoded.base == EXU_X86_RBP && decoded.index == 12 && decoded.displacement == -8 && decoded.reg == 3);
  assert_true(exu_x86_decode(absolute, sizeof absolute, &decoded));
  assert_true(decoded.base == EXU_X86_NO_REGISTER && decoded.index == EXU_X86_NO_REGISTER && decoded.displacement == 1);
  assert_true(exu_x86_decode(relative, sizeof relative, &decoded));
  assert_true(decoded.base == EXU_X86_RIP && decoded.displacement == -1);
  assert_true(exu_x86_decode(segment, sizeof segment, &decoded) && decoded.odd && decoded.base == EXU_X86_RSP);
  assert_true(exu_x86_decode(vector, sizeof vector, &decoded) && decoded.displacement == -64);
}

static void what_is_no_instruction_is_not_decoded(void **state) {
  static const uint8_t bad[][4] = {{0x06},
                                   {0x62, 0x00, 0x00, 0x00},
                                   {0xd5},
                                   {0xea},
                                   {0x0f, 0x0a},
                                   {0x66, 0xc5, 0xf8, 0x77},
                                   /* enter, which has two immediates; calls and jumps of 16 bits */
                                   {0xc8, 0x10},
                                   {0x66, 0xe8, 0x10},
                                   {0x66, 0xe9, 0x10}};
  uint8_t prefixes[EXU_INSTRUCTION_MAX];
  struct exu_x86_decoded decoded;
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    uint8_t bytes[16] = {0};
    memcpy(bytes, bad[i], sizeof bad[i]);
    if (exu_x86_decode(bytes, sizeof bytes, &decoded)) fail_msg("%zu is decoded", i);
  }
  memset(prefixes, 0x66, sizeof prefixes);
  assert_false(exu_x86_decode(prefixes, sizeof prefixes, &decoded));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(instructions_are_as_long_as_they_are),
      cmocka_unit_test(operands_are_where_they_say),
      cmocka_unit_test(what_is_no_instruction_is_not_decoded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
