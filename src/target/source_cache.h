/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that an address space takes its bytes from, read by position through a small cache of blocks. Not mapped
 * into memory: a file that shrinks while it is read must give a short read, not a SIGBUS.
 */
#ifndef EXUVIA_TARGET_SOURCE_CACHE_H
#define EXUVIA_TARGET_SOURCE_CACHE_H

#include "target/pages.h"
#include "target/space.h"

struct exu_source_cache;

/* Returns NULL without memory. */
struct exu_source_cache *exu_source_cache_create(void);
void exu_source_cache_destroy(struct exu_source_cache *cache); /* NULL is allowed */

/* Returns the source's number, or -1 without memory. */
int exu_source_cache_add(struct exu_source_cache *cache, int fd, uint64_t size);

/* The memory of a live process, where an offset is an address. `pages` is borrowed. */
int exu_source_cache_add_pages(struct exu_source_cache *cache, struct exu_pages *pages);

/* Bytes that the source has; 0 for a number that does not exist. */
uint64_t exu_source_cache_size(const struct exu_source_cache *cache, uint32_t source);

/*
 * Read bytes that the source has. EXU_CUT_OFF when the file has shrunk, EXU_READ_FAILED when the operating system
 * refuses; the buffer may then be partly written.
 */
enum exu_fault exu_source_cache_read(struct exu_source_cache *cache, uint32_t source, uint64_t offset, void *buffer,
                                     size_t size);

/* `size` bytes at `offset` of a source, which are at `address` of the target. */
struct exu_source_scan {
  uint32_t source;
  uint64_t offset;
  uint64_t size;
  uint64_t address;
  size_t overlap;
};

/* See exu_space_scan. */
bool exu_source_cache_scan(struct exu_source_cache *cache, const struct exu_source_scan *scan,
                           exu_scan_callback *callback, void *context);

#endif
