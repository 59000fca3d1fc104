/* SPDX-License-Identifier: Apache-2.0 */
/* Every way in which a member can be declared that CPython uses. Compiled by test_layout_dwarf.c, never run. */
#include <stddef.h>
#include <stdint.h>

typedef struct {
  long first;
  const volatile int qualified;
  _Atomic(short) atomic;
  char tail[];
} AnonymousBehindTypedef;

typedef AnonymousBehindTypedef SecondName;

struct Tagged {
  char pad;
  union {
    long in_union;
    struct {
      int deep_a;
      int deep_b;
    };
  };
  struct {
    struct {
      short inner;
    } named;
    double array[3][5];
  } outer;
  void *pointer;
};

struct Bits {
  uint32_t pad;
  struct {
    unsigned int interned : 2;
    unsigned int kind : 3;
    unsigned int compact : 1;
    unsigned int wide : 20;
    unsigned int : 0;
    unsigned char byte : 7;
    uint64_t huge : 50;
  } state;
};

struct Forward;
struct Holder {
  struct Forward *forward;
};

AnonymousBehindTypedef *anonymous;
SecondName *second;
struct Tagged tagged;
struct Bits bits;
struct Holder holder;

/* What the compiler itself says, for comparison. */
const size_t expected_offsets[] = {
    offsetof(AnonymousBehindTypedef, qualified),
    offsetof(AnonymousBehindTypedef, atomic),
    offsetof(AnonymousBehindTypedef, tail),
    offsetof(struct Tagged, in_union),
    offsetof(struct Tagged, deep_b),
    offsetof(struct Tagged, outer.named.inner),
    offsetof(struct Tagged, outer.array),
    offsetof(struct Tagged, pointer),
};
const struct Bits sample_bits = {~0u, {1, 5, 0, 0xABCDE, 0x55, 0x2ABCDEF012345}};
