/* SPDX-License-Identifier: Apache-2.0 */
/* One ELF file on disk: build id, sections, symbols looked up lazily. A thin layer over libelf. */
#ifndef EXUVIA_BINARY_ELF_FILE_H
#define EXUVIA_BINARY_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "exuvia/exuvia.h"

struct exu_elf_file;

enum { EXU_BUILD_ID_MAX = 64 };

struct exu_build_id {
  uint8_t bytes[EXU_BUILD_ID_MAX];
  size_t size; /* 0: none */
};

/*
 * Open a file as ELF. Only regular files are opened (a path of the target may name a FIFO or a device). Returns NULL and
 * fills in *error on failure.
 */
struct exu_elf_file *exu_elf_file_open(const char *path, struct exu_error *error);
void exu_elf_file_close(struct exu_elf_file *file); /* NULL is allowed */

int exu_elf_file_fd(const struct exu_elf_file *file); /* borrowed */
uint64_t exu_elf_file_size(const struct exu_elf_file *file);
uint16_t exu_elf_file_machine(const struct exu_elf_file *file);

/* From the program headers' notes, else from the sections'. size 0 when there is none. */
struct exu_build_id exu_elf_file_build_id(struct exu_elf_file *file);

/* Best kind of symbols that the file itself has. */
enum exu_symbols exu_elf_file_symbols(struct exu_elf_file *file);

/*
 * Find the first program header's (PT_LOAD) lowest p_vaddr, rounded down to its alignment: load bias = where the file is mapped
 * minus this. Returns false when there is no PT_LOAD.
 */
bool exu_elf_file_first_load(struct exu_elf_file *file, uint64_t *vaddr);

struct exu_elf_symbol {
  uint64_t value; /* st_value, in the file's own addresses */
  uint64_t size;
};

/* A defined symbol by its exact name: in .symtab, else in .dynsym (by its hash table). Returns false when there is none. */
bool exu_elf_file_symbol(struct exu_elf_file *file, const char *name, struct exu_elf_symbol *symbol);

/* A section by its name: its address in the file's own addresses and its size. */
bool exu_elf_file_section(struct exu_elf_file *file, const char *name, uint64_t *address, uint64_t *size);

/* libdw's handle on the file's DWARF, or NULL. Owned by the file. */
struct Dwarf *exu_elf_file_dwarf(struct exu_elf_file *file);

#endif
