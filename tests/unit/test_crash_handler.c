/* SPDX-License-Identifier: Apache-2.0 */
/* What a signal handler ran for, from frames as the kernel lays them out: only where they prove it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "elf_builder.h"
#include "process/crash.h"
#include "process/signal_frame.h"
#include "process/signal_names.h"
#include "process/system_calls.h"
#include "sentences.h"

enum {
  PAGE = 4096,
  PID = 1233,
  TID = 1234,
  TEXT = 0x400000,
  RAISED = 0x400807, /* behind mov $234 (tgkill), %eax; syscall */
  DATA = 0x500000,
  STACK = 0x700000,
  INNER = 0x701000, /* contexts */
  OUTER = 0x702000,
  FULL = 0x10000000, /* of words that may be a context's */
  FULL_SIZE = 5 << 20,
  HANDLERS = 0x20000000, /* a stack for handlers */
  HANDLERS_SIZE = 0x4000,
  ON_HANDLERS = HANDLERS + 0x3000,
  RESUME_FLAG = 0x10000,
  PAGE_FAULT = 14,
  PROTECTION = 13,
  INVALID = 6,
  DIVISION = 0,
};

static const uint8_t load[] = {0x48, 0x8b, 0x10};                     /* mov (%rax), %rdx */
static const uint8_t store[] = {0x48, 0x89, 0x10};                    /* mov %rdx, (%rax) */
static const uint8_t modify[] = {0x48, 0x01, 0x10};                   /* add %rdx, (%rax) */
static const uint8_t jump[] = {0xeb, 0xfe};                           /* jmp . */
static const uint8_t add[] = {0x01, 0xc2};                            /* add %eax, %edx */
static const uint8_t gather[] = {0xc4, 0xe2, 0x6d, 0x90, 0x04, 0x08}; /* vpgatherdd %ymm2, (%rax, %ymm1), %ymm0 */
static const uint8_t ud2[] = {0x0f, 0x0b};
static const uint8_t divide[] = {0xf7, 0xf6};        /* div %esi */
static const uint8_t aligned[] = {0x0f, 0x28, 0x00}; /* movaps (%rax), %xmm0 */

/* What was interrupted, and why as far as it is written down. */
struct frame {
  const uint8_t *code;
  size_t size;
  uint64_t rax, rsi, rip;
  int32_t sent; /* in rdx, the signal of tgkill; 0: SIGSEGV */
  uint64_t trap, error, address;
  int32_t signal, signal_code; /* of siginfo; 0: a handler without SA_SIGINFO */
  uint64_t word;               /* its address, or pid and uid */
  int32_t signal_error;
  uint64_t stack, stack_size; /* uc_stack */
};
#define CODE(bytes) .code = (bytes), .size = sizeof(bytes)

struct scene {
  int32_t signal; /* that the process ended of; 0: SIGSEGV */
  struct frame inner, outer;
  size_t count;     /* of frames; 0: the inner one only */
  bool other_sends; /* the signal was sent by another thread, which has no handlers */
  bool elsewhere;   /* by one that has gone on since */
  bool incomplete;  /* unwinding broke */
  bool returned;    /* the thread is where the inner one was interrupted */
  bool in_call;     /* but it is in a system call there */
  bool carried_out; /* but it has carried out the instruction since */
  uint64_t at;      /* where the inner frame is; 0: INNER */
  bool full;        /* a lot of memory has to be looked at closely */
  bool swapped;     /* the thread that the signal ended has no handlers, but the other one */
};

static uint64_t rdx_of(const struct frame *frame) { return (uint64_t)(frame->sent ? frame->sent : EXU_SIGSEGV); }

static void put_frame(uint8_t *context, uint8_t *text, const struct frame *frame, uint64_t rip) {
  uint64_t words[38] = {0};
  for (uint64_t i = 0; i < 8; i++) words[5 + i] = 8 + i; /* r8 to r15 */
  words[2] = frame->stack;
  words[4] = frame->stack_size;
  words[5 + 8] = PID; /* rdi */
  words[5 + 9] = frame->rsi ? frame->rsi : TID;
  words[5 + 12] = rdx_of(frame);
  words[5 + 13] = frame->rax;
  words[5 + 15] = STACK + 0x8000;
  words[5 + 16] = frame->rip ? frame->rip : rip;
  words[5 + 17] = 0x246;
  words[5 + 18] = UINT64_C(0x002b000000000033);
  words[5 + 19] = frame->error;
  words[5 + 20] = frame->trap;
  words[5 + 22] = frame->address;
  words[5 + 23] = STACK + 0x3000;
  memcpy(context, words, sizeof words);
  const int32_t info[4] = {frame->signal, frame->signal_error, frame->signal_code, 0};
  if (frame->signal) memcpy(context + sizeof words, info, sizeof info);
  if (frame->signal) memcpy(context + sizeof words + sizeof info, &frame->word, 8);
  if (frame->code) memcpy(text + (rip - TEXT), frame->code, frame->size);
}

struct opened {
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_process process;
};

static void open_scene(struct opened *opened, const struct scene *scene) {
  static uint8_t stack[0x10000], text[PAGE], handlers[HANDLERS_SIZE];
  static uint64_t full[FULL_SIZE / 8];
  const uint64_t at = scene->at ? scene->at : INNER;
  memset(stack, 0, sizeof stack);
  memset(handlers, 0, sizeof handlers);
  memset(text, 0x90, sizeof text);
  memcpy(text + (RAISED - 7 - TEXT), "\xb8\xea\0\0\0\x0f\x05", 7);
  put_frame(at >= HANDLERS ? handlers + (at - HANDLERS) : stack + (at - STACK), text, &scene->inner, TEXT);
  if (scene->count > 1) put_frame(stack + (OUTER - STACK), text, &scene->outer, TEXT + 0x100);
  const int32_t signal = scene->signal ? scene->signal : EXU_SIGSEGV;
  struct core_builder *core = core_builder_create();
  struct core_registers in_call = {
      .rdi = PID, .rsi = TID, .rdx = (uint64_t)signal, .rip = RAISED, .rsp = STACK + 0x100, .orig_rax = 234};
  struct core_registers idle = {.rip = RAISED, .rsp = STACK + 0x100, .orig_rax = 34};
  struct core_registers back = {.rax = scene->inner.rax,
                                .rdi = PID,
                                .rsi = TID,
                                .rdx = rdx_of(&scene->inner),
                                .rip = TEXT,
                                .rsp = STACK + 0x8000,
                                .orig_rax = -1};
  if (scene->inner.rip) back.rip = scene->inner.rip;
  if (scene->in_call) back.orig_rax = 0;
  if (!scene->carried_out) back.rflags = RESUME_FLAG;
  if (scene->swapped) in_call.rsp = DATA + 0x100;
  const struct core_registers *first = scene->other_sends || scene->elsewhere ? &idle : &in_call;
  core_builder_prstatus(core, TID, (int16_t)signal, scene->returned ? &back : first);
  core_builder_prpsinfo(core, PID, "x", "x");
  core_builder_siginfo(core, signal, EXU_SI_TKILL, PID);
  if (!scene->swapped) idle.rsp = DATA + 0x100;
  struct core_registers other = in_call;
  other.rsp = idle.rsp;
  core_builder_prstatus(core, PID, 0, scene->other_sends ? &other : &idle);
  core_builder_load(core, TEXT, PAGE, text, PAGE, CORE_R | CORE_X);
  core_builder_load(core, DATA, PAGE, NULL, PAGE, CORE_R | CORE_W);
  core_builder_load(core, STACK, sizeof stack, stack, sizeof stack, CORE_R | CORE_W);
  for (size_t i = 0; scene->full && i < FULL_SIZE / 8; i++) full[i] = 0x33;
  if (scene->full) core_builder_load(core, FULL, FULL_SIZE, full, FULL_SIZE, CORE_R | CORE_W);
  core_builder_load(core, HANDLERS, HANDLERS_SIZE, handlers, HANDLERS_SIZE, CORE_R | CORE_W);
  size_t size;
  const uint8_t *bytes = core_builder_finish(core, &size);
  struct nameless_file file = nameless_file(bytes, size);
  struct exu_error error;
  exu_arena_init(&opened->arena, 1 << 20);
  exu_diagnostics_init(&opened->diagnostics, &opened->arena);
  assert_true(exu_process_open_core(file.path, &opened->arena, &opened->diagnostics, &opened->process, &error));
  close(file.fd);
  core_builder_destroy(core);
  exu_calls_check(&opened->process);
  exu_crash_describe(&opened->process);
}

static bool handled(struct opened *opened, const struct scene *scene) {
  static const uint64_t contexts[] = {INNER, OUTER};
  open_scene(opened, scene);
  assert_true(exu_crash_is_raised(&opened->process));
  assert_null(opened->process.scene.thread); /* where a handler may run, nothing is certain without unwinding */
  const struct exu_handlers handlers = {.thread = &opened->process.threads[0],
                                        .contexts = contexts,
                                        .count = scene->count ? scene->count : 1,
                                        .complete = !scene->incomplete};
  return exu_crash_may_handle(&opened->process, handlers.thread) && exu_crash_handled(&opened->process, &handlers);
}

static void forget(struct opened *opened) {
  exu_process_close(&opened->process);
  exu_arena_deinit(&opened->arena);
}

/* The crash is what the handler ran for, as `expected` says. */
static void assert_proven(const struct scene *scene, const char *expected) {
  struct opened opened;
  assert_true(handled(&opened, scene));
  assert_string_equal(crash_sentence(opened.process.crash, PID), expected);
  assert_true(opened.process.threads[0].crashed);
  assert_false(opened.process.threads[1].crashed);
  assert_int_equal(opened.process.crash->tid, TID);
  assert_true(opened.process.crash->raised_signal != 0);
  forget(&opened);
}

/* A handler raised the signal, and that is all. */
static void assert_unproven(const struct scene *scene) {
  struct opened opened;
  const bool told = handled(&opened, scene);
  const struct exu_crash *crash = opened.process.crash;
  assert_int_equal(told, !scene->elsewhere && !scene->other_sends);
  assert_false(opened.process.threads[0].crashed);
  assert_int_equal(crash->raised_signal, 0);
  assert_int_equal(crash->handler_tid, told ? TID : 0);
  assert_int_equal(crash->sender_pid, PID);
  if (told && crash->signal == EXU_SIGSEGV)
    assert_string_equal(crash_sentence(opened.process.crash, PID),
                        "Segmentation fault (SIGSEGV raised by a signal handler in thread 1234)");
  forget(&opened);
}

#define AGAIN ", raised again by a signal handler"

static void a_page_fault_is_known_by_its_address_and_its_instruction(void **state) {
  (void)state;
  struct scene scene = {.inner = {CODE(load), .rax = 0x10, .trap = PAGE_FAULT, .error = 4, .address = 0x10}};
  assert_proven(&scene, "Segmentation fault reading address 0x10 (near NULL) in thread 1234" AGAIN);
  scene.inner = (struct frame){CODE(store), .rax = TEXT + 8, .trap = PAGE_FAULT, .error = 7, .address = TEXT + 8};
  assert_proven(&scene, "Segmentation fault writing address 0x400008 in anonymous memory (r-x) in thread 1234" AGAIN);
  scene.inner = (struct frame){.rip = DATA + 8, .trap = PAGE_FAULT, .error = 0x15, .address = DATA + 8};
  assert_proven(&scene,
                "Segmentation fault executing address 0x500008 (the stack of thread 1233) in thread 1234" AGAIN);
  scene.inner = (struct frame){.rip = 0x20, .trap = PAGE_FAULT, .error = 0x14, .address = 0x20};
  assert_proven(&scene, "Segmentation fault executing address 0x20 (near NULL) in thread 1234" AGAIN);
  scene.inner = (struct frame){CODE(modify), .rax = 0x18, .trap = PAGE_FAULT, .error = 6, .address = 0x18};
  assert_proven(&scene, "Segmentation fault writing address 0x18 (near NULL) in thread 1234" AGAIN);
  /* Also when the thread that raised it again has gone on, and the kernel picked another one. */
  scene = (struct scene){.inner = {CODE(load), .rax = 0x10, .trap = PAGE_FAULT, .address = 0x10}, .elsewhere = true};
  assert_proven(&scene, "Segmentation fault reading address 0x10 (near NULL) in thread 1234"
                        ", raised again by the process itself");
}

static void a_page_fault_that_is_long_past_is_not_taken_for_the_signal(void **state) {
  (void)state;
  const struct frame past = {.rax = 0x10, .trap = PAGE_FAULT, .error = 4, .address = 0x10};
  const struct frame told = {.rax = 0x10,
                             .trap = PAGE_FAULT,
                             .error = 4,
                             .address = 0x10,
                             .signal = EXU_SIGSEGV,
                             .signal_code = EXU_SEGV_MAPERR,
                             .word = 0x10};
  const struct frame *both[] = {&past, &told};
  for (size_t i = 0; i < 2; i++) { /* siginfo may be a leftover too */
    struct scene scene = {.inner = *both[i]};
    scene.inner.code = jump;
    scene.inner.size = sizeof jump;
    assert_unproven(&scene);
    scene.inner.code = add;
    scene.inner.size = sizeof add;
    assert_unproven(&scene);
    scene.inner.code = load; /* but it would read another address */
    scene.inner.size = sizeof load;
    scene.inner.rax = 0x2000;
    assert_unproven(&scene);
    scene.inner.code = NULL;
    scene.inner.rip = RAISED;
    scene.inner.rsi = 77;
    assert_unproven(&scene);
    scene = (struct scene){.inner = *both[i], .elsewhere = true};
    scene.inner.code = jump;
    scene.inner.size = sizeof jump;
    assert_unproven(&scene);
  }
  /* The instruction writes, the fault was a read. */
  struct scene scene = {.inner = past};
  scene.inner.code = store;
  scene.inner.size = sizeof store;
  assert_unproven(&scene);
  /* What was to be executed is elsewhere. */
  scene.inner = (struct frame){CODE(load), .rax = 0x20, .trap = PAGE_FAULT, .error = 0x14, .address = 0x20};
  assert_unproven(&scene);
  /* The memory is there by now: a handler has mended it. */
  scene = (struct scene){.inner = {CODE(load), .rax = DATA, .trap = PAGE_FAULT, .error = 4, .address = DATA}};
  assert_unproven(&scene);
}

static void what_the_kernel_told_the_handler_is_said_when_the_instruction_agrees(void **state) {
  (void)state;
  struct scene scene = {.inner = {CODE(load), .rax = 0x10, .trap = PAGE_FAULT, .error = 4, .address = 0x10,
                                  .signal = EXU_SIGSEGV, .signal_code = EXU_SEGV_MAPERR, .word = 0x10}};
  struct opened opened;
  assert_true(handled(&opened, &scene));
  assert_string_equal(opened.process.crash->code_name, "SEGV_MAPERR");
  assert_int_equal(opened.process.crash->address, 0x10);
  assert_int_equal(opened.process.crash->sender_pid, -1);
  assert_int_equal(opened.process.crash->raised_signal, EXU_SIGSEGV);
  forget(&opened);
  /* Nobody knows what a gather reads. */
  scene.inner.code = gather;
  scene.inner.size = sizeof gather;
  assert_proven(&scene, "Segmentation fault reading address 0x10 (near NULL) in thread 1234" AGAIN);
  const struct frame proven = scene.inner;
  scene.inner.word = 0x18; /* but not that address */
  assert_unproven(&scene);
  scene.inner = proven;
  scene.inner.signal_code = 9; /* SEGV_MTESERR: not of a page fault */
  assert_unproven(&scene);
  scene.inner = proven;
  scene.inner.signal_error = 5; /* which the kernel never sets */
  assert_unproven(&scene);
  scene.inner.signal = 0;
  assert_unproven(&scene);
  /* A mapped file that is too short, and then abort(). */
  scene = (struct scene){.signal = EXU_SIGABRT,
                         .inner = {CODE(load), .rax = DATA, .trap = PAGE_FAULT, .error = 4, .address = DATA,
                                   .signal = EXU_SIGBUS, .signal_code = EXU_BUS_ADRERR, .word = DATA}};
  assert_proven(&scene,
                "Bus error reading address 0x500000 (the stack of thread 1233) in thread 1234, for which a signal "
                "handler raised SIGABRT");
  scene.inner.signal = 0;
  assert_unproven(&scene);
  scene.signal = EXU_SIGBUS;
  assert_proven(&scene, "Bus error reading address 0x500000 (the stack of thread 1233) in thread 1234" AGAIN);
  /* An instruction that this processor does not have, a division that overflows. */
  scene =
      (struct scene){.signal = EXU_SIGILL,
                     .inner = {CODE(gather), .trap = INVALID, .signal = EXU_SIGILL, .signal_code = 2, .word = TEXT}};
  assert_proven(&scene,
                "Illegal instruction (illegal operand) at 0x400000 in anonymous memory (r-x) in thread 1234" AGAIN);
  scene.inner.word = TEXT + 1;
  assert_unproven(&scene);
  scene.inner.word = TEXT;
  scene.inner.signal_code = 1; /* which the kernel does not say of this exception */
  assert_unproven(&scene);
  scene.inner.signal_code = 2;
  scene.inner.trap = DIVISION;
  assert_unproven(&scene);
  scene = (struct scene){.signal = EXU_SIGFPE,
                         .inner = {CODE(gather), .trap = 19, .signal = EXU_SIGFPE, .signal_code = 7, .word = TEXT}};
  assert_proven(&scene, "Floating point exception (floating point invalid operation) at 0x400000 in anonymous memory "
                        "(r-x) in thread 1234" AGAIN);
  scene.inner.signal_code = 99;
  assert_unproven(&scene);
  /* A system call that a filter does not let through is no exception. */
  scene = (struct scene){.signal = EXU_SIGSYS,
                         .inner = {CODE(jump), .signal = EXU_SIGSYS, .signal_code = EXU_SYS_SECCOMP, .word = TEXT}};
  assert_proven(&scene, "Bad system call (forbidden by a seccomp filter) in thread 1234" AGAIN);
  scene.inner.word = TEXT + 2;
  assert_unproven(&scene);
  scene.inner.word = TEXT;
  scene.inner.signal_code = 2; /* SYS_USER_DISPATCH */
  assert_unproven(&scene);
}

/* In a mapping that is there only a guard page is not (Linux 6.13), and what runs on it has its stack in it. */
static void a_guard_page_is_one_that_was_not_there(void **state) {
  (void)state;
  struct scene scene = {
      .inner = {CODE(load), .rax = STACK + 0x4000, .trap = PAGE_FAULT, .error = 4, .address = STACK + 0x4000}};
  struct opened opened;
  assert_true(handled(&opened, &scene));
  assert_string_equal(opened.process.crash->code_name, "SEGV_MAPERR");
  forget(&opened);
  scene.inner.error = 5; /* it was there, and might be read */
  assert_unproven(&scene);
  scene.inner.error = 4;
  scene.inner.rax = scene.inner.address = DATA; /* no stack of its own */
  assert_unproven(&scene);
  scene.inner.rax = scene.inner.address = STACK + 0x4000;
  scene.signal = EXU_SIGABRT; /* which proves no segmentation fault */
  assert_unproven(&scene);
}

static void other_exceptions_are_known_by_their_instruction(void **state) {
  (void)state;
  struct scene scene = {.inner = {CODE(load), .rax = UINT64_C(0xdead000000000000), .trap = PROTECTION}};
  const char *refused = "Segmentation fault for which the kernel gives no address (a non-canonical or misaligned one, "
                        "or none) in thread 1234" AGAIN;
  assert_proven(&scene, refused);
  scene.inner.rax = DATA;
  assert_unproven(&scene);
  scene.inner = (struct frame){CODE(aligned), .rax = DATA + 8, .trap = PROTECTION};
  assert_proven(&scene, refused);
  scene.inner.rax = DATA + 16;
  assert_unproven(&scene);

  scene = (struct scene){.signal = EXU_SIGILL, .inner = {CODE(ud2), .trap = INVALID}};
  assert_proven(&scene,
                "Illegal instruction (illegal operand) at 0x400000 in anonymous memory (r-x) in thread 1234" AGAIN);
  scene.inner.code = load;
  assert_unproven(&scene);

  scene = (struct scene){.signal = EXU_SIGFPE, .inner = {CODE(divide), .rsi = UINT64_C(5) << 32, .trap = DIVISION}};
  assert_proven(&scene,
                "Floating point exception (integer divide by zero) at 0x400000 in anonymous memory (r-x) in thread "
                "1234" AGAIN);
  scene.inner.rsi = 1;
  assert_unproven(&scene);
  /* What cannot be carried out, but raised another exception the last time. */
  scene.inner.rsi = UINT64_C(5) << 32;
  scene.inner.trap = INVALID;
  assert_unproven(&scene);
  scene = (struct scene){.signal = EXU_SIGILL, .inner = {CODE(ud2), .trap = PROTECTION}};
  assert_unproven(&scene);
  scene = (struct scene){.inner = {CODE(load), .rax = UINT64_C(0xdead000000000000), .trap = INVALID}};
  assert_unproven(&scene);
}

static void a_thread_that_raised_its_signal_and_handled_it_raised_it_itself(void **state) {
  (void)state;
  const struct frame raised = {.rip = RAISED};
  struct scene scene = {.inner = raised};
  assert_proven(&scene, "Segmentation fault (SIGSEGV raised by the process itself) in thread 1234" AGAIN);
  scene.inner.rax = UINT64_MAX; /* tgkill failed */
  assert_unproven(&scene);
  /* A handler that calls the one before it. */
  scene = (struct scene){
      .inner = raised, .count = 2, .outer = {CODE(load), .rax = 0x10, .trap = PAGE_FAULT, .address = 0x10}};
  assert_proven(&scene, "Segmentation fault reading address 0x10 (near NULL) in thread 1234" AGAIN);
  scene.outer.rax = 0x1000;
  assert_unproven(&scene);
  /* The inner one ran for nobody knows what: the outer one's reason is not the end. */
  scene.outer.rax = 0x10;
  scene.inner = (struct frame){CODE(jump), .trap = PAGE_FAULT, .address = 0x10};
  assert_unproven(&scene);
  /* There may be others further out. */
  struct opened opened;
  scene = (struct scene){.inner = raised, .incomplete = true};
  assert_true(handled(&opened, &scene));
  assert_null(opened.process.scene.thread);
  assert_int_equal(opened.process.crash->handler_tid, 0); /* nor is it certain that a handler raised it */
  forget(&opened);
}

/* tgkill for itself arrives there, whatever handlers other threads run. */
static void a_thread_without_handlers_that_sent_the_signal_to_itself_crashed(void **state) {
  (void)state;
  const struct scene scene = {.inner = {CODE(jump)}, .swapped = true};
  struct opened opened;
  open_scene(&opened, &scene);
  assert_false(exu_crash_may_handle(&opened.process, &opened.process.threads[0]));
  assert_true(exu_crash_may_handle(&opened.process, &opened.process.threads[1]));
  assert_int_equal(opened.process.crash->tid, TID);
  assert_string_equal(crash_sentence(opened.process.crash, PID),
                      "Segmentation fault (SIGSEGV raised by the process itself) in thread 1234");
  forget(&opened);
}

static void assert_says(const struct scene *scene, const char *expected) {
  struct opened opened;
  open_scene(&opened, scene);
  assert_string_equal(crash_sentence(opened.process.crash, PID), expected);
  forget(&opened);
}

static bool handlers_tell(const struct scene *scene) {
  struct opened opened;
  open_scene(&opened, scene);
  const bool tell = exu_crash_handlers_tell(&opened.process);
  forget(&opened);
  return tell;
}

static void handlers_tell_nothing_more_of_a_signal_that_no_fault_gives_once_its_sender_is_certain(void **state) {
  (void)state;
  const struct frame proof = {CODE(load), .rax = 0x10, .trap = PAGE_FAULT, .error = 4, .address = 0x10};
  const struct scene certain = {.signal = EXU_SIGABRT, .inner = proof, .swapped = true};
  struct opened opened;
  open_scene(&opened, &certain);
  assert_false(exu_crash_handlers_tell(&opened.process));
  const uint64_t context = INNER;
  const struct exu_handlers other = {
      .thread = &opened.process.threads[1], .contexts = &context, .count = 1, .complete = true};
  assert_false(exu_crash_handled(&opened.process, &other));
  assert_string_equal(crash_sentence(opened.process.crash, PID),
                      "Aborted (SIGABRT raised by the process itself) in thread 1234");
  forget(&opened);
  /* They may of one that faults give, of one whose sender may run one or is not known, and where one has returned. */
  struct scene scene = certain;
  scene.signal = EXU_SIGSEGV;
  assert_true(handlers_tell(&scene));
  scene = certain;
  scene.swapped = false;
  assert_true(handlers_tell(&scene));
  scene.elsewhere = true;
  assert_true(handlers_tell(&scene));
  scene = (struct scene){
      .signal = EXU_SIGABRT, .inner = {.rip = RAISED, .sent = EXU_SIGABRT}, .returned = true, .carried_out = true};
  assert_says(&scene,
              "Aborted (SIGABRT raised by the process itself) in thread 1234, raised again by a signal handler");
  assert_true(handlers_tell(&scene));
}

/* Any number of threads may claim one and the same large stack: all of them together are looked at within a bound. */
static void whose_stack_is_not_looked_at_any_more_may_run_a_handler(void **state) {
  (void)state;
  const struct scene scene = {.inner = {CODE(jump)}, .swapped = true};
  struct opened opened;
  open_scene(&opened, &scene);
  struct exu_os_thread *thread = &opened.process.threads[0];
  const uint64_t size = DATA + PAGE - thread->registers.sp;
  opened.process.scene.stack_bytes_left = 2 * size + size / 2;
  assert_false(exu_crash_may_handle(&opened.process, thread));
  assert_false(exu_crash_may_handle(&opened.process, thread));
  assert_false(opened.process.scene.given_up);
  assert_true(exu_crash_may_handle(&opened.process, thread));
  assert_true(opened.process.scene.given_up);
  forget(&opened);
  open_scene(&opened, &scene);
  struct exu_limits limits = {0};
  opened.process.limits = &limits;
  assert_false(exu_crash_may_handle(&opened.process, &opened.process.threads[0]));
  exu_limits_cancel(&limits);
  assert_true(exu_crash_may_handle(&opened.process, &opened.process.threads[0]));
  forget(&opened);
}

static void who_may_run_a_handler_is_not_called_crashed_for_want_of_another(void **state) {
  (void)state;
  const struct scene scene = {.inner = {CODE(jump)}};
  struct opened opened;
  open_scene(&opened, &scene);
  assert_true(exu_crash_may_handle(&opened.process, &opened.process.threads[0]));
  exu_crash_unhandled(&opened.process);
  assert_null(opened.process.scene.thread);
  assert_int_equal(opened.process.crash->tid, -1);
  forget(&opened);
}

static void another_thread_may_raise_the_same_signal_again_and_another_one_for_itself(void **state) {
  (void)state;
  struct scene scene = {.inner = {CODE(load), .rax = 0x10, .trap = PAGE_FAULT, .address = 0x10}, .other_sends = true};
  struct opened opened;
  open_scene(&opened, &scene);
  assert_null(opened.process.scene.thread);
  const uint64_t context = INNER;
  struct exu_handlers handlers = {
      .thread = &opened.process.threads[0], .contexts = &context, .count = 1, .complete = true};
  assert_true(exu_crash_handled(&opened.process, &handlers));
  assert_ptr_equal(opened.process.scene.thread, &opened.process.threads[0]);
  assert_string_equal(
      crash_sentence(opened.process.crash, PID),
      "Segmentation fault reading address 0x10 (near NULL) in thread 1234, raised again by the process itself");
  forget(&opened);
  scene.signal = EXU_SIGABRT;
  open_scene(&opened, &scene);
  handlers.thread = &opened.process.threads[0];
  assert_false(exu_crash_handled(&opened.process, &handlers));
  assert_string_equal(crash_sentence(opened.process.crash, PID), "Aborted (SIGABRT raised by the process itself)");
  /* Had what looks like a frame been no handler's, it were known. */
  exu_crash_unhandled(&opened.process);
  assert_string_equal(crash_sentence(opened.process.crash, PID),
                      "Aborted (SIGABRT raised by the process itself) in thread 1233");
  forget(&opened);
  /* Neither who raised it before, while another one does now, nor who runs no handler, while nobody knows who did. */
  scene = (struct scene){.inner = {.rip = RAISED}, .other_sends = true};
  open_scene(&opened, &scene);
  handlers.thread = &opened.process.threads[0];
  assert_false(exu_crash_handled(&opened.process, &handlers));
  assert_null(opened.process.scene.thread);
  forget(&opened);
  scene = (struct scene){.inner = {CODE(jump)}, .elsewhere = true};
  open_scene(&opened, &scene);
  handlers = (struct exu_handlers){.thread = &opened.process.threads[0], .complete = true};
  assert_false(exu_crash_handled(&opened.process, &handlers));
  assert_null(opened.process.scene.thread);
  forget(&opened);
}

/* The signal waited until the handler had returned to the instruction that it ran for. */
static void a_handler_that_has_returned_is_known_by_the_registers_that_it_gave_back(void **state) {
  (void)state;
  struct scene scene = {.signal = EXU_SIGBUS,
                        .inner = {CODE(load), .rax = DATA, .trap = PAGE_FAULT, .error = 4, .address = DATA},
                        .returned = true};
  struct opened opened;
  open_scene(&opened, &scene);
  assert_string_equal(crash_sentence(opened.process.crash, PID),
                      "Bus error reading address 0x500000 (the stack of thread 1233) in thread 1234" AGAIN);
  forget(&opened);
  /* One register differs: it is a leftover of another time. */
  scene.inner.rsi = 5;
  open_scene(&opened, &scene);
  const char *unproven = "Bus error (SIGBUS raised by the process itself)";
  assert_string_equal(crash_sentence(opened.process.crash, PID), unproven);
  forget(&opened);
  /* Nor in a system call, nor by an instruction alone: what a file has grown by since is not seen. */
  scene.inner.rsi = 0;
  scene.in_call = true;
  open_scene(&opened, &scene);
  assert_string_equal(crash_sentence(opened.process.crash, PID), unproven);
  forget(&opened);
  scene = (struct scene){.signal = EXU_SIGBUS, .inner = {CODE(load), .rax = 0x10, .rsi = 5}, .returned = true};
  open_scene(&opened, &scene);
  assert_string_equal(crash_sentence(opened.process.crash, PID), unproven);
  forget(&opened);
  /* It ran for something else than what the process ended of. */
  scene = (struct scene){.signal = EXU_SIGABRT,
                         .inner = {CODE(load), .rax = 0x10, .trap = PAGE_FAULT, .error = 4, .address = 0x10},
                         .returned = true};
  open_scene(&opened, &scene);
  assert_string_equal(crash_sentence(opened.process.crash, PID), "Aborted (SIGABRT raised by the process itself)");
  forget(&opened);
  /* But this instruction cannot be carried out. */
  scene = (struct scene){.inner = {CODE(load), .rax = 0x10, .rsi = 5}, .returned = true};
  open_scene(&opened, &scene);
  assert_string_equal(
      crash_sentence(opened.process.crash, PID),
      "Segmentation fault reading address 0x10 (near NULL) in thread 1234, raised again by the process itself");
  assert_false(opened.process.crash->has_code);
  forget(&opened);
  scene.inner.rax = UINT64_C(0xdead000000000000);
  open_scene(&opened, &scene);
  assert_string_equal(crash_sentence(opened.process.crash, PID),
                      "Segmentation fault for which the kernel gives no address (a non-canonical or misaligned one, or "
                      "none) in thread 1234, raised "
                      "again by the process itself");
  assert_false(opened.process.crash->has_address);
  forget(&opened);
}

/* What has been mended leaves the same behind, where the same is done again and again. */
static void a_fault_of_an_instruction_that_was_carried_out_since_is_long_past(void **state) {
  (void)state;
  struct scene scene = {.signal = EXU_SIGBUS,
                        .inner = {CODE(load), .rax = DATA, .trap = PAGE_FAULT, .error = 4, .address = DATA},
                        .returned = true,
                        .carried_out = true};
  assert_says(&scene, "Bus error (SIGBUS raised by the process itself)");
}

static void a_handler_that_has_returned_is_found_on_the_stack_that_it_had(void **state) {
  (void)state;
  const char *proven = "Bus error reading address 0x500000 (the stack of thread 1233) in thread 1234" AGAIN;
  const char *unproven = "Bus error (SIGBUS raised by the process itself)";
  const struct scene right = {.signal = EXU_SIGBUS,
                              .inner = {CODE(load), .rax = DATA, .trap = PAGE_FAULT, .error = 4, .address = DATA,
                                        .stack = HANDLERS, .stack_size = HANDLERS_SIZE},
                              .returned = true,
                              .at = ON_HANDLERS};
  assert_says(&right, proven);
  struct scene scene = right;
  scene.inner.rsi = 5;
  assert_says(&scene, unproven);
  scene = right;
  scene.carried_out = true;
  assert_says(&scene, unproven);
  /* abort(3) */
  scene = (struct scene){.inner = {.rip = RAISED, .stack = HANDLERS, .stack_size = HANDLERS_SIZE},
                         .returned = true,
                         .carried_out = true,
                         .at = ON_HANDLERS};
  assert_says(&scene, "Segmentation fault (SIGSEGV raised by the process itself) in thread 1234" AGAIN);
  scene.in_call = true;
  assert_says(&scene, "Segmentation fault (SIGSEGV raised by the process itself)");
}

/* A copy of a context says where the frame was. */
static void a_frame_that_is_not_the_first_of_a_stack_for_handlers_is_none(void **state) {
  (void)state;
  static const struct {
    uint64_t at, stack, size;
  } wrong[] = {
      {ON_HANDLERS, 0, 0},
      {ON_HANDLERS, HANDLERS + HANDLERS_SIZE, HANDLERS_SIZE},
      {ON_HANDLERS, HANDLERS - 0x8000, 0x8000},
      {ON_HANDLERS, HANDLERS, 0x40000},         /* far from its end */
      {STACK + 0x9000, STACK + 0x1000, 0xa000}, /* the thread was on it before */
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const struct scene scene = {.signal = EXU_SIGBUS,
                                .inner = {CODE(load), .rax = DATA, .trap = PAGE_FAULT, .error = 4, .address = DATA,
                                          .stack = wrong[i].stack, .stack_size = wrong[i].size},
                                .returned = true,
                                .at = wrong[i].at};
    assert_says(&scene, "Bus error (SIGBUS raised by the process itself)");
  }
}

static void the_search_for_a_stack_for_handlers_has_a_budget(void **state) {
  (void)state;
  const struct scene scene = {.signal = EXU_SIGBUS,
                              .inner = {CODE(load), .rax = DATA, .trap = PAGE_FAULT, .error = 4, .address = DATA,
                                        .stack = HANDLERS, .stack_size = HANDLERS_SIZE},
                              .returned = true,
                              .at = ON_HANDLERS,
                              .full = true};
  assert_says(&scene, "Bus error (SIGBUS raised by the process itself)");
}

static void a_frame_that_cannot_be_read_proves_nothing(void **state) {
  (void)state;
  const struct scene scene = {.inner = {CODE(load), .rax = 0x10, .trap = PAGE_FAULT, .address = 0x10}};
  struct opened opened;
  open_scene(&opened, &scene);
  const uint64_t contexts[] = {STACK + 0x10000 - 8, 0, UINT64_MAX - 8, STACK + 0x4000};
  struct exu_signal_frame frame;
  for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++)
    assert_false(exu_signal_frame_read(&opened.process, &opened.process.threads[0], contexts[i], &frame));
  forget(&opened);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_page_fault_is_known_by_its_address_and_its_instruction),
      cmocka_unit_test(a_page_fault_that_is_long_past_is_not_taken_for_the_signal),
      cmocka_unit_test(what_the_kernel_told_the_handler_is_said_when_the_instruction_agrees),
      cmocka_unit_test(a_guard_page_is_one_that_was_not_there),
      cmocka_unit_test(other_exceptions_are_known_by_their_instruction),
      cmocka_unit_test(a_thread_without_handlers_that_sent_the_signal_to_itself_crashed),
      cmocka_unit_test(handlers_tell_nothing_more_of_a_signal_that_no_fault_gives_once_its_sender_is_certain),
      cmocka_unit_test(whose_stack_is_not_looked_at_any_more_may_run_a_handler),
      cmocka_unit_test(who_may_run_a_handler_is_not_called_crashed_for_want_of_another),
      cmocka_unit_test(a_thread_that_raised_its_signal_and_handled_it_raised_it_itself),
      cmocka_unit_test(another_thread_may_raise_the_same_signal_again_and_another_one_for_itself),
      cmocka_unit_test(a_handler_that_has_returned_is_known_by_the_registers_that_it_gave_back),
      cmocka_unit_test(a_fault_of_an_instruction_that_was_carried_out_since_is_long_past),
      cmocka_unit_test(a_handler_that_has_returned_is_found_on_the_stack_that_it_had),
      cmocka_unit_test(a_frame_that_is_not_the_first_of_a_stack_for_handlers_is_none),
      cmocka_unit_test(the_search_for_a_stack_for_handlers_has_a_budget),
      cmocka_unit_test(a_frame_that_cannot_be_read_proves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
