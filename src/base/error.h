/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why something could not go on. A function that can fail for more than one reason takes a `struct exu_error *`
 * last, and fills it in exactly when it fails. Damage in the *process* is no error: it is a diagnostic (diagnostics.h).
 */
#ifndef EXUVIA_BASE_ERROR_H
#define EXUVIA_BASE_ERROR_H

#include <limits.h>
#include <stdbool.h>

enum exu_status {
  EXU_OK = 0,
  EXU_NO_MEMORY,
  EXU_IO,         /* the operating system refused: errno is in the message */
  EXU_BAD_FORMAT, /* the bytes are not what they should be */
  EXU_NOT_FOUND,
  EXU_UNSUPPORTED, /* a valid input of a kind that this program does not handle */
};

struct exu_error {
  enum exu_status status;
  /* One line without a newline, NUL-terminated: room for a path and what is said of it. "..." ends one that is cut. */
  char message[PATH_MAX + 384];
};

/* Fill in *error and return false, so that a caller can write `return exu_fail(...)`. `error` may be NULL. */
bool exu_fail(struct exu_error *error, enum exu_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
