/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Known native functions for the tests of merged stacks. Needs no Python headers and calls no function that an older C
 * library
 * lacks, so that one build can be loaded through ctypes by every interpreter.
 *
 * Each thread has a trail: the known functions that it is inside of, outermost first. Every function here that calls back
 * puts
 * its own name on the trail while it runs, and programs do the same for their functions: the trail is the truth
 * about how
 * native and Python calls interleave.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 16, DEPTH = 512, NAME = 48 };

struct trail {
  long tid;
  int depth;
  char names[DEPTH][NAME];
};

static struct trail trails[THREADS];
static int trail_count;
static __thread struct trail *mine;

typedef int callback(int);
typedef int thread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

void exv_enter(const char *name) {
  if (!mine) {
    mine = &trails[__atomic_fetch_add(&trail_count, 1, __ATOMIC_SEQ_CST)];
    mine->tid = syscall(SYS_gettid);
  }
  strncpy(mine->names[mine->depth++], name, NAME - 1);
}

void exv_leave(void) { mine->depth--; }

/* The trail of the i-th thread as text, one name a line; its thread id, or 0 when there is none. */
long exv_trail(int i, char *text, unsigned size) {
  if (i >= trail_count) return 0;
  unsigned used = 0;
  text[0] = 0;
  for (int k = 0; k < trails[i].depth; k++) {
    size_t length = strlen(trails[i].names[k]);
    if (used + length + 2 > size) break;
    memcpy(text + used, trails[i].names[k], length);
    used += (unsigned)length;
    text[used++] = '\n';
    text[used] = 0;
  }
  return trails[i].tid;
}

/* Four plain ways to call back, so that neighbours on the stack differ. */
#define CALLER(name)                                                                                                   \
  __attribute__((noinline)) int name(callback *call, int number) {                                                     \
    exv_enter(#name);                                                                                                  \
    int result = call(number) + 1;                                                                                     \
    exv_leave();                                                                                                       \
    return result;                                                                                                     \
  }

CALLER(exv_a)
CALLER(exv_b)

/* With a large frame, which pushes everything else far away. */
__attribute__((noinline)) int exv_large(callback *call, int number) {
  volatile char space[100000];
  exv_enter("exv_large");
  space[number & 1023] = 1;
  int result = call(number) + space[number & 1023];
  exv_leave();
  return result;
}

/* With a frame whose size only the frame pointer knows. */
__attribute__((noinline)) int exv_dynamic(callback *call, int number) {
  volatile char *space = __builtin_alloca((size_t)(number & 15) * 1000 + 100);
  exv_enter("exv_dynamic");
  space[0] = 1;
  int result = call(number) + space[0];
  exv_leave();
  return result;
}

/* Only for one number: what a loop can call often. */
__attribute__((noinline)) int exv_only(callback *call, int number, int wanted) {
  if (number != wanted) return number & 1;
  exv_enter("exv_only");
  int result = call(number) + 1;
  exv_leave();
  return result;
}

/* Through itself, `depth` times. */
__attribute__((noinline)) int exv_deep(callback *call, int number, int depth) {
  exv_enter("exv_deep");
  int result = depth > 0 ? exv_deep(call, number, depth - 1) + 1 : call(number) + 1;
  exv_leave();
  return result;
}

__attribute__((noinline)) int exv_crash(volatile int *address) { return *address + 1; }

/* The last reference to an object goes away here. */
__attribute__((noinline)) int exv_drop(void (*release)(void *), void *object) {
  exv_enter("exv_drop");
  release(object);
  exv_leave();
  return 1;
}

/* ---- Signals ----------------------------------------------------------------------------------------------------- */

static callback *in_handler;

__attribute__((noinline)) static void exv_handler(int number) {
  exv_enter("exv_handler");
  in_handler(number);
  exv_leave();
}

/* `other_stack`: the handler runs on a stack of its own. */
__attribute__((noinline)) int exv_raise(callback *call, int number, int other_stack) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = exv_handler;
  if (other_stack) {
    const size_t size = 4 << 20;
    stack_t stack = {.ss_sp = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                     .ss_size = size};
    sigaltstack(&stack, NULL);
    action.sa_flags = SA_ONSTACK;
  }
  in_handler = call;
  sigaction(number, &action, NULL);
  exv_enter("exv_raise");
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number);
  exv_leave();
  return 1;
}

/* ---- A thread that Python did not make --------------------------------------------------------------------------- */

__attribute__((noinline)) static void *exv_foreign(void *call) {
  exv_enter("exv_foreign");
  ((callback *)call)(1);
  exv_leave();
  return NULL;
}

/* pthread_create is given: its symbol's version differs between the C libraries. */
int exv_thread(callback *call, thread_create *create) {
  pthread_t thread;
  return create(&thread, NULL, exv_foreign, (void *)call);
}
