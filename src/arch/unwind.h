/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine's code and registers tell who goes from a frame to its caller. */
#ifndef EXUVIA_ARCH_UNWIND_H
#define EXUVIA_ARCH_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXU_FRAME_REGISTERS_MAX = 32 };

/* Registers while a frame ran. `value[i]` is DWARF register i, valid when bit i of `valid` is set. */
struct exu_frame_registers {
  uint64_t value[EXU_FRAME_REGISTERS_MAX];
  uint32_t valid;
  uint64_t pc;
};

/* How the operations below read the process. */
struct exu_code_memory {
  const void *context; /* the first argument of each */
  /* Whatever does not change while a thread runs. All or nothing. */
  bool (*read)(const void *context, uint64_t address, void *bytes, size_t size);
  /* A word of the stack that is unwound, as it was when the registers were read. */
  bool (*read_stack)(const void *context, uint64_t address, uint64_t *word);
  /* As many bytes as there are in one mapping that can be executed; 0: it is no such. */
  size_t (*read_code)(const void *context, uint64_t address, uint8_t *bytes, size_t size);
  /* Do both addresses lie in the same mapping? */
  bool (*same_stack)(const void *context, uint64_t a, uint64_t b);
};

/* Code in which one instruction is a call. */
struct exu_call_pattern {
  uint8_t bytes[16];
  uint8_t size;
  uint8_t returns; /* where the call returns to */
};

/*
 * Bytes "look like" an instruction when they are those of one, wherever it begins: of data, or of the middle of another
 * instruction, the same may be said.
 */
struct exu_arch_unwind {
  uint8_t register_count; /* DWARF registers from 0 on that a frame has, at most EXU_FRAME_REGISTERS_MAX */
  uint8_t pc;             /* DWARF numbers: of the pc, as unwinding information calls it; it need not be among those */
  uint8_t sp;
  uint8_t frame_pointer;
  uint32_t callee_saved;    /* bit i: a callee leaves DWARF register i as it was */
  bool call_pushes;         /* a call puts its return address on top of the stack */
  uint8_t call_size_max;    /* bytes of the longest instruction that calls */
  uint8_t jump_size;        /* bytes of a direct jump to another function */
  uint8_t context_above_sp; /* where the struct ucontext lies when a signal handler has returned, from sp on */

  /* Do the call_size_max bytes before an address look like an end with a call? */
  bool (*ends_with_call)(const uint8_t *code);
  /* Where the call before a return address goes to: a direct one, or one through a linkage table or its slot. */
  bool (*call_target)(const struct exu_code_memory *memory, uint64_t return_address, uint64_t *target);
  /*
   * The end of the next bytes in `code` that look like such a call, and of those that look like a direct jump or
   * branch, which leads `distance` bytes from its end on. `from`: the end of the one before, 0 at first. 0: there is
   * none.
   */
  size_t (*next_call)(const uint8_t *code, size_t size, size_t from);
  size_t (*next_jump)(const uint8_t *code, size_t size, size_t from, uint64_t *distance);
  /* Has a function that begins at `start` made its frame pointer before pc, and not yet undone it? */
  bool (*makes_frame)(const struct exu_code_memory *memory, uint64_t start, uint64_t pc);
  /* Is this the code that a signal handler returns to, a call of rt_sigreturn(2)? */
  bool (*is_signal_return)(const struct exu_code_memory *memory, uint64_t pc);
  /* Does the code move the stack pointer and the frame pointer by the same distance, as greenlet's slp_switch does? */
  bool (*moves_stack)(const uint8_t *code, size_t size);
  /*
   * The caller of a frame without unwinding information, by what its code will do until it returns. *steps becomes the
   * instructions that were looked at, *hopeless whether the code at this pc will never tell. NULL: not known.
   */
  bool (*follow_return)(const struct exu_code_memory *memory, const struct exu_frame_registers *frame,
                        struct exu_frame_registers *caller, size_t *steps, bool *hopeless);
  /* What CPython's trampolines for perf look like (Python/asm_trampoline.S). */
  const struct exu_call_pattern *perf_trampolines;
  size_t perf_trampoline_count;
};

#endif
