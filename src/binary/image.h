/* SPDX-License-Identifier: Apache-2.0 */
/* An ELF image in the process's memory, as its ELF header and program headers there describe it. */
#ifndef EXUVIA_BINARY_IMAGE_H
#define EXUVIA_BINARY_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "elf/format.h"
#include "process/process.h"

struct exu_image {
  struct exu_elf_header header;
  const struct exu_elf_segment *segments;
  size_t segment_count;
  uint64_t start;
  uint64_t end;  /* by its PT_LOADs, rounded up to a page: what it asked for, not what is mapped */
  uint64_t bias; /* address in the process minus address in the file */
  struct exu_build_id build_id;
};

enum exu_image_result {
  EXU_IMAGE_OK,
  EXU_IMAGE_NONE,    /* the bytes there are saved, and no ELF header */
  EXU_IMAGE_UNSAVED, /* the bytes there are not saved */
  EXU_IMAGE_BAD,     /* an ELF header, but not one of a loadable image of this machine */
  EXU_IMAGE_NO_MEMORY,
};

/* Read the image whose ELF header is at `start`. Fills in *image on EXU_IMAGE_OK only. */
enum exu_image_result exu_image_read(const struct exu_process *process, uint64_t start, struct exu_arena *arena,
                                     struct exu_image *image);

/*
 * Did a loader put it there, segment by segment? The alternative is that the whole file was mapped or read as data,
 * which leaves an ELF header too, but no code where the program headers say.
 */
bool exu_image_is_loaded(const struct exu_process *process, const struct exu_image *image);

/* The value of the first entry of that tag in PT_DYNAMIC, as it stands in memory. Returns false when there is none. */
bool exu_image_dynamic(const struct exu_process *process, const struct exu_image *image, uint64_t tag, uint64_t *value);

/* DT_SONAME; unknown when there is none or its bytes were not saved. */
struct exu_string exu_image_soname(const struct exu_process *process, const struct exu_image *image,
                                   struct exu_arena *arena);

/* A word of the process. */
bool exu_process_word(const struct exu_process *process, uint64_t address, uint64_t *word);

/* A NUL-terminated string of the process of 1 to 4,095 bytes; unknown when there is none. */
struct exu_string exu_process_string(const struct exu_process *process, uint64_t address, struct exu_arena *arena);

/* Size of a page of the process, from its auxiliary vector or by default. */
uint64_t exu_process_page(const struct exu_process *process);

#endif
