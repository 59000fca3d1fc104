/* SPDX-License-Identifier: Apache-2.0 */
/* Reading layouts from DWARF: of sources compiled here, in several versions of it, and of installed interpreters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <gelf.h>
#include <glob.h>
#include <unistd.h>

#include "python/layout/debug_offsets.h"
#include "python/layout/dwarf.h"
#include "python/layout/layout.h"

enum { PATH_SIZE = 4096, HINTS = 8 };

/* ---- Helpers ----------------------------------------------------------------------------------------------------- */

struct file {
  int fd;
  Dwarf *dwarf;
  Elf *elf;
};

static struct file file_open(const char *path) {
  struct file file = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
  assert_true(file.fd >= 0);
  file.dwarf = dwarf_begin(file.fd, DWARF_C_READ);
  file.elf = file.dwarf ? dwarf_getelf(file.dwarf) : NULL;
  return file;
}

static void file_close(struct file *file) {
  if (file->dwarf) dwarf_end(file->dwarf);
  close(file->fd);
}

/* In the tables of that type: SHT_DYNSYM or SHT_SYMTAB. */
static bool find_in_table(Elf *elf, GElf_Word type, const char *name, GElf_Sym *symbol) {
  Elf_Scn *section = NULL;
  while ((section = elf_nextscn(elf, section))) {
    GElf_Shdr header;
    if (!gelf_getshdr(section, &header) || header.sh_type != type) continue;
    Elf_Data *data = elf_getdata(section, NULL);
    for (size_t i = 0; i < header.sh_size / header.sh_entsize; i++)
      if (gelf_getsym(data, (int)i, symbol) && symbol->st_shndx != SHN_UNDEF &&
          strcmp(elf_strptr(elf, header.sh_link, symbol->st_name), name) == 0)
        return true;
  }
  return false;
}

static bool find_symbol(Elf *elf, const char *name, GElf_Sym *symbol) {
  return find_in_table(elf, SHT_DYNSYM, name, symbol);
}

/* The bytes of a symbol's variable, in the file; NULL when the file has none of them. */
static const void *bytes_of(Elf *elf, const char *name, size_t *size) {
  GElf_Sym symbol;
  GElf_Shdr header;
  if (!find_symbol(elf, name, &symbol)) return NULL;
  Elf_Scn *section = elf_getscn(elf, symbol.st_shndx);
  assert_non_null(gelf_getshdr(section, &header));
  if (header.sh_type == SHT_NOBITS) return NULL;
  Elf_Data *data = elf_getdata(section, NULL);
  *size = symbol.st_size;
  return (const char *)data->d_buf + (symbol.st_value - header.sh_addr);
}

static size_t hints_of(Elf *elf, const char *const *names, Dwarf_Addr hints[HINTS]) {
  size_t count = 0;
  GElf_Sym symbol;
  for (size_t i = 0; names[i] && count < HINTS; i++)
    if (find_symbol(elf, names[i], &symbol)) hints[count++] = symbol.st_value;
  return count;
}

/* Where compile() has put the library. */
static char compiled[PATH_SIZE];

/* Compile files of data/layout into a shared library. Skips the test when the compiler cannot do that. */
static void compile(const char *compiler, const char *options, const char *sources) {
  const char *directory = getenv("TMPDIR");
  char *command;
  snprintf(compiled, sizeof compiled, "%s/exuvia-layout-XXXXXX", directory ? directory : "/tmp");
  int fd = mkstemp(compiled);
  assert_true(fd >= 0);
  close(fd);
  assert_true(asprintf(&command, "cd data/layout && %s -O1 -shared -fPIC %s -o '%s' %s 2> /dev/null", compiler, options,
                       compiled, sources) > 0);
  int status = system(command);
  free(command);
  if (status != 0) {
    unlink(compiled);
    skip();
  }
}

static bool same(struct exu_field a, struct exu_field b) {
  return a.offset == b.offset && a.size == b.size && a.bit_shift == b.bit_shift && a.bit_count == b.bit_count;
}

/* The name of the first field that differs, but for sizes that patch releases change; NULL when none does. */
static const char *difference(const struct exu_layout *a, const struct exu_layout *b) {
#define EXU_FIELD(name, types, paths)                                                                                  \
  if (strcmp(#name, "runtime_size") != 0 && strcmp(#name, "interp_size") != 0 && strcmp(#name, "tstate_size") != 0 &&  \
      !same(a->name, b->name))                                                                                         \
    return #name;
#define EXU_SIZE(name, types) EXU_FIELD(name, types, NULL)
#include "offsets/fields.def"
  return NULL;
}

/* ---- Sources compiled here --------------------------------------------------------------------------------------- */

static uint64_t read_field(const uint8_t *bytes, struct exu_field field) {
  uint64_t value = 0;
  for (uint32_t i = 0; i < field.size; i++) value |= (uint64_t)bytes[field.offset + i] << 8 * i;
  return value >> field.bit_shift & ((1ull << field.bit_count) - 1);
}

static void check_shapes(const char *compiler, const char *options) {
  compile(compiler, options, "shapes.c");
  struct file file = file_open(compiled);
  enum { OFFSETS = 8, BITS = 6 };
  struct exu_dwarf_field queries[] = {
      {.types = "AnonymousBehindTypedef", .paths = "qualified"},
      {.types = "Missing|SecondName", .paths = "missing|atomic"},
      {.types = "SecondName", .paths = "tail"},
      {.types = "Tagged", .paths = "in_union"},
      {.types = "Tagged", .paths = "deep_b"},
      {.types = "Tagged", .paths = "outer.named.inner"},
      {.types = "Tagged", .paths = "outer.array"},
      {.types = "Tagged", .paths = "pointer"},
      {.types = "Bits", .paths = "state.interned"},
      {.types = "Bits", .paths = "state.kind"},
      {.types = "Bits", .paths = "state.compact"},
      {.types = "Bits", .paths = "state.wide"},
      {.types = "Bits", .paths = "state.byte"},
      {.types = "Bits", .paths = "state.huge"},
      {.types = "Missing", .paths = "first"},
      {.types = "Tagged", .paths = "pointer.first"},
      {.types = "Tagged", .paths = "outer.missing"},
      {.types = "Forward", .paths = "first"},
      {.types = "Tagged"},
  };
  static const uint32_t sizes[OFFSETS] = {4, 2, 1, 8, 4, 2, 8, 8};
  static const uint64_t values[BITS] = {1, 5, 0, 0xABCDE, 0x55, 0x2ABCDEF012345};
  assert_true(exu_dwarf_find(file.dwarf, queries, sizeof queries / sizeof *queries));
  size_t size;
  const size_t *expected = bytes_of(file.elf, "expected_offsets", &size);
  const uint8_t *bits = bytes_of(file.elf, "sample_bits", &size);
  for (size_t i = 0; i < OFFSETS; i++) {
    assert_int_equal(queries[i].field.offset, expected[i]);
    assert_int_equal(queries[i].field.size, sizes[i]);
    assert_int_equal(queries[i].field.bit_count, 0);
  }
  for (size_t i = 0; i < BITS; i++) {
    struct exu_field field = queries[OFFSETS + i].field;
    assert_true(field.size > 0 && field.bit_count > 0 && field.offset + field.size <= size);
    assert_int_equal(read_field(bits, field), values[i]);
  }
  for (size_t i = OFFSETS + BITS; i < OFFSETS + BITS + 4; i++) assert_int_equal(queries[i].field.size, 0);
  assert_int_equal(queries[OFFSETS + BITS + 4].field.size, 152);
  file_close(&file);
  unlink(compiled);
}

static void shapes_of_dwarf_5_are_read(void **state) {
  (void)state;
  check_shapes("gcc", "-gdwarf-5");
}

static void shapes_of_dwarf_4_are_read(void **state) {
  (void)state;
  check_shapes("gcc", "-gdwarf-4 -gstrict-dwarf");
}

static void shapes_of_dwarf_2_are_read(void **state) {
  (void)state;
  check_shapes("gcc", "-gdwarf-2 -gstrict-dwarf");
}

static void shapes_in_type_units_are_read(void **state) {
  (void)state;
  check_shapes("gcc", "-gdwarf-5 -fdebug-types-section");
}

static void shapes_written_by_clang_are_read(void **state) {
  (void)state;
  check_shapes("clang", "-g");
}

static void check_layout(const char *compiler, const char *options, const char *hint) {
  compile(compiler, options, "eval.c state.c");
  struct file file = file_open(compiled);
  const char *const names[] = {hint, NULL};
  Dwarf_Addr hints[HINTS];
  struct exu_layout layout;
  size_t count = hint ? hints_of(file.elf, names, hints) : 0;
  assert_int_equal(count, hint != NULL);
  assert_true(exu_layout_from_dwarf(file.dwarf, hints, count, &layout));
  assert_int_equal(layout.object_type.offset, 8);
  assert_int_equal(layout.type_name.offset, 24);
  assert_int_equal(layout.code_firstlineno.offset, 16);
  assert_int_equal(layout.code_firstlineno.size, 4);
  assert_int_equal(layout.frame_back.offset, 16);
  assert_int_equal(layout.tstate_next.offset, 8); /* defined in the other unit only */
  assert_int_equal(layout.tstate_thread_id.offset, 32);
  assert_int_equal(layout.interp_threads_head.offset, 8);
  assert_int_equal(layout.iframe_previous.size, 0);
  file_close(&file);
  unlink(compiled);
}

static void types_of_another_unit_are_found(void **state) {
  (void)state;
  check_layout("gcc", "-g", "eval");
}

static void hints_are_optional_and_may_be_wrong(void **state) {
  (void)state;
  check_layout("gcc", "-g", NULL);
  check_layout("gcc", "-g", "state");
}

static void a_link_time_optimized_library_is_read(void **state) {
  (void)state;
  check_layout("gcc", "-g -flto", "eval");
}

static void units_without_aranges_are_found(void **state) {
  (void)state;
  check_layout("clang", "-g", "eval");
}

static void what_is_not_python_is_refused_and_the_layout_untouched(void **state) {
  (void)state;
  compile("gcc", "-g", "shapes.c");
  struct file file = file_open(compiled);
  struct exu_layout layout, before;
  memset(&layout, 0x5A, sizeof layout);
  before = layout;
  Dwarf_Addr hint = 0x1000;
  assert_false(exu_layout_from_dwarf(file.dwarf, NULL, 0, &layout));
  assert_false(exu_layout_from_dwarf(file.dwarf, &hint, 1, &layout));
  assert_memory_equal(&layout, &before, sizeof layout);
  file_close(&file);
  unlink(compiled);
}

/* Bytes of .debug_info are overwritten one after the other: a wrong answer is allowed, a crash or a hang is not. */
static void damaged_dwarf_does_no_harm(void **state) {
  (void)state;
  compile("gcc", "-g", "eval.c state.c");
  int fd = open(compiled, O_RDWR | O_CLOEXEC);
  assert_true(fd >= 0);
  struct file file = file_open(compiled);
  GElf_Shdr header = {0};
  Elf_Scn *section = NULL;
  size_t names;
  assert_int_equal(elf_getshdrstrndx(file.elf, &names), 0);
  while ((section = elf_nextscn(file.elf, section)))
    if (gelf_getshdr(section, &header) && strcmp(elf_strptr(file.elf, names, header.sh_name), ".debug_info") == 0)
      break;
  assert_non_null(section);
  static const char *const hint_names[] = {"eval", NULL};
  Dwarf_Addr hints[HINTS];
  size_t count = hints_of(file.elf, hint_names, hints);
  file_close(&file);
  static const uint8_t bad[] = {0x00, 0x01, 0x7F, 0xFF};
  for (uint64_t at = 0; at < header.sh_size; at++) {
    uint8_t good;
    assert_int_equal(pread(fd, &good, 1, (off_t)(header.sh_offset + at)), 1);
    for (size_t i = 0; i < sizeof bad; i++) {
      struct exu_layout layout;
      assert_int_equal(pwrite(fd, &bad[i], 1, (off_t)(header.sh_offset + at)), 1);
      file = file_open(compiled);
      if (file.dwarf) exu_layout_from_dwarf(file.dwarf, hints, i % 2 ? count : 0, &layout);
      file_close(&file);
    }
    assert_int_equal(pwrite(fd, &good, 1, (off_t)(header.sh_offset + at)), 1);
  }
  close(fd);
  unlink(compiled);
}

/* ---- The machine's interpreters ---------------------------------------------------------------------------------- */

/* Libraries with their own DWARF that pyenv has built. */
static size_t find_libraries(glob_t *found) {
  char pattern[PATH_SIZE];
  const char *root = getenv("PYENV_ROOT"), *home = getenv("HOME");
  snprintf(pattern, sizeof pattern, "%s%s/versions/*/lib/libpython[23].[0-9]*.so.1.0",
           root   ? root
           : home ? home
                  : "",
           root ? "" : "/.pyenv");
  return glob(pattern, 0, NULL, found) == 0 ? found->gl_pathc : 0;
}

/* The version that is in the path: ".../versions/3.11.7/lib/...". */
static bool build_of_path(const char *path, struct exu_build *build) {
  unsigned major, minor, micro;
  const char *versions = strstr(path, "/versions/");
  if (!versions || sscanf(versions, "/versions/%u.%u.%u", &major, &minor, &micro) != 3) return false;
  *build = (struct exu_build){.version = {(uint8_t)major, (uint8_t)minor, (uint8_t)micro, 0xF, 0}};
  return true;
}

static size_t hints_of_version(Elf *elf, struct exu_version version, Dwarf_Addr hints[HINTS]) {
  const char *names[HINTS + 1] = {NULL};
  size_t count = 0;
  for (const struct exu_layout_hint *hint = exu_layout_hints; hint->symbol && count < HINTS; hint++)
    if (exu_layout_hint_is_of(hint, version)) names[count++] = hint->symbol;
  return hints_of(elf, names, hints);
}

static void check_hints(const char *path, struct exu_version version) {
  struct file file = file_open(path);
  GElf_Sym symbol;
  if (file.dwarf && find_in_table(file.elf, SHT_SYMTAB, "PyDict_New", &symbol)) {
    for (const struct exu_layout_hint *hint = exu_layout_hints; hint->symbol; hint++) {
      const bool is_there = find_in_table(file.elf, SHT_SYMTAB, hint->symbol, &symbol);
      if (is_there != exu_layout_hint_is_of(hint, version))
        fail_msg("%s %s %s", path, is_there ? "has" : "lacks", hint->symbol);
    }
  }
  file_close(&file);
}

static void check_library(const char *path, const struct exu_build *build) {
  struct file file = file_open(path);
  GElf_Ehdr header;
  Dwarf_Addr hints[HINTS];
  struct exu_layout hinted, searched;
  bool exact;
  if (!file.dwarf) {
    file_close(&file);
    return;
  }
  assert_non_null(gelf_getehdr(file.elf, &header));
  const struct exu_layout_table *table = exu_layout_find(build, header.e_machine, &exact);
  if (!table || !exact) {
    print_message("no table that is exact for %s\n", path);
    file_close(&file);
    return;
  }
  size_t count = hints_of_version(file.elf, build->version, hints), size;
  assert_true(exu_layout_from_dwarf(file.dwarf, hints, count, &hinted));
  assert_true(exu_layout_from_dwarf(file.dwarf, NULL, 0, &searched));
  if (searched.buffered_lock.size) assert_null(difference(&searched, &table->layout));
  exu_layout_take_rest(&hinted, &table->layout);
  exu_layout_take_rest(&searched, &table->layout);
  const char *wrong = difference(&hinted, &table->layout);
  if (wrong) fail_msg("%s: %s is not what the table says", path, wrong);
  if ((wrong = difference(&hinted, &searched))) fail_msg("%s: %s depends on the hints", path, wrong);

  /* The debug offsets of 3.13 and later, as they are in the file. */
  const uint8_t *bytes = bytes_of(file.elf, "_PyRuntime", &size);
  if (bytes && build->version.major == 3 && build->version.minor >= 13) {
    struct exu_build told;
    const struct exu_debug_offsets_table *offsets;
    struct exu_error error = {0};
    struct exu_layout layout = searched;
    bool known;
    if (!exu_debug_offsets_parse(bytes, size, &told, &offsets, &known, &error)) fail_msg("%s", error.message);
    assert_true(exu_debug_offsets_apply(offsets, bytes, size, &layout, &error));
    if ((wrong = difference(&layout, &searched))) fail_msg("%s: debug offsets and DWARF differ on %s", path, wrong);
    assert_int_equal(exu_version_hex(told.version), exu_version_hex(build->version));
    assert_int_equal(exu_debug_offsets_is_debug(offsets, bytes, size, &told), EXU_NO);
  }
  file_close(&file);
}

static void dwarf_tables_and_debug_offsets_of_installed_interpreters_agree(void **state) {
  (void)state;
  glob_t found;
  size_t count = find_libraries(&found);
  if (count == 0) skip();
  for (size_t i = 0; i < count; i++) {
    struct exu_build build;
    if (build_of_path(found.gl_pathv[i], &build)) check_library(found.gl_pathv[i], &build);
  }
  globfree(&found);
}

static void hints_are_of_the_versions_that_have_them(void **state) {
  (void)state;
  glob_t found;
  size_t count = find_libraries(&found);
  if (count == 0) skip();
  for (size_t i = 0; i < count; i++) {
    struct exu_build build;
    if (build_of_path(found.gl_pathv[i], &build)) check_hints(found.gl_pathv[i], build.version);
  }
  globfree(&found);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_of_dwarf_5_are_read),
      cmocka_unit_test(shapes_of_dwarf_4_are_read),
      cmocka_unit_test(shapes_of_dwarf_2_are_read),
      cmocka_unit_test(shapes_in_type_units_are_read),
      cmocka_unit_test(shapes_written_by_clang_are_read),
      cmocka_unit_test(types_of_another_unit_are_found),
      cmocka_unit_test(hints_are_optional_and_may_be_wrong),
      cmocka_unit_test(a_link_time_optimized_library_is_read),
      cmocka_unit_test(units_without_aranges_are_found),
      cmocka_unit_test(what_is_not_python_is_refused_and_the_layout_untouched),
      cmocka_unit_test(damaged_dwarf_does_no_harm),
      cmocka_unit_test(hints_are_of_the_versions_that_have_them),
      cmocka_unit_test(dwarf_tables_and_debug_offsets_of_installed_interpreters_agree),
  };
  elf_version(EV_CURRENT);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
