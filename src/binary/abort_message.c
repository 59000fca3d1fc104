/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/abort_message.h"

#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "base/str.h"
#include "binary/c_library.h"
#include "process/crash.h"
#include "process/signal_names.h"

/*
 * glibc, include/stdlib.h: struct abort_msg_s {unsigned int size; char msg[];}, in pages of its own, whose number of
 * bytes `size` is. Written by __libc_message (malloc's checks, __fortify_fail) and by assert().
 */
enum { HEADER = 4, MESSAGE_MAX = 65536 };

struct exu_string exu_abort_message_read(const struct exu_process *process, uint64_t address, struct exu_arena *arena) {
  const struct exu_string none = {NULL, 0};
  const uint64_t mask = exu_process_page(process) - 1;
  uint8_t header[HEADER];
  if (address == 0 || (address & mask) != 0) return none;
  if (exu_space_read(process->space, address, header, sizeof header) != EXU_READABLE) return none;
  const uint32_t size = exu_elf_u32(header, process->arch->big_endian);
  if (size == 0 || (size & mask) != 0) return none;
  const size_t wanted = size - HEADER < MESSAGE_MAX ? size - HEADER : MESSAGE_MAX;
  EXU_GUARD(free) char *text = malloc(wanted);
  const size_t got = text ? exu_space_read_some(process->space, address + HEADER, text, wanted) : 0;
  const char *end = got > 0 ? memchr(text, 0, got) : NULL;
  if (!end) return none;
  size_t length = (size_t)(end - text);
  while (length > 0 && text[length - 1] == '\n') length--;
  return length > 0 ? exu_arena_string(arena, text, length) : none;
}

/* The value of __abort_msg in this module; 0: there is none, or nothing was said. */
static uint64_t variable_of(const struct exu_process *process, struct exu_modules *modules, struct exu_binary *module) {
  enum { POINTER = 8 };
  if (process->arch->word_size != POINTER) return 0;
  const uint64_t variable = exu_c_library_variable(modules, module, "__abort_msg", POINTER);
  uint64_t address;
  return variable && exu_process_word(process, variable, &address) ? address : 0;
}

void exu_abort_message_find(struct exu_process *process, struct exu_modules *modules, struct exu_arena *arena) {
  struct exu_crash *crash = process->crash;
  struct exu_string message = {NULL, 0};
  if (!crash || crash->signal != EXU_SIGABRT || !exu_crash_is_raised(process)) return;
  for (size_t i = 0; i < modules->count; i++) {
    const uint64_t address = variable_of(process, modules, &modules->items[i]);
    if (address == 0) continue;
    /* With dlmopen() there may be two, and nothing tells which of them was the last one. */
    if (message.data) return;
    message = exu_abort_message_read(process, address, arena);
  }
  crash->message = message;
}
