/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Called by Python 3.11, and made without unwinding information: lies about where on the stack the calls of the eval
 * loop are, in memory that is full of what looks like return addresses, and dies there.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Include/cpython/pystate.h */
struct cframe {
  uint8_t use_tracing;
  void *current_frame;
  struct cframe *previous;
};

enum { WORDS = 128 * 1024, CALLS = 4096, DISTANCE = 256 * 1024, TSTATE_CFRAME = 56, SPACE = 8 /* words */ };

/* Addresses behind direct calls, around a function. */
static size_t find_calls(const uint8_t *around, uintptr_t calls[CALLS]) {
  size_t count = 0;
  for (const uint8_t *at = around - DISTANCE; at < around + DISTANCE && count < CALLS; at++) {
    int32_t distance;
    memcpy(&distance, at + 1, sizeof distance);
    const uint8_t *target = at + 5 + distance;
    if (*at == 0xe8 && target > around - DISTANCE && target < around + DISTANCE) calls[count++] = (uintptr_t)at + 5;
  }
  return count;
}

void lie(char *tstate, const uint8_t *around) {
  static uintptr_t calls[CALLS];
  volatile uintptr_t words[WORDS];
  struct cframe *frame, **last;
  const size_t count = find_calls(around, calls);
  for (size_t i = 0; i < WORDS; i++) words[i] = calls[i % count];
  size_t count_frames = 0, at;
  memcpy(&frame, tstate + TSTATE_CFRAME, sizeof frame);
  last = (struct cframe **)(void *)(tstate + TSTATE_CFRAME);
  /* They ascend from the inner to the outer ones, as the real ones do. */
  for (const struct cframe *one = frame; one->previous; one = one->previous) count_frames++;
  at = WORDS - count_frames * SPACE;
  for (; frame->previous; frame = frame->previous) {
    struct cframe *copy = (struct cframe *)(uintptr_t)&words[at];
    at += SPACE;
    *copy = *frame;
    *last = copy;
    last = &copy->previous;
  }
  __builtin_trap();
}
