/* SPDX-License-Identifier: Apache-2.0 */
/* pread(2) that goes on after a short read and after a signal. */
#ifndef EXUVIA_BASE_READ_AT_H
#define EXUVIA_BASE_READ_AT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * As many of `size` bytes as can be read, fewer where the file ends or the rest cannot be read; -1, with errno, when
 * the first cannot.
 */
ssize_t exu_read_some_at(int fd, void *buffer, size_t size, uint64_t offset);

/* All of them; false when they cannot be had, and `buffer` may have been written to. */
bool exu_read_at(int fd, void *buffer, size_t size, uint64_t offset);

#endif
