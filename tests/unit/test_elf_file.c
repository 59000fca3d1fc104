/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "binary/elf_file.h"
#include "files.h"

/* A local symbol of this very program. */
static int __attribute__((noinline, used)) exu_test_local_marker(int value) { return value * 3 + 1; }

static char *scratch;
static char self_path[4096];
static char libc_path[4096];
static uint64_t self_bias, libc_bias;
static struct exu_build_id self_id, libc_id;

static struct exu_build_id id_in_memory(const struct dl_phdr_info *info) {
  struct exu_build_id id = {.size = 0};
  for (size_t i = 0; i < info->dlpi_phnum && id.size == 0; i++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
    if (segment->p_type == PT_NOTE)
      id = exu_elf_note_build_id((const void *)(info->dlpi_addr + segment->p_vaddr), segment->p_filesz,
                                 segment->p_align, false);
  }
  return id;
}

static int note_object(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  (void)context;
  if (!*info->dlpi_name && !self_bias) {
    self_bias = info->dlpi_addr;
    self_id = id_in_memory(info);
  } else if (strstr(info->dlpi_name, "/libc.so") || strstr(info->dlpi_name, "/libc-")) {
    libc_bias = info->dlpi_addr;
    libc_id = id_in_memory(info);
    snprintf(libc_path, sizeof libc_path, "%s", info->dlpi_name);
  }
  return 0;
}

static int set_up(void **state) {
  (void)state;
  ssize_t size = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
  if (size <= 0) return -1;
  dl_iterate_phdr(note_object, NULL);
  scratch = scratch_create();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  scratch_remove(scratch);
  return 0;
}

static struct exu_elf_file *open_file(const char *path) {
  struct exu_error error = {EXU_OK, ""};
  struct exu_elf_file *file = exu_elf_file_open(path, &error);
  if (!file) fail_msg("%s", error.message);
  return file;
}

/* Bytes as an anonymous file, opened. */
static struct exu_elf_file *open_bytes(const void *bytes, size_t size) {
  int fd = memfd_create("elf", MFD_CLOEXEC);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, bytes, size), size);
  return exu_elf_file_open_fd(fd, "memory", NULL);
}

static void build_id_is_the_one_in_memory(void **state) {
  (void)state;
  struct exu_elf_file *file = open_file(self_path);
  struct exu_build_id id = exu_elf_file_build_id(file);
  assert_true(exu_build_id_equal(&id, &self_id));
  exu_elf_file_close(file);
  file = open_file(libc_path);
  id = exu_elf_file_build_id(file);
  assert_true(id.size > 0);
  assert_true(exu_build_id_equal(&id, &libc_id));
  exu_elf_file_close(file);
}

static void build_id_is_what_readelf_says(void **state) {
  (void)state;
  char command[4200], line[1024], text[2 * EXU_BUILD_ID_MAX + 1] = "", said[256] = "";
  snprintf(command, sizeof command, "LC_ALL=C readelf -n '%s' 2>/dev/null", libc_path);
  FILE *pipe = popen(command, "r");
  assert_non_null(pipe);
  while (fgets(line, sizeof line, pipe)) {
    char *at = strstr(line, "Build ID: ");
    if (at) sscanf(at, "Build ID: %200s", said);
  }
  if (pclose(pipe) != 0 || !*said) skip();
  struct exu_elf_file *file = open_file(libc_path);
  struct exu_build_id id = exu_elf_file_build_id(file);
  for (size_t i = 0; i < id.size; i++) snprintf(text + 2 * i, 3, "%02x", id.bytes[i]);
  assert_string_equal(text, said);
  exu_elf_file_close(file);
}

static void build_id_is_found_in_sections_without_program_headers(void **state) {
  (void)state;
  size_t size;
  uint8_t *bytes = read_whole(libc_path, &size);
  ElfW(Ehdr) header;
  memcpy(&header, bytes, sizeof header);
  header.e_phoff = 0;
  header.e_phnum = 0;
  memcpy(bytes, &header, sizeof header);
  struct exu_elf_file *file = open_bytes(bytes, size);
  assert_non_null(file);
  struct exu_build_id id = exu_elf_file_build_id(file);
  assert_true(exu_build_id_equal(&id, &libc_id));
  uint64_t vaddr;
  assert_false(exu_elf_file_first_load(file, &vaddr));
  exu_elf_file_close(file);
  free(bytes);
}

static void local_symbol_is_found_where_it_runs(void **state) {
  (void)state;
  struct exu_elf_file *file = open_file(self_path);
  struct exu_elf_symbol symbol;
  assert_true(exu_elf_file_symbols(file) >= EXU_SYMBOLS_SYMTAB);
  assert_true(exu_elf_file_symbol(file, "exu_test_local_marker", &symbol));
  assert_int_equal(symbol.value + self_bias, (uintptr_t)&exu_test_local_marker);
  assert_true(symbol.size > 0);
  assert_false(exu_elf_file_symbol(file, "exu_test_local_marke", &symbol));
  assert_false(exu_elf_file_symbol(file, "", &symbol));
  exu_elf_file_close(file);
}

static void exported_symbol_is_found_where_it_runs(void **state) {
  (void)state;
  struct exu_elf_file *file = open_file(libc_path);
  static const char *const names[] = {"getpid", "environ", "qsort", "_IO_2_1_stdout_"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct exu_elf_symbol symbol;
    void *handle = dlopen(libc_path, RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(handle);
    ElfW(Sym) *found = NULL;
    Dl_info info;
    void *address = dlsym(handle, names[i]);
    assert_non_null(address);
    assert_true(dladdr1(address, &info, (void **)&found, RTLD_DL_SYMENT) != 0);
    dlclose(handle);
    assert_true(exu_elf_file_symbol(file, names[i], &symbol));
    /* A sanitizer may have put its own function in front of libc's. */
    if (strcmp(info.dli_fname, libc_path) == 0) assert_int_equal(symbol.value + libc_bias, (uintptr_t)address);
  }
  exu_elf_file_close(file);
}

/* The symbols of `names` as file A has them are those of file B. */
static void assert_same_symbols(struct exu_elf_file *a, struct exu_elf_file *b) {
  static const char *const names[] = {"getpid", "environ", "qsort", "fopen64", "no_such_symbol", "__libc_start_main"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct exu_elf_symbol first = {0, 0}, second = {0, 0};
    assert_int_equal(exu_elf_file_symbol(a, names[i], &first), exu_elf_file_symbol(b, names[i], &second));
    assert_int_equal(first.value, second.value);
    assert_int_equal(first.size, second.size);
  }
}

static void symbols_survive_the_loss_of_section_headers(void **state) {
  (void)state;
  size_t size;
  uint8_t *bytes = read_whole(libc_path, &size);
  ElfW(Ehdr) header;
  memcpy(&header, bytes, sizeof header);
  header.e_shoff = 0;
  header.e_shnum = header.e_shstrndx = 0;
  memcpy(bytes, &header, sizeof header);
  struct exu_elf_file *whole = open_file(libc_path), *file = open_bytes(bytes, size);
  uint64_t address, length;
  assert_non_null(file);
  assert_int_equal(exu_elf_file_symbols(file), EXU_SYMBOLS_DYNSYM);
  assert_same_symbols(whole, file);
  assert_false(exu_elf_file_section(file, ".text", &address, &length));
  assert_null(exu_elf_file_dwarf(file));
  struct exu_build_id id = exu_elf_file_build_id(file);
  assert_true(exu_build_id_equal(&id, &libc_id));
  exu_elf_file_close(whole);
  exu_elf_file_close(file);
  free(bytes);
}

static void symbols_without_a_hash_table_are_the_same(void **state) {
  (void)state;
  size_t size;
  uint8_t *bytes = read_whole(libc_path, &size);
  ElfW(Ehdr) header;
  memcpy(&header, bytes, sizeof header);
  for (size_t i = 0; i < header.e_phnum; i++) {
    ElfW(Phdr) segment;
    memcpy(&segment, bytes + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type != PT_DYNAMIC) continue;
    for (size_t k = 0; k < segment.p_filesz / sizeof(ElfW(Dyn)); k++) {
      ElfW(Dyn) entry;
      uint8_t *place = bytes + segment.p_offset + k * sizeof entry;
      memcpy(&entry, place, sizeof entry);
      if (entry.d_tag == DT_NULL) break;
      if (entry.d_tag != DT_GNU_HASH && entry.d_tag != DT_HASH) continue;
      entry.d_tag = 0x6fff0000;
      memcpy(place, &entry, sizeof entry);
    }
  }
  struct exu_elf_file *whole = open_file(libc_path), *file = open_bytes(bytes, size);
  assert_non_null(file);
  assert_same_symbols(whole, file);
  exu_elf_file_close(whole);
  exu_elf_file_close(file);
  free(bytes);
}

static void stripped_file_has_no_local_symbols(void **state) {
  (void)state;
  char *path = path_in(scratch, "stripped");
  run_command("strip -o '%s' '%s'", path, self_path);
  struct exu_elf_file *file = open_file(path);
  struct exu_elf_symbol symbol;
  enum exu_symbols symbols = exu_elf_file_symbols(file);
  assert_true(symbols == EXU_SYMBOLS_DYNSYM || symbols == EXU_SYMBOLS_NONE);
  assert_false(exu_elf_file_symbol(file, "exu_test_local_marker", &symbol));
  assert_null(exu_elf_file_dwarf(file));
  assert_false(exu_elf_file_debug_only(file));
  struct exu_build_id id = exu_elf_file_build_id(file);
  assert_true(exu_build_id_equal(&id, &self_id));
  exu_elf_file_close(file);
  free(path);
}

static void debug_only_file_has_the_id_and_the_symbols_but_no_code(void **state) {
  (void)state;
  char *path = path_in(scratch, "only.debug");
  run_command("objcopy --only-keep-debug '%s' '%s'", self_path, path);
  struct exu_elf_file *whole = open_file(self_path), *file = open_file(path);
  struct exu_elf_symbol symbol;
  assert_true(exu_elf_file_debug_only(file));
  assert_false(exu_elf_file_debug_only(whole));
  assert_int_equal(exu_elf_file_symbols(file), exu_elf_file_symbols(whole));
  assert_int_equal(!exu_elf_file_dwarf(file), !exu_elf_file_dwarf(whole));
  assert_true(exu_elf_file_symbol(file, "exu_test_local_marker", &symbol));
  assert_int_equal(symbol.value + self_bias, (uintptr_t)&exu_test_local_marker);
  struct exu_build_id id = exu_elf_file_build_id(file);
  assert_true(exu_build_id_equal(&id, &self_id));
  exu_elf_file_close(whole);
  exu_elf_file_close(file);
  free(path);
}

static void section_is_found_by_its_name(void **state) {
  (void)state;
  struct exu_elf_file *file = open_file(self_path);
  uint64_t address, size, vaddr;
  uint64_t marker = (uintptr_t)&exu_test_local_marker - self_bias;
  assert_true(exu_elf_file_section(file, ".text", &address, &size));
  assert_true(marker >= address && marker < address + size);
  assert_false(exu_elf_file_section(file, ".no.such", &address, &size));
  assert_true(exu_elf_file_first_load(file, &vaddr));
  assert_int_equal(vaddr % 4096, 0);
  exu_elf_file_close(file);
}

static void only_regular_elf_files_are_opened(void **state) {
  (void)state;
  struct exu_error error;
  char *pipe = path_in(scratch, "pipe"), *text = path_in(scratch, "text"), *empty = path_in(scratch, "empty");
  char *cut = path_in(scratch, "cut"), *none = path_in(scratch, "none");
  assert_int_equal(mkfifo(pipe, 0600), 0);
  write_whole(text, "#!/bin/sh\n", 10);
  write_whole(empty, "", 0);
  write_whole(cut,
              "\x7f"
              "ELF\2\1\1",
              7);
  const struct {
    const char *path;
    enum exu_status status;
  } cases[] = {{pipe, EXU_BAD_FORMAT}, {"/dev/null", EXU_BAD_FORMAT}, {scratch, EXU_BAD_FORMAT},
               {text, EXU_BAD_FORMAT}, {empty, EXU_BAD_FORMAT},       {cut, EXU_BAD_FORMAT},
               {none, EXU_NOT_FOUND}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_null(exu_elf_file_open(cases[i].path, &error));
    assert_int_equal(error.status, cases[i].status);
    assert_non_null(strstr(error.message, cases[i].path));
  }
  exu_elf_file_close(NULL);
  free(pipe), free(text), free(empty), free(cut), free(none);
}

enum { ONLY_LOCAL = 0x100, BOTH_LOCAL = 0x200, BOTH_GLOBAL = 0x300, TAIL = 0x400 };

/* A file with four symbols, of any class and byte order. */
static void write_symbols(const char *path, unsigned char elf_class, unsigned char order) {
  static char strings[] = "\0only_local\0both\0undefined\0prefix_tail";
  static char names[] = "\0.symtab\0.strtab\0.shstrtab";
  const GElf_Sym symbols[] = {
      {0},
      {.st_name = 1,
       .st_info = GELF_ST_INFO(STB_LOCAL, STT_OBJECT),
       .st_shndx = 1,
       .st_value = ONLY_LOCAL,
       .st_size = 8},
      {.st_name = 12, .st_info = GELF_ST_INFO(STB_LOCAL, STT_OBJECT), .st_shndx = 1, .st_value = BOTH_LOCAL},
      {.st_name = 12, .st_info = GELF_ST_INFO(STB_GLOBAL, STT_OBJECT), .st_shndx = 1, .st_value = BOTH_GLOBAL},
      {.st_name = 17, .st_info = GELF_ST_INFO(STB_GLOBAL, STT_OBJECT), .st_shndx = SHN_UNDEF, .st_value = 1},
      {.st_name = 34, .st_info = GELF_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = 1, .st_value = TAIL},
  };
  const size_t count = sizeof symbols / sizeof symbols[0];
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  elf_version(EV_CURRENT);
  Elf *elf = elf_begin(fd, ELF_C_WRITE, NULL);
  GElf_Ehdr header;
  assert_non_null(elf);
  assert_non_null(gelf_newehdr(elf, elf_class));
  assert_non_null(gelf_getehdr(elf, &header));
  header.e_ident[EI_DATA] = order;
  header.e_type = ET_REL;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_shstrndx = 3;
  gelf_update_ehdr(elf, &header);
  struct {
    GElf_Word name, type, link, info;
    void *bytes;
    size_t size;
    Elf_Type kind;
  } sections[] = {{1, SHT_SYMTAB, 2, 3, NULL, gelf_fsize(elf, ELF_T_SYM, count, EV_CURRENT), ELF_T_SYM},
                  {9, SHT_STRTAB, 0, 0, strings, sizeof strings, ELF_T_BYTE},
                  {17, SHT_STRTAB, 0, 0, names, sizeof names, ELF_T_BYTE}};
  sections[0].bytes = calloc(count, sizeof(GElf_Sym));
  for (size_t i = 0; i < 3; i++) {
    Elf_Scn *section = elf_newscn(elf);
    Elf_Data *data = elf_newdata(section);
    data->d_buf = sections[i].bytes;
    data->d_size = sections[i].size;
    data->d_type = sections[i].kind;
    data->d_align = 8;
    data->d_version = EV_CURRENT;
    for (size_t k = 0; i == 0 && k < count; k++) {
      GElf_Sym symbol = symbols[k];
      gelf_update_sym(data, (int)k, &symbol);
    }
    GElf_Shdr shdr;
    gelf_getshdr(section, &shdr);
    shdr.sh_name = sections[i].name;
    shdr.sh_type = sections[i].type;
    shdr.sh_link = sections[i].link;
    shdr.sh_info = sections[i].info;
    gelf_update_shdr(section, &shdr);
  }
  assert_true(elf_update(elf, ELF_C_WRITE) > 0);
  elf_end(elf);
  close(fd);
  free(sections[0].bytes);
}

static void symbol_rules_hold_for_every_class_and_byte_order(void **state) {
  (void)state;
  static const unsigned char classes[] = {ELFCLASS32, ELFCLASS64}, orders[] = {ELFDATA2LSB, ELFDATA2MSB};
  for (size_t i = 0; i < 4; i++) {
    char *path = path_in(scratch, "symbols");
    write_symbols(path, classes[i / 2], orders[i % 2]);
    struct exu_elf_file *file = open_file(path);
    struct exu_elf_symbol symbol;
    assert_int_equal(exu_elf_file_machine(file), EM_X86_64);
    assert_int_equal(exu_elf_file_symbols(file), EXU_SYMBOLS_SYMTAB);
    assert_true(exu_elf_file_symbol(file, "only_local", &symbol));
    assert_int_equal(symbol.value, ONLY_LOCAL);
    assert_int_equal(symbol.size, 8);
    assert_true(exu_elf_file_symbol(file, "both", &symbol)); /* the global one */
    assert_int_equal(symbol.value, BOTH_GLOBAL);
    assert_true(exu_elf_file_symbol(file, "tail", &symbol)); /* its name is the end of another string */
    assert_int_equal(symbol.value, TAIL);
    assert_false(exu_elf_file_symbol(file, "undefined", &symbol));
    assert_false(exu_elf_file_symbol(file, "prefix_tail", &symbol)); /* a string, but no symbol's name */
    assert_false(exu_elf_file_symbol(file, "prefix", &symbol));
    exu_elf_file_close(file);
    free(path);
  }
}

/* Ask a file everything. */
static void use(struct exu_elf_file *file) {
  struct exu_elf_symbol symbol;
  uint64_t a, b;
  if (!file) return;
  (void)exu_elf_file_build_id(file);
  (void)exu_elf_file_symbols(file);
  (void)exu_elf_file_debug_only(file);
  (void)exu_elf_file_first_load(file, &a);
  (void)exu_elf_file_symbol(file, "getpid", &symbol);
  (void)exu_elf_file_symbol(file, "no_such_symbol", &symbol);
  (void)exu_elf_file_section(file, ".PyRuntime", &a, &b);
  exu_elf_file_close(file);
}

static uint32_t next_random(uint32_t *seed) { return *seed = *seed * 1664525 + 1013904223, *seed >> 8; }

static void corrupt_files_do_no_harm(void **state) {
  (void)state;
  size_t size;
  uint8_t *bytes = read_whole(libc_path, &size);
  int fd = memfd_create("corrupt", MFD_CLOEXEC);
  assert_int_equal(write(fd, bytes, size), size);
  ElfW(Ehdr) header;
  memcpy(&header, bytes, sizeof header);
  /* Where structure is: the header, the tables of headers, PT_DYNAMIC and what it points to. */
  const struct {
    uint64_t offset, size;
  } areas[] = {{0, 64},
               {header.e_phoff, (uint64_t)header.e_phnum * 56},
               {header.e_shoff, (uint64_t)header.e_shnum * 64},
               {0, 8192},
               {0, size}};
  uint32_t seed = 1;
  for (int round = 0; round < 3000; round++) {
    size_t area = next_random(&seed) % 5, changes = 1 + next_random(&seed) % 4;
    uint64_t places[4];
    for (size_t i = 0; i < changes; i++) {
      places[i] = areas[area].offset + next_random(&seed) % areas[area].size;
      static const uint8_t extremes[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
      uint32_t random = next_random(&seed);
      uint8_t byte = random & 1 ? extremes[random / 2 % 5] : (uint8_t)(random >> 4);
      assert_int_equal(pwrite(fd, &byte, 1, (off_t)places[i]), 1);
    }
    use(exu_elf_file_open_fd(dup(fd), "corrupt", NULL));
    for (size_t i = 0; i < changes; i++) assert_int_equal(pwrite(fd, bytes + places[i], 1, (off_t)places[i]), 1);
  }
  close(fd);
  free(bytes);
}

static void truncated_files_do_no_harm(void **state) {
  (void)state;
  size_t size;
  uint8_t *bytes = read_whole(self_path, &size);
  for (size_t length = 0; length < size; length += length < 1024 ? 1 : size / 61) use(open_bytes(bytes, length));
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(build_id_is_the_one_in_memory),
      cmocka_unit_test(build_id_is_what_readelf_says),
      cmocka_unit_test(build_id_is_found_in_sections_without_program_headers),
      cmocka_unit_test(local_symbol_is_found_where_it_runs),
      cmocka_unit_test(exported_symbol_is_found_where_it_runs),
      cmocka_unit_test(symbols_survive_the_loss_of_section_headers),
      cmocka_unit_test(symbols_without_a_hash_table_are_the_same),
      cmocka_unit_test(stripped_file_has_no_local_symbols),
      cmocka_unit_test(debug_only_file_has_the_id_and_the_symbols_but_no_code),
      cmocka_unit_test(section_is_found_by_its_name),
      cmocka_unit_test(only_regular_elf_files_are_opened),
      cmocka_unit_test(symbol_rules_hold_for_every_class_and_byte_order),
      cmocka_unit_test(corrupt_files_do_no_harm),
      cmocka_unit_test(truncated_files_do_no_harm),
  };
  return cmocka_run_group_tests_name("elf_file", tests, set_up, tear_down);
}
