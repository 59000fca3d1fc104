/* SPDX-License-Identifier: Apache-2.0 */
#include "native/demangle.h"

#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

/* libiberty's own limit on recursion (DMGL_NO_RECURSE_LIMIT is not set) holds the time; this holds the output. */
enum { MANGLED_MAX = 8192, DEMANGLED_MAX = 65536 };

/* Bytes of the suffix that begins at `text`, if it is one that only makes a name unique; else 0. */
static size_t unique_suffix(const char *text, size_t size) {
  static const char *const words[] = {".lto_priv.", ".llvm.", ".__uniq."};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t end = strlen(words[i]), digits = end;
    if (size < end || memcmp(text, words[i], end) != 0) continue;
    while (end < size && text[end] >= '0' && text[end] <= '9') end++;
    if (end > digits && (end == size || text[end] == '.')) return end;
  }
  return 0;
}

/* No language has '@' in the names that linkers see; "f@plt" is not f. */
static size_t size_without_version(struct exu_string name) {
  const char *at = name.size > 1 ? memchr(name.data + 1, '@', name.size - 1) : NULL;
  if (!at) return name.size;
  size_t size = (size_t)(at - name.data);
  return name.size - size == 4 && memcmp(at, "@plt", 4) == 0 ? name.size : size;
}

static struct exu_string without_suffixes(struct exu_arena *arena, struct exu_string name) {
  const size_t size = size_without_version(name);
  bool plain = size == name.size;
  for (size_t i = 1; i < size && plain; i++) plain = unique_suffix(name.data + i, size - i) == 0;
  if (plain) return name;
  struct exu_string copy = exu_arena_string(arena, name.data, size);
  char *to = (char *)copy.data; /* the arena's memory, which nobody else has seen */
  if (!to) return name;
  copy.size = 0;
  for (size_t i = 0; i < size;) {
    size_t skip = i > 0 ? unique_suffix(name.data + i, size - i) : 0;
    if (skip == 0) to[copy.size++] = name.data[i++];
    i += skip;
  }
  to[copy.size] = '\0';
  return copy;
}

struct exu_string exu_demangle(struct exu_arena *arena, struct exu_string name) {
  if (!name.data) return name;
  name = without_suffixes(arena, name);
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
