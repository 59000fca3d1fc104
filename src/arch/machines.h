/* SPDX-License-Identifier: Apache-2.0 */
/* The machines that exu_arch_find knows. One file each. */
#ifndef EXUVIA_ARCH_MACHINES_H
#define EXUVIA_ARCH_MACHINES_H

struct exu_arch;

extern const struct exu_arch exu_arch_x86_64;
extern const struct exu_arch exu_arch_aarch64;

#endif
