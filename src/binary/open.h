/* SPDX-License-Identifier: Apache-2.0 */
/* Opening files whose names an untrusted process chose. */
#ifndef EXUVIA_BINARY_OPEN_H
#define EXUVIA_BINARY_OPEN_H

#include <sys/stat.h>

#include "base/error.h"

/*
 * Open a regular file for reading. Nothing else is ever opened: a FIFO would block, and opening a device may do
 * something. Returns a descriptor, or -1: EXU_NOT_FOUND when there is no such file, EXU_BAD_FORMAT when it is not a
 * regular one, EXU_IO otherwise.
 */
int exu_open_regular(const char *path, struct exu_error *error);

/*
 * The same for a path inside another file system tree, as chroot(root) would see it: "..", absolute symbolic links and
 * a relative `path` all stay inside `root`.
 */
int exu_open_in_root(const char *root, const char *path, struct exu_error *error);

/* exu_open_in_root without openat2(2), for kernels before 5.6 and sandboxes that forbid it. */
int exu_open_in_root_by_steps(const char *root, const char *path, struct exu_error *error);

/*
 * What there is to know of a regular file without opening it: this machine's, or that inside of `root` if it is not
 * NULL. False when there is no such file, or no regular one.
 */
bool exu_examine_regular(const char *root, const char *path, struct stat *status);

#endif
