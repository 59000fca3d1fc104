/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "elf_builder.h"
#include "process/crash.h"
#include "process/process.h"
#include "process/signal_names.h"
#include "process/system_calls.h"
#include "sentences.h"

enum {
  PAGE = 4096,
  TID = 1234,
  PID = 1233,
  TEXT = 0x400000,  /* r-x of /bin/x; the instruction below is at its start */
  DATA = 0x500000,  /* rw- of /bin/x */
  HEAP = 0x600000,  /* rw- of no file */
  GUARD = 0x6ff000, /* --- */
  CALL = 0x400800,  /* syscall */
  STACK = 0x700000, /* rw-, with the stack pointer */
  STACK_SIZE = 0x30000,
  OTHER = 0x900000,  /* the other thread's stack */
  SHARED = 0xa00000, /* of /data/m, and a page of /data/n */
};

static const uint8_t store_rax[] = {0x48, 0x89, 0x10}; /* mov %rdx, (%rax) */
static const uint8_t load_rax[] = {0x48, 0x8b, 0x10};  /* mov (%rax), %rdx */
static const uint8_t add_rax[] = {0x48, 0x01, 0x10};   /* add %rdx, (%rax) */
static const uint8_t call_rax[] = {0xff, 0xd0, 0x90};  /* call *%rax */

struct scene {
  int32_t signal, code;
  uint64_t word; /* si_addr, or si_pid and si_uid */
  const uint8_t *text;
  uint64_t rax, rip, rsp;
  bool without_guard;
  bool without_siginfo;
  int64_t call, other_call; /* numbers of system calls that the thread and the other one have made; 0: none */
  uint64_t rdi, rsi, rdx;   /* their arguments */
  bool in_handler;          /* something like a signal frame is on the first thread's stack */
  bool process_first;       /* NT_PRPSINFO is the first note */
  uint64_t other_rax;       /* of the other thread, which is at the start of the text as well, not behind a call */
};

struct described {
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_process process;
};

static void describe(struct described *described, const struct scene *scene) {
  struct core_builder *core = core_builder_create();
  static const struct core_file files[] = {{TEXT, TEXT + PAGE, 0, "/bin/x"},
                                           {DATA, DATA + PAGE, 1, "/bin/x"},
                                           {SHARED, SHARED + PAGE, 16, "/data/m"},
                                           {SHARED + PAGE, SHARED + 3 * PAGE, 17, "/data/m"},
                                           {SHARED + 3 * PAGE, SHARED + 4 * PAGE, 20, "/data/m"},
                                           {SHARED + 4 * PAGE, SHARED + 5 * PAGE, 21, "/data/n"},
                                           {SHARED + 5 * PAGE, SHARED + 6 * PAGE, UINT64_MAX / PAGE, "/data/m"}};
  struct core_registers registers = {.rax = scene->rax,
                                     .rdi = scene->rdi,
                                     .rsi = scene->rsi,
                                     .rdx = scene->rdx,
                                     .rip = scene->rip ? scene->rip : TEXT,
                                     .rsp = scene->rsp ? scene->rsp : STACK + 0x20000,
                                     .orig_rax = scene->call ? scene->call : -1};
  if (scene->call) registers.rip = CALL + 2;
  if (scene->process_first) core_builder_prpsinfo(core, PID, "x", "x");
  core_builder_prstatus(core, TID, (int16_t)scene->signal, &registers);
  if (!scene->process_first) core_builder_prpsinfo(core, PID, "x", "x");
  if (!scene->without_siginfo) core_builder_siginfo(core, scene->signal, scene->code, scene->word);
  core_builder_file(core, PAGE, files, sizeof files / sizeof *files);
  registers.rsp = OTHER + 0x800;
  registers.fs_base = OTHER + 0x1700;
  registers.rax = scene->other_rax;
  registers.orig_rax = scene->other_call ? scene->other_call : -1;
  registers.rip = scene->other_call ? CALL + 2 : scene->other_rax ? TEXT : CALL;
  core_builder_prstatus(core, PID, 0, &registers);
  uint8_t text[PAGE] = {0x0f, 0x0b};
  memcpy(text + (CALL - TEXT), "\x0f\x05", 2);
  if (scene->text) memcpy(text, scene->text, 3);
  core_builder_load(core, TEXT, PAGE, text, PAGE, CORE_R | CORE_X);
  core_builder_load(core, DATA, PAGE, NULL, PAGE, CORE_R | CORE_W);
  core_builder_load(core, HEAP, PAGE, NULL, PAGE, CORE_R | CORE_W);
  if (!scene->without_guard) core_builder_load(core, GUARD, PAGE, NULL, 0, 0);
  static uint64_t stack[STACK_SIZE / 8];
  memset(stack, 0, sizeof stack);
  if (scene->in_handler) {
    stack[(0x28000 + 176) / 8] = 0x246;
    stack[(0x28000 + 184) / 8] = UINT64_C(0x002b000000000033);
    stack[(0x28000 + 224) / 8] = STACK + 0x29000;
  }
  core_builder_load(core, STACK, STACK_SIZE, stack, STACK_SIZE, CORE_R | CORE_W);
  core_builder_load(core, OTHER, 0x10000, NULL, 2 * PAGE, CORE_R | CORE_W); /* its upper part is another mapping's */
  size_t size;
  const uint8_t *bytes = core_builder_finish(core, &size);
  struct nameless_file file = nameless_file(bytes, size);
  exu_arena_init(&described->arena, 1 << 20);
  exu_diagnostics_init(&described->diagnostics, &described->arena);
  struct exu_error error;
  assert_true(
      exu_process_open_core(file.path, &described->arena, &described->diagnostics, &described->process, &error));
  close(file.fd);
  core_builder_destroy(core);
  exu_calls_check(&described->process);
  exu_crash_describe(&described->process);
}

static void forget(struct described *described) {
  exu_process_close(&described->process);
  exu_arena_deinit(&described->arena);
}

static void assert_summary(const struct scene *scene, const char *expected) {
  struct described described;
  describe(&described, scene);
  assert_string_equal(crash_sentence(described.process.crash, described.process.pid), expected);
  forget(&described);
}

static void assert_place(uint64_t address, const struct scene *like, const char *expected) {
  struct described described;
  struct scene scene = *like;
  scene.signal = EXU_SIGSEGV;
  if (!scene.code) scene.code = EXU_SEGV_MAPERR;
  scene.word = address;
  describe(&described, &scene);
  assert_true(described.process.crash->has_address);
  assert_string_equal(crash_place_words(&described.process.crash->place), expected);
  forget(&described);
}

static uint64_t sender(uint32_t pid, uint32_t uid) { return pid | (uint64_t)uid << 32; }

static void the_direction_of_an_access_is_said_when_it_is_proven(void **state) {
  (void)state;
  assert_summary(&(struct scene){.signal = 11, .code = 1, .word = 0x10, .rax = 0x10, .text = load_rax},
                 "Segmentation fault reading address 0x10 (near NULL) in thread 1234");
  assert_summary(&(struct scene){.signal = 11, .code = 1, .word = 0x10, .rax = 0x10, .text = store_rax},
                 "Segmentation fault writing address 0x10 (near NULL) in thread 1234");
  assert_summary(&(struct scene){.signal = 11, .code = 1, .word = 0, .rip = 0xffffffffffffffff, .rax = 0},
                 "Segmentation fault at address 0x0 (NULL) in thread 1234");
  assert_summary(&(struct scene){.signal = 11, .code = 1, .word = 0x20, .rip = 0x20},
                 "Segmentation fault executing address 0x20 (near NULL) in thread 1234");
  assert_summary(&(struct scene){.signal = 11, .code = 2, .word = DATA + 8, .rip = DATA + 8},
                 "Segmentation fault executing address 0x500008 in /bin/x (rw-) in thread 1234");
  assert_summary(&(struct scene){.signal = 11, .code = 2, .word = TEXT + 64, .rax = TEXT + 64, .text = store_rax},
                 "Segmentation fault writing address 0x400040 in /bin/x (r-x) in thread 1234");
  assert_summary(
      &(struct scene){.signal = 7, .code = 2, .word = DATA + 8, .rax = DATA + 8, .text = load_rax},
      "Bus error reading address 0x500008 in /bin/x (rw-) in thread 1234: byte 4,104 of the file, of which 4,096 bytes "
      "from offset 4,096 were mapped");
}

static void the_direction_is_not_guessed(void **state) {
  (void)state;
  /* The registers do not give the fault's address. */
  assert_summary(&(struct scene){.signal = 11, .code = 1, .word = 0x10, .rax = 0x999, .text = load_rax},
                 "Segmentation fault at address 0x10 (near NULL) in thread 1234");
  /* An instruction that reads and writes, where nothing is mapped. */
  assert_summary(&(struct scene){.signal = 11, .code = 1, .word = 0x10, .rax = 0x10, .text = add_rax},
                 "Segmentation fault at address 0x10 (near NULL) in thread 1234");
  /* But where the read must have worked, it was the write. */
  assert_summary(&(struct scene){.signal = 11, .code = 2, .word = TEXT + 64, .rax = TEXT + 64, .text = add_rax},
                 "Segmentation fault writing address 0x400040 in /bin/x (r-x) in thread 1234");
  /* A read of readable memory, a write of writable memory cannot fault: something else is going on. */
  assert_summary(&(struct scene){.signal = 11, .code = 2, .word = TEXT + 64, .rax = TEXT + 64, .text = load_rax},
                 "Segmentation fault at address 0x400040 in /bin/x (r-x) in thread 1234");
  assert_summary(&(struct scene){.signal = 11, .code = 2, .word = HEAP, .rax = HEAP, .text = store_rax},
                 "Segmentation fault at address 0x600000 in anonymous memory (rw-) in thread 1234");
  /* What may be executed. */
  assert_summary(&(struct scene){.signal = 11, .code = 2, .word = TEXT, .text = call_rax},
                 "Segmentation fault at address 0x400000 in /bin/x (r-x) in thread 1234");
  /* No memory operand. */
  assert_summary(&(struct scene){.signal = 11, .code = 1, .word = 0x10, .rax = 0x10, .text = call_rax},
                 "Segmentation fault at address 0x10 (near NULL) in thread 1234");
}

static void an_address_that_the_kernel_does_not_report_is_not_null(void **state) {
  (void)state;
  assert_summary(&(struct scene){.signal = 11, .code = EXU_SI_KERNEL, .word = 0},
                 "Segmentation fault for which the kernel gives no address (a non-canonical or misaligned one, or "
                 "none) in thread 1234");
  struct described described;
  describe(&described, &(struct scene){.signal = 11, .code = EXU_SI_KERNEL, .word = 0});
  assert_false(described.process.crash->has_address);
  assert_int_equal(described.process.crash->place.kind, EXU_CRASH_AT_UNKNOWN);
  assert_string_equal(described.process.crash->code_name, "SI_KERNEL");
  forget(&described);
  assert_summary(&(struct scene){.signal = 11, .code = EXU_SEGV_CPERR},
                 "Segmentation fault (control protection) in thread 1234");
}

/* tgkill(PID, TID, SIGABRT), in the thread that gets it */
static const struct scene aborted = {.signal = 6,
                                     .code = EXU_SI_TKILL,
                                     .word = PID | UINT64_C(1000) << 32,
                                     .call = 234,
                                     .rdi = PID,
                                     .rsi = TID,
                                     .rdx = 6};

static void a_thread_that_raised_the_signal_crashed(void **state) {
  (void)state;
  const char *in_thread = "Aborted (SIGABRT raised by the process itself) in thread 1234";
  const char *in_other = "Aborted (SIGABRT raised by the process itself) in thread 1233";
  const char *somewhere = "Aborted (SIGABRT raised by the process itself)";
  assert_summary(&aborted, in_thread);
  struct scene scene = aborted;
  scene.rdx = 11;
  assert_summary(&scene, somewhere); /* another signal */
  scene = aborted;
  scene.rdi = 77;
  assert_summary(&scene, somewhere); /* another process */
  scene = aborted;
  scene.rsi = PID;
  assert_summary(&scene, somewhere); /* another thread */
  scene = aborted;
  scene.call = 0;
  assert_summary(&scene, somewhere); /* it runs */
  scene = aborted;
  scene.in_handler = true;
  assert_summary(&scene, somewhere); /* perhaps in a handler, and what that ran for is not known */
  /* kill(PID, SIGABRT) in another thread than the one that the kernel picks. */
  const struct scene elsewhere = {
      .signal = 6, .code = EXU_SI_USER, .word = sender(PID, 0), .other_call = 62, .rdi = PID, .rsi = 6};
  assert_summary(&elsewhere, in_other);
  /* pthread_kill: the call is the other's. */
  scene = aborted;
  scene.call = 0;
  scene.other_call = 234;
  assert_summary(&scene, in_other);
  struct described described;
  describe(&described, &scene);
  assert_false(described.process.threads[0].crashed);
  assert_true(described.process.threads[1].crashed);
  assert_int_equal(described.process.crash->tid, PID);
  forget(&described);
}

static void no_thread_crashed_of_what_came_from_outside(void **state) {
  (void)state;
  static const struct scene scenes[] = {{.signal = 6, .code = EXU_SI_USER, .word = 77},
                                        {.signal = 11, .code = EXU_SI_TKILL, .word = 77},
                                        {.signal = 3, .code = EXU_SI_KERNEL},
                                        {.signal = 7, .code = 5, .word = DATA}, /* BUS_MCEERR_AO */
                                        {.signal = 14, .code = -2}};
  for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
    struct described described;
    describe(&described, &scenes[i]);
    assert_int_equal(described.process.crash->tid, -1);
    assert_false(described.process.threads[0].crashed || described.process.threads[1].crashed);
    forget(&described);
  }
}

static void who_sent_the_signal_is_said(void **state) {
  (void)state;
  assert_summary(&(struct scene){.signal = 6, .code = EXU_SI_USER, .word = sender(77, 1000)},
                 "Killed by SIGABRT sent by process 77 (uid 1000)");
  assert_summary(&(struct scene){.signal = 3, .code = EXU_SI_USER, .word = sender(77, 0)},
                 "Killed by SIGQUIT sent by process 77 (uid 0)");
  assert_summary(&(struct scene){.signal = 3, .code = EXU_SI_USER, .word = sender(PID, 0)},
                 "Killed by SIGQUIT raised by the process itself");
  assert_summary(&(struct scene){.signal = 3, .code = EXU_SI_USER, .word = sender(0, 5)},
                 "Killed by SIGQUIT sent from outside of its PID namespace (uid 5)");
  assert_summary(&(struct scene){.signal = 3, .code = EXU_SI_KERNEL}, "Killed by SIGQUIT sent by the kernel");
  assert_summary(&(struct scene){.signal = 40, .code = EXU_SI_QUEUE, .word = sender(78, 1)},
                 "Killed by signal 40 sent by process 78 (uid 1)");
  assert_summary(&(struct scene){.signal = 14, .code = -2}, "Killed by SIGALRM from a timer");
  struct described described;
  describe(&described, &(struct scene){.signal = 6, .code = EXU_SI_USER, .word = sender(77, UINT32_MAX)});
  assert_int_equal(described.process.crash->sender_pid, 77);
  assert_int_equal(described.process.crash->sender_uid, UINT32_MAX);
  assert_false(described.process.crash->has_address);
  forget(&described);
}

static void faults_of_instructions_are_named(void **state) {
  (void)state;
  assert_summary(&(struct scene){.signal = 8, .code = 1, .word = TEXT},
                 "Floating point exception (integer divide by zero) at 0x400000 in /bin/x (r-x) in thread 1234");
  assert_summary(&(struct scene){.signal = 4, .code = 2, .word = TEXT},
                 "Illegal instruction (illegal operand) at 0x400000 in /bin/x (r-x) in thread 1234");
  assert_summary(&(struct scene){.signal = 5, .code = EXU_SI_KERNEL},
                 "Trace or breakpoint trap (SIGTRAP) in thread 1234");
  assert_summary(&(struct scene){.signal = 31, .code = 1, .word = CALL + 2, .call = 41},
                 "Bad system call 41 (forbidden by a seccomp filter) in thread 1234");
}

static void without_siginfo_only_the_signal_is_known(void **state) {
  (void)state;
  assert_summary(&(struct scene){.signal = 11, .without_siginfo = true}, "Segmentation fault (SIGSEGV)");
  /* The instruction that it is at cannot be carried out. */
  const struct scene stuck = {.signal = 11, .without_siginfo = true, .rax = 0x10, .text = load_rax};
  assert_summary(&stuck, "Segmentation fault (SIGSEGV) in thread 1234");
  assert_summary(&(struct scene){.signal = 4, .without_siginfo = true}, "Illegal instruction (SIGILL) in thread 1234");
  /* valgrind writes the youngest thread first. */
  struct scene valgrind = stuck;
  valgrind.process_first = true;
  assert_summary(&valgrind, "Segmentation fault (SIGSEGV) in thread 1234");
  valgrind.rax = HEAP;
  valgrind.other_rax = 0x10;
  assert_summary(&valgrind, "Segmentation fault (SIGSEGV) in thread 1233");
  valgrind.rax = 0x20;
  assert_summary(&valgrind, "Segmentation fault (SIGSEGV)"); /* both */
  assert_summary(&(struct scene){.signal = 3, .without_siginfo = true}, "Killed by SIGQUIT");
}

/* Only what this very signal is for, and only in the thread that died where that is known. */
static void without_siginfo_an_instruction_has_to_give_the_signal(void **state) {
  (void)state;
  static const uint8_t divide[] = {0xf7, 0xf6, 0x90}; /* div %esi */
  struct scene scene = {.signal = 8, .without_siginfo = true, .text = divide};
  assert_summary(&scene, "Floating point exception (SIGFPE) in thread 1234");
  scene.signal = 4;
  assert_summary(&scene, "Illegal instruction (SIGILL)");
  scene = (struct scene){.signal = 7, .without_siginfo = true, .text = load_rax, .rax = 0x10};
  assert_summary(&scene, "Bus error (SIGBUS)");
  scene.rax = UINT64_C(0xdead000000000000);
  assert_summary(&scene, "Bus error (SIGBUS)");
  scene = (struct scene){.signal = 11, .without_siginfo = true, .text = load_rax, .rax = DATA, .other_rax = 0x10};
  assert_summary(&scene, "Segmentation fault (SIGSEGV)");
  /* Nor does a bus error of the kernel's have the address of what would be a segmentation fault. */
  struct described described;
  describe(&described, &(struct scene){.signal = 7, .code = EXU_SI_KERNEL, .text = load_rax, .rax = 0x10});
  assert_false(described.process.crash->has_address);
  forget(&described);
}

static void the_place_of_an_address_is_said_in_words(void **state) {
  (void)state;
  const struct scene plain = {0};
  assert_place(TEXT + 5, &plain, "/bin/x (r-x)");
  assert_place(DATA + PAGE - 1, &plain, "/bin/x (rw-)");
  assert_place(HEAP, &plain, "anonymous memory (rw-)");
  assert_place(0x10, &plain, "no mapping");
  assert_place(STACK + 0x100, &plain, "the stack of thread 1234");
  assert_place(OTHER + 0x900, &plain, "the stack of thread 1233");
  assert_place(OTHER + 0x1800, &plain, "the stack of thread 1233");
  /* Above the thread's own block the mapping belongs to something else that the kernel merged with the stack. */
  assert_place(OTHER + 0x8000, &plain, "anonymous memory (rw-)");
  assert_place(GUARD + 8, &plain, "reserved memory without any access (---)");
}

static void a_stack_overflow_is_called_probable(void **state) {
  (void)state;
  const struct scene full = {.rsp = STACK + 0x40};
  assert_place(GUARD + 0xff8, &full, "a guard page below the stack of thread 1234: probably a stack overflow");
  const struct scene past = {.rsp = GUARD + 0x800};
  assert_place(GUARD + 0x800, &past, "a guard page below the stack of thread 1234: probably a stack overflow");
  const struct scene open_end = {.rsp = STACK + 0x40, .without_guard = true};
  assert_place(STACK - 8, &open_end, "just below the stack of thread 1234: probably a stack overflow");
  const struct scene gone = {.rsp = STACK - 0x2000, .without_guard = true};
  assert_place(STACK - 0x2008, &gone, "just below the stack of thread 1234: probably a stack overflow");
  /* A guard page that is part of the stack's own mapping: that can be written, but the fault says "not mapped". */
  const struct scene inside = {.rsp = STACK + 0x2000};
  assert_place(STACK + 0x1ff8, &inside, "a guard page below the stack of thread 1234: probably a stack overflow");
  const struct scene refused = {.code = EXU_SEGV_ACCERR, .rsp = STACK + 0x2000};
  assert_place(STACK + 0x1ff8, &refused, "the stack of thread 1234");
  const struct scene elsewhere = {.rsp = STACK + 0x20000};
  assert_place(STACK + 0x1ff8, &elsewhere, "the stack of thread 1234");
  /* Far from the end of the stack: no overflow. */
  const struct scene half = {.rsp = STACK + 0x20000, .without_guard = true};
  assert_place(STACK - 8, &half, "no mapping");
  assert_place(STACK - 0x100008, &open_end, "no mapping");
  const struct scene far = {.rsp = OTHER - 0x110000};
  assert_place(OTHER - 8, &far, "no mapping");
  /* What lies above can be no stack, nor does the stack pointer lie in what is near. */
  const struct scene code = {.rsp = TEXT - 0x100};
  assert_place(TEXT - 0x108, &code, "no mapping");
  const struct scene behind = {.rsp = HEAP + PAGE + 0x100};
  assert_place(HEAP + 8, &behind, "anonymous memory (rw-)");
}

static void a_stack_without_room_for_a_handler_is_an_overflow(void **state) {
  (void)state;
  static const uint8_t push[] = {0x50, 0x90, 0x90}; /* push %rax */
  assert_summary(&(struct scene){.signal = 11, .code = EXU_SI_KERNEL, .rsp = STACK, .text = push},
                 "Segmentation fault writing address 0x6ffff8 (a guard page below the stack of thread 1234: probably a "
                 "stack overflow) in thread 1234");
  /* An instruction that is not known. */
  static const uint8_t unknown[] = {0xd8, 0x00, 0x90};
  assert_summary(&(struct scene){.signal = 11, .code = EXU_SI_KERNEL, .rsp = STACK + 0x100, .text = unknown},
                 "Segmentation fault at the end of the stack of thread 1234: probably a stack overflow");
  assert_summary(&(struct scene){.signal = 11, .code = EXU_SI_KERNEL, .rsp = STACK + 0x2000, .text = unknown},
                 "Segmentation fault for which the kernel gives no address (a non-canonical or misaligned one, or "
                 "none) in thread 1234");
  /* There was no room for the handler of another fault. */
  assert_summary(
      &(struct scene){.signal = 11, .code = EXU_SI_KERNEL, .rsp = STACK + 0x100, .rax = 0x10, .text = load_rax},
      "Segmentation fault reading address 0x10 (near NULL) in thread 1234");
  /* The processor refused the address: that the stack is nearly full has nothing to do with it. */
  assert_summary(&(struct scene){.signal = 11,
                                 .code = EXU_SI_KERNEL,
                                 .rsp = STACK + 0x100,
                                 .rax = UINT64_C(0xdead000000000000),
                                 .text = load_rax},
                 "Segmentation fault for which the kernel gives no address (a non-canonical or misaligned one, or "
                 "none) in thread 1234");
}

static void how_much_of_a_file_was_mapped_is_said_where_a_page_of_it_is_missing(void **state) {
  (void)state;
  /* Mappings that go on in memory and in the file are one. */
  assert_summary(
      &(struct scene){.signal = 7, .code = EXU_BUS_ADRERR, .word = SHARED + PAGE + 8},
      "Bus error at address 0xa01008 (/data/m) in thread 1234: byte 69,640 of the file, of which 12,288 bytes "
      "from offset 65,536 were mapped");
  assert_summary(
      &(struct scene){.signal = 7, .code = EXU_BUS_ADRERR, .word = SHARED},
      "Bus error at address 0xa00000 (/data/m) in thread 1234: byte 65,536 of the file, of which 12,288 bytes "
      "from offset 65,536 were mapped");
  /* One that goes on in memory only is not, nor is another file. */
  assert_summary(
      &(struct scene){.signal = 7, .code = EXU_BUS_ADRERR, .word = SHARED + 3 * PAGE},
      "Bus error at address 0xa03000 (/data/m) in thread 1234: byte 81,920 of the file, of which 4,096 bytes "
      "from offset 81,920 were mapped");
  assert_summary(
      &(struct scene){.signal = 7, .code = EXU_BUS_ADRERR, .word = SHARED + 5 * PAGE - 1},
      "Bus error at address 0xa04fff (/data/n) in thread 1234: byte 90,111 of the file, of which 4,096 bytes "
      "from offset 86,016 were mapped");
  /* Offsets that no file has. */
  assert_summary(&(struct scene){.signal = 7, .code = EXU_BUS_ADRERR, .word = SHARED + 5 * PAGE},
                 "Bus error at address 0xa05000 (/data/m) in thread 1234");
  /* Memory that went bad, and faults that have nothing to do with the file's length. */
  assert_summary(&(struct scene){.signal = 7, .code = EXU_BUS_MCEERR_AR, .word = SHARED},
                 "Bus error at address 0xa00000 (/data/m) in thread 1234");
  assert_summary(&(struct scene){.signal = 11, .code = EXU_SEGV_ACCERR, .word = SHARED},
                 "Segmentation fault at address 0xa00000 (/data/m) in thread 1234");
  assert_summary(&(struct scene){.signal = 7, .code = EXU_BUS_ADRERR, .word = HEAP},
                 "Bus error at address 0x600000 in anonymous memory (rw-) in thread 1234");
}

static void the_length_of_a_file_of_that_name_is_said_as_what_it_is(void **state) {
  (void)state;
  static const struct {
    enum exu_tristate changed;
    const char *end;
  } ends[] = {{EXU_NO, "; a file of that name is 70,000 bytes long here, unchanged since this core file was written"},
              {EXU_YES, "; a file of that name is 70,000 bytes long here, changed after this core file was written"},
              {EXU_UNKNOWN, "; a file of that name is 70,000 bytes long here now"}};
  struct described described;
  describe(&described, &(struct scene){.signal = 7, .code = EXU_BUS_ADRERR, .word = SHARED});
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    described.process.crash->file.length = 70000;
    described.process.crash->file.changed = ends[i].changed;
    const char *mapped = strstr(crash_sentence(described.process.crash, described.process.pid), " were mapped");
    assert_non_null(mapped);
    assert_string_equal(mapped + strlen(" were mapped"), ends[i].end);
  }
  described.process.crash->file.length = INT64_MAX;
  described.process.crash->file.changed = EXU_UNKNOWN;
  assert_non_null(strstr(crash_sentence(described.process.crash, described.process.pid),
                         " is 9,223,372,036,854,775,807 bytes long here now"));
  forget(&described);
}

static void signals_and_their_codes_have_names(void **state) {
  (void)state;
  assert_string_equal(exu_signal_name(1), "SIGHUP");
  assert_string_equal(exu_signal_name(11), "SIGSEGV");
  assert_string_equal(exu_signal_name(31), "SIGSYS");
  assert_string_equal(exu_signal_name(34), "SIGRTMIN");
  assert_null(exu_signal_name(0));
  assert_null(exu_signal_name(-1));
  assert_null(exu_signal_name(32));
  assert_null(exu_signal_name(1 << 30));
  assert_string_equal(exu_signal_code_name(7, 2), "BUS_ADRERR");
  assert_string_equal(exu_signal_code_name(6, -6), "SI_TKILL");
  assert_null(exu_signal_code_name(6, 1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_direction_of_an_access_is_said_when_it_is_proven),
      cmocka_unit_test(the_direction_is_not_guessed),
      cmocka_unit_test(an_address_that_the_kernel_does_not_report_is_not_null),
      cmocka_unit_test(a_thread_that_raised_the_signal_crashed),
      cmocka_unit_test(no_thread_crashed_of_what_came_from_outside),
      cmocka_unit_test(who_sent_the_signal_is_said),
      cmocka_unit_test(faults_of_instructions_are_named),
      cmocka_unit_test(without_siginfo_only_the_signal_is_known),
      cmocka_unit_test(without_siginfo_an_instruction_has_to_give_the_signal),
      cmocka_unit_test(the_place_of_an_address_is_said_in_words),
      cmocka_unit_test(a_stack_overflow_is_called_probable),
      cmocka_unit_test(a_stack_without_room_for_a_handler_is_an_overflow),
      cmocka_unit_test(how_much_of_a_file_was_mapped_is_said_where_a_page_of_it_is_missing),
      cmocka_unit_test(the_length_of_a_file_of_that_name_is_said_as_what_it_is),
      cmocka_unit_test(signals_and_their_codes_have_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
