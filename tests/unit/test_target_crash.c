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
#include "target/crash.h"
#include "target/signal_names.h"
#include "target/target.h"

enum {
  PAGE = 4096,
  TID = 1234,
  PID = 1233,
  TEXT = 0x400000,  /* r-x of /bin/x; the instruction below is at its start */
  DATA = 0x500000,  /* rw- of /bin/x */
  HEAP = 0x600000,  /* rw- of no file */
  GUARD = 0x6ff000, /* --- */
  STACK = 0x700000, /* rw-, with the stack pointer */
  OTHER = 0x900000, /* the other thread's stack */
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
};

struct described {
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_target target;
};

static void describe(struct described *described, const struct scene *scene) {
  struct core_builder *core = core_builder_create();
  static const struct core_file files[] = {{TEXT, TEXT + PAGE, 0, "/bin/x"}, {DATA, DATA + PAGE, 1, "/bin/x"}};
  struct core_registers registers = {.rax = scene->rax,
                                     .rip = scene->rip ? scene->rip : TEXT,
                                     .rsp = scene->rsp ? scene->rsp : STACK + 0x20000,
                                     .orig_rax = scene->signal == EXU_SIGSYS ? 41 : -1};
  core_builder_prstatus(core, TID, (int16_t)scene->signal, &registers);
  core_builder_prpsinfo(core, PID, "x", "x");
  if (!scene->without_siginfo) core_builder_siginfo(core, scene->signal, scene->code, scene->word);
  core_builder_file(core, PAGE, files, 2);
  registers = (struct core_registers){.rsp = OTHER + 0x800, .fs_base = OTHER + 0x1700, .orig_rax = -1};
  core_builder_prstatus(core, PID, 0, &registers);
  uint8_t text[PAGE] = {0x0f, 0x0b};
  if (scene->text) memcpy(text, scene->text, 3);
  core_builder_load(core, TEXT, PAGE, text, PAGE, CORE_R | CORE_X);
  core_builder_load(core, DATA, PAGE, NULL, PAGE, CORE_R | CORE_W);
  core_builder_load(core, HEAP, PAGE, NULL, PAGE, CORE_R | CORE_W);
  if (!scene->without_guard) core_builder_load(core, GUARD, PAGE, NULL, 0, 0);
  core_builder_load(core, STACK, 0x30000, NULL, PAGE, CORE_R | CORE_W);
  core_builder_load(core, OTHER, 0x10000, NULL, PAGE, CORE_R | CORE_W); /* its upper part is another mapping's */
  size_t size;
  const uint8_t *bytes = core_builder_finish(core, &size);
  struct nameless_file file = nameless_file(bytes, size);
  exu_arena_init(&described->arena, 1 << 20);
  exu_diagnostics_init(&described->diagnostics, &described->arena);
  struct exu_error error;
  assert_true(exu_target_open_core(file.path, &described->arena, &described->diagnostics, &described->target, &error));
  close(file.fd);
  core_builder_destroy(core);
  exu_crash_describe(&described->target, &described->arena);
}

static void forget(struct described *described) {
  exu_target_close(&described->target);
  exu_arena_deinit(&described->arena);
}

static void assert_summary(const struct scene *scene, const char *expected) {
  struct described described;
  describe(&described, scene);
  struct exu_string summary = described.target.crash->summary;
  assert_non_null(summary.data);
  assert_string_equal(summary.data, expected);
  assert_int_equal(summary.size, strlen(expected));
  forget(&described);
}

static void assert_place(uint64_t address, const struct scene *like, const char *expected) {
  struct described described;
  struct scene scene = *like;
  scene.signal = EXU_SIGSEGV;
  if (!scene.code) scene.code = EXU_SEGV_MAPERR;
  scene.word = address;
  describe(&described, &scene);
  assert_true(described.target.crash->has_address);
  assert_string_equal(described.target.crash->address_in.data, expected);
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
  assert_summary(&(struct scene){.signal = 7, .code = 2, .word = DATA + 8, .rax = DATA + 8, .text = load_rax},
                 "Bus error reading address 0x500008 in /bin/x (rw-) in thread 1234");
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
  /* No memory operand. */
  assert_summary(&(struct scene){.signal = 11, .code = 1, .word = 0x10, .rax = 0x10, .text = call_rax},
                 "Segmentation fault at address 0x10 (near NULL) in thread 1234");
}

static void an_address_that_the_kernel_does_not_report_is_not_null(void **state) {
  (void)state;
  assert_summary(&(struct scene){.signal = 11, .code = EXU_SI_KERNEL, .word = 0},
                 "Segmentation fault at a non-canonical or otherwise unreportable address in thread 1234");
  struct described described;
  describe(&described, &(struct scene){.signal = 11, .code = EXU_SI_KERNEL, .word = 0});
  assert_false(described.target.crash->has_address);
  assert_null(described.target.crash->address_in.data);
  assert_string_equal(described.target.crash->code_name, "SI_KERNEL");
  forget(&described);
  assert_summary(&(struct scene){.signal = 11, .code = EXU_SEGV_CPERR},
                 "Segmentation fault (control protection) in thread 1234");
}

static void who_sent_the_signal_is_said(void **state) {
  (void)state;
  assert_summary(&(struct scene){.signal = 6, .code = EXU_SI_TKILL, .word = sender(PID, 1000)},
                 "Aborted (SIGABRT raised by the process itself) in thread 1234");
  assert_summary(&(struct scene){.signal = 11, .code = EXU_SI_TKILL, .word = sender(PID, 0)},
                 "Segmentation fault (SIGSEGV raised by the process itself) in thread 1234");
  assert_summary(&(struct scene){.signal = 6, .code = EXU_SI_USER, .word = sender(77, 1000)},
                 "Killed by SIGABRT sent by process 77 (uid 1000)");
  assert_summary(&(struct scene){.signal = 3, .code = EXU_SI_USER, .word = sender(77, 0)},
                 "Killed by SIGQUIT sent by process 77 (uid 0)");
  assert_summary(&(struct scene){.signal = 3, .code = EXU_SI_USER, .word = sender(PID, 0)},
                 "Killed by SIGQUIT raised by the process itself in thread 1234");
  assert_summary(&(struct scene){.signal = 3, .code = EXU_SI_USER, .word = sender(0, 5)},
                 "Killed by SIGQUIT sent from outside of its PID namespace (uid 5)");
  assert_summary(&(struct scene){.signal = 3, .code = EXU_SI_KERNEL}, "Killed by SIGQUIT sent by the kernel");
  assert_summary(&(struct scene){.signal = 40, .code = EXU_SI_QUEUE, .word = sender(78, 1)},
                 "Killed by signal 40 sent by process 78 (uid 1)");
  assert_summary(&(struct scene){.signal = 14, .code = -2}, "Killed by SIGALRM from a timer");
  struct described described;
  describe(&described, &(struct scene){.signal = 6, .code = EXU_SI_USER, .word = sender(77, UINT32_MAX)});
  assert_int_equal(described.target.crash->sender_pid, 77);
  assert_int_equal(described.target.crash->sender_uid, UINT32_MAX);
  assert_false(described.target.crash->has_address);
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
  assert_summary(&(struct scene){.signal = 31, .code = 1, .word = TEXT},
                 "Bad system call 41 (forbidden by a seccomp filter) in thread 1234");
}

static void without_siginfo_only_the_signal_is_known(void **state) {
  (void)state;
  assert_summary(&(struct scene){.signal = 11, .without_siginfo = true}, "Segmentation fault (SIGSEGV) in thread 1234");
  assert_summary(&(struct scene){.signal = 3, .without_siginfo = true}, "Killed by SIGQUIT");
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
      cmocka_unit_test(who_sent_the_signal_is_said),
      cmocka_unit_test(faults_of_instructions_are_named),
      cmocka_unit_test(without_siginfo_only_the_signal_is_known),
      cmocka_unit_test(the_place_of_an_address_is_said_in_words),
      cmocka_unit_test(a_stack_overflow_is_called_probable),
      cmocka_unit_test(signals_and_their_codes_have_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
