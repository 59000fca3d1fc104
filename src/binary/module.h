/* SPDX-License-Identifier: Apache-2.0 */
/* The ELF images of a process, and the files on this machine that are provably the same. */
#ifndef EXUVIA_BINARY_MODULE_H
#define EXUVIA_BINARY_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "binary/elf_file.h"
#include "target/target.h"

struct exu_binary {
  struct exu_string path; /* the target's; unknown for an image without a file name */
  uint64_t start;
  uint64_t end;
  uint64_t bias;         /* address in the process minus address in the file */
  bool has_header;       /* the core holds its ELF header, and what follows is read from it */
  bool main;             /* the main program */
  struct exu_build_id build_id;
  enum exu_module_file file_state;
  struct exu_elf_file *file; /* non-NULL when file_state is MATCHED or UNVERIFIED; opened by exu_modules_file */
};

struct exu_modules {
  struct exu_binary *items; /* sorted by start */
  size_t count;
  /* The rest is private. */
  const struct exu_target *target;
  struct exu_diagnostics *diagnostics;
  const struct exu_options *options;
  struct exu_arena *arena;
};

/* Find every module of the target. Opens no file. Returns false without memory. */
bool exu_modules_init(struct exu_modules *modules, const struct exu_target *target, const struct exu_options *options,
                      struct exu_arena *arena, struct exu_diagnostics *diagnostics);
void exu_modules_deinit(struct exu_modules *modules);

/*
 * The file of a module on this machine, opened and compared with the core on first use; NULL when there is none that
 * may be used. Sets module->file_state.
 */
struct exu_elf_file *exu_modules_file(struct exu_modules *modules, struct exu_binary *module);

/* The module that contains the address, or NULL. */
struct exu_binary *exu_modules_find(const struct exu_modules *modules, uint64_t address);

/* For exu_space_set_overlay: context is the struct exu_modules. */
bool exu_modules_overlay(void *context, const struct exu_region *region);

#endif
