/* SPDX-License-Identifier: Apache-2.0 */
#include "small_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka.h wants the first two */
#include <cmocka.h>

void small_process_create(struct small_process *small, uint16_t machine) {
  *small = (struct small_process){0};
  exu_arena_init(&small->arena, 16 << 20);
  small->process = (struct exu_process){.running_pid = -1,
                                        .died = true,
                                        .arch = exu_arch_find(machine, 2, 1),
                                        .space = exu_space_create(&small->arena),
                                        .pid = 100,
                                        .pause_us = -1,
                                        .threads = small->threads};
  assert_non_null(small->process.arch);
  assert_non_null(small->process.space);
  small->fd = memfd_create("small", MFD_CLOEXEC);
  assert_true(small->fd >= 0);
  assert_int_equal(ftruncate(small->fd, SMALL_SIZE), 0);
  int source = exu_space_add_source(small->process.space, exu_source_of_file(small->fd, SMALL_SIZE, true));
  assert_true(source >= 0);
  const struct exu_region region = {.start = SMALL_BASE,
                                    .end = SMALL_BASE + SMALL_SIZE,
                                    .saved = SMALL_SIZE,
                                    .source = (uint32_t)source,
                                    .prot = EXU_PROT_READ | EXU_PROT_WRITE};
  assert_true(exu_space_add(small->process.space, &region));
  assert_true(exu_space_finalize(small->process.space));
}

void small_process_destroy(struct small_process *small) {
  exu_process_close(&small->process);
  exu_arena_deinit(&small->arena);
}

void small_process_write(struct small_process *small, uint64_t address, const void *bytes, size_t size) {
  assert_true(address >= SMALL_BASE && size <= SMALL_SIZE && address - SMALL_BASE <= SMALL_SIZE - size);
  assert_int_equal(pwrite(small->fd, bytes, size, (off_t)(address - SMALL_BASE)), size);
}

struct exu_os_thread *small_process_thread(struct small_process *small, int64_t tid, int64_t number,
                                           const uint64_t args[6]) {
  assert_true(small->process.thread_count < SMALL_THREADS);
  struct exu_os_thread *thread = &small->threads[small->process.thread_count++];
  *thread = (struct exu_os_thread){.tid = tid, .cpu_us = -1, .registers = {.valid = 1, .syscall = number}};
  enum { X86_64 = 62 };
  thread->registers.outside = number < 0 && small->process.arch->machine == X86_64;
  if (args) memcpy(thread->registers.syscall_args, args, sizeof thread->registers.syscall_args);
  return thread;
}
