/* SPDX-License-Identifier: Apache-2.0 */
/* A run of addresses with the bytes that are there, and why a byte may not be. */
#ifndef EXUVIA_MEMORY_REGION_H
#define EXUVIA_MEMORY_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exu_fault {
  EXU_READABLE = 0,
  EXU_UNMAPPED,    /* no mapping of the process contains the address */
  EXU_NOT_SAVED,   /* mapped, but the core does not hold it (p_filesz < p_memsz) and no verified file does */
  EXU_CUT_OFF,     /* the core says that it holds it, but the file ends before */
  EXU_READ_FAILED, /* the operating system could not read the file */
};

/*
 * PF_R, PF_W, PF_X; or of a mapped file of which a core saved nothing and does not say how it was mapped: gcore's have
 * no segment for it. Nothing of it was changed, so it is not writable, or as good as that.
 */
enum { EXU_PROT_READ = 4, EXU_PROT_WRITE = 2, EXU_PROT_EXEC = 1, EXU_PROT_UNKNOWN = 8 };

/* A run of addresses [start, end). The first `saved` bytes of it are in `source` at `offset`. */
struct exu_region {
  uint64_t start;
  uint64_t end;
  uint64_t saved;
  uint64_t offset;
  uint32_t source;
  uint32_t prot; /* EXU_PROT_ bits */
};

/* Bytes of a region, for exu_space_scan. False: stop. */
typedef bool exu_scan_callback(void *context, uint64_t address, const uint8_t *bytes, size_t size);

#endif
