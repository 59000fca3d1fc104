/* SPDX-License-Identifier: Apache-2.0 */
#include "python/frame/exception_table.h"

/* Bits of a byte: 0x80 begins an entry, 0x40 says that the number goes on, six bits of the number, high ones first. */
enum { ENTRY_START = 0x80, NUMBER_GOES_ON = 0x40, NUMBER_BITS = 6, NUMBER_MASK = 0x3F };

/* Blocks that enclose each other: the compiler allows 20 (CO_MAXBLOCKS, later more), each with its own cleanup. */
enum { CHAIN_MAX = 256 };

static bool number(const uint8_t *table, size_t size, size_t *at, uint32_t *value) {
  uint32_t result = 0;
  uint8_t byte;
  do {
    if (*at >= size || result > UINT32_MAX >> NUMBER_BITS) return false;
    byte = table[(*at)++];
    result = result << NUMBER_BITS | (byte & NUMBER_MASK);
  } while (byte & NUMBER_GOES_ON);
  *value = result;
  return true;
}

bool exu_exceptions_find(const uint8_t *table, size_t size, uint32_t instruction, struct exu_handler *handler) {
  size_t at = 0;
  while (at < size) {
    uint32_t start, length, process, depth;
    if (!(table[at] & ENTRY_START)) return false;
    if (!number(table, size, &at, &start) || !number(table, size, &at, &length) ||
        !number(table, size, &at, &process) || !number(table, size, &at, &depth)) {
      return false;
    }
    if (start > instruction) return false; /* they are sorted */
    if (instruction - start >= length) continue;
    /* The lowest bit says whether the instruction's offset is pushed, too. */
    *handler = (struct exu_handler){.process = process, .depth = depth >> 1};
    return true;
  }
  return false;
}

size_t exu_exceptions_depths(const uint8_t *table, size_t size, uint32_t instruction, uint32_t *depths, size_t limit) {
  uint32_t depth = UINT32_MAX;
  size_t count = 0;
  struct exu_handler handler;
  for (int i = 0; i < CHAIN_MAX && count < limit; i++) {
    if (!exu_exceptions_find(table, size, instruction, &handler)) break;
    if (handler.depth < depth) {
      depth = handler.depth;
      depths[count++] = depth;
    }
    instruction = handler.process;
  }
  return count;
}
