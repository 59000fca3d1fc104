/* SPDX-License-Identifier: Apache-2.0 */
#include "base/runtime_library.h"

#include "base/str.h"

bool exu_is_runtime_library(struct exu_string path) {
  static const char *const names[] = {"libc.so",    "libc-2.",       "libpthread", "ld-linux",    "ld-2.",
                                      "ld-musl",    "libc.musl",     "libstdc++",  "libgcc_s.so", "libc++",
                                      "libgomp.so", "linux-vdso.so", "[vdso]"};
  const struct exu_string name = exu_base_name(path);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (exu_string_starts(name, names[i])) return true;
  }
  return false;
}
