/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between machines: all that is known of one is here and in arch/unwind.h, and nowhere else. */
#ifndef EXUVIA_ARCH_ARCH_H
#define EXUVIA_ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "arch/access.h"
#include "arch/calls.h"

enum { EXU_REGISTERS_MAX = 40, EXU_CALL_CODE_SIZE = 8 };

/* Registers of one thread. `value[i]` is DWARF register i of the psABI, valid when bit i of `valid` is set. */
struct exu_registers {
  uint64_t value[EXU_REGISTERS_MAX];
  uint64_t valid;
  uint64_t pc;
  uint64_t sp;
  uint64_t thread_pointer; /* fs_base on x86-64, TPIDR_EL0 on aarch64 */
  bool has_thread_pointer;
  bool outside;             /* it is in no system call, for certain */
  bool faulted;             /* the instruction at the pc raised an exception and has not been carried out since */
  int64_t syscall;          /* number of the system call that the thread is in, -1: in none, or unknown */
  uint64_t syscall_args[6]; /* its arguments, when syscall >= 0 */
};

struct exu_arch_unwind; /* arch/unwind.h */

/*
 * What a port has to write. An operation that is NULL, or a size that is 0, is not known of the machine: then nothing
 * is said that would need it. Those that must be there: everything before the signal handlers.
 */
struct exu_arch {
  const char *name;  /* as `uname -m` says: "x86_64" */
  uint16_t machine;  /* e_machine */
  uint8_t word_size; /* bytes of a pointer */
  bool big_endian;
  uint64_t address_mask; /* bits that an address of user space can have */

  /* ---- The note of a thread in a core ---- */
  size_t prstatus_size;      /* size of NT_PRSTATUS's descriptor (struct elf_prstatus) */
  size_t prstatus_pid;       /* offset of pr_pid */
  size_t prstatus_cursig;    /* offset of pr_cursig (16 bits) */
  size_t prstatus_registers; /* offset of pr_reg */
  size_t prstatus_result;    /* offset in pr_reg of the register with what a system call has returned */
  /* Decode pr_reg (`size` bytes). Returns false when it is too short. */
  bool (*decode_registers)(const void *pr_reg, size_t size, struct exu_registers *registers);
  /* Word that the C library's pthread_self() returns for a thread pointer; 0 when it cannot be told. */
  uint64_t (*pthread_self)(uint64_t thread_pointer);

  /* ---- System calls; registers have their DWARF numbers ---- */
  const struct exu_call_numbers *calls;
  uint8_t call_arguments[6];   /* registers that a call takes its arguments from */
  uint8_t call_result;         /* register with what it has returned */
  int8_t call_number_register; /* register that still has the number behind the call; -1: none has */
  bool keeps_call_number;      /* pr_reg tells which call a thread is in, or that it is in none */
  uint8_t system_call_size;    /* bytes of the instruction */
  uint8_t system_call_code[4];
  /* The number that is loaded right before a system call, of the code up to its end; -1: it is another instruction. */
  int64_t (*call_number_in_code)(const uint8_t code[EXU_CALL_CODE_SIZE]);

  /* ---- Signal handlers ---- */
  uint8_t red_zone; /* bytes below the stack pointer that a handler leaves alone */
  /*
   * The struct ucontext that the kernel leaves on a thread's stack when it has it run a handler, with the siginfo_t
   * behind it.
   */
  size_t context_size;
  /* The registers of what was interrupted, without the thread pointer. */
  void (*decode_context)(const void *context, struct exu_registers *registers, struct exu_exception *exception);
  /* Every such context has one of these words at context_word; few other words are so. 0: not known. */
  uint64_t context_words[2];
  size_t context_word;
  /* Can these bytes be one? NULL: every word that could be one's is taken for one. */
  bool (*is_context)(const void *context);

  /* ---- Instructions ---- */
  /*
   * What the instruction at the pc reaches and does; `code` holds the `size` bytes from there on, of which it need not
   * use all.
   */
  void (*find_operands)(const uint8_t *code, size_t size, const struct exu_registers *registers,
                        struct exu_operands *operands);
  /* An access to an address whose bits from this one on are not all equal is no page fault. 0: there are none such. */
  uint8_t canonical_bits;
  /*
   * The address of the variable that a function at `address` returns, when `code` (its first bytes) does nothing else;
   * 0: it does.
   */
  uint64_t (*returned_variable)(uint64_t address, const uint8_t *code, size_t size);

  /* ---- From a frame to its caller; NULL: native stacks are not shown ---- */
  const struct exu_arch_unwind *unwind;
};

/* A word of the process, of its bytes; every machine that is supported is little endian, as this one is. */
static inline uint64_t exu_arch_word(const struct exu_arch *arch, const void *bytes) {
  uint64_t word = 0;
  if (arch->word_size == sizeof word) /* of a size that the compiler knows */
    memcpy(&word, bytes, sizeof word);
  else
    memcpy(&word, bytes, sizeof(uint32_t));
  return word;
}

static inline bool exu_arch_is_context_word(const struct exu_arch *arch, uint64_t word) {
  return word == arch->context_words[0] || word == arch->context_words[1];
}

/* Where words of the process were read to, one behind the other: make numbers of them. */
static inline void exu_arch_widen(const struct exu_arch *arch, uint64_t *words, size_t count) {
  const uint8_t *bytes = (const uint8_t *)words;
  if (arch->word_size == sizeof *words) return;
  for (size_t i = count; i-- > 0;) words[i] = exu_arch_word(arch, bytes + i * arch->word_size);
}

/* NULL when the machine is not supported. */
const struct exu_arch *exu_arch_find(uint16_t machine, uint8_t elf_class, uint8_t elf_data);

/* Of the machine that this program runs on; NULL: it is not supported. */
const struct exu_arch *exu_arch_host(void);

/* The name of any machine with Linux, for messages; NULL: not known. */
const char *exu_arch_machine_name(uint16_t machine);

/* Which system call a number means, and which number a call has; -1: the machine has no such call. */
enum exu_system_call_id exu_arch_call(const struct exu_arch *arch, int64_t number);
int64_t exu_arch_call_number(const struct exu_arch *arch, enum exu_system_call_id id);

/*
 * How the instruction at the pc, of which `code` holds the bytes, reaches `address`: EXU_ACCESS_UNKNOWN for one that is
 * not known, for one that reaches no memory, and for one whose operand, as the registers give it, is somewhere else.
 */
enum exu_access exu_arch_access(const struct exu_arch *arch, const uint8_t *code, size_t size,
                                const struct exu_registers *registers, uint64_t address);

#endif
