/* SPDX-License-Identifier: Apache-2.0 */
#include "python/object/deque.h"

#include "base/str.h"
#include "python/object/types.h"

/* Modules/_collectionsmodule.c since 3.4: blocks of 64 objects, with a link before and one behind them. */
bool exu_py_deque_items(struct exu_py *py, uint64_t deque, uint64_t limit, exu_py_item_callback *callback,
                        void *context) {
  enum { BLOCK = 64 };
  uint64_t count, words[3], item; /* leftblock, rightblock, leftindex */
  if (!exu_py_at_least(py, 3, 4)) return false;
  if (!exu_string_is(exu_py_type_name(py, deque), "collections.deque") ||
      !exu_py_get(py, deque, py->runtime->layout.var_size, &count))
    return false;
  if (!exu_py_words(py, exu_py_at(py, deque + py->runtime->layout.var_size.offset, 1), words, 3)) return false;
  uint64_t block = words[0], index = words[2];
  for (uint64_t i = 0; i < count && i < limit; i++, index++) {
    if (index == BLOCK) {
      if (!exu_py_word(py, exu_py_at(py, block, 1 + BLOCK), &block)) return false;
      index = 0;
    }
    if (index > BLOCK || !exu_py_plausible(block) || !exu_py_word(py, exu_py_at(py, block, 1 + index), &item))
      return false;
    if (exu_py_plausible(item) && !callback(context, item)) break;
  }
  return true;
}
