/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct exu_arena_block {
  struct exu_arena_block *older;
  max_align_t data[];
};

/* From 128 KiB on, malloc gives pages of their own (M_MMAP_THRESHOLD of mallopt(3)). */
enum { LARGE_ARRAY = 1024, FIRST_BLOCK = 256 * 1024, LARGEST_STEP = 4 * 1024 * 1024 };

void exu_arena_init(struct exu_arena *arena, size_t budget) { *arena = (struct exu_arena){.budget = budget}; }

void exu_arena_deinit(struct exu_arena *arena) {
  struct exu_arena_block *block = arena->blocks;
  while (block) {
    struct exu_arena_block *older = block->older;
    free(block);
    block = older;
  }
  *arena = (struct exu_arena){.budget = arena->budget};
}

static bool add_block(struct exu_arena *arena, size_t needed) {
  /* Blocks grow with what is already there, so that their number stays small and little is wasted. */
  size_t size = arena->allocated < FIRST_BLOCK ? FIRST_BLOCK : arena->allocated;
  if (size > LARGEST_STEP) size = LARGEST_STEP;
  if (size < needed) size = needed;
  if (size > arena->budget - arena->allocated) size = needed;
  if (size > arena->budget - arena->allocated) {
    arena->exhausted = true;
    return false;
  }
  /* calloc gives fresh pages of the system without touching them; blocks are never used twice. */
  struct exu_arena_block *block = calloc(1, sizeof *block + size);
  if (!block) {
    arena->exhausted = true;
    return false;
  }
  block->older = arena->blocks;
  arena->blocks = block;
  arena->allocated += size;
  arena->next = (char *)block->data;
  arena->end = arena->next + size;
  return true;
}

void *exu_arena_alloc(struct exu_arena *arena, size_t size) {
  const size_t align = _Alignof(max_align_t);
  if (size > SIZE_MAX - align) {
    arena->exhausted = true;
    return NULL;
  }
  size = (size + align - 1) / align * align;
  if (size == 0) size = align;
  if ((size_t)(arena->end - arena->next) < size && !add_block(arena, size)) return NULL;
  void *memory = arena->next;
  arena->next += size;
  return memory;
}

bool exu_arena_has_room(const struct exu_arena *arena, size_t size) { return size <= arena->budget - arena->allocated; }

bool exu_arena_reserve(struct exu_arena *arena, size_t size) {
  if (!exu_arena_has_room(arena, size)) {
    arena->exhausted = true;
    return false;
  }
  arena->allocated += size;
  return true;
}

void exu_arena_release(struct exu_arena *arena, size_t size) { arena->allocated -= size; }

void *exu_arena_array(struct exu_arena *arena, size_t count, size_t element_size) {
  size_t size;
  if (__builtin_mul_overflow(count, element_size, &size)) {
    arena->exhausted = true;
    return NULL;
  }
  return exu_arena_alloc(arena, size);
}

struct exu_string exu_arena_string(struct exu_arena *arena, const char *data, size_t size) {
  char *copy = size < SIZE_MAX ? exu_arena_alloc(arena, size + 1) : NULL;
  if (!copy) return (struct exu_string){NULL, 0};
  if (size > 0) memcpy(copy, data, size);
  return (struct exu_string){copy, size};
}

struct exu_string exu_arena_vprintf(struct exu_arena *arena, const char *format, va_list arguments) {
  char buffer[1024];
  va_list again;
  va_copy(again, arguments);
  const int size = vsnprintf(buffer, sizeof buffer, format, arguments);
  struct exu_string string = {NULL, 0};
  if (size >= 0 && (size_t)size < sizeof buffer) {
    string = exu_arena_string(arena, buffer, (size_t)size);
  } else if (size >= 0) {
    char *longer = exu_arena_alloc(arena, (size_t)size + 1);
    if (longer) vsnprintf(longer, (size_t)size + 1, format, again);
    if (longer) string = (struct exu_string){longer, (size_t)size};
  }
  va_end(again);
  return string;
}

struct exu_string exu_arena_printf(struct exu_arena *arena, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const struct exu_string string = exu_arena_vprintf(arena, format, arguments);
  va_end(arguments);
  return string;
}

bool exu_arena_grow(struct exu_arena *arena, void **items, size_t count, size_t *capacity, size_t element_size) {
  if (count < *capacity) return true;
  /* What an array leaves behind was used, and of what it gets the system gives what will be: large ones grow seldom. */
  size_t larger = *capacity ? *capacity * (*capacity < LARGE_ARRAY ? 2 : 4) : 16;
  void *memory = exu_arena_array(arena, larger, element_size);
  if (!memory) return false;
  if (count > 0) memcpy(memory, *items, count * element_size);
  *items = memory;
  *capacity = larger;
  return true;
}
