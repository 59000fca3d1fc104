/* SPDX-License-Identifier: Apache-2.0 */
#include "target/source_cache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/read_at.h"
#include "target/pages.h"

enum {
  BLOCK_SHIFT = 13,
  BLOCK_SIZE = 1 << BLOCK_SHIFT,
  BLOCK_COUNT = 512, /* slots: SET_COUNT sets of WAYS */
  WAYS = 2,
  SET_BITS = 8,
  SET_COUNT = 1 << SET_BITS,
  DIRECT_SIZE = 8 * BLOCK_SIZE, /* reads from this size on go around the cache, they would only flush it */
  SCAN_CHUNK = 64 * 1024,
  WORD = 8,
};

#define NO_SOURCE UINT32_MAX

struct slot {
  uint64_t block;
  uint32_t source; /* NO_SOURCE: empty */
  uint32_t size;   /* bytes of the block that the file has */
};

struct exu_source_cache {
  struct exu_source *sources;
  size_t source_count;
  size_t source_capacity;
  uint8_t *blocks; /* of BLOCK_COUNT slots; the system gives the pages when they are first used */
  struct slot slots[BLOCK_COUNT];
  uint8_t newest[SET_COUNT]; /* which slot of a set was used last */
  uint8_t *scan_buffer;
  bool scanning; /* scan_buffer is in use */
};

struct exu_source_cache *exu_source_cache_create(void) {
  struct exu_source_cache *cache = calloc(1, sizeof *cache);
  if (!cache) return NULL;
  for (size_t i = 0; i < BLOCK_COUNT; i++) cache->slots[i].source = NO_SOURCE;
  return cache;
}

void exu_source_cache_destroy(struct exu_source_cache *cache) {
  if (!cache) return;
  free(cache->sources);
  free(cache->blocks);
  free(cache->scan_buffer);
  free(cache);
}

int exu_source_cache_add(struct exu_source_cache *cache, int fd, uint64_t size) {
  enum { SOURCES_MAX = 1 << 20 };
  if (cache->source_count == cache->source_capacity) {
    size_t larger = cache->source_capacity ? cache->source_capacity * 2 : 16;
    struct exu_source *memory = larger <= SOURCES_MAX ? reallocarray(cache->sources, larger, sizeof *memory) : NULL;
    if (!memory) return -1;
    cache->sources = memory;
    cache->source_capacity = larger;
  }
  if (size > INT64_MAX) size = INT64_MAX; /* what off_t can say */
  uint32_t id = (uint32_t)cache->source_count++;
  cache->sources[id] = (struct exu_source){.fd = fd, .size = size, .id = id};
  return (int)id;
}

int exu_source_cache_add_pages(struct exu_source_cache *cache, struct exu_pages *pages) {
  int id = exu_source_cache_add(cache, exu_pages_fd(pages), UINT64_MAX);
  if (id >= 0) cache->sources[id].pages = pages;
  return id;
}

uint64_t exu_source_cache_size(const struct exu_source_cache *cache, uint32_t source) {
  return source < cache->source_count ? cache->sources[source].size : 0;
}

static_assert(SET_COUNT * WAYS == BLOCK_COUNT, "every slot is in one set");

/* Stacks and arenas lie at multiples of megabytes, so that low bits alone would put them all into the same set. */
static size_t set_of(uint32_t source, uint64_t block) {
  return (size_t)(((block ^ (uint64_t)source << 40) * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - SET_BITS));
}

static bool holds(const struct slot *slot, uint32_t source, uint64_t block) {
  return slot->block == block && slot->source == source;
}

static enum exu_fault load(struct exu_source_cache *cache, struct slot *slot, uint32_t source, uint64_t block) {
  if (!cache->blocks) cache->blocks = malloc((size_t)BLOCK_COUNT * BLOCK_SIZE);
  if (!cache->blocks) return EXU_READ_FAILED;
  uint8_t *bytes = cache->blocks + (size_t)(slot - cache->slots) * BLOCK_SIZE;
  slot->source = NO_SOURCE;
  ssize_t got = exu_read_some_at(cache->sources[source].fd, bytes, BLOCK_SIZE, block << BLOCK_SHIFT);
  if (got < 0) return EXU_READ_FAILED;
  *slot = (struct slot){.block = block, .source = source, .size = (uint32_t)got};
  return EXU_READABLE;
}

/* The slot with the block, loaded if need be into the one of its set that was not used last. */
static enum exu_fault find(struct exu_source_cache *cache, uint32_t source, uint64_t block, const struct slot **found) {
  size_t set = set_of(source, block);
  struct slot *slots = &cache->slots[set * WAYS];
  if (!holds(&slots[cache->newest[set]], source, block)) {
    cache->newest[set] ^= 1;
    if (!holds(&slots[cache->newest[set]], source, block)) {
      enum exu_fault fault = load(cache, &slots[cache->newest[set]], source, block);
      if (fault != EXU_READABLE) return fault;
    }
  }
  *found = &slots[cache->newest[set]];
  return EXU_READABLE;
}

static enum exu_fault read_direct(struct exu_source_cache *cache, uint32_t source, uint64_t offset, void *buffer,
                                  size_t size) {
  ssize_t got = exu_read_some_at(cache->sources[source].fd, buffer, size, offset);
  if (got < 0) return EXU_READ_FAILED;
  return (size_t)got < size ? EXU_CUT_OFF : EXU_READABLE;
}

enum exu_fault exu_source_cache_read(struct exu_source_cache *cache, uint32_t source, uint64_t offset, void *buffer,
                                     size_t size) {
  assert(offset <= exu_source_cache_size(cache, source) && size <= exu_source_cache_size(cache, source) - offset);
  if (cache->sources[source].pages) return exu_pages_read(cache->sources[source].pages, offset, buffer, size);
  if (size >= DIRECT_SIZE) return read_direct(cache, source, offset, buffer, size);
  uint8_t *out = buffer;
  while (size > 0) {
    uint64_t block = offset >> BLOCK_SHIFT;
    size_t into = (size_t)(offset & (BLOCK_SIZE - 1));
    size_t here = size < BLOCK_SIZE - into ? size : BLOCK_SIZE - into;
    const struct slot *slot;
    enum exu_fault fault = find(cache, source, block, &slot);
    if (fault != EXU_READABLE) return fault;
    if (into + here > slot->size) return EXU_CUT_OFF;
    memcpy(out, cache->blocks + (size_t)(slot - cache->slots) * BLOCK_SIZE + into, here);
    out += here;
    offset += here;
    size -= here;
  }
  return EXU_READABLE;
}

/*
 * The next stretch [*from, *to) of a scan that is no hole of the file, from *from on. Returns false when none is left.
 */
static bool next_data(int fd, const struct exu_source_scan *scan, uint64_t *from, uint64_t *to) {
  *to = scan->size;
  off_t data = lseek(fd, (off_t)(scan->offset + *from), SEEK_DATA);
  if (data < 0) return errno != ENXIO; /* ENXIO: only holes follow; else the file system cannot tell */
  if ((uint64_t)data - scan->offset >= scan->size) return false;
  /* Whole words of the target, whatever the file's offset: a hole reads as zeros, so a few bytes of it do no harm. */
  uint64_t start = (uint64_t)data - scan->offset;
  start -= (scan->address + start) % WORD;
  if (start > *from && start < scan->size) *from = start;
  off_t hole = lseek(fd, data, SEEK_HOLE);
  if (hole <= data) return true;
  uint64_t stop = (uint64_t)hole - scan->offset;
  stop += (WORD - (scan->address + stop) % WORD) % WORD;
  if (stop < scan->size) *to = stop;
  return true;
}

static bool scan_with(int fd, const struct exu_source_scan *scan, uint8_t *buffer, exu_scan_callback *callback,
                      void *context) {
  const size_t overlap = (scan->overlap + WORD - 1) / WORD * WORD;
  uint64_t at = (WORD - scan->address % WORD) % WORD;
  uint64_t stop = 0; /* end of the stretch of data that `at` is in */
  while (at < scan->size) {
    if (at >= stop && !next_data(fd, scan, &at, &stop)) break;
    size_t size = stop - at < SCAN_CHUNK ? (size_t)(stop - at) : SCAN_CHUNK;
    ssize_t got = exu_read_some_at(fd, buffer, size, scan->offset + at);
    if (got == 0) break; /* the file has shrunk */
    if (got > 0 && !callback(context, scan->address + at, buffer, (size_t)got)) return false;
    at = at + size >= stop ? stop : at + size - overlap;
  }
  return true;
}

bool exu_source_cache_scan(struct exu_source_cache *cache, const struct exu_source_scan *scan,
                           exu_scan_callback *callback, void *context) {
  assert(scan->overlap <= SCAN_CHUNK / 2);
  if (scan->size == 0) return true;
  int fd = cache->sources[scan->source].fd;
  if (cache->scanning) { /* a scan from within a scan's callback */
    uint8_t *buffer = malloc(SCAN_CHUNK);
    bool finished = buffer && scan_with(fd, scan, buffer, callback, context);
    free(buffer);
    return finished;
  }
  if (!cache->scan_buffer) cache->scan_buffer = malloc(SCAN_CHUNK);
  if (!cache->scan_buffer) return false;
  cache->scanning = true;
  bool finished = scan_with(fd, scan, cache->scan_buffer, callback, context);
  cache->scanning = false;
  return finished;
}
