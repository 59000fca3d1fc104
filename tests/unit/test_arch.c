/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a machine, and what follows of what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "arch/machines.h"
#include "arch/unwind.h"
#include "native/trampoline.h"
#include "native/unwind.h"
#include "process/obstacle.h"

static void of_a_machine_whose_instructions_are_not_known_nothing_is_said(void **state) {
  (void)state;
  const struct exu_process process = {.arch = &exu_arch_aarch64};
  struct exu_registers registers = {.valid = UINT32_MAX, .pc = 0x400000};
  const uint8_t code[EXU_INSTRUCTION_MAX] = {0x48, 0x8b, 0x00}; /* mov (%rax), %rax */
  assert_int_equal(exu_arch_access(process.arch, code, sizeof code, &registers, 0), EXU_ACCESS_UNKNOWN);
  assert_int_equal(exu_arch_access(&exu_arch_x86_64, code, sizeof code, &registers, 0), EXU_ACCESS_READ);
  assert_int_equal(exu_obstacle_find(&process, &registers).kind, EXU_OBSTACLE_NONE);
  assert_false(exu_is_perf_trampoline(&process, 0x400005));
  assert_null(exu_unwinder_create(&process, NULL, NULL));
}

static void every_machine_has_what_no_port_can_do_without(void **state) {
  (void)state;
  const struct exu_arch *const all[] = {&exu_arch_x86_64, &exu_arch_aarch64};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    const struct exu_arch *arch = all[i];
    assert_ptr_equal(exu_arch_find(arch->machine, 2, 1), arch);
    assert_string_equal(exu_arch_machine_name(arch->machine), arch->name);
    assert_true(arch->decode_registers && arch->pthread_self && arch->calls && arch->call_number_in_code);
    assert_true(arch->system_call_size > 0 && arch->system_call_size <= sizeof arch->system_call_code);
    const struct exu_arch_unwind *unwind = arch->unwind;
    if (!unwind) continue;
    assert_true(unwind->register_count <= EXU_FRAME_REGISTERS_MAX && unwind->sp < unwind->register_count);
    assert_true(unwind->ends_with_call && unwind->call_target && unwind->next_call && unwind->next_jump);
    assert_true(unwind->makes_frame && unwind->is_signal_return && unwind->moves_stack);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(of_a_machine_whose_instructions_are_not_known_nothing_is_said),
      cmocka_unit_test(every_machine_has_what_no_port_can_do_without),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
