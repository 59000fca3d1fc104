/* SPDX-License-Identifier: Apache-2.0 */
#include "base/runtime_library.h"

#include <string.h>

bool exu_is_runtime_library(struct exu_string path) {
  static const char *const names[] = {"libc.so",    "libc-2.",       "libpthread", "ld-linux",    "ld-2.",
                                      "ld-musl",    "libc.musl",     "libstdc++",  "libgcc_s.so", "libc++",
                                      "libgomp.so", "linux-vdso.so", "[vdso]"};
  if (!path.data) return false;
  const char *slash = memrchr(path.data, '/', path.size);
  size_t start = slash ? (size_t)(slash - path.data) + 1 : 0;
  const struct exu_string name = {path.data + start, path.size - start};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    size_t size = strlen(names[i]);
    if (name.size >= size && memcmp(name.data, names[i], size) == 0) return true;
  }
  return false;
}
