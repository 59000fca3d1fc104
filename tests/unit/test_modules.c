/* SPDX-License-Identifier: Apache-2.0 */
/* Which images a process has loaded. */
#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "binary/modules.h"
#include "binary/open.h"
#include "files.h"
#include "mapped_process.h"
#include "process/process.h"

static void image_is_described_by_its_header(void **state) {
  struct mapped_process *process = *state;
  load(process, libc_path, libc_path, BASE, SAVED_HEADER);
  find(process);
  assert_int_equal(process->modules.count, 1);
  const struct exu_binary *module = &process->modules.items[0];
  size_t count;
  const struct exu_region *regions = exu_space_regions(process->process.space, &count);
  assert_true(module->has_header);
  assert_int_equal(module->start, BASE);
  assert_int_equal(module->bias, BASE);
  assert_int_equal(module->end, regions[count - 1].end); /* with its .bss */
  assert_true(module->end > process->mappings[process->process.mapping_count - 1].end);
  struct exu_elf_file *file = exu_elf_file_open(libc_path, NULL);
  struct exu_build_id id = exu_elf_file_build_id(file);
  assert_true(id.size > 0 && exu_build_id_equal(&id, &module->build_id));
  exu_elf_file_close(file);
  assert_ptr_equal(exu_modules_find(&process->modules, module->start), module);
  assert_ptr_equal(exu_modules_find(&process->modules, module->end - 1), module);
  assert_null(exu_modules_find(&process->modules, module->end));
  assert_null(exu_modules_find(&process->modules, module->start - 1));
}

static void file_mapped_to_be_read_is_no_module(void **state) {
  struct mapped_process *process = *state;
  load(process, libc_path, libc_path, BASE, SAVED_HEADER);
  map_data(process, libc_path, libc_path, OTHER_BASE);
  find(process);
  assert_int_equal(process->modules.count, 1);
  assert_int_equal(process->modules.items[0].start, BASE);
}

static void image_loaded_twice_is_two_modules(void **state) {
  struct mapped_process *process = *state;
  load(process, libc_path, libc_path, BASE, SAVED_HEADER);
  load(process, libc_path, libc_path, OTHER_BASE, SAVED_HEADER);
  find(process);
  assert_int_equal(process->modules.count, 2);
  assert_int_equal(process->modules.items[1].bias, OTHER_BASE);
}

/* Some pages of the code of a file, as mmap(2) puts them anywhere. */
static void map_code(struct mapped_process *process, const char *file, uint64_t base, uint64_t offset, uint64_t pages) {
  uint64_t size;
  struct exu_region region = {.start = base,
                              .end = base + pages * PAGE,
                              .source = add_file(process, file, &size),
                              .prot = EXU_PROT_READ | EXU_PROT_EXEC};
  add_mapping(process, file, base, base + pages * PAGE, offset);
  assert_true(exu_space_add(process->process.space, &region));
}

static void code_of_an_image_that_is_mapped_once_more_is_no_module(void **state) {
  struct mapped_process *process = *state;
  struct exu_elf_file *file = exu_elf_file_open(libc_path, NULL);
  size_t count;
  uint64_t code = 0, end = 0;
  const struct exu_elf_segment *segments = exu_elf_file_segments(file, &count);
  for (size_t i = 0; i < count; i++) {
    if (segments[i].type != PT_LOAD || !(segments[i].flags & PF_X)) continue;
    code = segments[i].offset / PAGE * PAGE;
    end = (segments[i].offset + segments[i].filesz + PAGE - 1) / PAGE * PAGE;
  }
  exu_elf_file_close(file);
  char *alone = library(process, "alone.so", SAME);
  map_code(process, libc_path, BASE, code, 1); /* below the image, and above it */
  load(process, libc_path, libc_path, OTHER_BASE, SAVED_HEADER);
  map_code(process, libc_path, THIRD_BASE, end - PAGE, 1);
  map_code(process, libc_path, THIRD_BASE + (1UL << 32), end - PAGE, 2); /* more than its code */
  map_code(process, alone, THIRD_BASE + (2UL << 32), code, 1);           /* of what has no image */
  find(process);
  assert_int_equal(process->modules.count, 3);
  assert_int_equal(process->modules.items[0].start, OTHER_BASE);
  assert_int_equal(process->modules.items[1].start, THIRD_BASE + (1UL << 32));
  assert_int_equal(process->modules.items[2].start, THIRD_BASE + (2UL << 32));
  free(alone);
}

static void adjacent_images_are_two_modules(void **state) {
  struct mapped_process *process = *state;
  load(process, libc_path, libc_path, BASE, SAVED_HEADER);
  uint64_t end = process->mappings[process->process.mapping_count - 1].end + 64 * PAGE;
  load(process, libc_path, libc_path, end, SAVED_HEADER);
  find(process);
  assert_int_equal(process->modules.count, 2);
  assert_true(process->modules.items[0].end <= process->modules.items[1].start);
}

static void file_that_is_no_elf_is_no_module(void **state) {
  struct mapped_process *process = *state;
  char *path = path_in(process->scratch, "text");
  write_whole(path, "this is not an ELF file", 23);
  map_data(process, path, path, BASE);
  find(process);
  assert_int_equal(process->modules.count, 0);
  free(path);
}

static void unsaved_header_leaves_an_unverified_module(void **state) {
  struct mapped_process *process = *state;
  load(process, libc_path, libc_path, BASE, SAVED_NOTHING);
  find(process);
  assert_int_equal(process->modules.count, 1);
  const struct exu_binary *module = &process->modules.items[0];
  assert_false(module->has_header);
  assert_int_equal(module->build_id.size, 0);
  assert_int_equal(module->start, BASE);
  assert_int_equal(state_of(process, 0), EXU_FILE_UNVERIFIED);
  assert_int_equal(module->bias, BASE);
}
static void hostile_paths_are_only_names(void **state) {
  struct mapped_process *process = *state;
  char *longest = malloc(20000);
  memset(longest, 'a', 19999);
  longest[0] = '/';
  longest[19999] = '\0';
  const char *paths[] = {longest,       "/../../../../../etc/passwd",
                         "/dev/null",   "/a\nb\x01\xff",
                         "relative.so", "..",
                         "/",           " (deleted)",
                         "/dev/stdin",  "%s%n"};
  const size_t count = sizeof paths / sizeof paths[0];
  const char *search[] = {process->scratch};
  process->options.search = search;
  process->options.search_count = 1;
  for (size_t i = 0; i < count; i++) load(process, libc_path, paths[i], BASE + (i << 32), SAVED_HEADER);
  find(process);
  assert_int_equal(process->modules.count, count);
  for (size_t i = 0; i < count; i++) {
    enum exu_module_file file = state_of(process, i);
    assert_true(file == EXU_FILE_MISSING || file == EXU_FILE_MISMATCHED || file == EXU_FILE_DELETED);
  }
  free(longest);
}

static void modules_without_names_get_them_from_the_link_map(void **state) {
  struct mapped_process *process = *state;
  enum { WORDS = 64 };
  uint64_t words[WORDS] = {0}, list = THIRD_BASE;
  struct exu_elf_file *file = exu_elf_file_open(libc_path, NULL);
  size_t count;
  uint64_t dynamic = 0;
  const struct exu_elf_segment *segments = exu_elf_file_segments(file, &count);
  for (size_t i = 0; i < count; i++)
    if (segments[i].type == PT_DYNAMIC) dynamic = segments[i].vaddr;
  exu_elf_file_close(file);
  /* The main program is that file with a DT_DEBUG; its r_debug is at word 0, link_map entries at 8 and 16 (a cycle). */
  char *program = path_in(process->scratch, "program");
  size_t size;
  uint8_t *bytes = read_whole(libc_path, &size);
  ElfW(Ehdr) header;
  memcpy(&header, bytes, sizeof header);
  for (size_t i = 0; i < header.e_phnum; i++) {
    ElfW(Phdr) segment;
    memcpy(&segment, bytes + header.e_phoff + i * sizeof segment, sizeof segment);
    const ElfW(Dyn) entry = {.d_tag = DT_DEBUG, .d_un = {.d_ptr = list}};
    if (segment.p_type == PT_DYNAMIC) memcpy(bytes + segment.p_offset, &entry, sizeof entry);
  }
  write_whole(program, bytes, size);
  free(bytes);
  words[0] = 1, words[1] = list + 8 * 8;
  words[8] = BASE, words[9] = list + 8 * 31, words[10] = BASE + dynamic, words[11] = list + 16 * 8;
  words[16] = OTHER_BASE, words[17] = list + 8 * 32, words[18] = OTHER_BASE + dynamic, words[19] = list + 8 * 8;
  memcpy(&words[32], "/opt/named.so", 14);
  char *memory = path_in(process->scratch, "memory");
  write_whole(memory, words, sizeof words);
  uint64_t length;
  struct exu_region region = {.start = list, .end = list + PAGE, .saved = sizeof words, .prot = EXU_PROT_READ};
  region.source = add_file(process, memory, &length);
  assert_true(exu_space_add(process->process.space, &region));
  load(process, program, NULL, BASE, SAVED_HEADER);
  load(process, libc_path, NULL, OTHER_BASE, SAVED_HEADER);
  find(process);
  assert_int_equal(process->modules.count, 2);
  assert_true(process->modules.items[0].main); /* by DT_DEBUG alone */
  assert_null(process->modules.items[0].path.data);
  assert_true(path_is(&process->modules.items[1], "/opt/named.so"));
  free(program), free(memory);
}

static void lying_headers_are_clipped_or_refused(void **state) {
  struct mapped_process *process = *state;
  size_t size, modules = 0;
  uint8_t *bytes = read_whole(libc_path, &size);
  uint32_t seed = 7;
  char *path = path_in(process->scratch, "lying");
  for (int round = 0; round < 300; round++) {
    struct mapped_process inner = {.scratch = NULL};
    uint8_t saved[8];
    size_t place = round % 2 ? (seed >> 8) % 64 : 64 + (seed >> 8) % (8 * 56);
    memcpy(saved, bytes + place, sizeof saved);
    for (size_t i = 0; i <= seed % 8; i++) bytes[place + i] = (uint8_t)(seed >> (8 + i));
    write_whole(path, bytes, PAGE);
    memcpy(bytes + place, saved, sizeof saved);
    seed = seed * 1664525 + 1013904223;

    exu_arena_init(&inner.arena, 16 << 20);
    exu_diagnostics_init(&inner.diagnostics, &inner.arena);
    inner.process = process->process;
    inner.process.mapping_count = 0;
    inner.process.mappings = inner.mappings;
    inner.process.space = exu_space_create(&inner.arena);
    uint64_t length;
    uint32_t source = add_file(&inner, path, &length);
    const struct exu_region regions[] = {
        {.start = BASE, .end = BASE + 0x28000, .saved = PAGE, .source = source, .prot = EXU_PROT_READ},
        {.start = BASE + 0x28000, .end = BASE + 0x400000, .source = source, .prot = EXU_PROT_READ | EXU_PROT_EXEC}};
    for (size_t i = 0; i < 2; i++) {
      assert_true(exu_space_add(inner.process.space, &regions[i]));
      if (round % 3) add_mapping(&inner, libc_path, regions[i].start, regions[i].end, regions[i].start - BASE);
    }
    find(&inner);
    for (size_t i = 0; i < inner.modules.count; i++) {
      const struct exu_binary *module = &inner.modules.items[i];
      assert_true(module->start < module->end && module->end <= BASE + 0x400000);
      (void)exu_modules_file(&inner.modules, &inner.modules.items[i]);
      modules++;
    }
    uint8_t byte;
    (void)exu_space_read(inner.process.space, BASE + 0x30000, &byte, 1);
    exu_space_destroy(inner.process.space);
    exu_modules_deinit(&inner.modules);
    for (size_t i = 0; i < inner.fd_count; i++) close(inner.fds[i]);
    exu_arena_deinit(&inner.arena);
  }
  assert_true(modules > 0);
  free(bytes);
  free(path);
}
/* Make a small process dump its core in the directory; NULL when this system writes none. */
static char *make_core(const char *directory) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    const struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    if (chdir(directory) == 0 && setrlimit(RLIMIT_CORE, &limit) == 0)
      execl("/bin/sh", "sh", "-c", "kill -ABRT $$", (char *)NULL);
    _exit(1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  char *pattern = path_in(directory, "core*");
  glob_t found;
  char *path = NULL;
  if (glob(pattern, 0, NULL, &found) == 0) path = strdup(found.gl_pathv[0]);
  globfree(&found);
  free(pattern);
  return path;
}

static void real_core_has_the_modules_of_its_process(void **state) {
  struct mapped_process *process = *state;
  char *core = make_core(process->scratch);
  if (!core) skip();
  struct exu_process opened;
  struct exu_error error;
  struct exu_modules modules;
  if (!exu_process_open_core(core, &process->arena, &process->diagnostics, &opened, &error))
    fail_msg("%s", error.message);
  assert_true(exu_modules_init(&modules, &opened, NULL, &process->arena, &process->diagnostics));
  exu_space_set_backing(opened.space, exu_modules_back_region, &modules);
  bool vdso = false, libc = false;
  size_t mains = 0;
  for (size_t i = 0; i < modules.count; i++) {
    struct exu_binary *module = &modules.items[i];
    assert_true(module->has_header && module->path.data);
    mains += module->main;
    if (path_is(module, "[vdso]")) {
      vdso = true;
      assert_int_equal(module->file_state, EXU_FILE_CORE);
      assert_null(exu_modules_file(&modules, module));
      continue;
    }
    struct exu_elf_file *file = exu_modules_file(&modules, module);
    assert_int_equal(module->file_state, EXU_FILE_MATCHED);
    struct exu_elf_symbol symbol;
    if (strstr(module->path.data, "/libc.so") && exu_elf_file_symbol(file, "getpid", &symbol)) {
      uint8_t byte;
      libc = true;
      assert_int_equal(exu_space_read(opened.space, module->bias + symbol.value, &byte, 1), EXU_READABLE);
    }
  }
  assert_true(vdso && libc);
  assert_int_equal(mains, 1);
  exu_process_close(&opened);
  exu_modules_deinit(&modules);
  free(core);
}

int main(void) {
  find_libc();
  const struct CMUnitTest tests[] = {
      TEST(image_is_described_by_its_header),
      TEST(file_mapped_to_be_read_is_no_module),
      TEST(image_loaded_twice_is_two_modules),
      TEST(code_of_an_image_that_is_mapped_once_more_is_no_module),
      TEST(adjacent_images_are_two_modules),
      TEST(file_that_is_no_elf_is_no_module),
      TEST(unsaved_header_leaves_an_unverified_module),
      TEST(hostile_paths_are_only_names),
      TEST(modules_without_names_get_them_from_the_link_map),
      TEST(lying_headers_are_clipped_or_refused),
      TEST(real_core_has_the_modules_of_its_process),
  };
  return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
