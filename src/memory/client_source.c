/* SPDX-License-Identifier: Apache-2.0 */
/* Sources that a client of the library has: bytes in its memory, and a function of its own. */
#include <string.h>

#include "memory/source.h"

/* How many of `size` bytes at `offset` the source has. */
static size_t there(const struct exu_source *source, uint64_t offset, size_t size) {
  if (offset >= source->size) return 0;
  const uint64_t left = source->size - offset;
  return size < left ? size : (size_t)left;
}

static ssize_t read_memory(const struct exu_source *source, uint64_t offset, void *buffer, size_t size) {
  const size_t count = there(source, offset, size);
  if (count > 0) memcpy(buffer, (const char *)source->state + offset, count);
  return (ssize_t)count;
}

struct exu_source exu_source_of_memory(const void *bytes, uint64_t size) {
  static const struct exu_source_ops ops = {.read = read_memory, .read_once = read_memory, .keeps = true};
  /* NOLINTNEXTLINE(performance-no-int-to-ptr): it is only read */
  return (struct exu_source){.ops = &ops, .state = (void *)(uintptr_t)bytes, .fd = -1, .size = size};
}

static ssize_t read_callback(const struct exu_source *source, uint64_t offset, void *buffer, size_t size) {
  const struct exu_callback *callback = source->state;
  const size_t count = there(source, offset, size);
  size_t done = 0;
  while (done < count) {
    const int64_t got = callback->read(callback->context, offset + done, (char *)buffer + done, count - done);
    if (got < 0 || (uint64_t)got > count - done) return -1; /* more than was asked for is no answer either */
    if (got == 0) break;
    done += (size_t)got;
  }
  return (ssize_t)done;
}

struct exu_source exu_source_of_callback(const struct exu_callback *callback, uint64_t size) {
  static const struct exu_source_ops ops = {.read = read_callback, .read_once = read_callback};
  /* NOLINTNEXTLINE(performance-no-int-to-ptr): it is only read */
  return (struct exu_source){.ops = &ops, .state = (void *)(uintptr_t)callback, .fd = -1, .size = size};
}
