/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that a process made at run time and announced through the interface of the GNU debugger: a list of ELF files in
 * its own memory, headed by __jit_debug_descriptor. CPython 3.15's JIT and LLVM's do so.
 */
#ifndef EXUVIA_NATIVE_JIT_IMAGES_H
#define EXUVIA_NATIVE_JIT_IMAGES_H

#include "base/arena.h"
#include "binary/elf_file.h"
#include "binary/module.h"
#include "process/process.h"

/* A stretch of code, which is one executable section of an image. */
struct exu_jit_code {
  uint64_t start;
  uint64_t end;
  uint64_t image; /* address of the ELF file in the process */
  uint64_t size;  /* its bytes */
  struct exu_elf_file *file;
  bool tried; /* `file` is final */
};

struct exu_jit_images {
  const struct exu_process *process;
  struct exu_modules *modules;
  struct exu_arena *arena;
  EXU_VECTOR(struct exu_jit_code) list; /* sorted, disjoint, and in no module */
  uint64_t copied;                      /* bytes of images that were copied */
};

/* Walk the lists of all modules. What cannot be read is left out, and what would be code of a module. */
void exu_jit_images_read(struct exu_jit_images *images);
void exu_jit_images_deinit(struct exu_jit_images *images); /* closes the files */

/* NULL: no such code was announced. */
struct exu_jit_code *exu_jit_images_find(const struct exu_jit_images *images, uint64_t address);

/*
 * A copy of the code's ELF file, whose addresses are the process's and which holds what unwinding and naming needs. It
 * belongs to `images`. NULL: it was not saved, or is damaged, or too much was copied already.
 */
struct exu_elf_file *exu_jit_images_file(struct exu_jit_images *images, struct exu_jit_code *code);

#endif
