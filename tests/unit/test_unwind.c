/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of the unwinder where there is no unwinding information, on a process of a few hundred bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "code_process.h"
#include "native/stacks.h"
#include "native/unwind_private.h"

static void put_prologue(struct code_process *process, uint32_t at) {
  memcpy(process->code + at, (uint8_t[]){0x55, 0x48, 0x89, 0xe5}, 4);
}

static void return_address_follows_a_call(void **state) {
  struct code_process *process = *state;
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
  code_process_unwind(process, CODE, STACK, 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(exu_unwind_is_return_address(process->unwinder, CODE + 64 * (i + 1)), cases[i].call);
  assert_false(exu_unwind_is_return_address(process->unwinder, STACK + 64));
  assert_false(exu_unwind_is_return_address(process->unwinder, 0));
  assert_false(exu_unwind_is_return_address(process->unwinder, UINT64_MAX));
}

static void call_through_a_null_pointer_is_stepped_over(void **state) {
  struct code_process *process = *state;
  process->words[8] = code_process_put_call(process, 100, 0);
  const struct exu_native_frame *frames = code_process_unwind(process, 0, STACK + 64, 0);
  assert_int_equal(process->stack.frames.count, 2);
  assert_true(frames[0].pc == 0 && frames[0].exact && frames[0].sp == STACK + 64 && frames[0].cfa == STACK + 72);
  assert_true(frames[1].pc == CODE + 100 && !frames[1].exact && frames[1].sp == STACK + 72 && frames[1].cfa == 0);
  assert_int_equal(process->stack.end, EXU_UNWIND_NO_CODE);
}

static void call_into_the_heap_is_stepped_over(void **state) {
  struct code_process *process = *state;
  process->words[8] = code_process_put_call(process, 100, 0);
  assert_true(code_process_unwind(process, HEAP, STACK + 64, 0)[0].pc == HEAP);
  assert_int_equal(process->stack.frames.count, 2);
}

static void bad_call_is_not_stepped_over_without_proof(void **state) {
  struct code_process *process = *state;
  process->words[8] = CODE + 100; /* no call before it */
  code_process_unwind(process, 0, STACK + 64, 0);
  assert_int_equal(process->stack.frames.count, 1);
  assert_int_equal(process->stack.end, EXU_UNWIND_NO_CODE);
}

static void code_that_may_have_run_is_not_stepped_over(void **state) {
  struct code_process *process = *state;
  process->words[8] = code_process_put_call(process, 100, 200);
  code_process_unwind(process, CODE + 200, STACK + 64, 0);
  assert_int_equal(process->stack.frames.count, 1);
}

static void frame_pointers_are_followed_where_functions_make_them(void **state) {
  struct code_process *process = *state;
  put_prologue(process, 200);
  put_prologue(process, 300);
  process->words[10] = STACK + 160; /* of the inner function: its caller's frame pointer, its return address */
  process->words[11] = code_process_put_call(process, 320, 200);
  process->words[20] = 1; /* not a frame pointer: its caller has none */
  process->words[21] = code_process_put_call(process, 100, 300);
  const struct exu_native_frame *frames = code_process_unwind(process, CODE + 220, STACK + 64, STACK + 80);
  assert_int_equal(process->stack.frames.count, 3);
  assert_int_equal(process->stack.frame_pointer_steps, 2);
  assert_false(frames[0].by_frame_pointer);
  assert_true(frames[1].by_frame_pointer && frames[1].pc == CODE + 320 && frames[1].sp == STACK + 96);
  assert_true(frames[2].by_frame_pointer && frames[2].pc == CODE + 100 && frames[2].sp == STACK + 176);
  assert_true(frames[0].cfa == frames[1].sp && frames[1].cfa == frames[2].sp);
}

static void frame_pointer_of_another_function_is_not_followed(void **state) {
  struct code_process *process = *state;
  process->words[10] = STACK + 160;
  process->words[11] = code_process_put_call(process, 320, 200); /* nothing at 200 makes a frame */
  code_process_unwind(process, CODE + 220, STACK + 64, STACK + 80);
  assert_int_equal(process->stack.frames.count, 1);
  assert_int_equal(process->stack.frame_pointer_steps, 0);
}

static void frame_pointer_below_the_stack_pointer_is_not_followed(void **state) {
  struct code_process *process = *state;
  put_prologue(process, 200);
  process->words[2] = STACK + 160;
  process->words[3] = code_process_put_call(process, 320, 200);
  code_process_unwind(process, CODE + 220, STACK + 64, STACK + 16);
  assert_int_equal(process->stack.frames.count, 1);
}

/* The C library's code for returning from a handler, without unwinding information as in musl. */
static void put_trampoline(struct code_process *process, uint32_t at) {
  memcpy(process->code + at, (uint8_t[]){0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05}, 9);
}

enum { CONTEXT_RSP = 15, CONTEXT_RIP = 16, CONTEXT_WORDS = 5 };

static void signal_on_a_stack_of_its_own_is_left(void **state) {
  struct code_process *process = *state;
  put_trampoline(process, 400);
  uint64_t *context = process->words + 8 + CONTEXT_WORDS;
  context[CONTEXT_RSP] = OTHER_STACK + 256; /* lower than the handler's */
  context[CONTEXT_RIP] = CODE + 500;
  const struct exu_native_frame *frames = code_process_unwind(process, CODE + 400, STACK + 64, 0);
  assert_int_equal(process->stack.frames.count, 2);
  assert_true(frames[0].signal && frames[0].cfa > frames[0].sp && frames[0].cfa < STACK + CODE_SIZE);
  assert_true(frames[1].pc == CODE + 500 && frames[1].exact && !frames[1].signal && frames[1].sp == OTHER_STACK + 256);
}

static void null_call_that_a_handler_interrupted_is_stepped_over(void **state) {
  struct code_process *process = *state;
  put_trampoline(process, 400);
  uint64_t *context = process->words + 8 + CONTEXT_WORDS;
  context[CONTEXT_RSP] = STACK + 1024;
  context[CONTEXT_RIP] = 0;
  process->words[128] = code_process_put_call(process, 100, 0);
  const struct exu_native_frame *frames = code_process_unwind(process, CODE + 400, STACK + 64, 0);
  assert_int_equal(process->stack.frames.count, 3);
  assert_true(frames[0].cfa == STACK + 1024 && frames[1].pc == 0 && frames[1].exact && frames[2].pc == CODE + 100);
}

static void signal_frames_that_lead_in_a_circle_end(void **state) {
  struct code_process *process = *state;
  put_trampoline(process, 400);
  uint64_t *context = process->words + 8 + CONTEXT_WORDS;
  context[CONTEXT_RSP] = STACK + 64; /* itself */
  context[CONTEXT_RIP] = CODE + 400;
  code_process_unwind(process, CODE + 400, STACK + 64, 0);
  assert_int_equal(process->stack.end, EXU_UNWIND_STACK);
  assert_true(process->stack.frames.count < 100);
}

static void resume_without_proof_is_refused(void **state) {
  struct code_process *process = *state;
  const uint64_t markers[] = {STACK + 512, UINT64_MAX};
  bool resumed = true;
  process->words[20] = code_process_put_call(process, 100, 300);
  code_process_unwind(process, CODE + 220, STACK + 64, 0);
  assert_true(exu_unwind_resume(process->unwinder, markers, 2, 0, &process->stack, &resumed));
  assert_false(resumed);
  assert_int_equal(process->stack.frames.count, 1);
  assert_true(exu_unwind_resume(process->unwinder, markers, 2, 1, &process->stack, &resumed));
  assert_false(resumed);
}

/* The frames of a thread with so many Python frames, none of which has a say in its stack. */
static const struct exu_native_frame *unwind_again(struct exu_native *native, const struct exu_os_thread *os,
                                                   size_t frames, size_t expected, enum exu_unwind_end end) {
  const struct exu_unwind_python python = {.known = true, .frames = frames};
  struct exu_native_thread thread;
  exu_native_python(native, &python);
  assert_true(exu_native_thread(native, os, NULL, true, &thread));
  assert_int_equal(thread.count, expected);
  assert_int_equal(thread.end, end);
  return thread.frames;
}

static void frames_are_shared_only_by_equal_threads_without_python(void **state) {
  struct code_process *process = *state;
  const struct exu_options options = EXU_OPTIONS_DEFAULT;
  struct exu_diagnostics diagnostics;
  struct exu_native native;
  process->words[8] = code_process_put_call(process, 100, 0);
  code_process_unwind(process, 0, STACK + 64, 0);
  struct exu_os_thread *os = &process->thread, twin = *os, other = *os;
  twin.tid = 2;
  other.registers.value[0] = 1;
  process->modules.options = &options;
  exu_diagnostics_init(&diagnostics, &process->arena);
  assert_true(exu_native_init(&native, &process->process, &process->modules, &process->arena, &diagnostics));
  const struct exu_native_frame *first = unwind_again(&native, os, 0, 2, EXU_UNWIND_NO_CODE);
  assert_ptr_equal(unwind_again(&native, &twin, 0, 2, EXU_UNWIND_NO_CODE), first);
  assert_ptr_not_equal(unwind_again(&native, &twin, 1, 2, EXU_UNWIND_NO_CODE), first);
  assert_ptr_not_equal(unwind_again(&native, &other, 0, 2, EXU_UNWIND_NO_CODE), first);
  assert_int_equal(native.frames_left, EXU_NATIVE_FRAMES_MAX); /* so few do not count */
  assert_int_equal(diagnostics.list.count, 4);                 /* each is said to be incomplete */
  exu_native_deinit(&native);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, code_process_set_up, code_process_tear_down)
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
      TEST(resume_without_proof_is_refused),
      TEST(frames_are_shared_only_by_equal_threads_without_python),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
