/* SPDX-License-Identifier: Apache-2.0 */
/* The sources of an address space, read through a small cache of blocks, but for those that keep what they read. */
#ifndef EXUVIA_MEMORY_BLOCK_CACHE_H
#define EXUVIA_MEMORY_BLOCK_CACHE_H

#include "memory/region.h"
#include "memory/source.h"

struct exu_block_cache;

/* Returns NULL without memory. */
struct exu_block_cache *exu_block_cache_create(void);

/* Closes the sources. NULL is allowed. */
void exu_block_cache_destroy(struct exu_block_cache *cache);

/* Returns the source's number, or -1 without memory: then it was closed. */
int exu_block_cache_add(struct exu_block_cache *cache, struct exu_source source);

/* Bytes that the source has; 0 for a number that does not exist. */
uint64_t exu_block_cache_size(const struct exu_block_cache *cache, uint32_t source);

/*
 * Read bytes that the source has. EXU_CUT_OFF when it has shrunk, EXU_READ_FAILED when it cannot be read; the buffer
 * may then be partly written.
 */
enum exu_fault exu_block_cache_read(struct exu_block_cache *cache, uint32_t source, uint64_t offset, void *buffer,
                                    size_t size);

/* `size` bytes at `offset` of a source, which are at `address` of the process. */
struct exu_block_scan {
  uint32_t source;
  uint64_t offset;
  uint64_t size;
  uint64_t address;
  size_t overlap;
};

/* See exu_space_scan. */
bool exu_block_cache_scan(struct exu_block_cache *cache, const struct exu_block_scan *scan, exu_scan_callback *callback,
                          void *context);

#endif
