/* SPDX-License-Identifier: Apache-2.0 */
/* Code without unwinding information says itself where it returns to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "code_process.h"

enum { RBX = 3, RDI = 5, RETURN = 100 };

/* The code at 200 runs, with STACK + 64 as its stack pointer, and word `slot` is the address behind a call. */
static size_t frames_of_code(struct code_process *process, size_t slot) {
  process->words[slot] = code_process_put_call(process, RETURN, 300);
  code_process_unwind(process, CODE + 200, STACK + 64, STACK + 2048);
  return process->stack.frames.count;
}

static void code_without_tables_returns_where_its_ret_does(void **state) {
  struct code_process *process = *state;
  PUT(process, 200, 0x48, 0x83, 0xc4, 0x08, 0xc3); /* add $8, %rsp; ret */
  assert_int_equal(frames_of_code(process, 9), 2);
  const struct exu_native_frame *frames = process->stack.frames.items;
  assert_true(frames[0].exact && frames[0].cfa == STACK + 80 && !frames[1].by_frame_pointer);
  assert_true(frames[1].pc == CODE + RETURN && frames[1].sp == STACK + 80 && !frames[1].exact);
}

static void leaf_without_prologue_returns_to_the_top_of_the_stack(void **state) {
  struct code_process *process = *state;
  PUT(process, 200, 0x48, 0xf7, 0xfb, 0xc3); /* idiv %rbx; ret */
  assert_int_equal(frames_of_code(process, 8), 2);
  assert_true(process->stack.frames.items[1].sp == STACK + 72);
}

static void stack_pointer_and_saved_registers_come_back(void **state) {
  struct code_process *process = *state;
  process->thread.registers.value[RBX] = STACK + 1024;
  PUT(process, 200, 0xc5, 0xf8, 0x77, 0x48, 0x89, 0xdc,     /* vzeroupper; mov %rbx, %rsp */
      0x48, 0x8b, 0x1c, 0x24, 0x48, 0x8b, 0x6c, 0x24, 0x08, /* mov (%rsp), %rbx; mov 8(%rsp), %rbp */
      0x48, 0x83, 0xc4, 0x60, 0xc3);                        /* add $96, %rsp; ret */
  PUT(process, RETURN, 0xc9, 0xc3);                         /* the caller: leave; ret */
  process->words[(1024 + 8) / 8] = STACK + 1536;
  process->words[1536 / 8 + 1] = code_process_put_call(process, 600, 500);
  assert_int_equal(frames_of_code(process, (1024 + 96) / 8), 3);
  const struct exu_native_frame *frames = process->stack.frames.items;
  assert_true(frames[1].pc == CODE + RETURN && frames[1].sp == STACK + 1024 + 104);
  assert_true(frames[2].pc == CODE + 600 && frames[2].sp == STACK + 1536 + 16);
}

static void register_that_was_pushed_is_what_it_was(void **state) {
  struct code_process *process = *state;
  process->thread.registers.value[RBX] = STACK + 1536;
  PUT(process, 200, 0x53, 0x31, 0xdb, 0x5b, 0xc3); /* push %rbx; xor %ebx, %ebx; pop %rbx; ret */
  PUT(process, RETURN, 0x48, 0x89, 0xdc, 0xc3);    /* the caller: mov %rbx, %rsp; ret */
  process->words[1536 / 8] = code_process_put_call(process, 600, 500);
  assert_int_equal(frames_of_code(process, 8), 3);
  assert_true(process->stack.frames.items[2].sp == STACK + 1536 + 8);
}

static void stack_pointer_that_a_register_is_yet_to_keep_comes_back(void **state) {
  struct code_process *process = *state;
  /* push; mov %rsp, %rbx; and $-256, %rsp; mov %rbx, %rsp; pop; ret */
  PUT(process, 200, 0x53, 0x48, 0x89, 0xe3, 0x48, 0x81, 0xe4, 0x00, 0xff, 0xff, 0xff, 0x48, 0x89, 0xdc, 0x5b, 0xc3);
  assert_int_equal(frames_of_code(process, 8), 2);
  assert_true(process->stack.frames.items[1].sp == STACK + 72);
}

static void ways_that_lead_to_one_return_agree(void **state) {
  struct code_process *process = *state;
  PUT(process, 200, 0x75, 0x04, 0x50, 0x58, 0xeb, 0x00, 0x74, 0xf8, 0xc3); /* jne 1; push; pop; jmp 1; 1: je 0; ret */
  assert_int_equal(frames_of_code(process, 8), 2);
}

static void ways_that_contradict_each_other_are_not_believed(void **state) {
  struct code_process *process = *state;
  PUT(process, 200, 0x75, 0x01, 0x58, 0xc3); /* jne 1; pop %rax; 1: ret */
  process->words[9] = CODE + RETURN;
  assert_int_equal(frames_of_code(process, 8), 1);
}

static void returns_from_different_slots_are_not_believed(void **state) {
  struct code_process *process = *state;
  PUT(process, 200, 0x75, 0x02, 0x58, 0xc3, 0xc3); /* jne 1; pop %rax; ret; 1: ret */
  process->words[9] = CODE + RETURN;
  assert_int_equal(frames_of_code(process, 8), 1);
}

static void what_a_call_comes_back_to_is_not_taken_for_certain(void **state) {
  struct code_process *process = *state;
  PUT(process, 200, 0xe8, 0x10, 0, 0, 0, 0xc3);
  assert_int_equal(frames_of_code(process, 8), 1);
}

static void another_coroutines_stack_is_not_followed(void **state) {
  struct code_process *process = *state;
  process->thread.registers.value[RDI] = STACK + 1024;
  PUT(process, 200, 0x48, 0x89, 0xfc, 0xc3); /* mov %rdi, %rsp; ret */
  process->words[8] = CODE + RETURN;
  assert_int_equal(frames_of_code(process, 128), 1);
}

static void stack_pointer_from_memory_is_not_followed(void **state) {
  struct code_process *process = *state;
  process->thread.registers.value[RBX] = STACK + 1024;
  process->words[128 + 6] = STACK + 1536;
  PUT(process, 200, 0x48, 0x8b, 0x63, 0x30, 0xc3); /* mov 48(%rbx), %rsp; ret */
  process->words[8] = CODE + RETURN;
  assert_int_equal(frames_of_code(process, 192), 1);
}

static void return_to_what_no_call_precedes_is_not_believed(void **state) {
  struct code_process *process = *state;
  PUT(process, 200, 0xc3);
  process->words[8] = CODE + RETURN + 1;
  assert_int_equal(frames_of_code(process, 9), 1);
}

static void code_that_never_returns_has_no_caller(void **state) {
  struct code_process *process = *state;
  PUT(process, 200, 0xeb, 0xfe);
  assert_int_equal(frames_of_code(process, 8), 1);
  assert_int_equal(process->stack.end, EXU_UNWIND_NO_CODE);
}

/* ---- One rule each ----------------------------------------------------------------------------------------------- */

#define KEPT (STACK + 1024) /* what rbx has, and most callers of the code need */

enum { AT = 64, NOWHERE = 0, UNKNOWN = 0, ROOM = 32, FIRST = 1024 };

/*
 * The code runs with STACK + AT as its stack pointer; the words around that all are the address behind a call, so that
 * the code alone decides. `sp`: of the caller, from STACK; NOWHERE: none is found. `rbx`: its value there.
 */
static const struct {
  const char *fact;
  uint8_t code[ROOM];
  uint32_t sp;
  uint64_t rbx;
} rules[] = {
    {"what is not touched is kept", {0xc3}, AT + 8, KEPT},
    {"ways with different values: jne 1; ret; 1: lea 8(%rbx), %rbx; ret",
     {0x75, 0x01, 0xc3, 0x48, 0x8d, 0x5b, 0x08, 0xc3},
     AT + 8,
     UNKNOWN},
    {"a way that loses the value: jne 1; ret; 1: xor %ebx, %ebx; ret",
     {0x75, 0x01, 0xc3, 0x31, 0xdb, 0xc3},
     AT + 8,
     UNKNOWN},
    {"ways that meet, one of which loses the value: jne 1; xor %ebx, %ebx; 1: ret",
     {0x75, 0x02, 0x31, 0xdb, 0xc3},
     AT + 8,
     UNKNOWN},
    {"the same, and the other one goes on at once: jne 1; jmp 2; 1: xor %ebx, %ebx; 2: ret",
     {0x75, 0x02, 0xeb, 0x02, 0x31, 0xdb, 0xc3},
     AT + 8,
     UNKNOWN},
    {"ways that meet and restore: push %rbx; jne 1; xor %ebx, %ebx; 1: pop %rbx; ret",
     {0x53, 0x75, 0x02, 0x31, 0xdb, 0x5b, 0xc3},
     AT + 8,
     KEPT},
    {"written by what is not followed: xor %ebx, %ebx; ret", {0x31, 0xdb, 0xc3}, AT + 8, UNKNOWN},
    {"moved: lea (%rbx), %rcx; mov %rcx, %rbx; ret", {0x48, 0x8d, 0x0b, 0x48, 0x89, 0xcb, 0xc3}, AT + 8, KEPT},
    {"a loop counts: lea (%rbx), %rcx; loop 1; 1: mov %rcx, %rbx; ret",
     {0x48, 0x8d, 0x0b, 0xe2, 0x00, 0x48, 0x89, 0xcb, 0xc3},
     AT + 8,
     UNKNOWN},
    {"saved: push %rbx; xor %ebx, %ebx; pop %rbx; ret", {0x53, 0x31, 0xdb, 0x5b, 0xc3}, AT + 8, KEPT},
    {"overwritten: push %rbx; movl $0, (%rsp); pop %rbx; ret",
     {0x53, 0xc7, 0x04, 0x24, 0, 0, 0, 0, 0x5b, 0xc3},
     AT + 8,
     UNKNOWN},
    {"overwritten in part: push %rbx; mov %rax, 4(%rsp); pop %rbx; ret",
     {0x53, 0x48, 0x89, 0x44, 0x24, 0x04, 0x5b, 0xc3},
     AT + 8,
     UNKNOWN},
    {"from below the stack: mov -8(%rsp), %rbx; ret", {0x48, 0x8b, 0x5c, 0x24, 0xf8, 0xc3}, AT + 8, UNKNOWN},
    {"of another address space: mov %fs:(%rsp), %rbx; ret", {0x64, 0x48, 0x8b, 0x1c, 0x24, 0xc3}, AT + 8, UNKNOWN},
    {"half: mov %ebp, %ebx; ret", {0x89, 0xeb, 0xc3}, AT + 8, UNKNOWN},
    {"a function that is called need not return: call *%rax; ret", {0xff, 0xd0, 0xc3}, NOWHERE, UNKNOWN},
    {"a jump to somewhere: jmp *%rax; ret", {0xff, 0xe0, 0xc3}, NOWHERE, UNKNOWN},
    {"a system call may end it all: syscall; ret", {0x0f, 0x05, 0xc3}, NOWHERE, UNKNOWN},
    {"no instruction: ud2; ret", {0x0f, 0x0b, 0xc3}, NOWHERE, UNKNOWN},
    {"a push of two bytes: push %ax; pop %rax; ret", {0x66, 0x50, 0x58, 0xc3}, NOWHERE, UNKNOWN},
    {"to what was pushed: push %rax; ret", {0x50, 0xc3}, NOWHERE, UNKNOWN},
    {"with the stack from itself: pop %rsp; ret", {0x48, 0x8d, 0x64, 0x24, 0x40, 0x5c, 0xc3}, NOWHERE, UNKNOWN},
    {"with half a stack pointer: add $8, %esp; ret", {0x83, 0xc4, 0x08, 0xc3}, NOWHERE, UNKNOWN},
    {"likewise: lea 8(%esp), %rsp; ret", {0x67, 0x48, 0x8d, 0x64, 0x24, 0x08, 0xc3}, NOWHERE, UNKNOWN},
    {"with room of any size: lea 8(%rsp,%rax), %rsp; ret", {0x48, 0x8d, 0x64, 0x04, 0x08, 0xc3}, NOWHERE, UNKNOWN},
    {"with a stack from what calls do not keep: lea 8(%rsp), %rdi; mov %rdi, %rsp; ret",
     {0x48, 0x8d, 0x7c, 0x24, 0x08, 0x48, 0x89, 0xfc, 0xc3},
     NOWHERE,
     UNKNOWN},
    {"with a stack that is an argument: mov %rdi, %rbx; mov %rbx, %rsp; ret",
     {0x48, 0x89, 0xfb, 0x48, 0x89, 0xdc, 0xc3},
     NOWHERE,
     UNKNOWN},
    {"with the stack of a caller: mov %rbx, %rsp; ret", {0x48, 0x89, 0xdc, 0xc3}, 1024 + 8, KEPT},
};

static void each_rule_decides_what_is_known_at_the_return(void **state) {
  struct code_process *process = *state;
  enum { COUNT = sizeof rules / sizeof *rules };
  assert_true(FIRST + COUNT * ROOM <= CODE_SIZE);
  for (size_t i = 0; i < COUNT; i++) {
    memset(process->code + FIRST + i * ROOM, 0xcc, ROOM);
    memcpy(process->code + FIRST + i * ROOM, rules[i].code, ROOM - 8);
  }
  const uint64_t address = code_process_put_call(process, RETURN, 300);
  for (size_t i = 4; i < CODE_WORDS; i++) process->words[i] = address;
  process->words[(AT + 0x40) / 8] = STACK + AT; /* for pop %rsp */
  code_process_unwind(process, CODE, STACK, 0);
  for (size_t i = 0; i < COUNT; i++) {
    struct exu_unwind_state at = {.pc = CODE + FIRST + i * ROOM, .valid = 0xffff, .exact = true}, caller = {.pc = 0};
    at.value[RSP] = STACK + AT;
    at.value[RBX] = KEPT;
    at.value[RDI] = STACK + 2048;
    at.value[RBP] = STACK + 3072;
    const bool found = exu_unwind_return_path_step(process->unwinder, &at, &caller);
    if (found != (rules[i].sp != NOWHERE)) fail_msg("%s: %sfound", rules[i].fact, found ? "" : "not ");
    if (!found) continue;
    const bool known = caller.valid >> RBX & 1;
    if (caller.value[RSP] != STACK + rules[i].sp) fail_msg("%s: sp", rules[i].fact);
    if (known != (rules[i].rbx != UNKNOWN)) fail_msg("%s: rbx is %sknown", rules[i].fact, known ? "" : "not ");
    if (known) assert_int_equal(caller.value[RBX], rules[i].rbx);
    assert_false(caller.valid >> RDI & 1);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, code_process_set_up, code_process_tear_down)
  const struct CMUnitTest tests[] = {
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
      TEST(each_rule_decides_what_is_known_at_the_return),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
