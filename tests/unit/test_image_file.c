/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbols of modules whose files are gone, from their images in memory: this process's own, of which no file is found.
 */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "binary/debug_file.h"
#include "binary/modules.h"
#include "files.h"

enum { MAPPINGS = 256 };

struct process {
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_options options;
  struct exu_process process;
  struct exu_file_mapping mappings[MAPPINGS];
  struct exu_modules modules;
  char *scratch;
  uint32_t source;
  int dump; /* of this process's memory */
};

/* One line of /proc/self/maps, if it is of a file or the vDSO. `kept` bytes of it are saved; of the vDSO all. */
static void add_mapping(struct process *process, const char *line, uint64_t kept) {
  unsigned long long start, end, offset;
  char prot[5], path[512] = "";
  assert_true(sscanf(line, "%llx-%llx %4s %llx %*s %*s %511s", &start, &end, prot, &offset, path) >= 4);
  const bool kernel = strcmp(path, "[vdso]") == 0;
  if (path[0] != '/' && !kernel) return;
  if (kernel || kept > end - start) kept = end - start;
  const off_t at = lseek(process->dump, 0, SEEK_END);
  /*
   * A system call of our own: a sanitizer would want to know what it is that is written. What is unreadable is unsaved.
   */
  long saved = prot[0] == 'r' ? syscall(SYS_write, process->dump, start, kept) : 0;
  struct exu_region region = {.start = start,
                              .end = end,
                              .saved = saved > 0 ? (uint64_t)saved : 0,
                              .offset = (uint64_t)at,
                              .source = process->source,
                              .prot =
                                  (prot[0] == 'r' ? 4U : 0) | (prot[1] == 'w' ? 2U : 0) | (prot[2] == 'x' ? 1U : 0)};
  assert_true(exu_space_add(process->process.space, &region));
  if (path[0] != '/' || process->process.mapping_count == MAPPINGS) return;
  process->mappings[process->process.mapping_count++] = (struct exu_file_mapping){
      .start = start, .end = end, .offset = offset, .path = exu_arena_string(&process->arena, path, strlen(path))};
}

/* This process as the process; of files' mappings only the first `kept` bytes each. */
static void open_self(struct process *process, uint64_t kept) {
  char line[1024];
  process->process.space = exu_space_create(&process->arena);
  int source = exu_space_add_source(process->process.space, exu_source_of_file(process->dump, 1ULL << 40, false));
  assert_true(source >= 0);
  process->source = (uint32_t)source;
  FILE *maps = fopen("/proc/self/maps", "r");
  assert_non_null(maps);
  while (fgets(line, sizeof line, maps)) add_mapping(process, line, kept);
  fclose(maps);
  assert_true(exu_space_finalize(process->process.space));
  assert_true(exu_modules_init(&process->modules, &process->process, &process->options, &process->arena,
                               &process->diagnostics));
}

static int set_up(void **state) {
  struct process *process = calloc(1, sizeof *process);
  exu_arena_init(&process->arena, 64 << 20);
  exu_diagnostics_init(&process->diagnostics, &process->arena);
  process->scratch = scratch_create();
  process->options = (struct exu_options){.sysroot = process->scratch}; /* which is empty: every file is missing */
  char *dump = path_in(process->scratch, "dump");
  process->dump = open(dump, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  free(dump);
  process->process = (struct exu_process){.arch = exu_arch_find(EM_X86_64, ELFCLASS64, ELFDATA2LSB),
                                          .mappings = process->mappings,
                                          .auxv = {.vdso = getauxval(AT_SYSINFO_EHDR), .page_size = 4096}};
  *state = process;
  return process->dump < 0;
}

static int tear_down(void **state) {
  struct process *process = *state;
  exu_modules_deinit(&process->modules);
  exu_space_destroy(process->process.space);
  close(process->dump);
  scratch_remove(process->scratch);
  exu_arena_deinit(&process->arena);
  free(process);
  return 0;
}

static uint64_t address_of(const char *name) {
  void *function = dlsym(RTLD_DEFAULT, name);
  assert_non_null(function);
  return (uint64_t)(uintptr_t)function;
}

static void exported_functions_are_named_by_the_image(void **state) {
  struct process *process = *state;
  const uint64_t address = address_of("getenv");
  open_self(process, UINT64_MAX);
  struct exu_binary *module = exu_modules_find(&process->modules, address);
  assert_non_null(module);
  assert_null(exu_modules_file(&process->modules, module));
  assert_int_equal(module->file_state, EXU_FILE_MISSING);
  struct exu_elf_file *file = exu_modules_file_or_image(&process->modules, module);
  assert_non_null(file);
  assert_int_equal(module->file_state, EXU_FILE_CORE);
  assert_int_equal(exu_elf_file_symbols(file), EXU_SYMBOLS_DYNSYM);
  struct exu_elf_cover cover = {.address = address - module->bias + 1};
  exu_elf_file_cover(file, &cover, 1, &process->arena);
  assert_non_null(cover.name.data);
  assert_string_equal(cover.name.data, "getenv");
  struct exu_elf_symbol symbol;
  assert_true(exu_elf_file_symbol(file, "getenv", &symbol));
  assert_int_equal(symbol.value + module->bias, address);
}

static void image_of_the_kernel_keeps_its_own_addresses(void **state) {
  struct process *process = *state;
  open_self(process, UINT64_MAX);
  struct exu_binary *module = exu_modules_find(&process->modules, process->process.auxv.vdso);
  if (!module) skip(); /* a kernel may have none */
  struct exu_elf_file *file = exu_modules_image_file(&process->modules, module);
  struct exu_elf_symbol symbol;
  assert_non_null(file);
  assert_true(exu_elf_file_symbol(file, "__vdso_clock_gettime", &symbol));
  assert_true(module->bias + symbol.value >= module->start && module->bias + symbol.value < module->end);
}

static void image_of_which_only_the_header_was_saved_is_of_no_use(void **state) {
  struct process *process = *state;
  open_self(process, 4096);
  struct exu_binary *module = exu_modules_find(&process->modules, address_of("getenv"));
  assert_non_null(module);
  assert_true(module->has_header);
  assert_null(exu_modules_file_or_image(&process->modules, module));
  assert_int_equal(module->file_state, EXU_FILE_MISSING);
}

static void image_that_pretends_to_be_huge_is_not_copied(void **state) {
  struct process *process = *state;
  open_self(process, UINT64_MAX);
  struct exu_binary *module = exu_modules_find(&process->modules, address_of("getenv"));
  assert_non_null(module);
  struct exu_elf_segment *segments =
      exu_arena_array(&process->arena, module->image->segment_count, sizeof *module->image->segments);
  memcpy(segments, module->image->segments, module->image->segment_count * sizeof *segments);
  for (size_t i = 0; i < module->image->segment_count; i++) segments[i].filesz = segments[i].memsz = 1ULL << 46;
  struct exu_image image = *module->image;
  image.segments = segments;
  module->image = &image;
  assert_null(exu_modules_file_or_image(&process->modules, module));
  assert_int_equal(process->modules.image_bytes, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(exported_functions_are_named_by_the_image),
      TEST(image_of_the_kernel_keeps_its_own_addresses),
      TEST(image_of_which_only_the_header_was_saved_is_of_no_use),
      TEST(image_that_pretends_to_be_huge_is_not_copied),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
