/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool exu_fail(struct exu_error *error, enum exu_status status, const char *format, ...) {
  if (error) {
    va_list arguments;
    error->status = status;
    va_start(arguments, format);
    const int size = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (size >= (int)sizeof error->message) memcpy(error->message + sizeof error->message - 4, "...", 4);
  }
  return false;
}
