/* SPDX-License-Identifier: Apache-2.0 */
/* A process of a page of memory, whose bytes a test writes. Everything here asserts that it worked. */
#ifndef EXUVIA_TESTS_SMALL_PROCESS_H
#define EXUVIA_TESTS_SMALL_PROCESS_H

#include "process/process.h"

enum { SMALL_BASE = 0x100000, SMALL_SIZE = 4096, SMALL_THREADS = 16 };

struct small_process {
  struct exu_arena arena;
  struct exu_process process;
  int fd; /* of the memory; closed with the process */
  struct exu_os_thread threads[SMALL_THREADS];
};

/* x86-64, or aarch64. */
void small_process_create(struct small_process *small, uint16_t machine);
void small_process_destroy(struct small_process *small);

/* Before the first read. */
void small_process_write(struct small_process *small, uint64_t address, const void *bytes, size_t size);

/* Another thread, in a system call (-1: in none) with these arguments. */
struct exu_os_thread *small_process_thread(struct small_process *small, int64_t tid, int64_t number,
                                           const uint64_t args[6]);

#endif
