/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an address space takes bytes from: a file, pages copied from a process, a file of a module. A kind of source is
 * a table of operations; the space knows no other difference between them.
 */
#ifndef EXUVIA_MEMORY_SOURCE_H
#define EXUVIA_MEMORY_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct exu_source;

struct exu_source_ops {
  /*
   * Read up to `size` bytes at `offset`, as many as are there. Returns their number, which is less than `size` only at
   * the end of the source, or -1: they are there, but cannot be read.
   */
  ssize_t (*read)(const struct exu_source *source, uint64_t offset, void *buffer, size_t size);
  /* The same for bytes that will not be asked for again: a source that keeps what it read does not keep these. */
  ssize_t (*read_once)(const struct exu_source *source, uint64_t offset, void *buffer, size_t size);
  /*
   * Find the next data at or after `offset`: [*start, *end), in which there may be holes too. False: only holes
   * follow. NULL: not known, and everything is data.
   */
  bool (*next_data)(const struct exu_source *source, uint64_t offset, uint64_t *start, uint64_t *end);
  /* Release what the source owns. NULL: nothing. */
  void (*close)(const struct exu_source *source);
  bool keeps; /* it keeps what it read by itself: the space need not */
};

/* A value: the space copies it. */
struct exu_source {
  const struct exu_source_ops *ops;
  void *state;   /* of the kind of source */
  int fd;        /* of a file */
  uint64_t size; /* bytes that are there, as far as is known; at most INT64_MAX count */
};

/* Bytes in memory, borrowed. */
struct exu_source exu_source_of_memory(const void *bytes, uint64_t size);

/*
 * As exu_source_ops.read, but it may store fewer bytes than there are: then it is asked for the rest, until none come.
 */
struct exu_callback {
  int64_t (*read)(void *context, uint64_t offset, void *buffer, size_t size);
  void *context;
};

/* Bytes that a caller's function reads. `callback` is borrowed. */
struct exu_source exu_source_of_callback(const struct exu_callback *callback, uint64_t size);

/* A file, read by position, not mapped: one that shrinks gives a short read, not a SIGBUS. Closes `fd` if `owned`. */
struct exu_source exu_source_of_file(int fd, uint64_t size, bool owned);

#endif
