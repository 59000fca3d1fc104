/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/thread_ids.h"

#include "base/cursor.h"
#include "binary/c_library.h"

/*
 * glibc, nptl_db/db_info.c: uint32_t _thread_db_pthread_tid[3], for debuggers: bits of the field, how many there are,
 * its offset in struct pthread.
 */
enum { WORDS = 3, WORD = 4, TID_BITS = 32 };

uint32_t exu_thread_ids_read(const struct exu_process *process, uint64_t address) {
  uint8_t bytes[WORDS * WORD];
  if (exu_space_read(process->space, address, bytes, sizeof bytes) != EXU_READABLE) return 0;
  struct exu_cursor words = exu_cursor(bytes, sizeof bytes, process->arch->big_endian);
  const uint32_t bits = exu_cursor_u32(&words), count = exu_cursor_u32(&words), offset = exu_cursor_u32(&words);
  return bits == TID_BITS && count == 1 && offset <= EXU_DESCRIPTOR_MAX - TID_BITS / 8 ? offset : 0;
}

static bool is_wanted(const struct exu_process *process) {
  for (size_t i = 0; i < process->thread_count; i++) {
    const struct exu_os_thread *thread = &process->threads[i];
    if (!thread->registers.has_thread_pointer && thread->in_descriptor == 0) return true;
  }
  return false;
}

void exu_thread_ids_find(struct exu_process *process, struct exu_modules *modules) {
  if (!is_wanted(process)) return;
  for (size_t i = 0; i < modules->count && process->tid_in_descriptor == 0; i++) {
    const uint64_t words =
        exu_c_library_variable(modules, &modules->items[i], "_thread_db_pthread_tid", (size_t)WORDS * WORD);
    if (words) process->tid_in_descriptor = exu_thread_ids_read(process, words);
  }
}
