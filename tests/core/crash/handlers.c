/* SPDX-License-Identifier: Apache-2.0 */
/* Faults, and signal handlers that end the process in the ways that real programs have. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ALTERNATE_STACK = 64 * 1024 };
static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
static volatile uint64_t zero;

long exv_tid(void) { return syscall(SYS_gettid); }

/* Apache (ap_mpm_unix.c, sig_coredump) and many others. The kernel picks a thread for the signal. */
static void kill_again(int number) {
  signal(number, SIG_DFL);
  kill(getpid(), number);
  usleep(300000); /* single-threaded, it comes when the handler returns */
}

/* abseil, glog, faulthandler */
static void raise_again(int number) {
  signal(number, SIG_DFL);
  raise(number);
}

/* Go, Breakpad */
static void tgkill_again(int number, siginfo_t *info, void *context) {
  (void)info, (void)context;
  signal(number, SIG_DFL);
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number);
}

/* The JVM; Go with GOTRACEBACK=crash */
static void abort_instead(int number, siginfo_t *info, void *context) {
  (void)number, (void)info, (void)context;
  signal(SIGABRT, SIG_DFL);
  abort();
}

/* Rust's handler for what is no stack overflow: the instruction faults once more. */
static void refault(int number) { signal(number, SIG_DFL); }

/* A handler that was there before is called by a signal of its own. */
static void (*const before)(int) = kill_again;
static void chain(int number) {
  signal(number, before);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  raise(number);
}

/* The end is another thread's work: it is told, and raises the signal. */
static volatile int told;
static void *reporter(void *unused) {
  (void)unused;
  while (!told) usleep(1000);
  kill(getpid(), told);
  for (;;) pause();
  return NULL;
}
static void tell_reporter(int number) {
  signal(number, SIG_DFL);
  told = number;
  for (;;) pause();
}

/* The stack of a thread for its handlers, for the thread that calls. */
void exv_alternate_stack(void) {
  stack_t stack = {.ss_sp = malloc(ALTERNATE_STACK), .ss_size = ALTERNATE_STACK};
  sigaltstack(&stack, NULL);
}

int exv_has_alternate_stack(void) {
  stack_t stack;
  return sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE);
}

void exv_handle(const char *how) {
  struct sigaction action = {.sa_flags = SA_ONSTACK};
  if (strcmp(how, "kill") == 0) action.sa_handler = kill_again;
  if (strcmp(how, "raise") == 0) action.sa_handler = raise_again;
  if (strcmp(how, "refault") == 0) action.sa_handler = refault;
  if (strcmp(how, "chain") == 0) action.sa_handler = chain;
  if (strcmp(how, "tgkill") == 0) action.sa_sigaction = tgkill_again;
  if (strcmp(how, "abort") == 0) action.sa_sigaction = abort_instead;
  if (strcmp(how, "reporter") == 0) {
    pthread_t thread;
    pthread_create(&thread, NULL, reporter, NULL);
    action.sa_handler = tell_reporter;
  }
  if (strcmp(how, "tgkill") == 0 || strcmp(how, "abort") == 0) action.sa_flags |= SA_SIGINFO;
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
}

void exv_read(uint64_t address) { (void)*(volatile char *)address; }
void exv_write(uint64_t address) { *(volatile char *)address = 1; }
void exv_execute(uint64_t address) { ((void (*)(void))address)(); }
void exv_divide(uint64_t unused) { zero = unused / zero; }
void exv_invalid(uint64_t unused) {
  (void)unused;
  __builtin_trap();
}
void exv_privileged(uint64_t unused) {
  (void)unused;
#ifdef __x86_64__
  __asm__ volatile("hlt");
#endif
}
void exv_abort(uint64_t unused) {
  (void)unused;
  abort();
}

/* ---- A fault that is handled, and another signal afterwards ------------------------------------------------------ */

static void *page;
static void mend(int number, siginfo_t *info, void *context) {
  (void)number, (void)info, (void)context;
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

/* Like a garbage collector's write barrier: the fault is mended, the instruction goes on. */
void exv_mended_fault(void) {
  struct sigaction action = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO};
  page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  sigaction(SIGSEGV, &action, NULL);
  exv_write((uint64_t)page);
}
static void skip(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 3; /* movzbl (%rdi), %eax */
}

/* Once more and once more at the same depth of the stack, so that what is left there looks like new. */
__attribute__((noinline)) void exv_wait_after_fault(void) {
  struct sigaction action = {.sa_sigaction = skip, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  __asm__ volatile("mov $0x10, %%edi\n movzbl (%%rdi), %%eax" ::: "rax", "rdi", "memory");
  signal(SIGSEGV, raise_again);
  puts("ready");
  fflush(stdout);
  __asm__ volatile("1: jmp 1b");
}

/* Raise SIGABRT below more of the stack than is searched for handlers. */
void deep_abort(void) {
  volatile char room[80 << 20];
  room[0] = room[sizeof room - 1] = 1;
  raise(SIGABRT);
  room[0] = 0;
}
