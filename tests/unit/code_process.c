/* SPDX-License-Identifier: Apache-2.0 */
#include "code_process.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

int code_process_set_up(void **state) {
  struct code_process *process = calloc(1, sizeof *process);
  exu_arena_init(&process->arena, 16 << 20);
  process->process.arch = exu_arch_find(EM_X86_64, ELFCLASS64, ELFDATA2LSB);
  process->process.space = exu_space_create(&process->arena);
  process->modules.process = &process->process;
  process->modules.arena = &process->arena;
  process->thread.registers.valid = UINT32_MAX;
  process->thread.registers.syscall = -1;
  memset(process->code, 0x90, sizeof process->code);
  *state = process;
  return 0;
}

int code_process_tear_down(void **state) {
  struct code_process *process = *state;
  exu_unwinder_destroy(process->unwinder);
  exu_native_stack_deinit(&process->stack);
  exu_space_destroy(process->process.space);
  for (size_t i = 0; i < 3; i++)
    if (process->files[i].fd > 0) close(process->files[i].fd);
  exu_arena_deinit(&process->arena);
  free(process);
  return 0;
}

static void add(struct code_process *process, size_t index, uint64_t start, const void *bytes, uint32_t prot) {
  process->files[index] = nameless_file(bytes, CODE_SIZE);
  int source =
      exu_space_add_source(process->process.space, exu_source_of_file(process->files[index].fd, CODE_SIZE, false));
  struct exu_region region = {
      .start = start, .end = start + CODE_SIZE, .saved = CODE_SIZE, .source = (uint32_t)source, .prot = prot};
  assert_true(source >= 0 && exu_space_add(process->process.space, &region));
}

const struct exu_native_frame *code_process_unwind(struct code_process *process, uint64_t pc, uint64_t sp,
                                                   uint64_t rbp) {
  struct exu_registers *registers = &process->thread.registers;
  add(process, 0, CODE, process->code, EXU_PROT_READ | EXU_PROT_EXEC);
  add(process, 1, STACK, process->words, EXU_PROT_READ | EXU_PROT_WRITE);
  add(process, 2, OTHER_STACK, process->other, EXU_PROT_READ | EXU_PROT_WRITE);
  assert_true(exu_space_finalize(process->process.space));
  process->unwinder = exu_unwinder_create(&process->process, &process->modules, &process->arena);
  assert_non_null(process->unwinder);
  registers->pc = pc;
  registers->sp = registers->value[RSP] = sp;
  registers->value[RBP] = rbp;
  assert_true(exu_unwind(process->unwinder, &process->thread, 0, &process->stack));
  return process->stack.frames.items;
}

uint64_t code_process_put_call(struct code_process *process, uint32_t at, uint32_t to) {
  const uint32_t offset = to - at;
  process->code[at - 5] = 0xe8;
  memcpy(process->code + at - 4, &offset, sizeof offset);
  return CODE + at;
}
