/* SPDX-License-Identifier: Apache-2.0 */
/* A process of one thread that is a page of code and two stacks of a page each, without any unwinding information. */
#ifndef EXUVIA_TESTS_CODE_PROCESS_H
#define EXUVIA_TESTS_CODE_PROCESS_H

#include "elf_builder.h"
#include "native/unwind_private.h"

enum { CODE_SIZE = 4096, CODE_WORDS = CODE_SIZE / 8, RBP = 6, RSP = 7 };

#define CODE UINT64_C(0x400000)
#define STACK UINT64_C(0x7ff000000000)
#define OTHER_STACK UINT64_C(0x600000)
#define HEAP UINT64_C(0x500000)

struct code_process {
  struct exu_arena arena;
  struct exu_process process;
  struct exu_modules modules;
  struct exu_os_thread thread;
  struct exu_native_stack stack;
  struct exu_unwinder *unwinder;
  uint8_t code[CODE_SIZE];
  uint64_t words[CODE_WORDS], other[CODE_WORDS];
  struct nameless_file files[3];
};

/* Of a cmocka test, whose state it is. Code is `nop` at first. */
int code_process_set_up(void **state);
int code_process_tear_down(void **state);

/* The process is complete: unwind it from these registers. */
const struct exu_native_frame *code_process_unwind(struct code_process *process, uint64_t pc, uint64_t sp,
                                                   uint64_t rbp);

/* A direct call of CODE + to that returns to CODE + at; returns that address. */
uint64_t code_process_put_call(struct code_process *process, uint32_t at, uint32_t to);

/* Code at CODE + at. */
#define PUT(process, at, ...)                                                                                          \
  memcpy((process)->code + (at), ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__}))

#endif
