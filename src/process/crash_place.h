/* SPDX-License-Identifier: Apache-2.0 */
/* Where an address lies, and what an instruction was about to do there. */
#ifndef EXUVIA_PROCESS_CRASH_PLACE_H
#define EXUVIA_PROCESS_CRASH_PLACE_H

#include "arch/access.h"
#include "process/process.h"

/* What lies at the address. Its path lives as long as the process. */
struct exu_crash_place exu_crash_place(const struct exu_process *process, uint64_t address);

/*
 * The file that contains the address, and how much of it was mapped there; its length is unknown. No path: there is
 * none, or the numbers cannot be true.
 */
struct exu_crash_file exu_crash_file(const struct exu_process *process, uint64_t address);

/*
 * Is there too little of the crashed thread's stack left for the kernel to run a signal handler on it, and no other
 * reason for a fault that is known?
 */
bool exu_crash_stack_is_full(const struct exu_process *process);

/*
 * What the crashed thread was doing with the address when it got SIGSEGV or SIGBUS; unknown unless proven.
 */
enum exu_crash_access exu_crash_access(const struct exu_process *process, const struct exu_crash *crash);

#endif
