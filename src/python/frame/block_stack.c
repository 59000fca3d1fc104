/* SPDX-License-Identifier: Apache-2.0 */
#include "python/frame/block_stack.h"

#include "python/reader.h"

/*
 * Opcodes that made the block (opcode.h). Blocks of other kinds (SETUP_LOOP and SETUP_EXCEPT up to 3.7, and
 * EXCEPT_HANDLER, which is 257) are left out: a handler that runs may be the one that calls __exit__.
 */
enum { SETUP_FINALLY = 122, SETUP_WITH = 143 };

size_t exu_block_depths(const struct exu_layout *layout, const uint8_t *bytes, size_t count, uint32_t *depths) {
  size_t found = 0, size = layout->block_size.size;
  if (count > EXU_BLOCKS_MAX) count = EXU_BLOCKS_MAX;
  for (size_t i = count; i-- > 0;) {
    const uint8_t *block = bytes + i * size;
    uint64_t type = exu_py_field(block, size, layout->block_type);
    if (type != SETUP_FINALLY && type != SETUP_WITH) continue;
    depths[found++] = (uint32_t)exu_py_field(block, size, layout->block_level);
  }
  return found;
}
