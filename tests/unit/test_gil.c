/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "python/runtime/threads.h"

enum { GIL = 0x10000, GIL_SIZE = 256, HOLDER = 0x20000, OTHER = 0x30000 };
enum { WAIT = 0, WAKE = 1, WAIT_BITSET = 9, PRIVATE = 128 };

/* What a thread that does not hold the GIL is said to do in futex(2) with that address and operation. */
static enum exu_gil in_futex(uint64_t address, uint64_t operation) {
  const struct exu_process process = {.arch = exu_arch_find(62, 2, 1)};
  const struct exu_py_runtime runtime = {.layout = {.gil_size = {.size = GIL_SIZE}}};
  struct exu_py py = {.runtime = &runtime, .process = &process};
  struct exu_py_interpreter interpreter = {.gil = GIL, .gil_holder = HOLDER, .gil_locked = EXU_YES};
  struct exu_py_threads threads = {0};
  threads.interpreters.items = &interpreter;
  threads.interpreters.count = 1;
  const struct exu_py_thread thread = {.tstate = OTHER};
  const struct exu_registers registers = {.syscall = exu_arch_call_number(process.arch, EXU_SYS_FUTEX),
                                          .syscall_args = {address, operation}};
  return exu_py_gil(&py, &threads, &thread, &registers);
}

static void a_thread_asleep_on_the_gil_waits_for_it(void **state) {
  (void)state;
  assert_int_equal(in_futex(GIL, WAIT | PRIVATE), EXU_GIL_WAITS);
  assert_int_equal(in_futex(GIL + GIL_SIZE - 4, WAIT_BITSET | PRIVATE), EXU_GIL_WAITS);
}

static void a_thread_asleep_on_something_else_does_not(void **state) {
  (void)state;
  assert_int_equal(in_futex(GIL + GIL_SIZE, WAIT | PRIVATE), EXU_GIL_NONE);
  assert_int_equal(in_futex(GIL - 4, WAIT | PRIVATE), EXU_GIL_NONE);
}

static void a_thread_that_wakes_a_waiter_does_not_wait(void **state) {
  (void)state;
  assert_int_equal(in_futex(GIL, WAKE | PRIVATE), EXU_GIL_NONE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_thread_asleep_on_the_gil_waits_for_it),
      cmocka_unit_test(a_thread_asleep_on_something_else_does_not),
      cmocka_unit_test(a_thread_that_wakes_a_waiter_does_not_wait),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
