/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the unwinder share: unwind.c drives, the others answer its questions. */
#ifndef EXUVIA_NATIVE_UNWIND_PRIVATE_H
#define EXUVIA_NATIVE_UNWIND_PRIVATE_H

#include <elfutils/libdwfl.h>

#include "arch/unwind.h"
#include "base/map.h"
#include "native/function_table.h"
#include "native/jit_images.h"
#include "native/unwind.h"

/* Registers while a frame ran, by their DWARF numbers. */
struct exu_unwind_state {
  uint64_t value[EXU_FRAME_REGISTERS_MAX];
  uint32_t valid; /* bit i: value[i] is known */
  uint64_t pc;
  bool exact; /* pc is the instruction itself, not a return address */
  bool by_frame_pointer;
};

/* What a place in the code tells of the stack that it is found on. */
enum exu_greenlet_place {
  EXU_GREENLET_NONE,
  EXU_GREENLET_FIRST,     /* a call that g_initialstub makes in the new greenlet: its frame is the greenlet's first */
  EXU_GREENLET_UNCERTAIN, /* g_initialstub, in the new greenlet or still in the one that starts it */
  EXU_GREENLET_SWITCH,    /* between two greenlets: neither stack nor thread state is certain to be of one of them */
};

/* What is known of a place in the code. */
struct exu_code {
  bool executable; /* lies in memory that can be executed */
  bool cfi;        /* there is unwinding information */
  bool signal;     /* of a signal trampoline (augmentation 'S') */
  bool start;      /* the return address is undefined: the thread's first frame */
  bool no_call;    /* what ends here is no instruction that calls: nobody returns behind it */
  enum exu_greenlet_place greenlet;
};

/*
 * What exu_unwind_resume may still do for the whole process, beside its limits for one marker: a stack may have any
 * number of them, and all of them may lie.
 */
struct exu_unwind_search {
  size_t trials; /* unwindings to try */
  size_t words;  /* of stacks to look at */
  size_t code;   /* bytes of functions to look at, for where they jump to */
};

enum { EXU_JUMPS_MAX = 256, EXU_JUMPS_KNOWN = 32 };

/* Where a function's direct jumps and branches lead, outside of itself: the first EXU_JUMPS_MAX. */
struct exu_jumps {
  struct exu_function function;
  size_t count;
  uint64_t to[EXU_JUMPS_MAX];
};

struct exu_unwinder {
  const struct exu_process *process;
  const struct exu_arch_unwind *rules; /* of its machine */
  struct exu_modules *modules;
  struct exu_arena *arena;
  Dwfl *dwfl;
  Dwfl_Callbacks callbacks;
  Elf *machine; /* an ELF header and nothing else: tells libdwfl the machine, without opening a module */
  uint8_t machine_bytes[64];
  struct exu_map codes;     /* address -> struct exu_code, packed into the value */
  struct exu_map framed;    /* pc -> does its function have a frame pointer */
  struct exu_map no_return; /* pc whose code does not tell where it returns to */
  size_t return_steps;      /* instructions that were looked at for that */
  struct exu_unwind_search search;
  struct exu_jumps jumps[EXU_JUMPS_KNOWN]; /* of functions that were asked for last, by their addresses */
  bool jit_tried;
  struct exu_jit_images jit;
  const struct exu_map *watched;
  struct exu_unwind_python python;

  /* Of the run of libdwfl that is under way: */
  struct exu_unwind_state start; /* of its first frame */
  bool first;                    /* its first frame is still to come */
  struct exu_unwind_state at;    /* of the frame that libdwfl must not unwind, when `blocked` */
  bool blocked;
  bool gap; /* frames are missing before the first one */
  struct exu_native_stack *stack;
  uint64_t limit;
  size_t alike; /* innermost frames that lie in the module of the first, as far as was asked */
  bool no_memory;
  bool unreadable; /* a word of the stack could not be read */
  bool ended;      /* stack->end is set */
};

/* ---- unwind_modules.c -------------------------------------------------------------------------------------------- */

bool exu_unwind_report_modules(struct exu_unwinder *unwinder);

/* Cached. Where to look: the instruction itself, or a return address minus one. False without memory. */
bool exu_unwind_code(struct exu_unwinder *unwinder, uint64_t address, struct exu_code *code);

/* Did the process announce code at this address that it made at run time? It is a module from then on. */
bool exu_unwind_find_jit(struct exu_unwinder *unwinder, uint64_t address);

/* ---- unwind_steps.c: from a frame to its caller without unwinding information ------------------------------------ */

/* Do both addresses lie in the same mapping? */
bool exu_unwind_same_stack(const struct exu_unwinder *unwinder, uint64_t a, uint64_t b);

/* The process, as the operations of a machine read it. */
struct exu_code_memory exu_unwind_memory(const struct exu_unwinder *unwinder);

/* Those of a frame, but for its pc. */
void exu_unwind_take_registers(const struct exu_unwinder *unwinder, const struct exu_registers *registers,
                               struct exu_unwind_state *state);

/* Is the address in memory that can be executed? Where the core does not say it, the module's own headers do. */
bool exu_unwind_is_executable(const struct exu_unwinder *unwinder, uint64_t address);

/* Is the address in code that can be executed, and right behind an instruction that calls? */
bool exu_unwind_is_return_address(const struct exu_unwinder *unwinder, uint64_t address);

/* Can the code before the address be read, and does it not call? */
bool exu_unwind_is_no_return_address(const struct exu_unwinder *unwinder, uint64_t address);

/* Where the call before a return address goes to: a direct one, or one through a PLT or its slot. False for others. */
bool exu_unwind_call_target(const struct exu_unwinder *unwinder, uint64_t return_address, uint64_t *target);

/* The C library's code that a signal handler returns to, where it has no unwinding information (musl). */
bool exu_unwind_signal_step(const struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                            struct exu_unwind_state *caller);

/* A call through a bad pointer: the call put the return address on the stack, and nothing has run since. */
bool exu_unwind_bad_call_step(const struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                              struct exu_unwind_state *caller);

/* Is the instruction before pc a system call? */
bool exu_unwind_after_system_call(const struct exu_unwinder *unwinder, uint64_t pc);

/*
 * A function that does little but a system call, and has no unwinding information: its return address is on top of the
 * stack, behind a call of this very function. glibc's clone and clone3, whose information ends before the call, because
 * the new thread has no caller (it gets 0 from the call); musl's __syscall_cp_asm.
 */
bool exu_unwind_system_call_step(const struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                                 struct exu_unwind_state *caller);

bool exu_unwind_frame_pointer_step(struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                                   struct exu_unwind_state *caller);

/* ---- unwind_return_path.c ---------------------------------------------------------------------------------------- */

/* From a frame without unwinding information to its caller, by what the code will do until it returns. */
bool exu_unwind_return_path_step(struct exu_unwinder *unwinder, const struct exu_unwind_state *state,
                                 struct exu_unwind_state *caller);

/* ---- unwind_resume.c --------------------------------------------------------------------------------------------- */

/* What a process may take. */
extern const struct exu_unwind_search exu_unwind_search_all;

/* ---- unwind_greenlet.c ------------------------------------------------------------------------------------------ */

/* Is this a module whose functions are worth asking for? */
bool exu_greenlet_module(const struct exu_binary *module);

/* Of an address in such a module: a return address minus one. */
enum exu_greenlet_place exu_greenlet_place(const struct exu_unwinder *unwinder, struct exu_binary *module,
                                           uint64_t address);

/* ---- unwind.c ---------------------------------------------------------------------------------------------------- */

/* Unwind from `unwinder->start` on, behind what the stack holds. False only without memory. */
bool exu_unwind_from_start(struct exu_unwinder *unwinder);

/* Read bytes of a stack, which must be as they were when the registers were read. */
bool exu_unwind_read(const struct exu_unwinder *unwinder, uint64_t address, void *bytes, size_t size);
bool exu_unwind_read_words(const struct exu_unwinder *unwinder, uint64_t address, uint64_t *words, size_t count);

#endif
