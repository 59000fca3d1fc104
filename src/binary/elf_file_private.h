/* SPDX-License-Identifier: Apache-2.0 */
/* What elf_file.c and elf_symbols.c share. */
#ifndef EXUVIA_BINARY_ELF_FILE_PRIVATE_H
#define EXUVIA_BINARY_ELF_FILE_PRIVATE_H

#include "binary/elf_file.h"

enum { EXU_ELF_HEAD = 4096 };

/* What PT_DYNAMIC says, as positions in the file; 0: not there. */
struct exu_elf_dynamic {
  uint64_t symbols;
  uint64_t strings;
  uint64_t string_size;
  uint64_t hash;
  uint64_t gnu_hash;
  bool text_relocations;
};

struct exu_elf_file {
  size_t references; /* the opener, and each source made of it */
  int fd;
  uint64_t size;
  struct exu_elf_header header;
  struct exu_elf_segment *segments;
  size_t segment_count;
  struct exu_elf_dynamic dynamic;

  bool sections_read;
  struct exu_elf_section *sections;
  size_t section_count;
  char *section_names; /* NUL-terminated */
  size_t section_names_size;

  bool dwarf_tried;
  struct Elf *elf;
  struct Dwarf *dwarf;

  size_t head_size; /* the first bytes of the file: header, program headers and notes are mostly there */
  uint8_t head[EXU_ELF_HEAD];
};

/* The section headers that the file has room for, read on first use. */
const struct exu_elf_section *exu_elf_file_sections(struct exu_elf_file *file, size_t *count);

/* The first section of that type which has bytes in the file, or NULL. */
const struct exu_elf_section *exu_elf_file_section_of_type(struct exu_elf_file *file, uint32_t type);

/* A table of symbols and its strings, as positions in the file, cut to what the file has. */
struct exu_elf_table {
  uint64_t symbols;
  uint64_t count;
  uint64_t first_global;
  uint64_t strings;
  uint64_t string_size;
};

/* The best table of the file: .symtab, else .dynsym. False when there is none. */
bool exu_elf_file_table(struct exu_elf_file *file, struct exu_elf_table *table);

#endif
