/* SPDX-License-Identifier: Apache-2.0 */
/* Where the C library keeps the kernel's id of a thread. */
#ifndef EXUVIA_BINARY_THREAD_IDS_H
#define EXUVIA_BINARY_THREAD_IDS_H

#include "binary/module.h"

/*
 * If a core does not keep the thread pointers of all threads (valgrind's does not), find process->tid_in_descriptor.
 * Call it when the backing of the space is installed.
 */
void exu_thread_ids_find(struct exu_process *process, struct exu_modules *modules);

/*
 * The offset that glibc's _thread_db_pthread_tid at this address tells; 0: it tells none that can be true.
 */
uint32_t exu_thread_ids_read(const struct exu_process *process, uint64_t address);

#endif
