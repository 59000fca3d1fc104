/* SPDX-License-Identifier: Apache-2.0 */
/* What killed the process, in numbers and in one plain sentence that says no more than is known. */
#ifndef EXUVIA_TARGET_CRASH_H
#define EXUVIA_TARGET_CRASH_H

#include "target/notes.h"
#include "target/target.h"

/*
 * The crash of a target whose threads and pid are set, without the words (exu_crash_describe). `siginfo` may be NULL.
 * Returns NULL without memory.
 */
struct exu_crash *exu_crash_create(const struct exu_target *target, int32_t signal, const struct exu_siginfo *siginfo,
                                   struct exu_arena *arena);

/*
 * Fill in address_in and summary of target->crash, if there is one. Call it when the overlay of the space is installed:
 * the instruction at the pc, which says whether memory was read or written, is rarely saved in a core.
 */
void exu_crash_describe(struct exu_target *target, struct exu_arena *arena);

#endif
