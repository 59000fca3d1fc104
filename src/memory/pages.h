/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of a live process, copied page by page when it is first read and kept: what was copied while the process was
 * stopped stays as it was when it goes on.
 */
#ifndef EXUVIA_MEMORY_PAGES_H
#define EXUVIA_MEMORY_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "memory/region.h"
#include "memory/source.h"

struct exu_pages;

/* `fd` is /proc/PID/mem, borrowed; at most `budget` bytes are kept. NULL without memory. */
struct exu_pages *exu_pages_create(int fd, size_t budget);
void exu_pages_destroy(struct exu_pages *pages); /* NULL is allowed */

/* Set *spent when a read fails for want of budget. Borrowed. */
void exu_pages_tell_spent(struct exu_pages *pages, bool *spent);

/* EXU_READ_FAILED when the process has no such memory (any more), or the budget is spent. */
enum exu_fault exu_pages_read(struct exu_pages *pages, uint64_t address, void *buffer, size_t size);

/*
 * The process is stopped now, and `tid` is one of its threads: copy everything that was copied before once more, all at
 * once. What was read while it ran is thereby what it is now, without a read for each page.
 */
void exu_pages_refresh(struct exu_pages *pages, pid_t tid);

struct exu_pages_range {
  uint64_t start;
  uint64_t end;
};

/* Copy these now, all at once, as far as the budget goes. While the process is stopped; after exu_pages_refresh. */
void exu_pages_capture(struct exu_pages *pages, const struct exu_pages_range *ranges, size_t count);

/* Have room for so many pages, within the budget: the kernel takes its time to make some, which a pause lacks. */
void exu_pages_reserve(struct exu_pages *pages, size_t count);

/* Forget everything: it was copied while the process ran. */
void exu_pages_invalidate(struct exu_pages *pages);

/* The process goes on: from now on pages are copied on demand, as they are then. */
void exu_pages_mark_running(struct exu_pages *pages);

/* The process goes on, but for the thread `tid`: what is copied of its own memory now is as it was. */
void exu_pages_mark_stopped(struct exu_pages *pages, pid_t tid);

/* Was the page of this address copied on demand, after the process went on? */
bool exu_pages_on_demand(const struct exu_pages *pages, uint64_t address);

/* The pages as a source, in which an offset is an address. It owns them: they are destroyed when it is closed. */
struct exu_source exu_pages_source(struct exu_pages *pages);

#endif
