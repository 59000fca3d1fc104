/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void exu_map_deinit(struct exu_map *map) {
  free(map->slots);
  *map = (struct exu_map){0};
}

void exu_map_clear(struct exu_map *map) {
  if (map->count > 0) memset(map->slots, 0, map->capacity * sizeof *map->slots);
  map->count = 0;
}

/* Objects are 8 or 16 bytes apart: multiply to spread them, and use the high bits. */
static size_t slot_of(const struct exu_map *map, uint64_t key) {
  size_t mask = map->capacity - 1;
  size_t i = (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & mask;
  while (map->slots[i].key != 0 && map->slots[i].key != key) i = (i + 1) & mask;
  return i;
}

static struct exu_map_slot *find(const struct exu_map *map, uint64_t key) {
  if (map->count == 0 || key == 0) return NULL;
  struct exu_map_slot *slot = &map->slots[slot_of(map, key)];
  return slot->key ? slot : NULL;
}

void **exu_map_find(const struct exu_map *map, uint64_t key) {
  struct exu_map_slot *slot = find(map, key);
  return slot ? &slot->value.pointer : NULL;
}

uint64_t *exu_map_find_number(const struct exu_map *map, uint64_t key) {
  struct exu_map_slot *slot = find(map, key);
  return slot ? &slot->value.number : NULL;
}

static bool grow(struct exu_map *map) {
  struct exu_map larger = {.capacity = map->capacity ? map->capacity * 2 : 64};
  larger.slots = calloc(larger.capacity, sizeof *larger.slots);
  if (!larger.slots) return false;
  for (size_t i = 0; i < map->capacity; i++) {
    if (map->slots[i].key) larger.slots[slot_of(&larger, map->slots[i].key)] = map->slots[i];
  }
  larger.count = map->count;
  free(map->slots);
  *map = larger;
  return true;
}

static struct exu_map_slot *insert(struct exu_map *map, uint64_t key, bool *is_new) {
  assert(key != 0);
  if (map->count + 1 > map->capacity / 4 * 3 && !grow(map)) return NULL;
  struct exu_map_slot *slot = &map->slots[slot_of(map, key)];
  *is_new = slot->key == 0;
  if (*is_new) {
    slot->key = key;
    map->count++;
  }
  return slot;
}

void **exu_map_insert(struct exu_map *map, uint64_t key, bool *is_new) {
  struct exu_map_slot *slot = insert(map, key, is_new);
  return slot ? &slot->value.pointer : NULL;
}

uint64_t *exu_map_insert_number(struct exu_map *map, uint64_t key, bool *is_new) {
  struct exu_map_slot *slot = insert(map, key, is_new);
  return slot ? &slot->value.number : NULL;
}
