/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "elf_builder.h"
#include "memory/space.h"

enum { FILE_SIZE = 64 * 1024, RW = EXU_PROT_READ | EXU_PROT_WRITE };

/* A space whose only source is a file in which the byte at offset i is byte_at(i). */
struct fixture {
  struct exu_arena arena;
  struct exu_space *space;
  struct nameless_file file;
  uint32_t source;
};

static uint8_t byte_at(uint64_t offset) { return (uint8_t)(offset * 7 + (offset >> 8) * 3 + 1); }

static void make(struct fixture *fixture) {
  exu_arena_init(&fixture->arena, 64 << 20);
  uint8_t *bytes = malloc(FILE_SIZE);
  assert_non_null(bytes);
  for (size_t i = 0; i < FILE_SIZE; i++) bytes[i] = byte_at(i);
  fixture->file = nameless_file(bytes, FILE_SIZE);
  free(bytes);
  fixture->space = exu_space_create(&fixture->arena);
  assert_non_null(fixture->space);
  int source = exu_space_add_source(fixture->space, exu_source_of_file(fixture->file.fd, FILE_SIZE, false));
  assert_true(source >= 0);
  fixture->source = (uint32_t)source;
}

static void drop(struct fixture *fixture) {
  exu_space_destroy(fixture->space);
  exu_arena_deinit(&fixture->arena);
  close(fixture->file.fd);
}

static void add(struct fixture *fixture, uint64_t start, uint64_t end, uint64_t saved, uint64_t offset) {
  struct exu_region region = {
      .start = start, .end = end, .saved = saved, .offset = offset, .source = fixture->source, .prot = RW};
  assert_true(exu_space_add(fixture->space, &region));
}

static void finalize(struct fixture *fixture) { assert_true(exu_space_finalize(fixture->space)); }

static void assert_byte(struct fixture *fixture, uint64_t address, uint64_t offset) {
  uint8_t byte = 0;
  assert_int_equal(exu_space_read(fixture->space, address, &byte, 1), EXU_READABLE);
  assert_int_equal(byte, byte_at(offset));
}

static void assert_fault(struct fixture *fixture, uint64_t address, enum exu_fault fault) {
  uint8_t byte = 0xa5;
  assert_int_equal(exu_space_read(fixture->space, address, &byte, 1), fault);
  assert_int_equal(byte, 0xa5);
}

static void an_empty_space_has_nothing_mapped(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  finalize(&fixture);
  size_t count = 1;
  exu_space_regions(fixture.space, &count);
  assert_int_equal(count, 0);
  assert_null(exu_space_find(fixture.space, 0));
  assert_fault(&fixture, 0, EXU_UNMAPPED);
  assert_fault(&fixture, UINT64_MAX, EXU_UNMAPPED);
  assert_int_equal(exu_space_read(fixture.space, 0, NULL, 0), EXU_READABLE);
  drop(&fixture);
}

static void what_was_not_saved_is_a_fault_and_not_the_neighbours_bytes(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, 0x1000, 0x3000, 0x1000, 0);      /* p_filesz < p_memsz */
  add(&fixture, 0x3000, 0x4000, 0x1000, 0x1000); /* its bytes follow in the file */
  finalize(&fixture);
  assert_byte(&fixture, 0x1fff, 0xfff);
  assert_fault(&fixture, 0x2000, EXU_NOT_SAVED);
  assert_fault(&fixture, 0x2fff, EXU_NOT_SAVED);
  assert_byte(&fixture, 0x3000, 0x1000);
  assert_fault(&fixture, 0xfff, EXU_UNMAPPED);
  assert_fault(&fixture, 0x4000, EXU_UNMAPPED);
  drop(&fixture);
}

static void a_read_spans_adjacent_regions(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, 0x1000, 0x1004, 4, 0x8000);
  add(&fixture, 0x1004, 0x1008, 4, 0x100);
  add(&fixture, 0x1008, 0x1010, 8, 0x4000);
  finalize(&fixture);
  uint8_t bytes[16];
  assert_int_equal(exu_space_read(fixture.space, 0x1000, bytes, 16), EXU_READABLE);
  for (size_t i = 0; i < 16; i++)
    assert_int_equal(bytes[i], byte_at(i < 4 ? 0x8000 + i : i < 8 ? 0x100 + i - 4 : 0x4000 + i - 8));
  drop(&fixture);
}

static void a_read_is_all_or_nothing(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, 0x1000, 0x2000, 0x800, 0);
  finalize(&fixture);
  uint8_t bytes[32];
  memset(bytes, 0xa5, sizeof bytes);
  assert_int_equal(exu_space_read(fixture.space, 0x17f0, bytes, 32), EXU_NOT_SAVED);
  for (size_t i = 0; i < 32; i++) assert_int_equal(bytes[i], 0xa5);
  assert_int_equal(exu_space_read(fixture.space, 0x17f0, bytes, 16), EXU_READABLE);
  assert_int_equal(exu_space_read(fixture.space, 0x1ff8, bytes, 16), EXU_NOT_SAVED);
  drop(&fixture);
}

static void read_some_stops_at_the_first_missing_byte(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, 0x1000, 0x1010, 0x10, 0);
  add(&fixture, 0x1010, 0x1020, 0x8, 0x200);
  finalize(&fixture);
  uint8_t bytes[64];
  assert_int_equal(exu_space_read_some(fixture.space, 0x1000, bytes, sizeof bytes), 0x18);
  assert_int_equal(bytes[0x17], byte_at(0x207));
  assert_int_equal(exu_space_read_some(fixture.space, 0x1018, bytes, sizeof bytes), 0);
  assert_int_equal(exu_space_read_some(fixture.space, 0x1002, bytes, 3), 3);
  drop(&fixture);
}

static void reads_larger_than_the_cache_are_right(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, 0x1000, 0x1000 + FILE_SIZE - 3, FILE_SIZE - 3, 3);
  finalize(&fixture);
  uint8_t *bytes = malloc(FILE_SIZE);
  for (size_t size = 1; size < FILE_SIZE - 3; size = size * 3 + 1) {
    assert_int_equal(exu_space_read(fixture.space, 0x1001, bytes, size), EXU_READABLE);
    for (size_t i = 0; i < size; i++)
      if (bytes[i] != byte_at(4 + i)) fail_msg("byte %zu of %zu is wrong", i, size);
  }
  free(bytes);
  drop(&fixture);
}

static void saved_bytes_win_over_unsaved_ones_in_either_order(void **state) {
  (void)state;
  for (int saved_first = 0; saved_first < 2; saved_first++) {
    struct fixture fixture;
    make(&fixture);
    if (saved_first) add(&fixture, 0x2000, 0x3000, 0x1000, 0x100);
    add(&fixture, 0x1000, 0x4000, 0, 0);
    if (!saved_first) add(&fixture, 0x2000, 0x3000, 0x1000, 0x100);
    finalize(&fixture);
    assert_fault(&fixture, 0x1fff, EXU_NOT_SAVED);
    assert_byte(&fixture, 0x2000, 0x100);
    assert_byte(&fixture, 0x2fff, 0x10ff);
    assert_fault(&fixture, 0x3000, EXU_NOT_SAVED);
    size_t count;
    exu_space_regions(fixture.space, &count);
    assert_int_equal(count, 3);
    drop(&fixture);
  }
}

static void among_equals_the_one_added_first_wins(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, 0x2000, 0x4000, 0x2000, 0x100);
  add(&fixture, 0x1000, 0x3000, 0x2000, 0x5000);
  finalize(&fixture);
  assert_byte(&fixture, 0x1fff, 0x5fff);
  assert_byte(&fixture, 0x2000, 0x100);
  assert_byte(&fixture, 0x3fff, 0x20ff);
  drop(&fixture);
}

static void bytes_past_the_end_of_the_file_are_cut_off(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, 0x1000, 0x3000, 0x2000, FILE_SIZE - 0x800);
  add(&fixture, 0x5000, 0x6000, 0x1000, UINT64_MAX - 0x10); /* an offset that would wrap around */
  add(&fixture, 0x5800, 0x5804, 4, 0);                      /* and one inside of it, which splits it */
  add(&fixture, 0x7000, 0x8000, 0x1000, FILE_SIZE);
  finalize(&fixture);
  assert_byte(&fixture, 0x17ff, FILE_SIZE - 1);
  assert_fault(&fixture, 0x1800, EXU_CUT_OFF);
  assert_fault(&fixture, 0x5000, EXU_CUT_OFF);
  assert_fault(&fixture, 0x5400, EXU_CUT_OFF);
  assert_byte(&fixture, 0x5800, 0);
  assert_fault(&fixture, 0x5900, EXU_CUT_OFF);
  assert_fault(&fixture, 0x7000, EXU_CUT_OFF);
  uint8_t bytes[16];
  assert_int_equal(exu_space_read(fixture.space, 0x17f8, bytes, 16), EXU_CUT_OFF);
  assert_int_equal(exu_space_read_some(fixture.space, 0x17f8, bytes, 16), 8);
  drop(&fixture);
}

static void the_end_of_the_address_space_does_not_wrap(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, UINT64_MAX - 16, UINT64_MAX, 16, 0);
  add(&fixture, 0, 0x10, 0x10, 0x100);
  add(&fixture, 0x5000, 0x4000, 0x10, 0); /* backwards: nothing */
  add(&fixture, 0x6000, 0x6000, 0x10, 0); /* empty */
  finalize(&fixture);
  uint8_t bytes[64];
  assert_byte(&fixture, UINT64_MAX - 1, 15);
  assert_int_equal(exu_space_read(fixture.space, UINT64_MAX - 8, bytes, 16), EXU_UNMAPPED);
  assert_int_equal(exu_space_read_some(fixture.space, UINT64_MAX - 8, bytes, sizeof bytes), 8);
  assert_fault(&fixture, UINT64_MAX, EXU_UNMAPPED);
  assert_fault(&fixture, 0x4800, EXU_UNMAPPED);
  size_t count;
  exu_space_regions(fixture.space, &count);
  assert_int_equal(count, 2);
  drop(&fixture);
}

/* What each of 256 addresses should read, kept apart from the space and worked out one byte at a time. */
struct model {
  int rank[256]; /* -1 unmapped, 0 unsaved, 1 cut off, 2 saved */
  uint64_t offset[256];
};

static void model_add(struct model *model, uint64_t start, uint64_t end, uint64_t saved, uint64_t offset) {
  for (uint64_t i = start; i < end; i++) {
    int rank = i - start >= saved ? 0 : offset + (i - start) >= FILE_SIZE ? 1 : 2;
    if (rank <= model->rank[i]) continue;
    model->rank[i] = rank;
    model->offset[i] = offset + (i - start);
  }
}

static void random_overlaps_equal_a_bytewise_model(void **state) {
  (void)state;
  static const enum exu_fault fault_of[] = {EXU_NOT_SAVED, EXU_CUT_OFF, EXU_READABLE};
  unsigned seed = 1;
  for (int round = 0; round < 2000; round++) {
    struct fixture fixture;
    make(&fixture);
    struct model model;
    memset(&model, 0, sizeof model);
    for (size_t i = 0; i < 256; i++) model.rank[i] = -1;
    int runs = rand_r(&seed) % 12;
    for (int i = 0; i < runs; i++) {
      uint64_t start = (uint64_t)rand_r(&seed) % 256;
      uint64_t end = start + (uint64_t)rand_r(&seed) % (257 - start);
      uint64_t saved = (uint64_t)rand_r(&seed) % 3 ? (uint64_t)rand_r(&seed) % (end - start + 1) : end - start;
      uint64_t offset = (uint64_t)rand_r(&seed) % 4 ? (uint64_t)rand_r(&seed) % 8192 : FILE_SIZE - 20;
      add(&fixture, start, end, saved, offset);
      model_add(&model, start, end, saved, offset);
    }
    finalize(&fixture);
    for (uint64_t address = 0; address < 256; address++) {
      if (model.rank[address] < 0) {
        assert_fault(&fixture, address, EXU_UNMAPPED);
      } else if (model.rank[address] < 2) {
        assert_fault(&fixture, address, fault_of[model.rank[address]]);
      } else {
        assert_byte(&fixture, address, model.offset[address]);
      }
    }
    size_t count;
    const struct exu_region *regions = exu_space_regions(fixture.space, &count);
    for (size_t i = 0; i < count; i++) {
      assert_true(regions[i].start < regions[i].end);
      assert_true(i == 0 || regions[i - 1].end <= regions[i].start);
    }
    drop(&fixture);
  }
}

static void a_hundred_thousand_nested_regions_seal_in_no_time(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  const uint64_t count = 100000;
  for (uint64_t i = 0; i < count; i++) add(&fixture, i * 16, (2 * count - i) * 16 + 16, i % 2 ? 16 : 0, i % 4096);
  finalize(&fixture);
  assert_fault(&fixture, 0, EXU_NOT_SAVED);
  assert_byte(&fixture, 16, 1);
  drop(&fixture);
}

/* Overlays */

struct overlay_context {
  struct fixture *fixture;
  uint32_t source;
  uint64_t start, end, offset;
  int calls;
  bool reads;
};

static bool backing(void *context, const struct exu_region *region) {
  struct overlay_context *backing = context;
  backing->calls++;
  assert_true(region->saved < region->end - region->start);
  if (backing->reads) { /* what the callback cannot read is not asked for again */
    assert_fault(backing->fixture, 0x2800, EXU_NOT_SAVED);
    assert_fault(backing->fixture, 0x9000, EXU_NOT_SAVED);
    assert_byte(backing->fixture, 0x1000, 0x100);
  }
  if (backing->start == backing->end) return false;
  return exu_space_add_backing(backing->fixture->space, backing->start, backing->end, backing->source, backing->offset);
}

static void make_overlaid(struct fixture *fixture, struct overlay_context *context, struct nameless_file *file) {
  make(fixture);
  context->fixture = fixture;
  uint8_t bytes[0x3000];
  memset(bytes, 0xee, sizeof bytes);
  *file = nameless_file(bytes, sizeof bytes);
  context->source = (uint32_t)exu_space_add_source(fixture->space, exu_source_of_file(file->fd, sizeof bytes, false));
  add(fixture, 0x1000, 0x4000, 0x1000, 0x100);
  add(fixture, 0x9000, 0xa000, 0, 0);
  finalize(fixture);
  exu_space_set_backing(fixture->space, backing, context);
}

static void an_overlay_fills_only_what_was_not_saved(void **state) {
  (void)state;
  struct overlay_context context = {.start = 0x1000, .end = 0x3000, .reads = true};
  struct nameless_file file;
  struct fixture fixture;
  make_overlaid(&fixture, &context, &file);
  assert_byte(&fixture, 0x1fff, 0x10ff);
  assert_int_equal(context.calls, 0); /* nothing was missing yet */
  uint8_t bytes[2];
  assert_int_equal(exu_space_read(fixture.space, 0x1fff, bytes, 2), EXU_READABLE);
  assert_int_equal(bytes[0], byte_at(0x10ff));
  assert_int_equal(bytes[1], 0xee);
  assert_int_equal(exu_space_read(fixture.space, 0x2fff, bytes, 1), EXU_READABLE);
  assert_fault(&fixture, 0x3000, EXU_NOT_SAVED);
  assert_int_equal(context.calls, 1);
  drop(&fixture);
  close(file.fd);
}

static void the_overlay_is_asked_once_per_region(void **state) {
  (void)state;
  struct overlay_context context = {0};
  struct nameless_file file;
  struct fixture fixture;
  make_overlaid(&fixture, &context, &file);
  for (int i = 0; i < 3; i++) assert_fault(&fixture, 0x2000, EXU_NOT_SAVED);
  assert_int_equal(context.calls, 1);
  for (int i = 0; i < 3; i++) assert_fault(&fixture, 0x9000, EXU_NOT_SAVED);
  assert_int_equal(context.calls, 2);
  drop(&fixture);
  close(file.fd);
}

static void an_overlay_ends_with_its_file(void **state) {
  (void)state;
  struct overlay_context context = {.start = 0x1000, .end = 0x4000, .offset = 0x1800};
  struct nameless_file file;
  struct fixture fixture;
  make_overlaid(&fixture, &context, &file);
  uint8_t byte;
  assert_int_equal(exu_space_read(fixture.space, 0x27ff, &byte, 1), EXU_READABLE);
  assert_fault(&fixture, 0x2800, EXU_NOT_SAVED);
  assert_false(exu_space_add_backing(fixture.space, 0x2800, 0x3000, context.source, 0x3000));
  assert_false(exu_space_add_backing(fixture.space, 0x2800, 0x3000, 77, 0));
  assert_false(exu_space_add_backing(fixture.space, 0x3000, 0x2800, context.source, 0));
  assert_false(exu_space_add_backing(fixture.space, 0x5000, 0x6000, context.source, 0)); /* nothing mapped */
  drop(&fixture);
  close(file.fd);
}

static void cut_off_bytes_are_not_overlaid(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, 0x1000, 0x3000, 0x1000, FILE_SIZE);
  finalize(&fixture);
  exu_space_add_backing(fixture.space, 0x1000, 0x3000, fixture.source, 0);
  assert_fault(&fixture, 0x1000, EXU_CUT_OFF);
  assert_byte(&fixture, 0x2000, 0x1000);
  drop(&fixture);
}

static void a_file_that_shrinks_gives_a_fault_and_no_signal(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, 0x1000, 0x9000, 0x8000, 0);
  finalize(&fixture);
  assert_int_equal(ftruncate(fixture.file.fd, 0x4100), 0);
  assert_byte(&fixture, 0x50ff, 0x40ff);
  assert_fault(&fixture, 0x5100, EXU_CUT_OFF);
  assert_fault(&fixture, 0x8fff, EXU_CUT_OFF);
  drop(&fixture);
}

static void a_file_that_cannot_be_read_is_a_fault_of_its_own(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  int source = exu_space_add_source(fixture.space, exu_source_of_file(-1, 0x1000, false));
  struct exu_region region = {.start = 0x1000, .end = 0x2000, .saved = 0x1000, .source = (uint32_t)source};
  assert_true(exu_space_add(fixture.space, &region));
  finalize(&fixture);
  assert_fault(&fixture, 0x1000, EXU_READ_FAILED);
  for (int fault = EXU_READABLE; fault <= EXU_READ_FAILED; fault++)
    assert_non_null(exu_fault_text((enum exu_fault)fault));
  drop(&fixture);
}

/* Scans */

struct scanned {
  uint64_t first, last_end, bytes;
  size_t calls, stop_after, overlap;
  const char *found_pattern;
  uint64_t found_at;
  uint64_t end; /* of the saved bytes */
};

static bool scan(void *context, uint64_t address, const uint8_t *bytes, size_t size) {
  struct scanned *scanned = context;
  assert_int_equal(address % 8, 0);
  assert_true(size % 8 == 0 || address + size == scanned->end);
  if (scanned->calls++ == 0) scanned->first = address;
  if (scanned->found_pattern) {
    const uint8_t *found = memmem(bytes, size, scanned->found_pattern, strlen(scanned->found_pattern));
    if (found) scanned->found_at = address + (uint64_t)(found - bytes);
  }
  scanned->last_end = address + size;
  scanned->bytes += size;
  return scanned->calls != scanned->stop_after;
}

static void a_scan_sees_every_saved_byte_of_a_region(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, 0x1000, 0x9000, 0x5003, 0x10);
  add(&fixture, 0x10000, 0x20000, 0x10000, FILE_SIZE - 0x1000); /* cut off */
  add(&fixture, 0x30005, 0x30100, 0xfb, 0);
  add(&fixture, 0x40000, 0x40100, 0, 0);
  finalize(&fixture);
  size_t count;
  const struct exu_region *regions = exu_space_regions(fixture.space, &count);
  assert_int_equal(count, 4);
  const uint64_t first[] = {0x1000, 0x10000, 0x30008, 0};
  const uint64_t end[] = {0x6003, 0x11000, 0x30100, 0};
  for (size_t i = 0; i < count; i++) {
    struct scanned scanned = {.end = end[i]};
    assert_true(exu_space_scan(fixture.space, &regions[i], 8, scan, &scanned));
    assert_int_equal(scanned.first, first[i]);
    assert_int_equal(scanned.last_end, end[i]);
  }
  drop(&fixture);
}

static void a_scan_leaves_holes_out(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  enum { PAGE = 4096 };
  const uint64_t size = UINT64_C(50) << 30;
  assert_int_equal(ftruncate(fixture.file.fd, 0), 0);
  assert_int_equal(ftruncate(fixture.file.fd, (off_t)size), 0);
  assert_int_equal(pwrite(fixture.file.fd, "needle", 6, (off_t)(size / 2)), 6);
  struct exu_space *space = exu_space_create(&fixture.arena);
  int source = exu_space_add_source(space, exu_source_of_file(fixture.file.fd, size, false));
  struct exu_region region = {.start = 0x1000, .end = 0x1000 + size, .saved = size, .source = (uint32_t)source};
  assert_true(exu_space_add(space, &region));
  assert_true(exu_space_finalize(space));
  struct scanned scanned = {.found_pattern = "needle", .end = region.end};
  size_t count;
  assert_true(exu_space_scan(space, exu_space_regions(space, &count), 8, scan, &scanned));
  assert_int_equal(scanned.found_at, 0x1000 + size / 2);
  assert_in_range(scanned.bytes, PAGE, 4 << 20); /* a file system may keep more than the page */
  exu_space_destroy(space);
  drop(&fixture);
}

static void a_scan_does_not_miss_what_straddles_two_runs(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  enum { SIZE = 300 * 1024 };
  uint8_t *bytes = calloc(1, SIZE);
  struct exu_arena arena;
  exu_arena_init(&arena, 1 << 20);
  for (size_t at = 64 * 1024 - 12; at < 64 * 1024 + 12; at++) {
    memset(bytes, 1, SIZE);
    memcpy(bytes + at, "needles", strlen("needles"));
    struct nameless_file file = nameless_file(bytes, SIZE);
    struct exu_space *space = exu_space_create(&arena);
    int source = exu_space_add_source(space, exu_source_of_file(file.fd, SIZE, false));
    struct exu_region region = {.start = 0x1000, .end = 0x1000 + SIZE, .saved = SIZE, .source = (uint32_t)source};
    assert_true(exu_space_add(space, &region));
    assert_true(exu_space_finalize(space));
    size_t count;
    struct scanned scanned = {.found_pattern = "needles", .end = region.end};
    assert_true(exu_space_scan(space, exu_space_regions(space, &count), 6, scan, &scanned));
    assert_int_equal(scanned.found_at, 0x1000 + at);
    scanned = (struct scanned){.stop_after = 2, .end = region.end};
    assert_false(exu_space_scan(space, exu_space_regions(space, &count), 6, scan, &scanned));
    assert_int_equal(scanned.calls, 2);
    exu_space_destroy(space);
    close(file.fd);
  }
  exu_arena_deinit(&arena);
  free(bytes);
  drop(&fixture);
}

static bool scan_within(void *context, uint64_t address, const uint8_t *bytes, size_t size) {
  struct fixture *fixture = context;
  uint8_t first = bytes[0];
  struct scanned scanned = {.end = 0x9000};
  size_t count;
  assert_true(exu_space_scan(fixture->space, exu_space_regions(fixture->space, &count), 8, scan, &scanned));
  assert_byte(fixture, 0x1000, 0x20);
  assert_int_equal(bytes[0], first); /* untouched by what was read meanwhile */
  return address + size > 0;
}

static void the_callback_of_a_scan_may_read_and_scan(void **state) {
  (void)state;
  struct fixture fixture;
  make(&fixture);
  add(&fixture, 0x1000, 0x9000, 0x8000, 0x20);
  finalize(&fixture);
  size_t count;
  assert_true(exu_space_scan(fixture.space, exu_space_regions(fixture.space, &count), 8, scan_within, &fixture));
  drop(&fixture);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_space_has_nothing_mapped),
      cmocka_unit_test(what_was_not_saved_is_a_fault_and_not_the_neighbours_bytes),
      cmocka_unit_test(a_read_spans_adjacent_regions),
      cmocka_unit_test(a_read_is_all_or_nothing),
      cmocka_unit_test(read_some_stops_at_the_first_missing_byte),
      cmocka_unit_test(reads_larger_than_the_cache_are_right),
      cmocka_unit_test(saved_bytes_win_over_unsaved_ones_in_either_order),
      cmocka_unit_test(among_equals_the_one_added_first_wins),
      cmocka_unit_test(bytes_past_the_end_of_the_file_are_cut_off),
      cmocka_unit_test(the_end_of_the_address_space_does_not_wrap),
      cmocka_unit_test(random_overlaps_equal_a_bytewise_model),
      cmocka_unit_test(a_hundred_thousand_nested_regions_seal_in_no_time),
      cmocka_unit_test(an_overlay_fills_only_what_was_not_saved),
      cmocka_unit_test(the_overlay_is_asked_once_per_region),
      cmocka_unit_test(an_overlay_ends_with_its_file),
      cmocka_unit_test(cut_off_bytes_are_not_overlaid),
      cmocka_unit_test(a_file_that_shrinks_gives_a_fault_and_no_signal),
      cmocka_unit_test(a_file_that_cannot_be_read_is_a_fault_of_its_own),
      cmocka_unit_test(a_scan_sees_every_saved_byte_of_a_region),
      cmocka_unit_test(a_scan_leaves_holes_out),
      cmocka_unit_test(a_scan_does_not_miss_what_straddles_two_runs),
      cmocka_unit_test(the_callback_of_a_scan_may_read_and_scan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
