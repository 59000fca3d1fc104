/* SPDX-License-Identifier: Apache-2.0 */
/* A library whose one function is inside itself as often as it is told, through calls that the compiler inlines. */
#include <stdlib.h>

#define INLINED static inline __attribute__((always_inline))

void inlines(long depth);

static volatile long sum;

INLINED void one(long depth) {
  inlines(depth - 1);
  sum++;
}

INLINED void two(long depth) {
  one(depth);
  sum += 2;
}

INLINED void three(long depth) {
  two(depth);
  sum += 3;
}

__attribute__((noinline)) void inlines(long depth) {
  if (depth == 0) abort();
  three(depth);
  sum += depth;
}
