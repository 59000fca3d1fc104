/* SPDX-License-Identifier: Apache-2.0 */
/* Without a build id: is an image in the process that of a file? */
#ifndef EXUVIA_BINARY_MODULE_PROOF_H
#define EXUVIA_BINARY_MODULE_PROOF_H

#include "binary/elf_file.h"
#include "binary/image.h"

enum exu_match {
  EXU_MATCH_OTHER,    /* it is another file's */
  EXU_MATCH_POSSIBLE, /* nothing speaks against it, but too little of the image was saved to tell */
  EXU_MATCH_SAME,     /* its ELF header, its program headers, its PT_DYNAMIC and every saved constant are the file's */
};

enum exu_match exu_image_is_of(const struct exu_process *process, const struct exu_image *image,
                               struct exu_elf_file *file);

#endif
