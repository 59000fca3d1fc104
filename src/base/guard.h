/* SPDX-License-Identifier: Apache-2.0 */
/* Scope guards: what is released whichever way a function is left. */
#ifndef EXUVIA_BASE_GUARD_H
#define EXUVIA_BASE_GUARD_H

#include <stdlib.h>
#include <unistd.h>

#define EXU_GUARD(name) __attribute__((cleanup(exu_guard_##name)))

static inline void exu_guard_fd(int *fd) {
  if (*fd >= 0) close(*fd);
}

static inline void exu_guard_free(void *slot) {
  void **pointer = (void **)slot;
  free(*pointer);
}

#endif
