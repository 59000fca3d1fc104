/* SPDX-License-Identifier: Apache-2.0 */
/* What glibc said before it aborted the process. */
#ifndef EXUVIA_BINARY_ABORT_MESSAGE_H
#define EXUVIA_BINARY_ABORT_MESSAGE_H

#include "binary/module.h"

/*
 * If the process aborted itself, join what glibc said last to the crash. Call it when the crash is known.
 */
void exu_abort_message_find(struct exu_process *process, struct exu_modules *modules, struct exu_arena *arena);

/* The message at the address that glibc's __abort_msg holds; unknown when there is none. */
struct exu_string exu_abort_message_read(const struct exu_process *process, uint64_t address, struct exu_arena *arena);

#endif
