/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions in assembly without unwinding information, which die of reading NULL, and the return addresses of earlier
 * calls from the same place, which are still on the stack where their frames are and lead to the same caller.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#define NOINLINE __attribute__((noinline, noclone))
#define NAME(name) ".globl " #name "\n.type " #name ", @function\n" #name ":\n"
#define END(name) ".size " #name ", . - " #name "\n"

typedef int kernel(volatile int *);

/* No prologue: the return address is at the stack pointer. */
kernel kernel_leaf;
__asm__(NAME(kernel_leaf) "mov (%rdi), %eax\n ret\n" END(kernel_leaf));

/* Data in rbp, a large frame that is not initialised, branches and vectors on the way out. */
kernel kernel_plain;
__asm__(NAME(kernel_plain) "push %rbp\n push %rbx\n sub $4096, %rsp\n mov $7, %ebp\n xor %ebx, %ebx\n"
                           "1: mov (%rdi), %eax\n movups %xmm0, 64(%rsp)\n dec %ebp\n jne 1b\n"
                           "add $4096, %rsp\n pop %rbx\n pop %rbp\n ret\n" END(kernel_plain));

/* As OpenBLAS's: the stack pointer is aligned, and comes back from a register. */
kernel kernel_aligned;
__asm__(NAME(kernel_aligned) "sub $96, %rsp\n mov %rbx, (%rsp)\n mov %rbp, 8(%rsp)\n mov %rsp, %rbx\n"
                             "sub $4096, %rsp\n and $-4096, %rsp\n mov $7, %ebp\n mov (%rdi), %eax\n"
                             "mov %rbx, %rsp\n mov (%rsp), %rbx\n mov 8(%rsp), %rbp\n add $96, %rsp\n ret\n" //
        END(kernel_aligned));

/* Its way out is not in its code. */
kernel kernel_jumping;
__asm__(NAME(kernel_jumping) "push %rbp\n sub $4096, %rsp\n mov $7, %ebp\n lea 1f(%rip), %rdx\n mov (%rdi), %eax\n"
                             "jmp *%rdx\n 1: add $4096, %rsp\n pop %rbp\n ret\n" END(kernel_jumping));

/* Where the innermost of the earlier calls was to return to, and where on the stack that was. */
static void *volatile stale;
static void *volatile *volatile stale_at;

static NOINLINE int stale_innermost(volatile int *number) {
  stale = __builtin_return_address(0);
  stale_at = (void *volatile *)__builtin_dwarf_cfa() - 1;
  return *number + 1;
}

static NOINLINE int stale_middle(volatile int *number) {
  volatile char room[500];
  room[0] = (char)*number;
  return stale_innermost(number) + room[0];
}

static NOINLINE int stale_outermost(volatile int *number) { return stale_middle(number) + 1; }

/* The place that calls both. */
static NOINLINE int dispatch(kernel *function, volatile int *number) {
  int result = function(number);
  return result + 1;
}

NOINLINE int exv_kernel(int which) {
  static kernel *const kernels[] = {kernel_leaf, kernel_plain, kernel_aligned, kernel_jumping};
  volatile int number = 0;
  int result = 0;
  for (int i = 0; i < 2; i++) {
    /* Nothing is called between the two. */
    result += dispatch(i ? kernels[which] : stale_outermost, i ? NULL : &number);
    if (*stale_at != stale) abort(); /* there would be nothing to be misled by */
  }
  return result;
}

static void *in_thread(void *which) {
  int result = exv_kernel((int)(intptr_t)which);
  return (void *)(intptr_t)(result + 1);
}

int exv_kernel_thread(int which) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, in_thread, (void *)(intptr_t)which) != 0) abort();
  pthread_join(thread, NULL);
  return 0;
}
