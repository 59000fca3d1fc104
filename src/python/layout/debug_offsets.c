/* SPDX-License-Identifier: Apache-2.0 */
#include "python/layout/debug_offsets.h"

#include <inttypes.h>
#include <string.h>

enum {
  MAX_STRUCTURE = 1024 * 1024, /* the largest, the runtime, has 300 KiB in 3.13 and less than twice that since */
  NEAR = 8,                    /* see exu_debug_offsets_is_debug */
};

/* A member that is read. Positions are those of uint16_t members of the table, and of the layout's field. */
struct member {
  const char *name;
  size_t position;
  size_t bound; /* of the member that has the structure's size */
  size_t field;
  uint32_t width; /* bytes read at the offset; 0: the member is itself the structure's size */
};

static const struct member members[] = {
#define TABLE(member) offsetof(struct exu_debug_offsets_table, member)
#define EXU_DEBUG_SIZE(field, structure)                                                                               \
  {#structure ".size", TABLE(field), TABLE(field), offsetof(struct exu_layout, field), 0},
#define EXU_DEBUG_OFFSET(field, structure, member, width)                                                              \
  {#structure "." #member, TABLE(field), TABLE(field##_bound), offsetof(struct exu_layout, field), width},
#include "offsets/debug_offsets.def"
#undef TABLE
};
enum { MEMBER_COUNT = sizeof members / sizeof *members };

/* All supported machines with a _Py_DebugOffsets are little-endian. */
static uint64_t word_at(const uint8_t *bytes, size_t position) {
  uint64_t word = 0;
  for (size_t i = 0; i < sizeof word; i++) word |= (uint64_t)bytes[position + i] << 8 * i;
  return word;
}

static uint16_t position_in(const struct exu_debug_offsets_table *table, size_t member) {
  uint16_t position;
  memcpy(&position, (const char *)table + member, sizeof position);
  return position;
}

/*
 * Read one member. `*present` is false when the version has no such member, and when the build has no such field:
 * builds with a GIL write 0 for what only free-threaded ones have, and nothing that is read lies at a structure's
 * start but the executable of a frame and the links of interpreters.
 */
static bool read_member(const struct exu_debug_offsets_table *table, const uint8_t *bytes, const struct member *member,
                        bool free_threaded, uint64_t *value, uint64_t *bound, bool *present) {
  uint16_t position = position_in(table, member->position), bound_position = position_in(table, member->bound);
  *present = false;
  if (position == UINT16_MAX) return true;
  if (bound_position == UINT16_MAX) return false;
  *value = word_at(bytes, position);
  *bound = word_at(bytes, bound_position);
  bool only_free_threaded = member->field == offsetof(struct exu_layout, code_tlbc) ||
                            member->field == offsetof(struct exu_layout, iframe_tlbc_index);
  *present = !only_free_threaded || free_threaded || *value != 0;
  return true;
}

/* Two fields of one structure, both present, of which one begins inside the other. */
static bool overlap(const struct exu_field *a, const struct exu_field *b) {
  return a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

static bool cut_off(const struct exu_debug_offsets_table *table, size_t size, struct exu_error *error) {
  return exu_fail(error, EXU_BAD_FORMAT, "debug offsets: only %zu of %u bytes can be read", size,
                  (unsigned)table->size);
}

/* Read and check every member of a whole structure. Fields that are not there get size 0. */
static bool check(const struct exu_debug_offsets_table *table, const uint8_t *bytes, bool free_threaded,
                  struct exu_field fields[MEMBER_COUNT], struct exu_error *error) {
  for (size_t i = 0; i < MEMBER_COUNT; i++) {
    const struct member *member = &members[i];
    uint64_t value = 0, bound = 0;
    bool present;
    fields[i] = (struct exu_field){0};
    if (!read_member(table, bytes, member, free_threaded, &value, &bound, &present))
      return exu_fail(error, EXU_UNSUPPORTED, "debug offsets: nothing bounds %s", member->name);
    if (!present) continue;
    if (bound == 0 || bound >= MAX_STRUCTURE || bound % 8 != 0) {
      return exu_fail(error, EXU_BAD_FORMAT, "debug offsets: %s is in a structure of %" PRIu64 " bytes", member->name,
                      bound);
    }
    if (member->width == 0) {
      fields[i].size = (uint32_t)bound;
      continue;
    }
    if (value > bound || member->width > bound - value || value % member->width != 0) {
      return exu_fail(error, EXU_BAD_FORMAT, "debug offsets: %s cannot be at %" PRIu64 " of %" PRIu64 " bytes",
                      member->name, value, bound);
    }
    fields[i] = (struct exu_field){.offset = (uint32_t)value, .size = member->width};
    for (size_t j = 0; j < i; j++) {
      bool same_structure = position_in(table, members[j].bound) == position_in(table, member->bound);
      if (members[j].width && fields[j].size && same_structure && overlap(&fields[i], &fields[j])) {
        return exu_fail(error, EXU_BAD_FORMAT, "debug offsets: %s and %s are at the same place", members[j].name,
                        member->name);
      }
    }
  }
  return true;
}

/* The table of a version, or the newest if there is none as new. NULL: the version has no debug offsets. */
static const struct exu_debug_offsets_table *choose_table(struct exu_version version, bool *known) {
  const struct exu_debug_offsets_table *newest = NULL;
  unsigned wanted = (unsigned)version.major << 8 | version.minor;
  for (size_t i = 0; i < exu_debug_offsets_table_count; i++) {
    const struct exu_debug_offsets_table *table = exu_debug_offsets_tables[i];
    unsigned minor = (unsigned)table->major << 8 | table->minor;
    if (minor == wanted) {
      *known = version.level >= 0xC; /* CPython keeps the ABI from the first candidate on */
      return table;
    }
    if (!newest || minor > ((unsigned)newest->major << 8 | newest->minor)) newest = table;
  }
  *known = false;
  return newest && wanted > ((unsigned)newest->major << 8 | newest->minor) ? newest : NULL;
}

/* The version word is PY_VERSION_HEX: nothing above 32 bits, and a level that exists. */
static bool read_version(const uint8_t *bytes, size_t position, struct exu_version *version) {
  uint64_t word = word_at(bytes, position);
  if (word > UINT32_MAX) return false;
  *version = exu_version_of_hex((uint32_t)word);
  return version->major >= 3 && (version->level == 0xF || (version->level >= 0xA && version->level <= 0xC));
}

bool exu_debug_offsets_parse(const uint8_t *bytes, size_t size, struct exu_build *build,
                             const struct exu_debug_offsets_table **table, bool *known, struct exu_error *error) {
  /* Cookie and version come first in every version; they must, to be of use. */
  struct exu_version version;
  char text[16];
  if (size < EXU_DEBUG_OFFSETS_COOKIE_SIZE + sizeof(uint64_t) ||
      memcmp(bytes, EXU_DEBUG_OFFSETS_COOKIE, EXU_DEBUG_OFFSETS_COOKIE_SIZE) != 0)
    return exu_fail(error, EXU_BAD_FORMAT, "debug offsets: no cookie");
  if (!read_version(bytes, EXU_DEBUG_OFFSETS_COOKIE_SIZE, &version))
    return exu_fail(error, EXU_BAD_FORMAT, "debug offsets: no version of Python");
  exu_version_text(version, text);
  bool known_version;
  const struct exu_debug_offsets_table *chosen = choose_table(version, &known_version);
  if (!chosen) return exu_fail(error, EXU_UNSUPPORTED, "debug offsets: Python %s has none", text);
  if (size < chosen->size) return cut_off(chosen, size, error);
  uint64_t free_threaded = word_at(bytes, chosen->free_threaded);
  if (free_threaded > 1) return exu_fail(error, EXU_BAD_FORMAT, "debug offsets: damaged (free_threaded)");
  struct exu_field fields[MEMBER_COUNT];
  if (!check(chosen, bytes, free_threaded == 1, fields, error)) return false;
  *build = (struct exu_build){.version = version, .free_threaded = free_threaded == 1};
  *table = chosen;
  *known = known_version;
  return true;
}

bool exu_debug_offsets_apply(const struct exu_debug_offsets_table *table, const uint8_t *bytes, size_t size,
                             struct exu_layout *layout, struct exu_error *error) {
  struct exu_field fields[MEMBER_COUNT];
  if (size < table->size) return cut_off(table, size, error);
  bool free_threaded = word_at(bytes, table->free_threaded) == 1;
  if (!check(table, bytes, free_threaded, fields, error)) return false;
  for (size_t i = 0; i < MEMBER_COUNT; i++) {
    /* A member that this version's structure lacks leaves what the shipped table says. */
    if (position_in(table, members[i].position) == UINT16_MAX) continue;
    memcpy((char *)layout + members[i].field, &fields[i], sizeof fields[i]);
  }
  return true;
}

static uint64_t distance(uint64_t a, uint64_t b) { return a > b ? a - b : b - a; }

enum exu_tristate exu_debug_offsets_is_debug(const struct exu_debug_offsets_table *table, const uint8_t *bytes,
                                             size_t size, const struct exu_build *build) {
  if (size < table->size || table->runtime_size == UINT16_MAX) return EXU_UNKNOWN;
  uint64_t runtime_size = word_at(bytes, table->runtime_size);
  /* Patch releases add some dozens of bytes to the runtime, Py_DEBUG thousands. [0]: release, [1]: debug builds. */
  uint64_t nearest[2] = {UINT64_MAX, UINT64_MAX};
  for (size_t i = 0; i < exu_layout_table_count; i++) {
    const struct exu_layout_table *other = exu_layout_tables[i];
    if (other->first.major != build->version.major || other->first.minor != build->version.minor ||
        other->free_threaded != build->free_threaded || !other->layout.runtime_size.size)
      continue;
    uint64_t bytes_apart = distance(runtime_size, other->layout.runtime_size.size);
    if (bytes_apart < nearest[other->debug]) nearest[other->debug] = bytes_apart;
  }
  if (nearest[0] == UINT64_MAX || nearest[1] == UINT64_MAX) return EXU_UNKNOWN;
  if (nearest[0] < nearest[1] && nearest[0] <= nearest[1] / NEAR) return EXU_NO;
  if (nearest[1] < nearest[0] && nearest[1] <= nearest[0] / NEAR) return EXU_YES;
  return EXU_UNKNOWN;
}
