/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "process/futex.h"
#include "process/system_calls.h"
#include "small_process.h"

enum { X86_64 = 62, AARCH64 = 183, CODE = SMALL_BASE + 0x100, DATA = SMALL_BASE + 0x200, NOWHERE = 0x10 };
enum {
  READ = 0,
  POLL = 7,
  SELECT = 23,
  NANOSLEEP = 35,
  WAIT4 = 61,
  FUTEX = 202,
  RESTART = 219,
  CLOCK_NANOSLEEP = 230,
  OPENAT = 257
};

static struct exu_call look(struct small_process *small, int64_t number, uint64_t pc, const uint64_t args[6]) {
  struct exu_call call;
  struct exu_os_thread *thread = small_process_thread(small, 1, number, args);
  thread->registers.pc = pc;
  exu_call_look(&small->process, &thread->registers, &call);
  small->process.thread_count--;
  return call;
}

static void numbers_are_those_of_the_machine(void **state) {
  (void)state;
  const struct exu_arch *pc = exu_arch_find(X86_64, 2, 1), *arm = exu_arch_find(AARCH64, 2, 1);
  assert_string_equal(exu_system_call_find(pc, 0)->name, "read");
  assert_string_equal(exu_system_call_find(arm, 63)->name, "read");
  assert_string_equal(exu_system_call_find(arm, 222)->name, "mmap");
  assert_string_equal(exu_system_call_find(pc, exu_arch_call_number(pc, EXU_SYS_FUTEX))->name, "futex");
  assert_string_equal(exu_system_call_find(arm, exu_arch_call_number(arm, EXU_SYS_FUTEX))->name, "futex");
  assert_null(exu_system_call_find(pc, -1));
  assert_null(exu_system_call_find(pc, 100000));
  assert_null(exu_system_call_find(arm, 0)); /* io_setup */
#if defined(__x86_64__)
  /* The headers of this machine, for those that moved most often. */
  assert_string_equal(exu_system_call_find(pc, SYS_wait4)->name, "wait4");
  assert_string_equal(exu_system_call_find(pc, SYS_accept4)->name, "accept4");
  assert_string_equal(exu_system_call_find(pc, SYS_epoll_pwait)->name, "epoll_pwait");
  assert_string_equal(exu_system_call_find(pc, SYS_ppoll)->name, "ppoll");
  assert_string_equal(exu_system_call_find(pc, SYS_recvmmsg)->name, "recvmmsg");
  assert_string_equal(exu_system_call_find(pc, SYS_io_uring_enter)->name, "io_uring_enter");
#endif
}

static void every_call_has_a_name_and_a_number_on_some_machine(void **state) {
  (void)state;
  const struct exu_arch *pc = exu_arch_find(X86_64, 2, 1), *arm = exu_arch_find(AARCH64, 2, 1);
  for (int id = EXU_SYS_NONE + 1; id < EXU_SYS_COUNT; id++) {
    const int64_t number = exu_arch_call_number(pc, (enum exu_system_call_id)id);
    const int64_t other = exu_arch_call_number(arm, (enum exu_system_call_id)id);
    const struct exu_system_call *call = exu_system_call_find(pc, number);
    assert_true(number >= 0 && call && call->name && (int)exu_arch_call(pc, number) == id);
    assert_true(other < 0 || exu_system_call_find(arm, other) == call);
  }
  assert_int_equal(exu_arch_call_number(arm, EXU_SYS_OPEN), -1);
}

static void numbers_ascend(void **state) {
  (void)state;
  const struct exu_call_numbers *const tables[] = {&exu_calls_x86_64, &exu_calls_generic};
  for (size_t i = 0; i < 2; i++)
    for (size_t j = 1; j < tables[i]->count; j++)
      assert_true(tables[i]->items[j - 1].number < tables[i]->items[j].number);
}

static void no_number_means_running_only_where_registers_always_tell_it(void **state) {
  (void)state;
  struct small_process small;
  small_process_create(&small, X86_64);
  assert_true(look(&small, -1, CODE, NULL).running);
  assert_false(look(&small, READ, CODE, NULL).running);
  struct exu_registers nothing = {.syscall = -1};
  struct exu_call call;
  exu_call_look(&small.process, &nothing, &call);
  assert_false(call.running);
  small_process_destroy(&small);
  small_process_create(&small, AARCH64);
  assert_false(look(&small, -1, CODE, NULL).running);
  small_process_destroy(&small);
}

/* The same thread, as a core has it. */
static struct exu_registers checked(struct small_process *small, bool keeps_calls, int64_t number, uint64_t pc) {
  struct exu_os_thread *thread = small_process_thread(small, 1, number, NULL);
  thread->registers.pc = pc;
  thread->registers.value[5] = 77; /* rdi */
  small->process.keeps_calls = keeps_calls;
  exu_calls_check(&small->process);
  small->process.thread_count--;
  return thread->registers;
}

static void a_thread_of_a_core_is_in_a_call_only_behind_an_instruction_that_calls(void **state) {
  (void)state;
  static const uint8_t code[] = {0xb8, READ, 0, 0, 0, 0x0f, 0x05, 0xc3}; /* mov $0, %eax; syscall; ret */
  static const uint8_t other[] = {0x44, 0x89, 0xf0, 0x0f, 0x05, 0xc3};   /* mov %r14d, %eax; syscall; ret */
  struct small_process small;
  small_process_create(&small, X86_64);
  small_process_write(&small, CODE, code, sizeof code);
  small_process_write(&small, DATA, other, sizeof other);

  assert_int_equal(checked(&small, true, POLL, CODE + 7).syscall, POLL); /* the kernel's word counts */
  assert_int_equal(checked(&small, true, POLL, CODE + 5).syscall, -1);   /* a handler begins */
  assert_true(checked(&small, true, POLL, CODE + 5).outside);
  assert_int_equal(checked(&small, true, POLL, NOWHERE).syscall, POLL); /* the code is not there */
  assert_true(checked(&small, true, -1, NOWHERE).outside);

  /* What valgrind and qemu write there proves nothing. */
  assert_int_equal(checked(&small, false, POLL, CODE + 7).syscall, READ);
  assert_int_equal(checked(&small, false, -1, CODE + 7).syscall, READ);
  assert_int_equal(checked(&small, false, -1, CODE + 7).syscall_args[0], 77);
  assert_int_equal(checked(&small, false, READ, CODE + 5).syscall, -1);
  assert_true(checked(&small, false, READ, CODE + 5).outside);
  assert_int_equal(checked(&small, false, READ, DATA + 5).syscall, -1);
  assert_false(checked(&small, false, READ, DATA + 5).outside);
  assert_int_equal(checked(&small, false, READ, NOWHERE).syscall, -1);
  assert_false(checked(&small, false, -1, NOWHERE).outside);
  small_process_destroy(&small);
}

static void an_interrupted_call_is_known_by_the_instruction_before_it(void **state) {
  (void)state;
  static const struct {
    uint8_t code[8];
    int64_t number;
  } cases[] = {
      {{0x90, 0xb8, 7, 0, 0, 0, 0x0f, 0x05}, POLL},
      {{0x90, 0xb8, 202, 0, 0, 0, 0x0f, 0x05}, FUTEX},
      {{0x90, 0xb8, 230, 0, 0, 0, 0x0f, 0x05}, CLOCK_NANOSLEEP},
      {{0x90, 0xb8, 0, 0, 0, 0, 0x0f, 0x05}, RESTART}, /* read(2) is never restarted so: not believed */
      {{0x90, 0xb8, 7, 0, 0, 0, 0x0f, 0x34}, RESTART}, /* no syscall instruction */
      {{0x90, 0xb9, 7, 0, 0, 0, 0x0f, 0x05}, RESTART}, /* another register */
  };
  static const uint64_t senseless[6] = {NOWHERE + 1, 77, 0, NOWHERE};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct small_process small;
    small_process_create(&small, X86_64);
    small_process_write(&small, CODE - 8, cases[i].code, sizeof cases[i].code);
    struct exu_call call = look(&small, RESTART, CODE, senseless);
    assert_int_equal(call.number, cases[i].number);
    assert_true(call.restarted);
    assert_non_null(call.call);
    small_process_destroy(&small);
  }
}

static void an_interrupted_call_is_known_by_its_instruction_on_aarch64(void **state) {
  (void)state;
  struct small_process small;
  const uint32_t code[] = {0xd2800008 | 98 << 5, 0xd4000001}; /* mov x8, #98; svc #0 */
  small_process_create(&small, AARCH64);
  small_process_write(&small, CODE - 8, code, sizeof code);
  assert_int_equal(look(&small, 128, CODE, NULL).number, 98);
  small_process_destroy(&small);
}

static void an_interrupted_call_is_known_by_its_arguments_when_only_one_fits(void **state) {
  (void)state;
  enum { TIME = DATA, FDS = DATA + 64, WORD = DATA + 128 };
  const int64_t time[2] = {0, 5000000};
  const struct {
    int32_t fd;
    uint16_t events, revents;
  } fds[3] = {{3, 1, 0}, {4, 1, 0}, {100, 4, 0}};
  static const struct {
    uint64_t args[6];
    int64_t number;
  } cases[] = {
      {{WORD, 0x189, 0, TIME}, FUTEX},
      {{WORD, 0x89, 1, TIME}, FUTEX},        /* poll(2) of 137 descriptors it is not: they would be zeros */
      {{WORD + 1, 0x189, 0, TIME}, RESTART}, /* not aligned */
      {{WORD, 0x181, 0, TIME}, RESTART},     /* FUTEX_WAKE */
      {{WORD, 0x189, 0, 0}, RESTART},        /* without a timeout it is not restarted so */
      {{WORD, 0x189, 0, FDS + 4}, RESTART},  /* no time */
      {{1, 0, TIME, 0}, CLOCK_NANOSLEEP},
      {{1, 0, NOWHERE, 0}, RESTART},
      {{99, 0, TIME, 0}, RESTART},
      {{TIME, WORD, 0, 0}, NANOSLEEP},
      {{TIME, 0, 0x7f0012345678, 0}, NANOSLEEP},
      {{FDS, 3, 1000, 0}, POLL},
      {{FDS, 4, 1000, 0}, RESTART}, /* the fourth waits for nothing */
      {{0, 0, 1000, 0}, POLL},      /* of nothing: a sleep */
      {{NOWHERE, 3, 1000, 0}, RESTART},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct small_process small;
    small_process_create(&small, X86_64);
    small_process_write(&small, TIME, time, sizeof time);
    small_process_write(&small, FDS, fds, sizeof fds);
    int64_t number = look(&small, RESTART, CODE, cases[i].args).number;
    if (number != cases[i].number) fail_msg("case %zu: %d", i, (int)number);
    small_process_destroy(&small);
  }
}

static void timeouts_are_read_as_each_call_gives_them(void **state) {
  (void)state;
  const int64_t time[2] = {3600, 250000}, negative[2] = {-1, 0}, senseless[2] = {1, INT64_MAX},
                huge[2] = {INT64_MAX, 0};
  struct small_process small;
  small_process_create(&small, X86_64);
  small_process_write(&small, DATA, time, sizeof time);
  small_process_write(&small, DATA + 16, negative, sizeof negative);
  small_process_write(&small, DATA + 32, senseless, sizeof senseless);
  small_process_write(&small, DATA + 48, huge, sizeof huge);
  const struct {
    int64_t number;
    uint64_t args[6];
    int64_t microseconds;
  } cases[] = {
      {NANOSLEEP, {DATA}, 3600000250},
      {SELECT, {0, 0, 0, 0, DATA}, 3600250000}, /* struct timeval */
      {POLL, {DATA, 1, 1500}, 1500000},
      {POLL, {DATA, 1, 0xffffffff}, -1},
      {CLOCK_NANOSLEEP, {1, 0, DATA}, 3600000250},
      {CLOCK_NANOSLEEP, {1, 1, DATA}, -1}, /* a point in time */
      {FUTEX, {DATA, 0x80, 0, DATA}, 3600000250},
      {FUTEX, {DATA, 0x89, 0, DATA}, -1}, /* FUTEX_WAIT_BITSET: a point in time */
      {NANOSLEEP, {0}, -1},
      {NANOSLEEP, {NOWHERE}, -1},
      {NANOSLEEP, {DATA + 16}, -1},
      {NANOSLEEP, {DATA + 32}, -1},
      {NANOSLEEP, {DATA + 48}, -1},
      {READ, {3, DATA, 100}, -1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct exu_call call = look(&small, cases[i].number, CODE, cases[i].args);
    assert_int_equal(exu_call_timeout_us(&small.process, &call), cases[i].microseconds);
  }
  small_process_destroy(&small);
}

static void children_are_named_only_when_the_call_names_one(void **state) {
  (void)state;
  enum { WAITID = 247 };
  static const struct {
    int64_t number;
    uint64_t args[6];
    int64_t child;
  } cases[] = {
      {WAIT4, {1234}, 1234},     {WAIT4, {0xffffffff}, -1}, {WAIT4, {0}, -1},   {WAIT4, {(uint64_t)-7}, -1},
      {WAITID, {1, 1234}, 1234}, {WAITID, {0, 1234}, -1},   {READ, {1234}, -1},
  };
  struct small_process small;
  small_process_create(&small, X86_64);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct exu_call call = look(&small, cases[i].number, CODE, cases[i].args);
    assert_int_equal(exu_call_child(&call), cases[i].child);
  }
  small_process_destroy(&small);
}

static void descriptors_of_poll_and_select_are_listed(void **state) {
  (void)state;
  const struct {
    int32_t fd;
    int16_t events, revents;
  } polled[4] = {{3, 1, 0}, {17, 1, 0}, {-1, 1, 0}, {17, 4, 0}};
  const uint64_t readable[2] = {UINT64_C(1) << 5, 1}, writable[2] = {UINT64_C(1) << 63, 1};
  int32_t fds[8] = {0};
  struct small_process small;
  small_process_create(&small, X86_64);
  small_process_write(&small, DATA, polled, sizeof polled);
  small_process_write(&small, DATA + 64, readable, sizeof readable);
  small_process_write(&small, DATA + 80, writable, sizeof writable);

  struct exu_call call = look(&small, POLL, CODE, (const uint64_t[6]){DATA, 4});
  assert_int_equal(exu_call_descriptors(&small.process, &call, fds, 1), 2);
  assert_int_equal(exu_call_descriptors(&small.process, &call, fds, 8), 2);
  assert_int_equal(fds[0], 3);
  assert_int_equal(fds[1], 17);
  call = look(&small, POLL, CODE, (const uint64_t[6]){NOWHERE, 3});
  assert_int_equal(exu_call_descriptors(&small.process, &call, fds, 8), 0);
  call = look(&small, POLL, CODE, (const uint64_t[6]){DATA, UINT64_MAX});
  assert_int_equal(exu_call_descriptors(&small.process, &call, fds, 8), EXU_CALL_FDS_MAX);

  call = look(&small, SELECT, CODE, (const uint64_t[6]){65, DATA + 64, DATA + 80});
  assert_int_equal(exu_call_descriptors(&small.process, &call, fds, 8), 3);
  assert_int_equal(fds[0], 5);
  assert_int_equal(fds[1], 63);
  assert_int_equal(fds[2], 64);
  call = look(&small, SELECT, CODE, (const uint64_t[6]){64, DATA + 64, DATA + 80});
  assert_int_equal(exu_call_descriptors(&small.process, &call, fds, 8), 2);
  call = look(&small, SELECT, CODE, (const uint64_t[6]){65, NOWHERE, 0});
  assert_int_equal(exu_call_descriptors(&small.process, &call, fds, 8), 0);
  small_process_destroy(&small);
}

static void only_waiting_on_a_futex_is_waiting(void **state) {
  (void)state;
  static const struct {
    uint64_t command;
    bool waits, inherits;
  } cases[] = {{0, true, false},  {0x80, true, false}, {0x189, true, false}, {6 | 0x80, true, true},
               {13, true, true},  {1, false, false},   {0x81, false, false}, {3, false, false},
               {7, false, false}, {5, false, false},   {11, true, false}};
  struct small_process small;
  small_process_create(&small, X86_64);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct exu_futex futex = {0};
    struct exu_call call = look(&small, FUTEX, CODE, (const uint64_t[6]){DATA, cases[i].command, 2, DATA});
    assert_int_equal(exu_futex_of(&call, &futex), cases[i].waits);
    if (!cases[i].waits) continue;
    assert_int_equal(futex.inherits, cases[i].inherits);
    assert_int_equal(futex.expected, cases[i].inherits ? 0 : 2);
    assert_true(futex.timed);
  }
  struct exu_futex futex;
  struct exu_call call = look(&small, READ, CODE, (const uint64_t[6]){DATA, 0, 2});
  assert_false(exu_futex_of(&call, &futex));
  small_process_destroy(&small);
}

static void the_path_of_an_open_is_read_up_to_its_end(void **state) {
  (void)state;
  enum { LAST = SMALL_BASE + SMALL_SIZE - 4, LONG = SMALL_BASE + 2048 };
  struct small_process small;
  char path[1500];
  memset(path, 'x', sizeof path - 1);
  path[sizeof path - 1] = 0;
  small_process_create(&small, X86_64);
  small_process_write(&small, DATA, "/tmp/fifo", 10);
  small_process_write(&small, LONG, path, sizeof path);
  small_process_write(&small, LAST, "abc", 4);
  struct exu_call call = look(&small, OPENAT, CODE, (const uint64_t[6]){0, DATA});
  assert_string_equal(exu_call_path(&small.process, &call, &small.arena).data, "/tmp/fifo");
  call.args[1] = LAST;
  assert_string_equal(exu_call_path(&small.process, &call, &small.arena).data, "abc");
  call.args[1] = 0x10;
  assert_null(exu_call_path(&small.process, &call, &small.arena).data);
  call.args[1] = LONG;
  assert_int_equal(exu_call_path(&small.process, &call, &small.arena).size, sizeof path - 1);
  call = look(&small, READ, CODE, (const uint64_t[6]){0, DATA});
  assert_null(exu_call_path(&small.process, &call, &small.arena).data);
  small_process_destroy(&small);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_are_those_of_the_machine),
      cmocka_unit_test(every_call_has_a_name_and_a_number_on_some_machine),
      cmocka_unit_test(numbers_ascend),
      cmocka_unit_test(no_number_means_running_only_where_registers_always_tell_it),
      cmocka_unit_test(a_thread_of_a_core_is_in_a_call_only_behind_an_instruction_that_calls),
      cmocka_unit_test(an_interrupted_call_is_known_by_the_instruction_before_it),
      cmocka_unit_test(an_interrupted_call_is_known_by_its_instruction_on_aarch64),
      cmocka_unit_test(an_interrupted_call_is_known_by_its_arguments_when_only_one_fits),
      cmocka_unit_test(timeouts_are_read_as_each_call_gives_them),
      cmocka_unit_test(children_are_named_only_when_the_call_names_one),
      cmocka_unit_test(the_path_of_an_open_is_read_up_to_its_end),
      cmocka_unit_test(descriptors_of_poll_and_select_are_listed),
      cmocka_unit_test(only_waiting_on_a_futex_is_waiting),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
