/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table from addresses of the process to pointers or numbers. Cycle guards use it as a set. */
#ifndef EXUVIA_BASE_MAP_H
#define EXUVIA_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exu_map_slot {
  uint64_t key;
  union {
    void *pointer;
    uint64_t number;
  } value;
};

/* Zero-initialised is empty. Key 0 is not allowed: no structure of the process lies there. */
struct exu_map {
  struct exu_map_slot *slots;
  size_t count;
  size_t capacity; /* a power of two, or 0 */
};

void exu_map_deinit(struct exu_map *map);

/* Forget every entry but keep the memory. */
void exu_map_clear(struct exu_map *map);

/* The value slot of a key, or NULL. Valid until the next insertion. */
void **exu_map_find(const struct exu_map *map, uint64_t key);

/*
 * The value slot of a key, made (with a NULL value) when it is not there yet; *is_new says which. NULL without
 * memory. Valid until the next insertion.
 */
void **exu_map_insert(struct exu_map *map, uint64_t key, bool *is_new);

/* The same for a map of numbers, which begin as 0. A map holds either. */
uint64_t *exu_map_find_number(const struct exu_map *map, uint64_t key);
uint64_t *exu_map_insert_number(struct exu_map *map, uint64_t key, bool *is_new);

#endif
