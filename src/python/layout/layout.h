/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the fields of one CPython build lie. Versions are data: code asks whether a field is there, not which version
 * it reads, wherever that can decide.
 */
#ifndef EXUVIA_PYTHON_LAYOUT_LAYOUT_H
#define EXUVIA_PYTHON_LAYOUT_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One field. `size` is in bytes and 0 when the build has no such field. */
struct exu_field {
  uint32_t offset;
  uint32_t size;
  uint8_t bit_shift; /* of a bit-field: its lowest bit within the `size` bytes at `offset`, read as one number */
  uint8_t bit_count; /* 0: no bit-field */
};

struct exu_layout {
#define EXU_FIELD(name, types, paths) struct exu_field name;
#define EXU_SIZE(name, types) struct exu_field name;
#include "offsets/fields.def"
};

/* A CPython version, in the order of PY_VERSION_HEX: 3.13.0rc2 is {3, 13, 0, 0xC, 2}. */
struct exu_version {
  uint8_t major;
  uint8_t minor;
  uint8_t micro;
  uint8_t level; /* 0xA alpha, 0xB beta, 0xC candidate, 0xF final */
  uint8_t serial;
};

struct exu_build {
  struct exu_version version;
  bool debug;         /* --with-pydebug (Py_DEBUG) */
  bool free_threaded; /* --disable-gil (Py_GIL_DISABLED) */
};

/* A shipped table: the layout of every build from `first` to `last` (both included) of one kind. */
struct exu_layout_table {
  const char *source; /* the binary that it was generated from, for people */
  struct exu_version first;
  struct exu_version last;
  bool debug;
  bool free_threaded;
  uint16_t machine; /* e_machine */
  struct exu_layout layout;
};

/* Where the members of `_Py_DebugOffsets` lie; one per minor version and generated. UINT16_MAX: not there. */
struct exu_debug_offsets_table {
  uint8_t major;
  uint8_t minor;
  uint16_t size;    /* of the whole structure */
  uint16_t version; /* offset of the member `version` */
  uint16_t free_threaded;
#define EXU_DEBUG_SIZE(field, structure) uint16_t field;
#define EXU_DEBUG_OFFSET(field, structure, member, width)                                                              \
  uint16_t field;                                                                                                      \
  uint16_t field##_bound;
#include "offsets/debug_offsets.def"
};

/* The generated tables (offsets/). */
extern const struct exu_layout_table *const exu_layout_tables[];
extern const size_t exu_layout_table_count;
extern const struct exu_debug_offsets_table *const exu_debug_offsets_tables[];
extern const size_t exu_debug_offsets_table_count;

/*
 * The shipped table for a build: the one whose range of patch versions contains it, or NULL. Within one minor version
 * a patch release newer than every table's gets the newest table: CPython keeps layouts stable in a series, and
 * `*exact` is set to false so that the report says it.
 */
const struct exu_layout_table *exu_layout_find(const struct exu_build *build, uint16_t machine, bool *exact);

/*
 * Take from another layout of the same release what only few units of its DWARF define: generators, descriptors, and
 * the fields of the module io, to which no function leads in every build, and which 2.7 may have in a file of its own.
 * But for the head of objects, which has to be the same in both, these structures are the same in all builds.
 */
void exu_layout_take_rest(struct exu_layout *layout, const struct exu_layout *other);

/* PY_VERSION_HEX to a version and back, and text: "3.13.0rc2", at most 16 bytes with its NUL. */
struct exu_version exu_version_of_hex(uint32_t hex);
uint32_t exu_version_hex(struct exu_version version);
void exu_version_text(struct exu_version version, char text[16]);

#endif
