/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that a process made at run time and announced through the interface of the GNU debugger: a list of ELF files in
 * its own memory, headed by __jit_debug_descriptor. CPython 3.15's JIT and LLVM's do so.
 */
#ifndef EXUVIA_NATIVE_JIT_IMAGES_H
#define EXUVIA_NATIVE_JIT_IMAGES_H

#include "base/arena.h"
#include "native/unwind_private.h"

struct exu_jit_images {
  const struct exu_target *target;
  struct exu_modules *modules;
  struct exu_arena *arena;
  EXU_VECTOR(struct exu_jit_image) list;
};

/* Walk the lists of all modules. What cannot be read is left out. */
void exu_jit_images_read(struct exu_jit_images *images);

/* A descriptor of a nameless file with the image's ELF file, whose addresses are the target's; -1: it was not saved. */
int exu_jit_image_open(const struct exu_target *target, const struct exu_jit_image *image);

#endif
