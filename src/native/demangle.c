/* SPDX-License-Identifier: Apache-2.0 */
#include "native/demangle.h"

#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

/* libiberty's own limit on recursion (DMGL_NO_RECURSE_LIMIT is not set) holds the time; this holds the output. */
enum { MANGLED_MAX = 8 * 1024, DEMANGLED_MAX = 64 * 1024 };

struct exu_string exu_demangle(struct exu_arena *arena, struct exu_string name) {
  bool mangled =
      name.size > 2 && name.size <= MANGLED_MAX && name.data[0] == '_' && (name.data[1] == 'Z' || name.data[1] == 'R');
  if (!mangled) return name;
  /* DMGL_PARAMS and DMGL_ANSI as gdb and c++filt have them; Rust is recognised by itself. */
  char *text = cplus_demangle_v3(name.data, DMGL_PARAMS | DMGL_ANSI);
  char *rust = rust_demangle(name.data, 0);
  char *best = rust ? rust : text;
  struct exu_string result = name;
  if (best && strlen(best) <= DEMANGLED_MAX) result = exu_arena_string(arena, best, strlen(best));
  free(text);
  free(rust);
  return result.data ? result : name;
}
