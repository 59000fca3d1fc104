/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <assert.h>
#include <string.h>

struct exu_string exu_string_of(const char *text) {
  return (struct exu_string){text, text ? strlen(text) : 0};
}

bool exu_string_equal(struct exu_string a, struct exu_string b) {
  if (!a.data || !b.data) return a.data == b.data;
  return a.size == b.size && (a.data == b.data || memcmp(a.data, b.data, a.size) == 0);
}

bool exu_string_is(struct exu_string string, const char *text) {
  const size_t size = strlen(text);
  return string.data && string.size == size && memcmp(string.data, text, size) == 0;
}

bool exu_string_is_among(struct exu_string string, const char *const *texts, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (exu_string_is(string, texts[i])) return true;
  }
  return false;
}

bool exu_string_starts(struct exu_string string, const char *start) {
  const size_t size = strlen(start);
  return string.data && string.size >= size && memcmp(string.data, start, size) == 0;
}

bool exu_string_ends(struct exu_string string, const char *end) {
  const size_t size = strlen(end);
  return string.data && string.size >= size && memcmp(string.data + string.size - size, end, size) == 0;
}

struct exu_string exu_string_behind(struct exu_string string, size_t size) {
  assert(size <= string.size);
  return size > 0 ? (struct exu_string){string.data + size, string.size - size} : string;
}

struct exu_string exu_base_name(struct exu_string path) {
  const char *slash = path.data ? memrchr(path.data, '/', path.size) : NULL;
  const size_t start = slash ? (size_t)(slash - path.data) + 1 : 0;
  return start < path.size ? exu_string_behind(path, start) : path;
}
