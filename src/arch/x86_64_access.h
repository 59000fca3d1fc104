/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that an x86-64 instruction reaches: an answer only when it is certain. */
#ifndef EXUVIA_ARCH_X86_64_ACCESS_H
#define EXUVIA_ARCH_X86_64_ACCESS_H

#include <stddef.h>
#include <stdint.h>

#include "arch/access.h"
#include "arch/arch.h"

/* struct exu_arch's find_operands. */
void exu_operands_x86_64(const uint8_t *code, size_t size, const struct exu_registers *registers,
                         struct exu_operands *operands);

#endif
