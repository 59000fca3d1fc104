/* SPDX-License-Identifier: Apache-2.0 */
/* Where x86-64 code without unwinding information returns to. */
#ifndef EXUVIA_ARCH_X86_64_RETURN_PATH_H
#define EXUVIA_ARCH_X86_64_RETURN_PATH_H

#include "arch/unwind.h"

/* struct exu_arch_unwind's follow_return. */
bool exu_follow_return_x86_64(const struct exu_code_memory *memory, const struct exu_frame_registers *frame,
                              struct exu_frame_registers *caller, size_t *steps, bool *hopeless);

#endif
