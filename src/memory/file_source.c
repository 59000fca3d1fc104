/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>

#include "base/read_at.h"
#include "memory/source.h"

static ssize_t read_file(const struct exu_source *source, uint64_t offset, void *buffer, size_t size) {
  return exu_read_some_at(source->fd, buffer, size, offset);
}

static bool next_data(const struct exu_source *source, uint64_t offset, uint64_t *start, uint64_t *end) {
  off_t data = lseek(source->fd, (off_t)offset, SEEK_DATA);
  *start = data < 0 ? offset : (uint64_t)data;
  *end = source->size;
  if (data < 0) return errno != ENXIO; /* ENXIO: only holes follow; else the file system cannot tell */
  off_t hole = lseek(source->fd, data, SEEK_HOLE);
  if (hole > data) *end = (uint64_t)hole;
  return true;
}

/* A borrowed descriptor has a position that is its owner's. */
static bool next_data_and_back(const struct exu_source *source, uint64_t offset, uint64_t *start, uint64_t *end) {
  const off_t position = lseek(source->fd, 0, SEEK_CUR);
  const bool some = next_data(source, offset, start, end);
  if (position >= 0) lseek(source->fd, position, SEEK_SET);
  return some;
}

static void close_file(const struct exu_source *source) { close(source->fd); }

struct exu_source exu_source_of_file(int fd, uint64_t size, bool owned) {
  static const struct exu_source_ops borrowing = {
      .read = read_file, .read_once = read_file, .next_data = next_data_and_back};
  static const struct exu_source_ops owning = {
      .read = read_file, .read_once = read_file, .next_data = next_data, .close = close_file};
  return (struct exu_source){.ops = owned ? &owning : &borrowing, .fd = fd, .size = size};
}
