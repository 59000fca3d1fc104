/* SPDX-License-Identifier: Apache-2.0 */
/* From a frame to its caller on x86-64, with the calling convention of its System V psABI. */
#ifndef EXUVIA_ARCH_X86_64_UNWIND_H
#define EXUVIA_ARCH_X86_64_UNWIND_H

#include "arch/unwind.h"

extern const struct exu_arch_unwind exu_unwind_x86_64;

#endif
