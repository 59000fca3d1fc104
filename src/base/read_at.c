/* SPDX-License-Identifier: Apache-2.0 */
#include "base/read_at.h"

#include <errno.h>
#include <unistd.h>

ssize_t exu_read_some_at(int fd, void *buffer, size_t size, uint64_t offset) {
  size_t done = 0;
  if (size > INT64_MAX || offset > INT64_MAX - size) {
    errno = EOVERFLOW;
    return -1;
  }
  while (done < size) {
    ssize_t got = pread(fd, (uint8_t *)buffer + done, size - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && done == 0) return -1;
    if (got <= 0) break;
    done += (size_t)got;
  }
  return (ssize_t)done;
}

bool exu_read_at(int fd, void *buffer, size_t size, uint64_t offset) {
  return exu_read_some_at(fd, buffer, size, offset) == (ssize_t)size;
}
