/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Write the tables of offsets/ from the debugging information of real builds of CPython.
 *
 *     gen_offsets OUTPUT-DIRECTORY < MANIFEST
 *
 * Every line of the manifest names one build: VERSION KIND FILE DESCRIPTION...
 *
 *   VERSION      3.11.7, 3.15.0b2, or `auto`: what the file says (Py_Version, since 3.11)
 *   KIND         release, debug, free_threaded, free_threaded_debug, or `auto`: told from the file's symbols and types
 *   FILE         an ELF file with DWARF: an interpreter, its library, or a separate .debug file
 *   DESCRIPTION  what the table shall say about where it comes from; the file's build id is added
 *
 * Lines `boundary VERSION` say that a layout changed with that release where no build of the release itself, or of the
 * one before, is in the manifest.
 *
 * The builds of one minor version and kind go into one C file. Neighbours with the same layout share one table; its
 * range goes from the first to the last of them. The oldest table of a minor version starts at its first release
 * candidate, from which on CPython keeps the ABI. The sizes of the thread state, the interpreter and the runtime are
 * no reason for another table, since patch releases add to their ends: the smallest is taken.
 */
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "python/layout/dwarf.h"
#include "python/layout/layout.h"

enum { MAX_BUILDS = 256, MAX_BOUNDARIES = 32, MAX_LINE = 2048 };

/* Where the members of _Py_DebugOffsets lie in one build; offset UINT32_MAX: not there. */
struct positions {
  struct exu_field whole, version, free_threaded;
#define EXU_DEBUG_SIZE(field, structure) struct exu_field field;
#define EXU_DEBUG_OFFSET(field, structure, member, width) struct exu_field field, field##_bound;
#include "offsets/debug_offsets.def"
};

struct build {
  struct exu_build build;
  uint16_t machine;
  bool binary; /* of a real build, not of headers compiled for this */
  char source[MAX_LINE];
  struct exu_layout layout;
  bool has_positions;
  struct positions positions;
};

static struct build builds[MAX_BUILDS];
static size_t build_count;
static struct exu_version boundaries[MAX_BOUNDARIES];
static size_t boundary_count;

static void die(const char *what, const char *which) {
  fprintf(stderr, "gen_offsets: %s: %s\n", what, which);
  exit(EXIT_FAILURE);
}

static struct exu_version parse_version(const char *text) {
  unsigned major, minor, micro, serial = 0;
  int end = 0;
  if (sscanf(text, "%u.%u.%u%n", &major, &minor, &micro, &end) != 3) die("not a version", text);
  uint8_t level = 0xF;
  const char *suffix = text + end;
  if (*suffix) {
    level = suffix[0] == 'a' ? 0xA : suffix[0] == 'b' ? 0xB : suffix[0] == 'r' && suffix[1] == 'c' ? 0xC : 0;
    if (!level || sscanf(suffix + (level == 0xC ? 2 : 1), "%u", &serial) != 1) die("not a version", text);
  }
  return (struct exu_version){(uint8_t)major, (uint8_t)minor, (uint8_t)micro, level, (uint8_t)serial};
}

/* Find a symbol in .symtab. */
static bool find_symbol(Elf *elf, const char *name, GElf_Sym *symbol) {
  Elf_Scn *section = NULL;
  while ((section = elf_nextscn(elf, section))) {
    GElf_Shdr header;
    if (!gelf_getshdr(section, &header) || (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM)) continue;
    Elf_Data *data = elf_getdata(section, NULL);
    if (!data || !header.sh_entsize) continue;
    for (size_t i = 0; i < header.sh_size / header.sh_entsize; i++) {
      const char *text;
      if (!gelf_getsym(data, (int)i, symbol) || symbol->st_shndx == SHN_UNDEF) continue;
      if ((text = elf_strptr(elf, header.sh_link, symbol->st_name)) && strcmp(text, name) == 0) return true;
    }
  }
  return false;
}

/* The constant Py_Version, if the file has it and its contents. */
static bool read_version(Elf *elf, struct exu_version *version) {
  GElf_Sym symbol;
  GElf_Shdr header;
  if (!find_symbol(elf, "Py_Version", &symbol)) return false;
  Elf_Scn *section = elf_getscn(elf, symbol.st_shndx);
  Elf_Data *data =
      section && gelf_getshdr(section, &header) && header.sh_type == SHT_PROGBITS ? elf_getdata(section, NULL) : NULL;
  uint32_t hex;
  if (!data || symbol.st_value < header.sh_addr) return false;
  uint64_t offset = symbol.st_value - header.sh_addr;
  if (offset > data->d_size || data->d_size - offset < sizeof hex) return false;
  memcpy(&hex, (const char *)data->d_buf + offset, sizeof hex);
  *version = exu_version_of_hex(hex);
  return true;
}

/* The build id as hexadecimal digits, or "none". */
static void build_id(Elf *elf, char *text, size_t size) {
  snprintf(text, size, "none");
  Elf_Scn *section = NULL;
  while ((section = elf_nextscn(elf, section))) {
    GElf_Shdr header;
    if (!gelf_getshdr(section, &header) || header.sh_type != SHT_NOTE) continue;
    Elf_Data *data = elf_getdata(section, NULL);
    GElf_Nhdr note;
    size_t offset = 0, name, description;
    while (data && (offset = gelf_getnote(data, offset, &note, &name, &description)) > 0) {
      if (note.n_type != NT_GNU_BUILD_ID || (size_t)note.n_descsz * 2 >= size) continue;
      const unsigned char *bytes = (const unsigned char *)data->d_buf + description;
      for (size_t i = 0; i < note.n_descsz; i++) snprintf(text + i * 2, 3, "%02x", bytes[i]);
      return;
    }
  }
}

/* Py_DEBUG implies Py_REF_DEBUG, whose checks call this function of Objects/object.c in every version. */
static bool is_debug(Elf *elf) {
  GElf_Sym symbol;
  return find_symbol(elf, "_Py_NegativeRefcount", &symbol);
}

static bool is_free_threaded(Dwarf *dwarf) {
  struct exu_dwarf_field query = {.types = "PyObject", .paths = "ob_tid"};
  return exu_dwarf_find(dwarf, &query, 1) && query.field.size > 0;
}

/* Read where the members of _Py_DebugOffsets lie, if the build has it. */
static bool read_positions(Dwarf *dwarf, struct positions *positions) {
  struct exu_dwarf_field queries[] = {
      {.types = "_Py_DebugOffsets"},
      {.types = "_Py_DebugOffsets", .paths = "version"},
      {.types = "_Py_DebugOffsets", .paths = "free_threaded"},
#define EXU_DEBUG_SIZE(field, structure) {.types = "_Py_DebugOffsets", .paths = #structure ".size"},
#define EXU_DEBUG_OFFSET(field, structure, member, width)                                                              \
  {.types = "_Py_DebugOffsets", .paths = #structure "." #member},                                                      \
      {.types = "_Py_DebugOffsets", .paths = #structure ".size"},
#include "offsets/debug_offsets.def"
  };
  size_t count = sizeof queries / sizeof *queries;
  _Static_assert(sizeof queries / sizeof *queries * sizeof(struct exu_field) == sizeof *positions, "one each");
  if (!exu_dwarf_find(dwarf, queries, count)) die("no memory", "_Py_DebugOffsets");
  struct exu_field *field = (struct exu_field *)positions;
  for (size_t i = 0; i < count; i++) field[i] = queries[i].field;
  return positions->whole.size > 0;
}

static void set_version(struct build *build, const char *text, Elf *elf) {
  struct exu_version version;
  bool readable = read_version(elf, &version);
  bool told = strcmp(text, "auto") != 0;
  if (!readable && !told) die("its version cannot be told", build->source);
  if (told) build->build.version = parse_version(text);
  if (readable && told && exu_version_hex(version) != exu_version_hex(build->build.version))
    die("another version than its file's", text);
  if (!told) build->build.version = version;
}

static void set_kind(struct build *build, const char *kind, Elf *elf, Dwarf *dwarf) {
  if (strcmp(kind, "auto") == 0) {
    build->build.debug = is_debug(elf);
    build->build.free_threaded = is_free_threaded(dwarf);
    return;
  }
  build->build.free_threaded = strncmp(kind, "free_threaded", strlen("free_threaded")) == 0;
  build->build.debug = strstr(kind, "debug") != NULL;
  if (!build->build.free_threaded && !build->build.debug && strcmp(kind, "release") != 0) die("not a kind", kind);
}

static void add_build(const char *version, const char *kind, const char *path, const char *description) {
  if (build_count == MAX_BUILDS) die("too many builds", path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("cannot open", path);
  Dwarf *dwarf = dwarf_begin(fd, DWARF_C_READ);
  if (!dwarf) die("no DWARF", path);
  Elf *elf = dwarf_getelf(dwarf);
  GElf_Ehdr header;
  struct build *build = &builds[build_count];
  if (!gelf_getehdr(elf, &header)) die("no ELF header", path);
  if (!exu_layout_from_dwarf(dwarf, NULL, 0, &build->layout)) die("no CPython structures", path);
  build->machine = header.e_machine;
  snprintf(build->source, sizeof build->source, "%s", path);
  set_version(build, version, elf);
  build->binary = strcmp(kind, "auto") == 0;
  build->has_positions = read_positions(dwarf, &build->positions);
  set_kind(build, kind, elf, dwarf);
  char id[128];
  build_id(elf, id, sizeof id);
  if (build->binary)
    snprintf(build->source, sizeof build->source, "%.1024s, build id %s", description, id);
  else
    snprintf(build->source, sizeof build->source, "%.1024s", description);
  dwarf_end(dwarf);
  close(fd);
  build_count++;
}

static void read_manifest(FILE *manifest) {
  char line[MAX_LINE], version[64], kind[64], path[1024];
  while (fgets(line, sizeof line, manifest)) {
    line[strcspn(line, "\n")] = '\0';
    int rest = 0;
    if (!line[0] || line[0] == '#') continue;
    if (sscanf(line, "boundary %63s", version) == 1) {
      if (boundary_count == MAX_BOUNDARIES) die("too many boundaries", line);
      boundaries[boundary_count++] = parse_version(version);
    } else if (sscanf(line, "%63s %63s %1023s %n", version, kind, path, &rest) == 3 && rest) {
      add_build(version, kind, path, line + rest);
    } else {
      die("not understood", line);
    }
  }
}

static int compare_builds(const void *left, const void *right) {
  const struct build *a = left, *b = right;
  if (a->machine != b->machine) return a->machine < b->machine ? -1 : 1;
  uint32_t minor_a = exu_version_hex(a->build.version) >> 16, minor_b = exu_version_hex(b->build.version) >> 16;
  if (minor_a != minor_b) return minor_a < minor_b ? -1 : 1;
  if (a->build.free_threaded != b->build.free_threaded) return a->build.free_threaded ? 1 : -1;
  if (a->build.debug != b->build.debug) return a->build.debug ? 1 : -1;
  uint32_t hex_a = exu_version_hex(a->build.version), hex_b = exu_version_hex(b->build.version);
  if (hex_a != hex_b) return hex_a < hex_b ? -1 : 1;
  return strcmp(a->source, b->source); /* the same input gives the same output */
}

static bool same_group(const struct build *a, const struct build *b) {
  return a->machine == b->machine && a->build.version.major == b->build.version.major &&
         a->build.version.minor == b->build.version.minor && a->build.debug == b->build.debug &&
         a->build.free_threaded == b->build.free_threaded;
}

static bool same_field(const struct exu_field *a, const struct exu_field *b) {
  return a->offset == b->offset && a->size == b->size && a->bit_shift == b->bit_shift && a->bit_count == b->bit_count;
}

/* A size that only bounds what is read. */
static bool is_bound(const char *name) {
  return strcmp(name, "tstate_size") == 0 || strcmp(name, "interp_size") == 0 || strcmp(name, "runtime_size") == 0;
}

/* Say on stderr which fields differ. */
static bool same_layout(const struct build *a, const struct build *b) {
  bool same = true;
#define EXU_FIELD(name, types, paths)                                                                                  \
  if (!is_bound(#name) && !same_field(&a->layout.name, &b->layout.name)) {                                             \
    fprintf(stderr, "  %s: %u.%u.%u has %u (%u bytes), %u.%u.%u has %u (%u bytes)\n", #name, a->build.version.major,   \
            a->build.version.minor, a->build.version.micro, a->layout.name.offset, a->layout.name.size,                \
            b->build.version.major, b->build.version.minor, b->build.version.micro, b->layout.name.offset,             \
            b->layout.name.size);                                                                                      \
    same = false;                                                                                                      \
  }
#define EXU_SIZE(name, types) EXU_FIELD(name, types, NULL)
#include "offsets/fields.def"
  return same;
}

/* As exu_layout_take_streams: the module io is a file of its own in some builds of 2.7. */
static void complete(struct build *build, const struct build *other) {
  if (exu_version_hex(build->build.version) != exu_version_hex(other->build.version) ||
      build->layout.buffered_lock.size)
    return;
  build->layout.buffered_lock = other->layout.buffered_lock;
  build->layout.buffered_owner = other->layout.buffered_owner;
  build->layout.rwpair_reader = other->layout.rwpair_reader;
  build->layout.rwpair_writer = other->layout.rwpair_writer;
  build->layout.textio_buffer = other->layout.textio_buffer;
}

static void group_name(const struct build *build, char *text, size_t size) {
  snprintf(text, size, "cpython_%u_%u%s%s", build->build.version.major, build->build.version.minor,
           build->build.free_threaded ? "_free_threaded" : "", build->build.debug ? "_debug" : "");
}

static FILE *create(const char *directory, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.c", directory, name);
  FILE *out = fopen(path, "w");
  if (!out) die("cannot write", path);
  fputs("/* SPDX-License-Identifier: Apache-2.0 */\n", out);
  return out;
}

static void write_version(FILE *out, const char *name, struct exu_version version) {
  fprintf(out, "    .%s = {%u, %u, %u, 0x%X, %u},\n", name, version.major, version.minor, version.micro, version.level,
          version.serial);
}

/* The release before `version`. */
static struct exu_version release_before(struct exu_version version) {
  return (struct exu_version){version.major, version.minor, (uint8_t)(version.micro - 1), 0xF, 0};
}

/* The last boundary in (after, upto], or NULL. */
static const struct exu_version *boundary_between(const struct exu_version *after, const struct exu_version *upto) {
  const struct exu_version *last = NULL;
  for (size_t i = 0; i < boundary_count; i++) {
    uint32_t hex = exu_version_hex(boundaries[i]);
    bool between = exu_version_hex(*after) < hex && hex <= exu_version_hex(*upto);
    if (between && (!last || hex > exu_version_hex(*last))) last = &boundaries[i];
  }
  return last;
}

static void smallest(struct exu_field *field, const struct exu_field *other) {
  if (other->size < field->size) field->size = other->size;
}

/* Neighbours with one layout, and the versions that their table is for. */
struct run {
  size_t first, last; /* builds, both included */
  struct exu_version from, to;
};

/* Versions of the run first..last of the group builds[start..end). */
static struct run find_run(size_t start, size_t first, size_t last, size_t end) {
  struct exu_version from = builds[first].build.version, to = builds[last].build.version;
  const struct exu_version *boundary;
  if (first == start) {
    struct exu_version candidate = {from.major, from.minor, 0, 0xC, 1};
    if ((boundary = boundary_between(&candidate, &from)))
      from = *boundary;
    else if (exu_version_hex(candidate) < exu_version_hex(from))
      from = candidate;
  } else if ((boundary = boundary_between(&builds[first - 1].build.version, &from))) {
    from = *boundary;
  }
  if (last + 1 < end && (boundary = boundary_between(&to, &builds[last + 1].build.version)))
    to = release_before(*boundary);
  return (struct run){first, last, from, to};
}

static void write_table(FILE *out, const char *name, const struct run *run) {
  struct build *build = &builds[run->last];
  for (size_t i = run->first; i < run->last; i++) {
    smallest(&build->layout.tstate_size, &builds[i].layout.tstate_size);
    smallest(&build->layout.interp_size, &builds[i].layout.interp_size);
    smallest(&build->layout.runtime_size, &builds[i].layout.runtime_size);
  }
  const struct build *named = NULL;
  for (size_t i = run->first; i <= run->last; i++) {
    fprintf(out, "/* %s */\n", builds[i].source);
    if (!named || builds[i].binary || !named->binary) named = &builds[i];
  }
  fprintf(out, "const struct exu_layout_table exu_%s = {\n", name);
  fprintf(out, "    .source = \"%s\",\n", named->source);
  write_version(out, "first", run->from);
  write_version(out, "last", run->to);
  fprintf(out, "    .debug = %s,\n", build->build.debug ? "true" : "false");
  fprintf(out, "    .free_threaded = %s,\n", build->build.free_threaded ? "true" : "false");
  fprintf(out, "    .machine = %u,\n", build->machine);
  fputs("    .layout =\n        {\n", out);
#define EXU_FIELD(name, types, paths)                                                                                  \
  if (build->layout.name.size)                                                                                         \
    fprintf(out, "            .%s = {%u, %u, %u, %u},\n", #name, build->layout.name.offset, build->layout.name.size,   \
            build->layout.name.bit_shift, build->layout.name.bit_count);
#define EXU_SIZE(name, types) EXU_FIELD(name, types, NULL)
#include "offsets/fields.def"
  fputs("        },\n};\n", out);
  char from[16], to[16];
  exu_version_text(run->from, from);
  exu_version_text(run->to, to);
  fprintf(stderr, "%s: %s to %s\n", name, from, to);
}

/* Write the C file of builds[start..end), all of one minor version and kind. Appends the tables' names to `names`. */
static void write_group(const char *directory, size_t start, size_t end, FILE *declarations, FILE *names) {
  char group[128];
  group_name(&builds[start], group, sizeof group);
  FILE *out = create(directory, group);
  fputs("/* Generated by tools/gen_offsets.c: do not edit. */\n/* clang-format off */\n#include "
        "\"python/layout/layout.h\"\n\n"
        "extern const struct exu_layout_table ",
        out);
  for (size_t i = start; i + 1 < end; i++) {
    complete(&builds[i], &builds[i + 1]);
    complete(&builds[i + 1], &builds[i]);
  }
  char *tables = NULL;
  size_t tables_size;
  FILE *body = open_memstream(&tables, &tables_size);
  if (!body) die("no memory", group);
  for (size_t first = start, last; first < end; first = last + 1) {
    for (last = first; last + 1 < end && same_layout(&builds[last], &builds[last + 1]);) last++;
    struct run run = find_run(start, first, last, end);
    char name[160];
    if (first == start)
      snprintf(name, sizeof name, "%s", group);
    else
      snprintf(name, sizeof name, "%s_from_%u", group, run.from.micro);
    fprintf(out, "%sexu_%s", first == start ? "" : ", ", name);
    fprintf(declarations, "extern const struct exu_layout_table exu_%s;\n", name);
    fprintf(names, "    &exu_%s,\n", name);
    fputs("\n", body);
    write_table(body, name, &run);
  }
  fclose(body);
  fprintf(out, ";\n%s", tables);
  free(tables);
  if (fclose(out) != 0) die("cannot write", group);
}

static void write_position(FILE *out, const char *name, struct exu_field field) {
  if (field.size)
    fprintf(out, "    .%s = %u,\n", name, field.offset);
  else
    fprintf(out, "    .%s = UINT16_MAX,\n", name);
}

/* Two builds of one minor version must agree on _Py_DebugOffsets: it is how they describe everything else. */
static void check_positions(const struct build *a, const struct build *b) {
  const struct exu_field *left = (const struct exu_field *)&a->positions,
                         *right = (const struct exu_field *)&b->positions;
  for (size_t i = 0; i < sizeof a->positions / sizeof *left; i++)
    if (!same_field(&left[i], &right[i])) die("_Py_DebugOffsets is not the same as in its neighbour", b->source);
}

static void write_positions(const char *directory, const struct build *build, FILE *declarations, FILE *names) {
  char name[64];
  snprintf(name, sizeof name, "debug_offsets_%u_%u", build->build.version.major, build->build.version.minor);
  FILE *out = create(directory, name);
  fprintf(out,
          "/* Generated by tools/gen_offsets.c: do not edit. */\n/* clang-format off */\n#include "
          "\"python/layout/layout.h\"\n\n"
          "extern const struct exu_debug_offsets_table exu_%s;\n\n/* %s */\n"
          "const struct exu_debug_offsets_table exu_%s = {\n    .major = %u,\n    .minor = %u,\n    .size = %u,\n",
          name, build->source, name, build->build.version.major, build->build.version.minor,
          build->positions.whole.size);
  write_position(out, "version", build->positions.version);
  write_position(out, "free_threaded", build->positions.free_threaded);
#define EXU_DEBUG_SIZE(field, structure) write_position(out, #field, build->positions.field);
#define EXU_DEBUG_OFFSET(field, structure, member, width)                                                              \
  write_position(out, #field, build->positions.field);                                                                 \
  write_position(out, #field "_bound", build->positions.field##_bound);
#include "offsets/debug_offsets.def"
  fputs("};\n", out);
  if (fclose(out) != 0) die("cannot write", name);
  fprintf(declarations, "extern const struct exu_debug_offsets_table exu_%s;\n", name);
  fprintf(names, "    &exu_%s,\n", name);
}

int main(int argc, char **argv) {
  if (argc != 2) die("usage", "gen_offsets OUTPUT-DIRECTORY < MANIFEST");
  elf_version(EV_CURRENT);
  read_manifest(stdin);
  if (build_count == 0) die("nothing to do", "the manifest is empty");
  qsort(builds, build_count, sizeof *builds, compare_builds);

  char *declared = NULL, *tables = NULL, *positions = NULL;
  size_t size;
  FILE *declarations = open_memstream(&declared, &size), *names = open_memstream(&tables, &size);
  FILE *position_names = open_memstream(&positions, &size);
  if (!declarations || !names || !position_names) die("no memory", "tables");
  for (size_t start = 0, end; start < build_count; start = end) {
    for (end = start + 1; end < build_count && same_group(&builds[start], &builds[end]);) end++;
    write_group(argv[1], start, end, declarations, names);
  }
  const struct build *last = NULL;
  for (size_t i = 0; i < build_count; i++) {
    if (!builds[i].has_positions) continue;
    bool same_minor = last && last->build.version.minor == builds[i].build.version.minor;
    if (same_minor)
      check_positions(last, &builds[i]);
    else
      write_positions(argv[1], &builds[i], declarations, position_names);
    last = &builds[i];
  }
  fclose(declarations);
  fclose(names);
  fclose(position_names);

  FILE *out = create(argv[1], "tables");
  fprintf(out,
          "/* Generated by tools/gen_offsets.c: do not edit. */\n/* clang-format off */\n#include "
          "\"python/layout/layout.h\"\n\n%s\n"
          "const struct exu_layout_table *const exu_layout_tables[] = {\n%s};\n"
          "const size_t exu_layout_table_count = sizeof exu_layout_tables / sizeof *exu_layout_tables;\n\n"
          "const struct exu_debug_offsets_table *const exu_debug_offsets_tables[] = {\n%s};\n"
          "const size_t exu_debug_offsets_table_count =\n"
          "    sizeof exu_debug_offsets_tables / sizeof *exu_debug_offsets_tables;\n",
          declared, tables, positions);
  if (fclose(out) != 0) die("cannot write", "tables.c");
  free(declared);
  free(tables);
  free(positions);
  return EXIT_SUCCESS;
}
