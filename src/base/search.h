/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXUVIA_BASE_SEARCH_H
#define EXUVIA_BASE_SEARCH_H

#include <stddef.h>

/*
 * Binary search. `before` is an expression of `index`, which is declared here: true for the first elements of `count`,
 * and false for all others. The index of the first of these; `count` when it is true for all.
 *
 * size_t next = EXU_PARTITION_POINT(i, space->region_count, space->regions[i].start <= address);
 */
#define EXU_PARTITION_POINT(index, count, before)                                                                      \
  ({                                                                                                                   \
    size_t index##_low = 0, index##_high = (count);                                                                    \
    while (index##_low < index##_high) {                                                                               \
      const size_t index = index##_low + (index##_high - index##_low) / 2;                                             \
      if (before)                                                                                                      \
        index##_low = (index) + 1;                                                                                     \
      else                                                                                                             \
        index##_high = (index);                                                                                        \
    }                                                                                                                  \
    index##_low;                                                                                                       \
  })

#endif
