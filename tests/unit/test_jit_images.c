/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of ELF files that a process announced from its own memory. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "elf_builder.h"
#include "native/jit_images.h"

enum { SIZE = 4096, NAMES_AT = 64, SYMBOLS_AT = 256, TABLE_AT = 512, UNWINDING_AT = 1024, PACKED_AT = 1200 };

static const uint64_t IMAGE = 0x40000000, CODE = 0x30000000, UNWINDING = 0x50000000;
static const char NAMES[] = "\0.text\0.eh_frame\0.symtab\0.strtab\0.debug_info\0kernel";
enum { TEXT = 1, EH_FRAME = 7, SYMTAB = 17, STRTAB = 25, DEBUG_INFO = 33, KERNEL = 45 };

struct process {
  struct exu_arena arena;
  struct exu_process process;
  struct exu_jit_images images;
  struct exu_jit_code code;
  struct nameless_file files[2];
  _Alignas(8) uint8_t image[SIZE];
  uint8_t unwinding[SIZE];
};

static Elf64_Shdr *section(struct process *process, size_t index) {
  return (Elf64_Shdr *)(void *)(process->image + TABLE_AT) + index;
}

static int set_up(void **state) {
  struct process *process = calloc(1, sizeof *process);
  Elf64_Ehdr header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                       .e_type = ET_REL,
                       .e_machine = EM_X86_64,
                       .e_version = EV_CURRENT,
                       .e_ehsize = sizeof header,
                       .e_shoff = TABLE_AT,
                       .e_shentsize = sizeof(Elf64_Shdr),
                       .e_shnum = 6,
                       .e_shstrndx = 4};
  Elf64_Sym symbol = {.st_name = KERNEL,
                      .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                      .st_shndx = 1,
                      .st_value = 0x20,
                      .st_size = 0x40};
  exu_arena_init(&process->arena, 1 << 20);
  process->process.arch = exu_arch_find(EM_X86_64, ELFCLASS64, ELFDATA2LSB);
  process->process.space = exu_space_create(&process->arena);
  process->images = (struct exu_jit_images){.process = &process->process, .arena = &process->arena};
  process->code = (struct exu_jit_code){.start = CODE, .end = CODE + 0x100, .image = IMAGE, .size = SIZE};
  memcpy(process->image, &header, sizeof header);
  memcpy(process->image + NAMES_AT, NAMES, sizeof NAMES);
  memcpy(process->image + SYMBOLS_AT + sizeof symbol, &symbol, sizeof symbol);
  memcpy(process->image + UNWINDING_AT, "as compiled", 11);
  memcpy(process->unwinding, "as it was loaded", 16);
  *section(process, 1) = (Elf64_Shdr){.sh_name = TEXT,
                                      .sh_type = SHT_PROGBITS,
                                      .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                                      .sh_addr = CODE,
                                      .sh_offset = 2048,
                                      .sh_size = 0x100};
  *section(process, 2) = (Elf64_Shdr){.sh_name = EH_FRAME,
                                      .sh_type = SHT_PROGBITS,
                                      .sh_flags = SHF_ALLOC,
                                      .sh_addr = UNWINDING,
                                      .sh_offset = UNWINDING_AT,
                                      .sh_size = 16};
  *section(process, 3) = (Elf64_Shdr){.sh_name = SYMTAB,
                                      .sh_type = SHT_SYMTAB,
                                      .sh_link = 4,
                                      .sh_offset = SYMBOLS_AT,
                                      .sh_size = 2 * sizeof symbol,
                                      .sh_entsize = sizeof symbol};
  *section(process, 4) =
      (Elf64_Shdr){.sh_name = STRTAB, .sh_type = SHT_STRTAB, .sh_offset = NAMES_AT, .sh_size = sizeof NAMES};
  *section(process, 5) =
      (Elf64_Shdr){.sh_name = DEBUG_INFO, .sh_type = SHT_PROGBITS, .sh_offset = PACKED_AT, .sh_size = 64};
  *state = process;
  return 0;
}

static int tear_down(void **state) {
  struct process *process = *state;
  exu_elf_file_close(process->code.file);
  exu_space_destroy(process->process.space);
  for (size_t i = 0; i < 2; i++)
    if (process->files[i].fd > 0) close(process->files[i].fd);
  exu_arena_deinit(&process->arena);
  free(process);
  return 0;
}

static void add(struct process *process, size_t index, uint64_t start, const void *bytes) {
  process->files[index] = nameless_file(bytes, SIZE);
  int source = exu_space_add_source(process->process.space, exu_source_of_file(process->files[index].fd, SIZE, false));
  struct exu_region region = {
      .start = start, .end = start + SIZE, .saved = SIZE, .source = (uint32_t)source, .prot = EXU_PROT_READ};
  assert_true(source >= 0 && exu_space_add(process->process.space, &region));
}

/* The process is complete: copy its image. */
static struct exu_elf_file *copy(struct process *process, bool unwinding_saved) {
  add(process, 0, IMAGE, process->image);
  if (unwinding_saved) add(process, 1, UNWINDING, process->unwinding);
  assert_true(exu_space_finalize(process->process.space));
  return exu_jit_images_file(&process->images, &process->code);
}

static struct exu_elf_cover name_at(struct process *process, struct exu_elf_file *file, uint64_t address) {
  struct exu_elf_cover cover = {.address = address};
  exu_elf_file_cover(file, &cover, 1, &process->arena);
  return cover;
}

static void section_of_a_relocatable_image_is_as_it_was_loaded(void **state) {
  char bytes[16];
  struct exu_elf_file *file = copy(*state, true);
  assert_non_null(file);
  assert_true(exu_elf_file_read(file, UNWINDING_AT, bytes, sizeof bytes));
  assert_memory_equal(bytes, "as it was loaded", 16);
}

static void symbol_of_a_relocatable_image_is_where_its_section_was_loaded(void **state) {
  struct exu_elf_file *file = copy(*state, true);
  assert_non_null(file);
  const struct exu_elf_cover cover = name_at(*state, file, CODE + 0x30);
  assert_string_equal(cover.name.data, "kernel");
  assert_int_equal(cover.start, CODE + 0x20);
  assert_null(name_at(*state, file, CODE + 0x60).name.data);
}

static void relocatable_image_whose_loaded_section_was_not_saved_is_not_used(void **state) {
  assert_null(copy(*state, false));
}

static void other_image_is_taken_as_it_is(void **state) {
  struct process *process = *state;
  char bytes[11];
  ((Elf64_Ehdr *)(void *)process->image)->e_type = ET_DYN;
  ((Elf64_Sym *)(void *)(process->image + SYMBOLS_AT))[1].st_value = CODE + 0x20;
  struct exu_elf_file *file = copy(process, true);
  assert_non_null(file);
  assert_true(exu_elf_file_read(file, UNWINDING_AT, bytes, sizeof bytes));
  assert_memory_equal(bytes, "as compiled", 11);
  assert_string_equal(name_at(process, file, CODE + 0x30).name.data, "kernel");
}

static void packed_debug_information_is_left_out(void **state) {
  struct process *process = *state;
  uint64_t address, size;
  ((Elf64_Ehdr *)(void *)process->image)->e_type = ET_DYN;
  section(process, 5)->sh_flags = SHF_COMPRESSED;
  struct exu_elf_file *file = copy(process, true);
  assert_non_null(file);
  assert_false(exu_elf_file_section(file, ".debug_info", &address, &size));
  assert_true(exu_elf_file_section(file, ".eh_frame", &address, &size) && address == UNWINDING);
}

static void debug_information_packed_the_old_way_is_left_out(void **state) {
  struct process *process = *state;
  uint64_t address, size;
  ((Elf64_Ehdr *)(void *)process->image)->e_type = ET_DYN;
  memcpy(process->image + PACKED_AT, "ZLIB", 4);
  struct exu_elf_file *file = copy(process, true);
  assert_non_null(file);
  assert_false(exu_elf_file_section(file, ".debug_info", &address, &size));
}

static void sections_beyond_the_image_are_left_out(void **state) {
  struct process *process = *state;
  section(process, 2)->sh_offset = UINT64_MAX - 8;
  section(process, 3)->sh_size = UINT64_MAX;
  section(process, 4)->sh_size = SIZE;
  struct exu_elf_file *file = copy(process, true);
  assert_true(!file || !name_at(process, file, CODE + 0x30).name.data);
}

static void images_are_copied_up_to_a_budget(void **state) {
  struct process *process = *state;
  process->images.copied = 64 << 20;
  assert_null(copy(process, true));
}

/* ---- The list ---------------------------------------------------------------------------------------------------- */

enum { WORDS = SIZE / 8, ENTRY_AT = 8, NAME_AT = 60, MODULES = 3 };
static const uint64_t DESCRIPTOR = 0x60000000;

/* Read the list of one image, which begins again behind its end; two modules lead to it, and the third has no file. */
static void read_list(struct process *process, uint64_t start, uint64_t end) {
  const uint64_t words[WORDS] = {1,     0,   DESCRIPTOR + 8 * ENTRY_AT, [ENTRY_AT] = DESCRIPTOR + 8 * ENTRY_AT, 0,
                                 IMAGE, SIZE};
  struct exu_error error;
  uint8_t bytes[SIZE];
  add(process, 0, IMAGE, process->image);
  add(process, 1, DESCRIPTOR, words);
  assert_true(exu_space_finalize(process->process.space));
  ((Elf64_Ehdr *)(void *)process->image)->e_type = ET_DYN;
  memcpy(process->image + NAMES_AT + NAME_AT, "__jit_debug_descriptor", 23);
  section(process, 4)->sh_size = 128;
  Elf64_Sym *symbol = (Elf64_Sym *)(void *)(process->image + SYMBOLS_AT) + 1;
  symbol->st_name = NAME_AT;
  symbol->st_value = DESCRIPTOR;
  memcpy(bytes, process->image, sizeof bytes);
  struct nameless_file file = nameless_file(bytes, sizeof bytes);
  struct exu_elf_file *elf = exu_elf_file_open(file.path, &error);
  assert_non_null(elf);
  struct exu_binary items[MODULES] = {{.start = 0x1000, .end = 0x2000, .file = elf, .file_state = EXU_FILE_MATCHED},
                                      {.start = 0x2000, .end = 0x3000, .file = elf, .file_state = EXU_FILE_MATCHED},
                                      {.start = start, .end = end, .file_state = EXU_FILE_MISSING}};
  struct exu_modules modules = {.items = items, .count = MODULES, .process = &process->process};
  process->images.modules = &modules;
  exu_jit_images_read(&process->images);
  process->images.modules = NULL;
  exu_elf_file_close(elf);
  close(file.fd);
}

static void a_list_that_leads_in_a_circle_is_read_once(void **state) {
  struct process *process = *state;
  read_list(process, CODE + 0x100, CODE + 0x1000);
  assert_int_equal(process->images.list.count, 1);
  assert_int_equal(process->images.list.items[0].start, CODE);
  assert_int_equal(process->images.list.capacity, 16);
  assert_false(process->arena.exhausted);
}

static void what_a_list_says_of_a_module_is_not_believed(void **state) {
  struct process *process = *state;
  read_list(process, CODE + 0x80, CODE + 0x1000);
  assert_int_equal(process->images.list.count, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(section_of_a_relocatable_image_is_as_it_was_loaded),
      TEST(symbol_of_a_relocatable_image_is_where_its_section_was_loaded),
      TEST(relocatable_image_whose_loaded_section_was_not_saved_is_not_used),
      TEST(other_image_is_taken_as_it_is),
      TEST(packed_debug_information_is_left_out),
      TEST(debug_information_packed_the_old_way_is_left_out),
      TEST(sections_beyond_the_image_are_left_out),
      TEST(images_are_copied_up_to_a_budget),
      TEST(a_list_that_leads_in_a_circle_is_read_once),
      TEST(what_a_list_says_of_a_module_is_not_believed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
