/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/map.h"
#include "base/read_at.h"

/* Pages of 4 KiB are the smallest of every machine: a larger one is so many of them. */
enum { PAGE_SHIFT = 12, PAGE = 1 << PAGE_SHIFT, SLAB_PAGES = 256, BATCH = 64, VECTORS = 512, MISSING_MAX = 1024 };

/* Pages are handed out from slabs, one after the other. */
struct slab {
  struct slab *next;
  size_t pages;
  size_t used;
  uint8_t *bytes; /* of an anonymous mapping: pages that are never used cost nothing */
};

struct exu_pages {
  int fd;
  pid_t stopped; /* a stopped thread of the process; 0: it runs */
  size_t budget;
  bool *spent;              /* set when it is not enough; NULL: none */
  size_t size;              /* bytes of slabs */
  struct exu_map copies;    /* page number -> its copy */
  struct slab *slabs;       /* the newest first */
  bool running;             /* it has been stopped, and runs again */
  struct exu_map on_demand; /* page numbers: copied since */
};

struct exu_pages *exu_pages_create(int fd, size_t budget) {
  struct exu_pages *pages = calloc(1, sizeof *pages);
  if (!pages) return NULL;
  pages->fd = fd;
  pages->budget = budget;
  return pages;
}

static void free_slabs(struct exu_pages *pages) {
  while (pages->slabs) {
    struct slab *slab = pages->slabs;
    pages->slabs = slab->next;
    munmap(slab->bytes, slab->pages * PAGE);
    free(slab);
  }
  pages->size = 0;
}

void exu_pages_destroy(struct exu_pages *pages) {
  if (!pages) return;
  free_slabs(pages);
  exu_map_deinit(&pages->copies);
  exu_map_deinit(&pages->on_demand);
  free(pages);
}

static struct slab *add_slab(struct exu_pages *pages, size_t count, int flags) {
  const size_t size = count * PAGE;
  if (size > pages->budget || pages->size > pages->budget - size) return NULL;
  struct slab *slab = calloc(1, sizeof *slab);
  if (!slab) return NULL;
  slab->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (slab->bytes == MAP_FAILED) {
    free(slab);
    return NULL;
  }
  slab->pages = count;
  slab->next = pages->slabs;
  pages->slabs = slab;
  pages->size += size;
  return slab;
}

void exu_pages_reserve(struct exu_pages *pages, size_t count) {
  if (count > 0) add_slab(pages, count, MAP_POPULATE);
}

void exu_pages_tell_spent(struct exu_pages *pages, bool *spent) { pages->spent = spent; }

/* Is there neither a page left nor budget for more? */
static bool is_full(const struct exu_pages *pages) {
  const struct slab *slab = pages->slabs;
  return (!slab || slab->used == slab->pages) && pages->size + (size_t)SLAB_PAGES * PAGE > pages->budget;
}

/* Room for at most `wanted` pages in a row, at least one; *got says how many. NULL without memory or budget. */
static uint8_t *room(struct exu_pages *pages, size_t wanted, size_t *got) {
  struct slab *slab = pages->slabs;
  if ((!slab || slab->used == slab->pages) && !(slab = add_slab(pages, SLAB_PAGES, 0))) return NULL;
  *got = slab->pages - slab->used < wanted ? slab->pages - slab->used : wanted;
  return slab->bytes + slab->used * PAGE;
}

/* Page number 0 is no key of a map, and no process has it. */
static uint8_t *copy_of(const struct exu_pages *pages, uint64_t number) {
  void **slot = number ? exu_map_find(&pages->copies, number) : NULL;
  return slot ? *slot : NULL;
}

/*
 * Bytes at an address, as many as are there. process_vm_readv copies once where /proc/PID/mem copies twice; but it goes
 * by the thread id, which may be another process's when the process does not stand still.
 */
static ssize_t fetch(const struct exu_pages *pages, uint64_t address, void *bytes, size_t size) {
  ssize_t got;
  if (pages->stopped) {
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    struct iovec local = {bytes, size}, remote = {(void *)(uintptr_t)address, size};
    got = process_vm_readv(pages->stopped, &local, 1, &remote, 1, 0);
    if (got > 0) return got;
  }
  do got = pread(pages->fd, bytes, size, (off_t)address);
  while (got < 0 && errno == EINTR);
  return got;
}

/* The next page of the newest slab is the copy of this one. False without memory. */
static bool keep(struct exu_pages *pages, uint64_t number, uint8_t *bytes) {
  bool is_new;
  if (pages->running && !exu_map_insert(&pages->on_demand, number, &is_new)) return false;
  void **slot = exu_map_insert(&pages->copies, number, &is_new);
  if (!slot) return false;
  *slot = bytes;
  pages->slabs->used++;
  return true;
}

/* Copy up to `count` pages from `number` on, none of which is there. Returns how many were copied. */
static size_t copy(struct exu_pages *pages, uint64_t number, size_t count) {
  size_t wanted;
  uint8_t *bytes = number ? room(pages, count, &wanted) : NULL;
  if (!bytes) return 0;
  ssize_t got = fetch(pages, number << PAGE_SHIFT, bytes, wanted * PAGE);
  size_t copied = got > 0 ? (size_t)got >> PAGE_SHIFT : 0;
  for (size_t i = 0; i < copied; i++)
    if (!keep(pages, number + i, bytes + i * PAGE)) return i;
  return copied;
}

/* ---- Many at once ------------------------------------------------------------------------------------------------ */

struct batch {
  struct iovec local[VECTORS];
  struct iovec remote[VECTORS];
  size_t count;
  size_t missing; /* pages that cannot be read: behind the end of a mapped file, say */
};

/* A page that is not there any more is forgotten: reading it fails, then, as it should. */
static void drop(struct exu_pages *pages, uint64_t address) {
  void **slot = exu_map_find(&pages->copies, address >> PAGE_SHIFT);
  if (slot) *slot = NULL;
}

static void copy_batch(struct exu_pages *pages, struct batch *batch) {
  size_t done = 0;
  while (done < batch->count) {
    ssize_t got = process_vm_readv(pages->stopped, batch->local + done, batch->count - done, batch->remote + done,
                                   batch->count - done, 0);
    size_t whole = got > 0 ? (size_t)got >> PAGE_SHIFT : 0;
    done += whole;
    if (done == batch->count) break;
    /* It ends before the first page that cannot be read; that may still work the other way. */
    struct iovec *local = &batch->local[done], *remote = &batch->remote[done];
    uint64_t address = (uint64_t)(uintptr_t)remote->iov_base;
    const bool hopeless = batch->missing > MISSING_MAX;
    if (hopeless || !exu_read_at(pages->fd, local->iov_base, PAGE, address)) {
      drop(pages, address);
      batch->missing++;
    }
    done++;
  }
  batch->count = 0;
}

static void add_to_batch(struct exu_pages *pages, struct batch *batch, uint64_t number, uint8_t *bytes) {
  batch->local[batch->count] = (struct iovec){bytes, PAGE};
  /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
  batch->remote[batch->count] = (struct iovec){(void *)(uintptr_t)(number << PAGE_SHIFT), PAGE};
  if (++batch->count == VECTORS) copy_batch(pages, batch);
}

void exu_pages_refresh(struct exu_pages *pages, pid_t tid) {
  struct batch *batch EXU_GUARD(free) = calloc(1, sizeof *batch);
  pages->stopped = tid;
  if (!batch) {
    exu_pages_invalidate(pages);
    return;
  }
  for (size_t i = 0; i < pages->copies.capacity; i++) {
    const struct exu_map_slot *slot = &pages->copies.slots[i];
    if (slot->key && slot->value.pointer) add_to_batch(pages, batch, slot->key, slot->value.pointer);
  }
  copy_batch(pages, batch);
}

void exu_pages_capture(struct exu_pages *pages, const struct exu_pages_range *ranges, size_t count) {
  struct batch *batch EXU_GUARD(free) = calloc(1, sizeof *batch);
  size_t got = 1;
  for (size_t i = 0; batch && i < count && got > 0; i++) {
    const uint64_t last = (ranges[i].end + PAGE - 1) >> PAGE_SHIFT;
    for (uint64_t number = ranges[i].start >> PAGE_SHIFT; number < last && got > 0; number++) {
      if (number == 0 || copy_of(pages, number)) continue;
      got = 0;
      uint8_t *bytes = room(pages, 1, &got);
      if (!bytes || !keep(pages, number, bytes)) got = 0;
      if (got) add_to_batch(pages, batch, number, bytes);
    }
  }
  if (batch) copy_batch(pages, batch);
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* How many pages from `number` on, at most `limit`, are not there yet. */
static size_t absent(const struct exu_pages *pages, uint64_t number, size_t limit) {
  size_t count = 0;
  while (count < limit && !copy_of(pages, number + count)) count++;
  return count;
}

enum exu_fault exu_pages_read(struct exu_pages *pages, uint64_t address, void *buffer, size_t size) {
  uint8_t *out = buffer;
  while (size > 0) {
    const uint64_t number = address >> PAGE_SHIFT;
    const size_t into = (size_t)(address & (PAGE - 1));
    const size_t here = size < PAGE - into ? size : PAGE - into;
    const uint8_t *bytes = copy_of(pages, number);
    if (!bytes) {
      size_t wanted = (into + size + PAGE - 1) >> PAGE_SHIFT;
      if (copy(pages, number, absent(pages, number, wanted < BATCH ? wanted : BATCH)) == 0) {
        if (pages->spent) *pages->spent |= is_full(pages);
        return EXU_READ_FAILED;
      }
      bytes = copy_of(pages, number);
    }
    memcpy(out, bytes + into, here);
    out += here;
    address += here;
    size -= here;
  }
  return EXU_READABLE;
}

void exu_pages_invalidate(struct exu_pages *pages) {
  exu_map_clear(&pages->copies);
  free_slabs(pages);
}

void exu_pages_mark_running(struct exu_pages *pages) {
  pages->running = true;
  pages->stopped = 0;
}

void exu_pages_mark_stopped(struct exu_pages *pages, pid_t tid) {
  pages->running = false;
  pages->stopped = tid;
}

bool exu_pages_on_demand(const struct exu_pages *pages, uint64_t address) {
  return pages->on_demand.count > 0 && address >> PAGE_SHIFT && exu_map_find(&pages->on_demand, address >> PAGE_SHIFT);
}

/* ---- As a source ------------------------------------------------------------------------------------------------- */

static ssize_t read_kept(const struct exu_source *source, uint64_t offset, void *buffer, size_t size) {
  return exu_pages_read(source->state, offset, buffer, size) == EXU_READABLE ? (ssize_t)size : -1;
}

static ssize_t read_once(const struct exu_source *source, uint64_t offset, void *buffer, size_t size) {
  const struct exu_pages *pages = source->state;
  return exu_read_some_at(pages->fd, buffer, size, offset);
}

static void close_pages(const struct exu_source *source) { exu_pages_destroy(source->state); }

struct exu_source exu_pages_source(struct exu_pages *pages) {
  static const struct exu_source_ops ops = {
      .read = read_kept, .read_once = read_once, .close = close_pages, .keeps = true};
  return (struct exu_source){.ops = &ops, .state = pages, .fd = -1, .size = UINT64_MAX};
}
