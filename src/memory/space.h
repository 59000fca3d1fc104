/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's memory as one sorted address space. A byte is saved (in the core), backed by a verified file, or
 * missing for a reason: never invented. Zero-filled is not the same as not saved.
 */
#ifndef EXUVIA_MEMORY_SPACE_H
#define EXUVIA_MEMORY_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "memory/region.h"
#include "memory/source.h"

struct exu_space;

/* Returns NULL without memory. Regions live in `arena`, which must outlive the space. */
struct exu_space *exu_space_create(struct exu_arena *arena);
void exu_space_destroy(struct exu_space *space);

/*
 * Returns the source's number, or -1 without memory. The space owns the source, and closes it when it is destroyed:
 * here when it returns -1.
 */
int exu_space_add_source(struct exu_space *space, struct exu_source source);

/* What lies in no region is read from this source: a live process maps more memory while its mappings are read. */
void exu_space_set_fallback(struct exu_space *space, uint32_t source);

/*
 * Add a run. Runs may come in any order and may overlap: where they do, bytes that are saved win over those that are
 * not, and among equals the one added first wins. Empty runs are ignored. Returns false without memory. The sources
 * must have been added before the space is finalized; a run of an unknown source is cut off.
 */
bool exu_space_add(struct exu_space *space, const struct exu_region *region);

/* Sort and cut what was added into disjoint regions. Call once after the last exu_space_add, before any read. */
bool exu_space_finalize(struct exu_space *space);

/* Forget the regions, but not the sources: those of a live process have changed and are added again. */
void exu_space_reset(struct exu_space *space);

/*
 * Asked at most once for each region of which not all is saved, when a read first meets its missing part: may let a
 * verified file stand in for it by calling exu_space_add_backing, and says whether it did. It may read the space itself
 * (the build id in a saved header), but what it reads is not backed by a file: nothing recurses.
 */
typedef bool exu_backing_callback(void *context, const struct exu_region *region);
void exu_space_set_backing(struct exu_space *space, exu_backing_callback *callback, void *context);

/*
 * Let the unsaved part of [start, end) read from `source` at `offset`. Saved bytes keep winning, bytes that are cut
 * off stay cut off (the core had its own), and addresses past the end of the source stay unsaved. Returns whether
 * anything was covered.
 */
bool exu_space_add_backing(struct exu_space *space, uint64_t start, uint64_t end, uint32_t source, uint64_t offset);

/*
 * All or nothing: either `size` bytes are stored, or none and the reason for the first missing byte is returned. (Only
 * when the operating system fails in the middle of a read, or the file shrinks, may some have been stored already.)
 */
enum exu_fault exu_space_read(struct exu_space *space, uint64_t address, void *buffer, size_t size);

/* As many leading bytes as can be had, at most `size`; returns their number. For strings of unknown length. */
size_t exu_space_read_some(struct exu_space *space, uint64_t address, void *buffer, size_t size);

/* The region that contains the address, or NULL. Valid until the space is destroyed or reset. */
const struct exu_region *exu_space_find(const struct exu_space *space, uint64_t address);

/* All regions in order of their address. Valid as long. */
const struct exu_region *exu_space_regions(const struct exu_space *space, size_t *count);

/*
 * Call back for runs of saved bytes of a region, in order, holes of the file left out (they are zeros). `bytes` is
 * valid during the call only. Runs are whole multiples of 8 bytes except the last, 8-aligned in the process, and
 * overlap by `overlap` bytes (at most 32 KiB) so that a pattern of up to overlap + 1 bytes is not missed. Bytes before
 * the first multiple of 8 are left out, as are those that are cut off. The callback may read and scan the space.
 * Returns false when the callback stopped it by returning false, or without memory.
 */
bool exu_space_scan(struct exu_space *space, const struct exu_region *region, size_t overlap,
                    exu_scan_callback *callback, void *context);

/* In words, for messages: "not mapped", "mapped but not saved in the core", ... */
const char *exu_fault_text(enum exu_fault fault);

#endif
