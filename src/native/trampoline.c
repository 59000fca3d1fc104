/* SPDX-License-Identifier: Apache-2.0 */
#include "native/trampoline.h"

#include <string.h>

#include "arch/unwind.h"

bool exu_is_perf_trampoline(const struct exu_process *process, uint64_t address) {
  const struct exu_arch_unwind *rules = process->arch->unwind;
  for (size_t i = 0; rules && i < rules->perf_trampoline_count; i++) {
    const struct exu_call_pattern *code = &rules->perf_trampolines[i];
    uint8_t bytes[sizeof code->bytes];
    const uint64_t start = address + 1 - code->returns;
    if (exu_space_read(process->space, start, bytes, code->size) != EXU_READABLE) continue;
    if (memcmp(bytes, code->bytes, code->size) == 0) return true;
  }
  return false;
}
