/* SPDX-License-Identifier: Apache-2.0 */
/* What debug_file.c, packed_file.c and image_file.c share. */
#ifndef EXUVIA_BINARY_DEBUG_FILE_PRIVATE_H
#define EXUVIA_BINARY_DEBUG_FILE_PRIVATE_H

#include "binary/debug_file.h"

struct exu_debug_files {
  struct exu_elf_file *debug;
  struct exu_elf_file *shared; /* that the debug file refers to */
  struct exu_elf_file *mini;
  struct exu_elf_file *image;
  struct Dwarf *dwarf; /* borrowed from one of the above or the module's file */
  bool fetched;        /* `debug` is from a debuginfod server */
  bool debug_tried, mini_tried, image_tried, dwarf_tried;
};

/* A section by its name, or NULL. */
const struct exu_elf_section *exu_elf_file_section_named(struct exu_elf_file *file, const char *name);

#endif
