/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface: memory and symbols of what was explained. */
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "exuvia/exuvia.h"
#include "small_core.h"

static void test_memory_of_a_core_is_read_or_it_is_said_why_not(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  uint8_t bytes[16];
  bool consistent = false;
  small_core_create(&core);
  assert_int_equal(exu_session_open_core(core.file.path, NULL, &session), EXU_RESULT_OK);
  assert_int_equal(exu_session_read(session, BASE, bytes, 1, NULL), EXU_RESULT_MISUSE); /* nothing is open yet */
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
  exu_report_destroy(report);
  memset(bytes, 1, sizeof bytes);
  assert_int_equal(exu_session_read(session, BASE + PAGE - 16, bytes, 16, &consistent), EXU_RESULT_OK);
  assert_true(consistent);
  for (size_t i = 0; i < sizeof bytes; i++) assert_int_equal(bytes[i], 0xf0 + i); /* of their addresses */
  assert_int_equal(exu_session_read(session, BASE, bytes, 0, NULL), EXU_RESULT_OK);
  assert_int_equal(exu_session_read(session, BASE, NULL, 0, NULL), EXU_RESULT_OK);
  assert_int_equal(exu_session_read(session, BASE - 1, bytes, 1, NULL), EXU_RESULT_UNMAPPED);
  assert_int_equal(exu_session_read(session, BASE + PAGE, bytes, 1, NULL), EXU_RESULT_NOT_SAVED);
  assert_int_equal(exu_session_read(session, BASE + PAGE - 8, bytes, 16, NULL), EXU_RESULT_NOT_SAVED);
  assert_int_equal(exu_session_read(session, UINT64_MAX - 7, bytes, 8, NULL), EXU_RESULT_UNMAPPED);
  assert_int_equal(exu_session_read(session, UINT64_MAX - 7, bytes, 9, NULL), EXU_RESULT_UNMAPPED);
  exu_session_close(session);
  small_core_destroy(&core);
}

static void test_of_a_core_that_cannot_be_opened_nothing_is_read_or_found(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  struct exu_symbol symbol;
  uint64_t address;
  uint8_t byte;
  assert_int_equal(exu_session_open_core("/nonexistent/core", NULL, &session), EXU_RESULT_OK);
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
  assert_int_equal(exu_session_read(session, BASE, &byte, 1, NULL), EXU_RESULT_READ_FAILED);
  assert_int_equal(exu_session_symbol_at(session, BASE, &symbol), EXU_RESULT_NOT_FOUND);
  assert_int_equal(exu_session_find_symbol(session, -1, "main", &address), EXU_RESULT_NOT_FOUND);
  exu_report_destroy(report);
  exu_session_close(session);
}

static void test_symbols_of_a_process_are_found_by_address_and_by_name(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  struct exu_symbol symbol, again;
  uint64_t found = 0, number = 0;
  bool consistent = true;
  const uint64_t here = (uint64_t)(uintptr_t)small_core_create, in_libc = (uint64_t)(uintptr_t)dlsym(NULL, "getpid");
  static volatile uint64_t variable = 0x1122334455667788;
  options.no_stop = options.python_only = true; /* nothing can stop itself */
  assert_int_equal(exu_session_open_process(getpid(), &options, &session), EXU_RESULT_OK);
  assert_int_equal(exu_session_symbol_at(session, here, &symbol), EXU_RESULT_MISUSE); /* not yet */
  assert_int_equal(exu_session_find_symbol(session, -1, "main", &found), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);

  assert_int_equal(exu_session_symbol_at(session, here + 1, &symbol), EXU_RESULT_OK);
  assert_int_equal(symbol.address, here);
  assert_int_equal(symbol.name.size, strlen("small_core_create"));
  assert_memory_equal(symbol.name.data, "small_core_create", symbol.name.size);
  const struct exu_module *module = &report->modules[symbol.module];
  assert_true(module->start <= here && here < module->end);
  assert_int_equal(exu_session_symbol_at(session, here + 1, &again), EXU_RESULT_OK);
  assert_ptr_equal(again.name.data, symbol.name.data); /* it is remembered */

  assert_int_equal(exu_session_symbol_at(session, module->start, &symbol), EXU_RESULT_OK); /* its ELF header */
  assert_null(symbol.name.data);
  assert_int_equal(symbol.address, module->start);
  assert_int_equal(exu_session_symbol_at(session, 0, &symbol), EXU_RESULT_NOT_FOUND);
  assert_int_equal(exu_session_symbol_at(session, UINT64_MAX, &symbol), EXU_RESULT_NOT_FOUND);

  assert_int_equal(exu_session_find_symbol(session, -1, "small_core_create", &found), EXU_RESULT_OK);
  assert_int_equal(found, here);
  assert_int_equal(exu_session_find_symbol(session, symbol.module, "small_core_create", &found), EXU_RESULT_OK);
  assert_int_equal(found, here);
  assert_int_equal(exu_session_find_symbol(session, -1, "getpid", &found), EXU_RESULT_OK);
  assert_int_equal(found, in_libc);
  assert_int_equal(exu_session_find_symbol(session, symbol.module, "getpid", &found), EXU_RESULT_NOT_FOUND);
  assert_int_equal(exu_session_find_symbol(session, -1, "no_such_symbol", &found), EXU_RESULT_NOT_FOUND);
  assert_int_equal(found, in_libc); /* untouched */
  assert_int_equal(exu_session_find_symbol(session, (int32_t)report->module_count, "main", &found), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_find_symbol(session, -2, "main", &found), EXU_RESULT_MISUSE);

  assert_int_equal(exu_session_read(session, (uintptr_t)&variable, &number, sizeof number, &consistent), EXU_RESULT_OK);
  assert_int_equal(number, 0x1122334455667788);
  assert_false(consistent); /* it was never stopped */
  exu_report_destroy(report);
  exu_session_close(session);
}

/* A child that repeats on its stack, and in a page that nobody reads for a report, what it is told. */
struct told {
  atomic_uint_fast64_t told;
  atomic_uint_fast64_t repeated;
  uintptr_t on_stack;
  uintptr_t on_heap;
};

static pid_t start_repeater(struct told *told) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  volatile uint64_t on_stack = 0;
  volatile uint64_t *on_heap = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  told->on_stack = (uintptr_t)&on_stack;
  told->on_heap = (uintptr_t)on_heap;
  for (;;) {
    on_stack = *on_heap = atomic_load(&told->told);
    atomic_store(&told->repeated, on_stack);
    usleep(1000);
  }
}

static void tell(struct told *told, uint64_t number) {
  atomic_store(&told->told, number);
  for (int i = 0; i < 10000 && atomic_load(&told->repeated) != number; i++) usleep(1000);
  assert_int_equal(atomic_load(&told->repeated), number);
}

static void test_of_a_live_process_only_what_was_copied_while_it_was_stopped_is_of_that_moment(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  uint64_t number = 0;
  bool consistent = false;
  struct told *told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(told != MAP_FAILED);
  const pid_t child = start_repeater(told);
  tell(told, 1);
  assert_int_equal(exu_session_open_process(child, NULL, &session), EXU_RESULT_OK);
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
  assert_true(report->pause_us >= 0);
  tell(told, 2);
  assert_int_equal(exu_session_read(session, told->on_stack, &number, sizeof number, &consistent), EXU_RESULT_OK);
  assert_int_equal(number, 1);
  assert_true(consistent);
  assert_int_equal(exu_session_read(session, told->on_heap, &number, sizeof number, &consistent), EXU_RESULT_OK);
  assert_int_equal(number, 2);
  assert_false(consistent);
  tell(told, 3); /* once read it stays */
  assert_int_equal(exu_session_read(session, told->on_heap, &number, sizeof number, NULL), EXU_RESULT_OK);
  assert_int_equal(number, 2);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  assert_int_equal(exu_session_read(session, told->on_heap, &number, sizeof number, NULL), EXU_RESULT_OK);
  assert_int_not_equal(exu_session_read(session, told->on_heap + PAGE, &number, sizeof number, NULL), EXU_RESULT_OK);
  exu_report_destroy(report);
  exu_session_close(session);
  munmap(told, PAGE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_memory_of_a_core_is_read_or_it_is_said_why_not),
      cmocka_unit_test(test_of_a_core_that_cannot_be_opened_nothing_is_read_or_found),
      cmocka_unit_test(test_symbols_of_a_process_are_found_by_address_and_by_name),
      cmocka_unit_test(test_of_a_live_process_only_what_was_copied_while_it_was_stopped_is_of_that_moment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
