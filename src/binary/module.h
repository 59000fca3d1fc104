/* SPDX-License-Identifier: Apache-2.0 */
/* The ELF images of a process, and the files on this machine that are provably the same. */
#ifndef EXUVIA_BINARY_MODULE_H
#define EXUVIA_BINARY_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "binary/elf_file.h"
#include "binary/image.h"
#include "process/process.h"

struct exu_binary {
  struct exu_string path; /* the process's; unknown for an image without a file name */
  uint64_t start;
  uint64_t end;
  uint64_t bias;   /* address in the process minus address in the file; without has_header it is a guess until
                            exu_modules_file found the file */
  bool has_header; /* the core holds its ELF header, and what follows is read from it */
  bool main;       /* the main program */
  bool wanted;     /* something is missing because its file is */
  struct exu_build_id build_id;
  enum exu_module_file file_state;
  struct exu_elf_file *file;     /* non-NULL when file_state is MATCHED or UNVERIFIED; opened by exu_modules_file */
  const struct exu_image *image; /* what its header in the core says; NULL when has_header is false */
  struct exu_debug_files *debug; /* private to debug_file.h: what goes with the file */
  bool has_source;               /* the rest is private: its file as a source of the space */
  uint32_t source;
};

struct exu_modules {
  struct exu_binary *items; /* sorted by start */
  size_t count;
  /* The rest is private. */
  const struct exu_process *process;
  struct exu_diagnostics *diagnostics;
  const struct exu_options *options;
  struct exu_arena *arena;
  struct exu_debuginfod *debuginfod; /* private to debuginfod.c */
  uint64_t image_bytes;              /* read for images so far; private to image_file.c */
};

/*
 * The file of a module on this machine, opened and compared with the core on first use; NULL when there is none that
 * may be used. Sets module->file_state.
 */
struct exu_elf_file *exu_modules_file(struct exu_modules *modules, struct exu_binary *module);

/* The module that contains the address, or NULL. */
struct exu_binary *exu_modules_find(const struct exu_modules *modules, uint64_t address);

#endif
