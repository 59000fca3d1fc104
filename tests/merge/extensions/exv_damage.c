/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends that damage the stack or leave it: a smashed stack, a stack that is used up, a call through a bad pointer or a
 * bad table, a thread that cannot be started.
 * Like exv.c it needs no Python headers.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

void exv_enter(const char *name);
void exv_leave(void);

typedef int callback(int);

static uintptr_t *outer_frame;

/* Up to here exv_smash may write. */
__attribute__((noinline)) int exv_outer(callback *call, int number) {
  exv_enter("exv_outer");
  outer_frame = __builtin_frame_address(0);
  int result = call(number) + 1;
  exv_leave();
  return result;
}

/*
 * Write `words` words from this function's saved rbp on upwards, its return address next, then its callers; -1: all
 * there is below exv_outer's. The function has a frame pointer whatever the flags are, because it asks for it.
 */
__attribute__((noinline)) int exv_smash(int words, uintptr_t garbage) {
  volatile uintptr_t *frame = __builtin_frame_address(0);
  long count = words < 0 ? outer_frame - (uintptr_t *)frame : words;
  for (long i = 0; i < count; i++) frame[i] = garbage;
  return *(volatile int *)0 + (int)frame[0];
}

/* Nobody calls it: an address inside it, on the stack, is no frame. */
__attribute__((noinline)) int exv_decoy(volatile int *number) {
  for (int i = 0; i < 100; i++) number[i] = number[i + 1] * 3;
  return number[0];
}

/* Without end. `depth` is a file's memory: it outlives the process. */
__attribute__((noinline)) int exv_overflow(volatile long *depth, int number) {
  volatile char space[150];
  *depth = number;
  space[number & 127] = 1;
  return exv_overflow(depth, number + 1) + space[number & 63];
}

__attribute__((noinline)) int exv_bad_call(int (*address)(void)) { return address() + 1; }

extern uintptr_t _GLOBAL_OFFSET_TABLE_[] __attribute__((visibility("hidden")));

/*
 * Die in the procedure linkage table: the addresses that it jumps to are out of reach. A process that is stopped
 * anywhere is there now and then. Wants to be linked with -z lazy and -z norelro, for the table to be where it is meant.
 */
__attribute__((noinline)) int exv_linkage(int number) {
  const uintptr_t page = 4096;
  mprotect((void *)((uintptr_t)_GLOBAL_OFFSET_TABLE_ & -page), page, PROT_NONE);
  exv_enter("not reached");
  return number + 1;
}

static int nothing(void *argument) { return argument != 0; }

/* Die in clone(2), as if caught there: a filter ends the process, which is still the caller's thread alone. */
__attribute__((noinline)) int exv_clone(int number) {
  static char stack[64 * 1024];
  struct sock_filter rules[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
                                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
                                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog filter = {.len = sizeof rules / sizeof *rules, .filter = rules};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) return number;
  return clone(nothing, stack + sizeof stack, CLONE_VM, 0) + 1;
}
