/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of the unwinder where there is no unwinding information, on a process of a few hundred bytes. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "elf_builder.h"
#include "native/unwind_private.h"

enum { SIZE = 4096, WORDS = SIZE / 8, RBP = 6, RSP = 7 };

static const uint64_t CODE = 0x400000, STACK = 0x7ff000000000, OTHER_STACK = 0x600000, HEAP = 0x500000;

struct process {
  struct exu_arena arena;
  struct exu_target target;
  struct exu_modules modules;
  struct exu_os_thread thread;
  struct exu_native_stack stack;
  struct exu_unwinder *unwinder;
  uint8_t code[SIZE];
  uint64_t words[WORDS], other[WORDS];
  struct nameless_file files[3];
};

static int set_up(void **state) {
  struct process *process = calloc(1, sizeof *process);
  exu_arena_init(&process->arena, 16 << 20);
  process->target.arch = exu_arch_find(EM_X86_64, ELFCLASS64, ELFDATA2LSB);
  process->target.space = exu_space_create(&process->arena);
  process->modules.target = &process->target;
  process->modules.arena = &process->arena;
  process->thread.registers.valid = UINT32_MAX;
  process->thread.registers.syscall = -1;
  memset(process->code, 0x90, sizeof process->code);
  *state = process;
  return 0;
}

static int tear_down(void **state) {
  struct process *process = *state;
  exu_unwinder_destroy(process->unwinder);
  exu_native_stack_deinit(&process->stack);
  exu_space_destroy(process->target.space);
  for (size_t i = 0; i < 3; i++)
    if (process->files[i].fd > 0) close(process->files[i].fd);
  exu_arena_deinit(&process->arena);
  free(process);
  return 0;
}

static void add(struct process *process, size_t index, uint64_t start, const void *bytes, uint32_t prot) {
  process->files[index] = nameless_file(bytes, SIZE);
  int source = exu_space_add_source(process->target.space, exu_source_of_file(process->files[index].fd, SIZE, false));
  struct exu_region region = {
      .start = start, .end = start + SIZE, .saved = SIZE, .source = (uint32_t)source, .prot = prot};
  assert_true(source >= 0 && exu_space_add(process->target.space, &region));
}

/* The process is complete: unwind it. */
static const struct exu_native_frame *unwind(struct process *process, uint64_t pc, uint64_t sp, uint64_t rbp) {
  struct exu_registers *registers = &process->thread.registers;
  add(process, 0, CODE, process->code, EXU_PROT_READ | EXU_PROT_EXEC);
  add(process, 1, STACK, process->words, EXU_PROT_READ | EXU_PROT_WRITE);
  add(process, 2, OTHER_STACK, process->other, EXU_PROT_READ | EXU_PROT_WRITE);
  assert_true(exu_space_seal(process->target.space));
  process->unwinder = exu_unwinder_create(&process->target, &process->modules, &process->arena);
  assert_non_null(process->unwinder);
  registers->pc = pc;
  registers->sp = registers->value[RSP] = sp;
  registers->value[RBP] = rbp;
  assert_true(exu_unwind(process->unwinder, &process->thread, 0, &process->stack));
  return process->stack.frames.items;
}

/* A direct call of CODE + to that returns to CODE + at; returns that address. */
static uint64_t put_call(struct process *process, uint32_t at, uint32_t to) {
  const uint32_t offset = to - at;
  process->code[at - 5] = 0xe8;
  memcpy(process->code + at - 4, &offset, sizeof offset);
  return CODE + at;
}

static void put_prologue(struct process *process, uint32_t at) {
  memcpy(process->code + at, (uint8_t[]){0x55, 0x48, 0x89, 0xe5}, 4);
}

static void return_address_follows_a_call(void **state) {
  struct process *process = *state;
  static const struct {
    uint8_t bytes[7], size;
    bool call;
  } cases[] = {
      {{0xe8, 1, 2, 3, 4}, 5, true},
      {{0xff, 0xd0}, 2, true},                   /* call *%rax */
      {{0x41, 0xff, 0xd3}, 3, true},             /* call *%r11 */
      {{0xff, 0x53, 0x10}, 3, true},             /* call *16(%rbx) */
      {{0xff, 0x15, 1, 2, 3, 4}, 6, true},       /* call *offset(%rip) */
      {{0xff, 0x94, 0x24, 1, 2, 3, 4}, 7, true}, /* call *offset(%rsp) */
      {{0xff, 0x14, 0x25, 1, 2, 3, 4}, 7, true}, /* call *address */
      {{0xff, 0xe0}, 2, false},                  /* jmp *%rax */
      {{0xe9, 1, 2, 3, 4}, 5, false},            /* jmp */
      {{0xc3}, 1, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    memcpy(process->code + 64 * (i + 1) - cases[i].size, cases[i].bytes, cases[i].size);
  unwind(process, CODE, STACK, 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(exu_unwind_is_return_address(process->unwinder, CODE + 64 * (i + 1)), cases[i].call);
  assert_false(exu_unwind_is_return_address(process->unwinder, STACK + 64));
  assert_false(exu_unwind_is_return_address(process->unwinder, 0));
  assert_false(exu_unwind_is_return_address(process->unwinder, UINT64_MAX));
}

static void call_through_a_null_pointer_is_stepped_over(void **state) {
  struct process *process = *state;
  process->words[8] = put_call(process, 100, 0);
  const struct exu_native_frame *frames = unwind(process, 0, STACK + 64, 0);
  assert_int_equal(process->stack.frames.count, 2);
  assert_true(frames[0].pc == 0 && frames[0].exact && frames[0].sp == STACK + 64 && frames[0].cfa == STACK + 72);
  assert_true(frames[1].pc == CODE + 100 && !frames[1].exact && frames[1].sp == STACK + 72 && frames[1].cfa == 0);
  assert_int_equal(process->stack.end, EXU_UNWIND_NO_CODE);
}

static void call_into_the_heap_is_stepped_over(void **state) {
  struct process *process = *state;
  process->words[8] = put_call(process, 100, 0);
  assert_true(unwind(process, HEAP, STACK + 64, 0)[0].pc == HEAP);
  assert_int_equal(process->stack.frames.count, 2);
}

static void bad_call_is_not_stepped_over_without_proof(void **state) {
  struct process *process = *state;
  process->words[8] = CODE + 100; /* no call before it */
  unwind(process, 0, STACK + 64, 0);
  assert_int_equal(process->stack.frames.count, 1);
  assert_int_equal(process->stack.end, EXU_UNWIND_NO_CODE);
}

static void code_that_may_have_run_is_not_stepped_over(void **state) {
  struct process *process = *state;
  process->words[8] = put_call(process, 100, 200);
  unwind(process, CODE + 200, STACK + 64, 0);
  assert_int_equal(process->stack.frames.count, 1);
}

static void frame_pointers_are_followed_where_functions_make_them(void **state) {
  struct process *process = *state;
  put_prologue(process, 200);
  put_prologue(process, 300);
  process->words[10] = STACK + 160; /* of the inner function: its caller's frame pointer, its return address */
  process->words[11] = put_call(process, 320, 200);
  process->words[20] = 1; /* not a frame pointer: its caller has none */
  process->words[21] = put_call(process, 100, 300);
  const struct exu_native_frame *frames = unwind(process, CODE + 220, STACK + 64, STACK + 80);
  assert_int_equal(process->stack.frames.count, 3);
  assert_int_equal(process->stack.frame_pointer_steps, 2);
  assert_false(frames[0].by_frame_pointer);
  assert_true(frames[1].by_frame_pointer && frames[1].pc == CODE + 320 && frames[1].sp == STACK + 96);
  assert_true(frames[2].by_frame_pointer && frames[2].pc == CODE + 100 && frames[2].sp == STACK + 176);
  assert_true(frames[0].cfa == frames[1].sp && frames[1].cfa == frames[2].sp);
}

static void frame_pointer_of_another_function_is_not_followed(void **state) {
  struct process *process = *state;
  process->words[10] = STACK + 160;
  process->words[11] = put_call(process, 320, 200); /* nothing at 200 makes a frame */
  unwind(process, CODE + 220, STACK + 64, STACK + 80);
  assert_int_equal(process->stack.frames.count, 1);
  assert_int_equal(process->stack.frame_pointer_steps, 0);
}

static void frame_pointer_below_the_stack_pointer_is_not_followed(void **state) {
  struct process *process = *state;
  put_prologue(process, 200);
  process->words[2] = STACK + 160;
  process->words[3] = put_call(process, 320, 200);
  unwind(process, CODE + 220, STACK + 64, STACK + 16);
  assert_int_equal(process->stack.frames.count, 1);
}

/* The C library's code for returning from a handler, without unwinding information as in musl. */
static void put_trampoline(struct process *process, uint32_t at) {
  memcpy(process->code + at, (uint8_t[]){0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05}, 9);
}

enum { CONTEXT_RSP = 15, CONTEXT_RIP = 16, CONTEXT_WORDS = 5 };

static void signal_on_a_stack_of_its_own_is_left(void **state) {
  struct process *process = *state;
  put_trampoline(process, 400);
  uint64_t *context = process->words + 8 + CONTEXT_WORDS;
  context[CONTEXT_RSP] = OTHER_STACK + 256; /* lower than the handler's */
  context[CONTEXT_RIP] = CODE + 500;
  const struct exu_native_frame *frames = unwind(process, CODE + 400, STACK + 64, 0);
  assert_int_equal(process->stack.frames.count, 2);
  assert_true(frames[0].signal && frames[0].cfa > frames[0].sp && frames[0].cfa < STACK + SIZE);
  assert_true(frames[1].pc == CODE + 500 && frames[1].exact && !frames[1].signal && frames[1].sp == OTHER_STACK + 256);
}

static void null_call_that_a_handler_interrupted_is_stepped_over(void **state) {
  struct process *process = *state;
  put_trampoline(process, 400);
  uint64_t *context = process->words + 8 + CONTEXT_WORDS;
  context[CONTEXT_RSP] = STACK + 1024;
  context[CONTEXT_RIP] = 0;
  process->words[128] = put_call(process, 100, 0);
  const struct exu_native_frame *frames = unwind(process, CODE + 400, STACK + 64, 0);
  assert_int_equal(process->stack.frames.count, 3);
  assert_true(frames[0].cfa == STACK + 1024 && frames[1].pc == 0 && frames[1].exact && frames[2].pc == CODE + 100);
}

static void signal_frames_that_lead_in_a_circle_end(void **state) {
  struct process *process = *state;
  put_trampoline(process, 400);
  uint64_t *context = process->words + 8 + CONTEXT_WORDS;
  context[CONTEXT_RSP] = STACK + 64; /* itself */
  context[CONTEXT_RIP] = CODE + 400;
  unwind(process, CODE + 400, STACK + 64, 0);
  assert_int_equal(process->stack.end, EXU_UNWIND_STACK);
  assert_true(process->stack.frames.count < 100);
}

/* ---- Code that says itself where it returns to ------------------------------------------------------------------- */

enum { RBX = 3, RDI = 5, RETURN = 100 };

#define PUT(process, at, ...)                                                                                          \
  memcpy((process)->code + (at), ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__}))

/* The code at 200 runs, with STACK + 64 as its stack pointer, and word `slot` is the address behind a call. */
static size_t frames_of_code(struct process *process, size_t slot) {
  process->words[slot] = put_call(process, RETURN, 300);
  unwind(process, CODE + 200, STACK + 64, STACK + 2048);
  return process->stack.frames.count;
}

static void code_without_tables_returns_where_its_ret_does(void **state) {
  struct process *process = *state;
  PUT(process, 200, 0x48, 0x83, 0xc4, 0x08, 0xc3); /* add $8, %rsp; ret */
  assert_int_equal(frames_of_code(process, 9), 2);
  const struct exu_native_frame *frames = process->stack.frames.items;
  assert_true(frames[0].exact && frames[0].cfa == STACK + 80 && !frames[1].by_frame_pointer);
  assert_true(frames[1].pc == CODE + RETURN && frames[1].sp == STACK + 80 && !frames[1].exact);
}

static void leaf_without_prologue_returns_to_the_top_of_the_stack(void **state) {
  struct process *process = *state;
  PUT(process, 200, 0x48, 0xf7, 0xfb, 0xc3); /* idiv %rbx; ret */
  assert_int_equal(frames_of_code(process, 8), 2);
  assert_true(process->stack.frames.items[1].sp == STACK + 72);
}

static void stack_pointer_and_saved_registers_come_back(void **state) {
  struct process *process = *state;
  process->thread.registers.value[RBX] = STACK + 1024;
  PUT(process, 200, 0xc5, 0xf8, 0x77, 0x48, 0x89, 0xdc,     /* vzeroupper; mov %rbx, %rsp */
      0x48, 0x8b, 0x1c, 0x24, 0x48, 0x8b, 0x6c, 0x24, 0x08, /* mov (%rsp), %rbx; mov 8(%rsp), %rbp */
      0x48, 0x83, 0xc4, 0x60, 0xc3);                        /* add $96, %rsp; ret */
  PUT(process, RETURN, 0xc9, 0xc3);                         /* the caller: leave; ret */
  process->words[(1024 + 8) / 8] = STACK + 1536;
  process->words[1536 / 8 + 1] = put_call(process, 600, 500);
  assert_int_equal(frames_of_code(process, (1024 + 96) / 8), 3);
  const struct exu_native_frame *frames = process->stack.frames.items;
  assert_true(frames[1].pc == CODE + RETURN && frames[1].sp == STACK + 1024 + 104);
  assert_true(frames[2].pc == CODE + 600 && frames[2].sp == STACK + 1536 + 16);
}

static void register_that_was_pushed_is_what_it_was(void **state) {
  struct process *process = *state;
  process->thread.registers.value[RBX] = STACK + 1536;
  PUT(process, 200, 0x53, 0x31, 0xdb, 0x5b, 0xc3); /* push %rbx; xor %ebx, %ebx; pop %rbx; ret */
  PUT(process, RETURN, 0x48, 0x89, 0xdc, 0xc3);    /* the caller: mov %rbx, %rsp; ret */
  process->words[1536 / 8] = put_call(process, 600, 500);
  assert_int_equal(frames_of_code(process, 8), 3);
  assert_true(process->stack.frames.items[2].sp == STACK + 1536 + 8);
}

static void stack_pointer_that_a_register_is_yet_to_keep_comes_back(void **state) {
  struct process *process = *state;
  /* push; mov %rsp, %rbx; and $-256, %rsp; mov %rbx, %rsp; pop; ret */
  PUT(process, 200, 0x53, 0x48, 0x89, 0xe3, 0x48, 0x81, 0xe4, 0x00, 0xff, 0xff, 0xff, 0x48, 0x89, 0xdc, 0x5b, 0xc3);
  assert_int_equal(frames_of_code(process, 8), 2);
  assert_true(process->stack.frames.items[1].sp == STACK + 72);
}

static void ways_that_lead_to_one_return_agree(void **state) {
  struct process *process = *state;
  PUT(process, 200, 0x75, 0x04, 0x50, 0x58, 0xeb, 0x00, 0x74, 0xf8, 0xc3); /* jne 1; push; pop; jmp 1; 1: je 0; ret */
  assert_int_equal(frames_of_code(process, 8), 2);
}

static void ways_that_contradict_each_other_are_not_believed(void **state) {
  struct process *process = *state;
  PUT(process, 200, 0x75, 0x01, 0x58, 0xc3); /* jne 1; pop %rax; 1: ret */
  process->words[9] = CODE + RETURN;
  assert_int_equal(frames_of_code(process, 8), 1);
}

static void returns_from_different_slots_are_not_believed(void **state) {
  struct process *process = *state;
  PUT(process, 200, 0x75, 0x02, 0x58, 0xc3, 0xc3); /* jne 1; pop %rax; ret; 1: ret */
  process->words[9] = CODE + RETURN;
  assert_int_equal(frames_of_code(process, 8), 1);
}

static void what_a_call_comes_back_to_is_not_taken_for_certain(void **state) {
  struct process *process = *state;
  PUT(process, 200, 0xe8, 0x10, 0, 0, 0, 0xc3);
  assert_int_equal(frames_of_code(process, 8), 1);
}

static void another_coroutines_stack_is_not_followed(void **state) {
  struct process *process = *state;
  process->thread.registers.value[RDI] = STACK + 1024;
  PUT(process, 200, 0x48, 0x89, 0xfc, 0xc3); /* mov %rdi, %rsp; ret */
  process->words[8] = CODE + RETURN;
  assert_int_equal(frames_of_code(process, 128), 1);
}

static void stack_pointer_from_memory_is_not_followed(void **state) {
  struct process *process = *state;
  process->thread.registers.value[RBX] = STACK + 1024;
  process->words[128 + 6] = STACK + 1536;
  PUT(process, 200, 0x48, 0x8b, 0x63, 0x30, 0xc3); /* mov 48(%rbx), %rsp; ret */
  process->words[8] = CODE + RETURN;
  assert_int_equal(frames_of_code(process, 192), 1);
}

static void return_to_what_no_call_precedes_is_not_believed(void **state) {
  struct process *process = *state;
  PUT(process, 200, 0xc3);
  process->words[8] = CODE + RETURN + 1;
  assert_int_equal(frames_of_code(process, 9), 1);
}

static void code_that_never_returns_has_no_caller(void **state) {
  struct process *process = *state;
  PUT(process, 200, 0xeb, 0xfe);
  assert_int_equal(frames_of_code(process, 8), 1);
  assert_int_equal(process->stack.end, EXU_UNWIND_NO_CODE);
}

static void resume_without_proof_is_refused(void **state) {
  struct process *process = *state;
  const uint64_t markers[] = {STACK + 512, UINT64_MAX};
  bool resumed = true;
  process->words[20] = put_call(process, 100, 300);
  unwind(process, CODE + 220, STACK + 64, 0);
  assert_true(exu_unwind_resume(process->unwinder, markers, 2, 0, &process->stack, &resumed));
  assert_false(resumed);
  assert_int_equal(process->stack.frames.count, 1);
  assert_true(exu_unwind_resume(process->unwinder, markers, 2, 1, &process->stack, &resumed));
  assert_false(resumed);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(return_address_follows_a_call),
      TEST(call_through_a_null_pointer_is_stepped_over),
      TEST(call_into_the_heap_is_stepped_over),
      TEST(bad_call_is_not_stepped_over_without_proof),
      TEST(code_that_may_have_run_is_not_stepped_over),
      TEST(frame_pointers_are_followed_where_functions_make_them),
      TEST(frame_pointer_of_another_function_is_not_followed),
      TEST(frame_pointer_below_the_stack_pointer_is_not_followed),
      TEST(signal_on_a_stack_of_its_own_is_left),
      TEST(null_call_that_a_handler_interrupted_is_stepped_over),
      TEST(signal_frames_that_lead_in_a_circle_end),
      TEST(code_without_tables_returns_where_its_ret_does),
      TEST(leaf_without_prologue_returns_to_the_top_of_the_stack),
      TEST(stack_pointer_and_saved_registers_come_back),
      TEST(register_that_was_pushed_is_what_it_was),
      TEST(stack_pointer_that_a_register_is_yet_to_keep_comes_back),
      TEST(ways_that_lead_to_one_return_agree),
      TEST(ways_that_contradict_each_other_are_not_believed),
      TEST(returns_from_different_slots_are_not_believed),
      TEST(what_a_call_comes_back_to_is_not_taken_for_certain),
      TEST(another_coroutines_stack_is_not_followed),
      TEST(stack_pointer_from_memory_is_not_followed),
      TEST(return_to_what_no_call_precedes_is_not_believed),
      TEST(code_that_never_returns_has_no_caller),
      TEST(resume_without_proof_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
