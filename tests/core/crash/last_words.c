/* SPDX-License-Identifier: Apache-2.0 */
/* Ways for glibc to abort a process. Compile with -fstack-protector-all. */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void exv_double_free(void) {
  char *volatile memory = malloc(40);
  free(memory);
  free(memory);
}

void exv_assert(void) {
  volatile int length = 3;
  assert(length > 3 && "the queue must not be empty");
}

void exv_control(void) { __assert_fail("\033[31mred\nline", "file.c", 1, "function"); }

void exv_smash(void) {
  char buffer[16];
  memset(buffer, 'A', 64);
  __asm__ volatile("" ::"r"(buffer) : "memory");
}

void exv_abort(void) { abort(); }
void exv_raise(void) { kill(getpid(), SIGABRT); }
