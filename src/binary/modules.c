/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the ELF images of a process; their files are the business of module_file.c. */
#include "binary/modules.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/search.h"
#include "base/str.h"
#include "binary/debug_file.h"
#include "binary/debuginfod.h"
#include "binary/link_map.h"

enum { MODULES_MAX = 16384, SEGMENTS_MAX = 65536 };

struct discovery {
  const struct exu_process *process;
  struct exu_arena *arena;
  EXU_VECTOR(struct exu_binary) list;
  size_t segments; /* program headers kept so far */
  bool limited;
  bool no_memory;
};

static bool stopped(const struct discovery *found) {
  return found->limited || found->no_memory || exu_process_is_over(found->process);
}

static struct exu_binary *add(struct discovery *found, struct exu_string path, uint64_t start, uint64_t end) {
  if (found->list.count >= MODULES_MAX) {
    found->limited = true;
    return NULL;
  }
  struct exu_binary *module = EXU_PUSH(found->arena, &found->list);
  if (!module) {
    found->no_memory = true;
    return NULL;
  }
  module->path = path;
  module->start = start;
  module->end = end;
  return module;
}

/* The last region that starts below the address, or NULL. */
static const struct exu_region *region_below(const struct exu_space *space, uint64_t address) {
  size_t count;
  const struct exu_region *regions = exu_space_regions(space, &count);
  const size_t next = EXU_PARTITION_POINT(i, count, regions[i].start < address);
  return next > 0 ? &regions[next - 1] : NULL;
}

/* Index of the first file mapping that starts at the address or above. */
static size_t mapping_from(const struct exu_process *process, uint64_t address) {
  return EXU_PARTITION_POINT(i, process->mapping_count, process->mappings[i].start < address);
}

/* An image ends where its program headers say, but not beyond what is mapped, nor inside another file. */
static uint64_t clipped_end(const struct exu_process *process, const struct exu_image *image, struct exu_string path) {
  uint64_t end = image->end, mapped = image->start;
  for (size_t i = mapping_from(process, image->start); i < process->mapping_count; i++) {
    const struct exu_file_mapping *mapping = &process->mappings[i];
    if (mapping->start >= end) break;
    if (exu_string_equal(mapping->path, path)) {
      mapped = mapping->end;
    } else {
      end = mapping->start;
      break;
    }
  }
  const struct exu_region *region = region_below(process->space, end);
  if (region && region->end > mapped) mapped = region->end;
  if (mapped > image->start && mapped < end) end = mapped;
  return end;
}

static struct exu_binary *add_image(struct discovery *found, const struct exu_image *image, struct exu_string path) {
  uint64_t end = clipped_end(found->process, image, path);
  struct exu_binary *module = add(found, path, image->start, end);
  if (!module) return NULL;
  struct exu_image *copy = exu_arena_alloc(found->arena, sizeof *copy);
  if (!copy) {
    found->no_memory = true;
    return NULL;
  }
  *copy = *image;
  module->image = copy;
  module->has_header = true;
  module->bias = image->bias;
  module->build_id = image->build_id;
  return module;
}

static enum exu_image_result read_image(struct discovery *found, uint64_t start, struct exu_image *image) {
  enum exu_image_result result = exu_image_read(found->process, start, found->arena, image);
  if (result == EXU_IMAGE_NO_MEMORY) found->no_memory = true;
  if (result == EXU_IMAGE_OK) {
    found->segments += image->segment_count;
    if (found->segments > SEGMENTS_MAX) found->limited = true;
  }
  return result;
}

/*
 * Mappings of one file whose ELF header was not saved, from mapping `first` on: a module if some of it can be executed.
 * Returns the index after the last mapping that belongs to it.
 */
static size_t add_without_header(struct discovery *found, size_t first) {
  const struct exu_process *process = found->process;
  const struct exu_file_mapping *mappings = process->mappings;
  bool executable = false;
  size_t next = first;
  do {
    const struct exu_region *region = exu_space_find(process->space, mappings[next].start);
    executable |= region && (region->prot & EXU_PROT_EXEC);
    next++;
    /* A loader maps a file's segments in the order of their offsets. */
  } while (next < process->mapping_count && mappings[next].offset > mappings[next - 1].offset &&
           exu_string_equal(mappings[next].path, mappings[first].path));
  if (executable) {
    struct exu_binary *module = add(found, mappings[first].path, mappings[first].start, mappings[next - 1].end);
    if (module) module->bias = mappings[first].start - mappings[first].offset;
  }
  return next;
}

static void find_by_mappings(struct discovery *found) {
  const struct exu_process *process = found->process;
  for (size_t i = 0; i < process->mapping_count && !stopped(found);) {
    const struct exu_file_mapping *mapping = &process->mappings[i];
    struct exu_image image;
    /* Only what begins a file has an ELF header. */
    enum exu_image_result result = mapping->offset == 0 ? read_image(found, mapping->start, &image) : EXU_IMAGE_UNSAVED;
    if (stopped(found)) return;
    if (result == EXU_IMAGE_UNSAVED || result == EXU_IMAGE_BAD) {
      i = add_without_header(found, i);
    } else if (result == EXU_IMAGE_OK && exu_image_is_loaded(process, &image)) {
      struct exu_binary *module = add_image(found, &image, mapping->path);
      if (!module) return;
      do i++;
      while (i < process->mapping_count && process->mappings[i].start < module->end);
    } else {
      i++; /* a file that was mapped to be read, be it ELF or not */
    }
  }
}

/* ---- Pages of a library that are mapped once more ---------------------------------------------------------------- */

static uint64_t hash_of(struct exu_string path) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
  for (size_t i = 0; i < path.size; i++) hash = (hash ^ (unsigned char)path.data[i]) * UINT64_C(0x100000001b3);
  return hash ? hash : 1;
}

/* Do the mappings of the module show nothing but code of the image? */
static bool shows_code_of(const struct exu_process *process, const struct exu_binary *module,
                          const struct exu_image *image) {
  const uint64_t mask = exu_process_page(process) - 1;
  for (size_t i = mapping_from(process, module->start); i < process->mapping_count; i++) {
    const struct exu_file_mapping *mapping = &process->mappings[i];
    if (mapping->start >= module->end) break;
    bool inside = false;
    for (size_t k = 0; k < image->segment_count && !inside; k++) {
      const struct exu_elf_segment *segment = &image->segments[k];
      if (segment->type != PT_LOAD || !(segment->flags & PF_X) || mapping->offset < (segment->offset & ~mask)) continue;
      uint64_t into = mapping->offset - (segment->offset & ~mask), all = (segment->offset & mask) + segment->filesz;
      inside = into < all && mapping->end - mapping->start <= ((all + mask) & ~mask) - into;
    }
    if (!inside) return false;
  }
  return true;
}

/*
 * libffi 3.5 maps a page of its own text again, for its trampolines: that is the library, which is a module already.
 */
static void drop_pages_mapped_again(struct discovery *found) {
  struct exu_map loaded = {.slots = NULL}; /* the first image with a header by its path's hash */
  size_t kept = 0;
  bool is_new;
  for (size_t i = 0; i < found->list.count; i++) {
    const struct exu_image *image = found->list.items[i].image;
    if (!image || found->list.items[i].path.size == 0) continue;
    void **slot = exu_map_insert(&loaded, hash_of(found->list.items[i].path), &is_new);
    if (slot && is_new) *slot = (void *)image;
  }
  for (size_t i = 0; i < found->list.count; i++) {
    const struct exu_binary *module = &found->list.items[i];
    void **slot = module->image ? NULL : exu_map_find(&loaded, hash_of(module->path));
    const struct exu_image *image = slot ? *slot : NULL;
    const struct exu_file_mapping *first = image ? exu_process_mapping(found->process, image->start) : NULL;
    if (first && exu_string_equal(first->path, module->path) && shows_code_of(found->process, module, image)) continue;
    if (kept != i) found->list.items[kept] = *module;
    kept++;
  }
  found->list.count = kept;
  exu_map_deinit(&loaded);
}

/* ---- Every module ------------------------------------------------------------------------------------------------ */

/* Without NT_FILE: whatever begins with an ELF header. */
static void find_by_regions(struct discovery *found) {
  size_t count;
  const struct exu_region *regions = exu_space_regions(found->process->space, &count);
  uint64_t end = 0;
  for (size_t i = 0; i < count && !stopped(found); i++) {
    struct exu_image image;
    if (regions[i].saved < EI_NIDENT || regions[i].start < end) continue;
    if (read_image(found, regions[i].start, &image) != EXU_IMAGE_OK || stopped(found)) continue;
    if (!exu_image_is_loaded(found->process, &image)) continue;
    struct exu_binary *module = add_image(found, &image, (struct exu_string){NULL, 0});
    if (module) end = module->end;
  }
}

/* The kernel's own image, which no file maps. */
static void add_vdso(struct discovery *found) {
  const uint64_t start = found->process->auxv.vdso;
  const struct exu_string path = {"[vdso]", 6};
  struct exu_image image;
  if (start == 0 || stopped(found)) return;
  for (size_t i = 0; i < found->list.count; i++) {
    if (found->list.items[i].start != start) continue;
    found->list.items[i].path = path;
    found->list.items[i].file_state = EXU_FILE_CORE;
    return;
  }
  if (read_image(found, start, &image) != EXU_IMAGE_OK || stopped(found)) return;
  struct exu_binary *module = add_image(found, &image, path);
  if (module) module->file_state = EXU_FILE_CORE;
}

static int by_start(const void *left, const void *right) {
  const struct exu_binary *a = left, *b = right;
  return (a->start > b->start) - (a->start < b->start);
}

/* Make the list sorted and disjoint. */
static void sort(struct exu_modules *modules) {
  if (modules->count > 1) qsort(modules->items, modules->count, sizeof *modules->items, by_start);
  size_t kept = 0;
  for (size_t i = 0; i < modules->count; i++) {
    struct exu_binary *module = &modules->items[i];
    if (module->start >= module->end) continue;
    if (kept > 0 && modules->items[kept - 1].end > module->start) {
      if (modules->items[kept - 1].start == module->start) continue;
      modules->items[kept - 1].end = module->start;
    }
    modules->items[kept++] = *module;
  }
  modules->count = kept;
}

static void find_main(struct exu_modules *modules) {
  const struct exu_auxv *auxv = &modules->process->auxv;
  struct exu_binary *main = auxv->phdr ? exu_modules_find(modules, auxv->phdr) : NULL;
  if (!main && auxv->entry) main = exu_modules_find(modules, auxv->entry);
  /*
   * Without an auxiliary vector: linkers put DT_DEBUG into programs only, and static ones are not position-independent.
   */
  for (size_t i = 0; i < modules->count && !main; i++) {
    struct exu_binary *module = &modules->items[i];
    uint64_t value;
    if (!module->image) continue;
    if (module->image->header.type == ET_EXEC || exu_image_dynamic(modules->process, module->image, DT_DEBUG, &value))
      main = module;
  }
  if (main) main->main = true;
}

bool exu_modules_init(struct exu_modules *modules, const struct exu_process *process, const struct exu_options *options,
                      struct exu_arena *arena, struct exu_diagnostics *diagnostics) {
  static const struct exu_options defaults = EXU_OPTIONS_DEFAULT;
  struct discovery found = {.process = process, .arena = arena};
  if (process->mapping_count > 0)
    find_by_mappings(&found);
  else
    find_by_regions(&found);
  drop_pages_mapped_again(&found);
  add_vdso(&found);
  if (found.limited)
    exu_incomplete(diagnostics, EXU_DIAGNOSTIC_TOO_MANY_MODULES, -1,
                   "more modules than this program looks at: only the first %zu are known", found.list.count);
  *modules = (struct exu_modules){
      .items = found.list.items,
      .count = found.list.count,
      .process = process,
      .diagnostics = diagnostics,
      .options = options ? options : &defaults,
      .arena = arena,
  };
  if (found.no_memory) return false;
  sort(modules);
  find_main(modules);
  exu_link_map_name_modules(modules);
  return true;
}

void exu_modules_deinit(struct exu_modules *modules) {
  for (size_t i = 0; i < modules->count; i++) {
    exu_debug_files_close(modules->items[i].debug);
    exu_elf_file_close(modules->items[i].file);
  }
  exu_debuginfod_close(modules->debuginfod);
  *modules = (struct exu_modules){.count = 0};
}
