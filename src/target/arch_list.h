/* SPDX-License-Identifier: Apache-2.0 */
/* The machines that exu_arch_find knows. One file each. */
#ifndef EXUVIA_TARGET_ARCH_LIST_H
#define EXUVIA_TARGET_ARCH_LIST_H

#include "target/arch.h"

extern const struct exu_arch exu_arch_x86_64;
extern const struct exu_arch exu_arch_aarch64;

#endif
