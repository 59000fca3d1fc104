/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a live process page by page: of this one. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "memory/pages.h"

enum { PAGE = 4096 };

static uint8_t *map_pages(size_t count) {
  uint8_t *pages = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(pages != MAP_FAILED);
  return pages;
}

static void test_pages(void **state) {
  (void)state;
  int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  uint8_t *memory = map_pages(4), bytes[2 * PAGE];
  memset(memory, 'a', 4 * PAGE);
  struct exu_pages *pages = exu_pages_create(fd, 8 << 20);
  assert_non_null(pages);
  const uint64_t address = (uintptr_t)memory;

  /* Across a border of pages; what was read stays. */
  assert_int_equal(exu_pages_read(pages, address + PAGE - 3, bytes, 6), EXU_READABLE);
  assert_memory_equal(bytes, "aaaaaa", 6);
  memset(memory, 'b', 4 * PAGE);
  assert_int_equal(exu_pages_read(pages, address + PAGE - 3, bytes, 6), EXU_READABLE);
  assert_memory_equal(bytes, "aaaaaa", 6);
  /* What was not read yet is as it is now. */
  assert_int_equal(exu_pages_read(pages, address + 2 * PAGE - 1, bytes, 2), EXU_READABLE);
  assert_memory_equal(bytes, "ab", 2);

  exu_pages_refresh(pages, (pid_t)syscall(SYS_gettid));
  assert_int_equal(exu_pages_read(pages, address + PAGE - 3, bytes, 6), EXU_READABLE);
  assert_memory_equal(bytes, "bbbbbb", 6);

  const struct exu_pages_range range = {address, address + 4 * PAGE};
  exu_pages_capture(pages, &range, 1);
  exu_pages_mark_running(pages);
  memset(memory, 'c', 4 * PAGE);
  assert_int_equal(exu_pages_read(pages, address + 3 * PAGE, bytes, PAGE), EXU_READABLE);
  assert_int_equal(bytes[0], 'b');
  assert_false(exu_pages_on_demand(pages, address + 3 * PAGE));
  uint8_t *more = map_pages(1);
  assert_int_equal(exu_pages_read(pages, (uintptr_t)more, bytes, 8), EXU_READABLE);
  assert_true(exu_pages_on_demand(pages, (uintptr_t)more + 100));

  exu_pages_invalidate(pages);
  assert_int_equal(exu_pages_read(pages, address, bytes, 1), EXU_READABLE);
  assert_int_equal(bytes[0], 'c');
  exu_pages_destroy(pages);
  munmap(more, PAGE);
  munmap(memory, 4 * PAGE);
  close(fd);
}

static void test_pages_that_are_not_there(void **state) {
  (void)state;
  int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  uint8_t *memory = map_pages(3), bytes[PAGE];
  const uint64_t address = (uintptr_t)memory;
  struct exu_pages *pages = exu_pages_create(fd, 8 << 20);
  memset(memory, 'a', 3 * PAGE);
  munmap(memory + PAGE, PAGE);
  assert_int_equal(exu_pages_read(pages, address + PAGE, bytes, 1), EXU_READ_FAILED);
  assert_int_equal(exu_pages_read(pages, address + PAGE - 4, bytes, 8), EXU_READ_FAILED);
  assert_int_equal(exu_pages_read(pages, address + PAGE - 4, bytes, 4), EXU_READABLE);
  assert_int_equal(exu_pages_read(pages, address + 2 * PAGE, bytes, PAGE), EXU_READABLE);
  assert_int_equal(exu_pages_read(pages, 0, bytes, 8), EXU_READ_FAILED);

  /* A page that goes away is missing when everything is read anew; those around it are not. */
  munmap(memory + 2 * PAGE, PAGE);
  memset(memory, 'z', PAGE);
  exu_pages_refresh(pages, (pid_t)syscall(SYS_gettid));
  assert_int_equal(exu_pages_read(pages, address + 2 * PAGE, bytes, 1), EXU_READ_FAILED);
  assert_int_equal(exu_pages_read(pages, address, bytes, 1), EXU_READABLE);
  assert_int_equal(bytes[0], 'z');
  exu_pages_destroy(pages);
  munmap(memory, PAGE);
  close(fd);
}

static void test_ranges_are_captured_where_they_can_be_read(void **state) {
  (void)state;
  enum { COUNT = 1200 };
  int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  uint8_t *memory = map_pages(COUNT), bytes[8];
  memset(memory, 'a', COUNT * PAGE);
  munmap(memory + 2 * PAGE, PAGE);
  const uint64_t address = (uintptr_t)memory;
  struct exu_pages *pages = exu_pages_create(fd, 8 << 20);
  exu_pages_reserve(pages, 10);
  exu_pages_refresh(pages, (pid_t)syscall(SYS_gettid));
  /* They may overlap, and be empty. */
  const struct exu_pages_range ranges[] = {
      {address, address + 4 * PAGE}, {address + 3 * PAGE, address + COUNT * PAGE}, {0, 0}};
  exu_pages_capture(pages, ranges, sizeof ranges / sizeof *ranges);
  exu_pages_mark_running(pages);
  memset(memory, 'b', 2 * PAGE);
  memset(memory + 3 * PAGE, 'b', (COUNT - 3) * PAGE);
  for (size_t i = 0; i < COUNT; i++) {
    const bool there = exu_pages_read(pages, address + i * PAGE, bytes, sizeof bytes) == EXU_READABLE;
    assert_int_equal(there, i != 2);
    if (there) assert_int_equal(bytes[0], 'a');
    assert_false(exu_pages_on_demand(pages, address + i * PAGE));
  }
  exu_pages_destroy(pages);
  munmap(memory, COUNT * PAGE);
  close(fd);
}

static void test_budget_of_pages(void **state) {
  (void)state;
  enum { COUNT = 1024, BUDGET = 1 << 20 };
  int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  uint8_t *memory = map_pages(COUNT), byte;
  struct exu_pages *pages = exu_pages_create(fd, BUDGET);
  const struct exu_pages_range range = {(uintptr_t)memory, (uintptr_t)memory + COUNT * PAGE};
  exu_pages_capture(pages, &range, 1);
  size_t readable = 0;
  for (size_t i = 0; i < COUNT; i++)
    readable += exu_pages_read(pages, (uintptr_t)memory + i * PAGE, &byte, 1) == EXU_READABLE;
  assert_int_equal(readable, BUDGET / PAGE);
  exu_pages_destroy(pages);
  munmap(memory, COUNT * PAGE);
  close(fd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pages),
      cmocka_unit_test(test_pages_that_are_not_there),
      cmocka_unit_test(test_ranges_are_captured_where_they_can_be_read),
      cmocka_unit_test(test_budget_of_pages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
