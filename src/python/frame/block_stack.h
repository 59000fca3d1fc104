/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks that a frame is in, up to 3.10 (PyTryBlock in frameobject.h). A pure function over bytes. */
#ifndef EXUVIA_PYTHON_FRAME_BLOCK_STACK_H
#define EXUVIA_PYTHON_FRAME_BLOCK_STACK_H

#include <stddef.h>
#include <stdint.h>

#include "python/layout/layout.h"

/* CO_MAXBLOCKS, in every version, and more than a PyTryBlock has. */
enum { EXU_BLOCKS_MAX = 20, EXU_BLOCK_SIZE_MAX = 32 };

/*
 * The depths of the value stack that the handlers of `with` (and `try`/`finally`, which look the same from 3.0 on)
 * begin with, innermost first. `bytes` are the first `count` blocks, `depths` has room for EXU_BLOCKS_MAX. Returns how
 * many there are.
 */
size_t exu_block_depths(const struct exu_layout *layout, const uint8_t *bytes, size_t count, uint32_t *depths);

#endif
