/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is released all at once. A report and everything that leads to it lives in one arena, whose budget is
 * what keeps a core that lies from making this program allocate without end.
 */
#ifndef EXUVIA_BASE_ARENA_H
#define EXUVIA_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "exuvia/exuvia.h"

struct exu_arena_block;

struct exu_arena {
  struct exu_arena_block *blocks;
  char *next; /* free bytes of the newest block: [next, end) */
  char *end;
  size_t allocated; /* bytes taken from the system, and reserved */
  size_t budget;    /* limit of `allocated` */
  bool exhausted;   /* an allocation was refused: something is missing */
};

/* `budget` is in bytes. */
void exu_arena_init(struct exu_arena *arena, size_t budget);
void exu_arena_deinit(struct exu_arena *arena);

/* Zeroed memory, aligned for any type. NULL when the budget or the system's memory is exhausted. */
void *exu_arena_alloc(struct exu_arena *arena, size_t size);

/* Is there room for so many bytes more? For memory that others take, and give back. */
bool exu_arena_has_room(const struct exu_arena *arena, size_t size);

/*
 * The same for memory that is kept for longer: it counts until it is given back. False, as exu_arena_alloc, when the
 * budget has no room for it.
 */
bool exu_arena_reserve(struct exu_arena *arena, size_t size);
void exu_arena_release(struct exu_arena *arena, size_t size);

/* Like exu_arena_alloc for `count` elements, with the multiplication checked. */
void *exu_arena_array(struct exu_arena *arena, size_t count, size_t element_size);

/* A copy that lives in the arena; its `data` is followed by a NUL that `size` does not count. Unknown on failure. */
struct exu_string exu_arena_string(struct exu_arena *arena, const char *data, size_t size);
struct exu_string exu_arena_printf(struct exu_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct exu_string exu_arena_vprintf(struct exu_arena *arena, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/*
 * An array that grows in an arena. Declare `struct { T *items; size_t count, capacity; }` and use EXU_PUSH, which
 * evaluates to a pointer to a new zeroed element, or NULL. The old storage stays in the arena (at most as much again).
 */
#define EXU_VECTOR(type)                                                                                               \
  struct {                                                                                                             \
    type *items;                                                                                                       \
    size_t count;                                                                                                      \
    size_t capacity;                                                                                                   \
  }

#define EXU_PUSH(arena, vector)                                                                                        \
  (exu_arena_grow((arena), (void **)&(vector)->items, (vector)->count, &(vector)->capacity, sizeof *(vector)->items)   \
       ? &(vector)->items[(vector)->count++]                                                                           \
       : NULL)

/* For EXU_PUSH: make room for one more element. */
bool exu_arena_grow(struct exu_arena *arena, void **items, size_t count, size_t *capacity, size_t element_size);

#endif
