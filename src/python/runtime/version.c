/* SPDX-License-Identifier: Apache-2.0 */
#include "python/runtime/version.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Longest text of Py_GetVersion() that is looked at: its buffer has 250 bytes (Python/getversion.c). */
enum { VERSION_TEXT_MAX = 256, SCAN_MAX_MIB = 1024 };

static bool number(const char **next, const char *end, unsigned *value) {
  const char *start = *next;
  *value = 0;
  while (*next < end && isdigit((unsigned char)**next) && *next - start < 3)
    *value = *value * 10 + (unsigned)(*(*next)++ - '0');
  return *next > start && *value < 256;
}

static bool literal(const char **next, const char *end, const char *word) {
  size_t size = strlen(word);
  if ((size_t)(end - *next) < size || memcmp(*next, word, size) != 0) return false;
  *next += size;
  return true;
}

bool exu_version_parse(const char *text, size_t left, struct exu_version *version, size_t *size) {
  const char *next = text, *end = text + left;
  unsigned major, minor, micro, serial = 0;
  uint8_t level = 0xF;
  if (!number(&next, end, &major) || !literal(&next, end, ".") || !number(&next, end, &minor) ||
      !literal(&next, end, ".") || !number(&next, end, &micro)) {
    return false;
  }
  if (literal(&next, end, "rc")) {
    level = 0xC;
  } else if (literal(&next, end, "a")) {
    level = 0xA;
  } else if (literal(&next, end, "b")) {
    level = 0xB;
  }
  if (level != 0xF && (!number(&next, end, &serial) || serial > 15)) return false;
  if (major < 2 || major > 3) return false;
  *version = (struct exu_version){(uint8_t)major, (uint8_t)minor, (uint8_t)micro, level, (uint8_t)serial};
  *size = (size_t)(next - text);
  return true;
}

struct search {
  const struct exu_process *process;
  uint64_t left; /* bytes that may still be looked at */
  struct exu_version version;
  bool free_threaded;
  bool found;
};

/* "3.13.0+ experimental free-threading build (main, Oct  8 2024, 00:00:00) [GCC 12.2.0]" */
static bool is_version_text(const char *text, size_t left, struct search *search) {
  const char *next, *end = text + left;
  size_t size;
  struct exu_version version;
  if (!exu_version_parse(text, left, &version, &size)) return false;
  next = text + size;
  literal(&next, end, "+");
  if (!literal(&next, end, " ")) return false;
  literal(&next, end, "experimental ");
  bool free_threaded = literal(&next, end, "free-threading build ");
  if (!literal(&next, end, "(")) return false;
  /* The compiler in brackets follows: no other text has that. */
  size_t rest = (size_t)(end - next) < VERSION_TEXT_MAX ? (size_t)(end - next) : VERSION_TEXT_MAX;
  if (!memmem(next, rest, ") \n[", 4) && !memmem(next, rest, ") [", 3)) return false;
  search->version = version;
  search->free_threaded = free_threaded;
  search->found = true;
  return true;
}

static bool scan_for_version(void *context, uint64_t address, const uint8_t *bytes, size_t size) {
  struct search *search = context;
  const char *text = (const char *)bytes;
  (void)address;
  if (search->left < size || exu_process_is_over(search->process)) return false;
  search->left -= size;
  /* Look for the first dot: rarer than a digit, and memchr is fast. */
  for (const char *dot = memchr(text, '.', size); dot; dot = memchr(dot + 1, '.', size - (size_t)(dot + 1 - text))) {
    if (dot == text || (dot[-1] != '3' && dot[-1] != '2')) continue;
    if (dot - 1 > text && (isalnum((unsigned char)dot[-2]) || dot[-2] == '.')) continue;
    if (is_version_text(dot - 1, size - (size_t)(dot - 1 - text), search)) return false;
  }
  return true;
}

bool exu_py_version_from_text(struct exu_py_candidate *candidate, const struct exu_binary *module) {
  struct search search = {.process = candidate->py.process, .left = (uint64_t)SCAN_MAX_MIB << 20};
  size_t count;
  const struct exu_region *regions = exu_space_regions(candidate->py.space, &count);
  for (size_t i = 0; i < count && !search.found; i++) {
    const struct exu_region *region = &regions[i];
    if (!(region->prot & EXU_PROT_WRITE) || region->saved == 0) continue;
    if (module && (region->start >= module->end || region->end <= module->start)) continue;
    if (!exu_space_scan(candidate->py.space, region, VERSION_TEXT_MAX, scan_for_version, &search)) break;
  }
  if (!search.found) return false;
  candidate->runtime.build.free_threaded = search.free_threaded;
  exu_py_set_version(candidate, search.version, true);
  return true;
}

bool exu_python_like(struct exu_string path) {
  const struct exu_string name = exu_base_name(path);
  return exu_string_starts(name, "libpython") || exu_string_starts(name, "python");
}

/* The parts of "libpython3.9d.so.1.0": major and minor, and what follows them. */
static bool parse_name(struct exu_string path, unsigned *major, unsigned *minor, const char **flags, const char **end) {
  const struct exu_string name = exu_base_name(path);
  if (!exu_python_like(path)) return false;
  const char *next = name.data;
  *end = next + name.size;
  literal(&next, *end, "lib");
  bool named = literal(&next, *end, "python") && number(&next, *end, major) && literal(&next, *end, ".") &&
               number(&next, *end, minor) && *major >= 2 && *major <= 3;
  *flags = next;
  return named;
}

enum exu_tristate exu_py_debug_of_path(struct exu_string path) {
  unsigned major, minor;
  const char *flags, *end;
  if (!parse_name(path, &major, &minor, &flags, &end)) return EXU_UNKNOWN;
  if (literal(&flags, end, "-dbg")) return EXU_YES;
  if (flags < end && *flags == 't') flags++;
  return flags < end && *flags == 'd' ? EXU_YES : EXU_UNKNOWN;
}

bool exu_py_version_from_path(struct exu_py_candidate *candidate, struct exu_string path) {
  unsigned major, minor;
  const char *flags, *end;
  if (!parse_name(path, &major, &minor, &flags, &end)) return false;
  candidate->runtime.build.free_threaded = flags < end && *flags == 't';
  /* 0xFF: newer than every patch release that there is a table for, so that the newest is taken. */
  exu_py_set_version(candidate, (struct exu_version){(uint8_t)major, (uint8_t)minor, 0xFF, 0xF, 0}, false);
  return true;
}

void exu_py_set_version(struct exu_py_candidate *candidate, struct exu_version version, bool exact) {
  char text[16];
  candidate->runtime.build.version = version;
  candidate->runtime.version_exact = exact;
  if (exact) {
    exu_version_text(version, text);
  } else {
    snprintf(text, sizeof text, "%u.%u", version.major, version.minor);
  }
  candidate->runtime.version_text = exu_arena_string(candidate->py.arena, text, strlen(text));
}
