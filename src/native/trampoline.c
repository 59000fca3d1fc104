/* SPDX-License-Identifier: Apache-2.0 */
#include "native/trampoline.h"

#include <elf.h>
#include <string.h>

/* With the call of the evaluator in the middle: `call *%rcx`. */
struct code {
  uint8_t bytes[11];
  uint8_t size;
  uint8_t returns; /* where the call returns to */
};

static const struct code x86_64[] = {
    /* 3.12, 3.13: sub $8, %rsp; call *%rcx; add $8, %rsp; ret */
    {{0x48, 0x83, 0xec, 0x08, 0xff, 0xd1, 0x48, 0x83, 0xc4, 0x08, 0xc3}, 11, 6},
    /* Later: push %rbp; mov %rsp, %rbp; call *%rcx; pop %rbp; ret */
    {{0x55, 0x48, 0x89, 0xe5, 0xff, 0xd1, 0x5d, 0xc3}, 8, 6},
};

bool exu_is_perf_trampoline(const struct exu_process *process, uint64_t address) {
  if (process->arch->machine != EM_X86_64) return false;
  for (size_t i = 0; i < sizeof x86_64 / sizeof *x86_64; i++) {
    const struct code *code = &x86_64[i];
    uint8_t bytes[sizeof code->bytes];
    const uint64_t start = address + 1 - code->returns;
    if (exu_space_read(process->space, start, bytes, code->size) != EXU_READABLE) continue;
    if (memcmp(bytes, code->bytes, code->size) == 0) return true;
  }
  return false;
}
