/* SPDX-License-Identifier: Apache-2.0 */
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
#include "process/process.h"

enum { PAGE = 4096, MAPPINGS = 64 };

static const uint64_t BASE = 0x7f0000000000, OTHER_BASE = 0x7f1000000000, THIRD_BASE = 0x7f2000000000;

static char libc_path[4096];

/* A process that never ran: what a loader would have mapped, and what a kernel would have saved of it. */
struct process {
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_options options;
  struct exu_process process;
  struct exu_modules modules;
  struct exu_file_mapping mappings[MAPPINGS];
  int fds[MAPPINGS];
  size_t fd_count;
  char *scratch;
};

/* How much of an image is saved: what can be written to and, in the second case, the first page; that page alone. */
enum saved { SAVED_NOTHING, SAVED_HEADER, SAVED_HEADER_ONLY };

static int set_up(void **state) {
  struct process *process = calloc(1, sizeof *process);
  exu_arena_init(&process->arena, 64 << 20);
  exu_diagnostics_init(&process->diagnostics, &process->arena);
  process->process.arch = exu_arch_find(EM_X86_64, ELFCLASS64, ELFDATA2LSB);
  process->process.space = exu_space_create(&process->arena);
  process->process.mappings = process->mappings;
  process->scratch = scratch_create();
  *state = process;
  return process->process.arch && process->process.space ? 0 : -1;
}

static int tear_down(void **state) {
  struct process *process = *state;
  exu_space_destroy(process->process.space);
  exu_modules_deinit(&process->modules);
  for (size_t i = 0; i < process->fd_count; i++) close(process->fds[i]);
  scratch_remove(process->scratch);
  exu_arena_deinit(&process->arena);
  free(process);
  return 0;
}

static uint32_t add_file(struct process *process, const char *file, uint64_t *size) {
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  struct stat status;
  assert_true(fd >= 0 && fstat(fd, &status) == 0);
  process->fds[process->fd_count++] = fd;
  *size = (uint64_t)status.st_size;
  int source = exu_space_add_source(process->process.space, exu_source_of_file(fd, *size, false));
  assert_true(source >= 0);
  return (uint32_t)source;
}

static void add_mapping(struct process *process, const char *path, uint64_t start, uint64_t end, uint64_t offset) {
  struct exu_process *of = &process->process;
  assert_true(of->mapping_count < MAPPINGS);
  process->mappings[of->mapping_count++] = (struct exu_file_mapping){
      .start = start, .end = end, .offset = offset, .path = exu_arena_string(&process->arena, path, strlen(path))};
}

/* Map `file` as a loader does, with `path` for a name; without a name it gets no file mappings. */
static void load(struct process *process, const char *file, const char *path, uint64_t base, enum saved saved) {
  uint64_t size;
  uint32_t source = add_file(process, file, &size);
  struct exu_elf_file *elf = exu_elf_file_open(file, NULL);
  size_t count;
  assert_non_null(elf);
  const struct exu_elf_segment *segments = exu_elf_file_segments(elf, &count);
  for (size_t i = 0; i < count; i++) {
    const struct exu_elf_segment *segment = &segments[i];
    if (segment->type != PT_LOAD) continue;
    uint64_t start = base + segment->vaddr / PAGE * PAGE, offset = segment->offset / PAGE * PAGE;
    uint64_t end = base + (segment->vaddr + segment->filesz + PAGE - 1) / PAGE * PAGE;
    uint64_t bss_end = base + (segment->vaddr + segment->memsz + PAGE - 1) / PAGE * PAGE;
    uint64_t bytes = offset == 0 && saved != SAVED_NOTHING ? PAGE : 0;
    if ((segment->flags & PF_W) && saved != SAVED_HEADER_ONLY) bytes = end - start;
    struct exu_region region = {
        .start = start, .end = end, .saved = bytes, .offset = offset, .source = source, .prot = segment->flags};
    if (path) add_mapping(process, path, start, end, offset);
    assert_true(exu_space_add(process->process.space, &region));
    region = (struct exu_region){.start = end, .end = bss_end, .source = source, .prot = segment->flags};
    if (bss_end > end) assert_true(exu_space_add(process->process.space, &region));
  }
  exu_elf_file_close(elf);
}

/* Map a whole file to read it. */
static void map_data(struct process *process, const char *file, const char *path, uint64_t base) {
  uint64_t size;
  uint32_t source = add_file(process, file, &size);
  struct exu_region region = {.start = base,
                              .end = base + (size + PAGE - 1) / PAGE * PAGE,
                              .saved = PAGE,
                              .source = source,
                              .prot = EXU_PROT_READ};
  add_mapping(process, path, region.start, region.end, 0);
  assert_true(exu_space_add(process->process.space, &region));
}

static void find(struct process *process) {
  struct exu_process *of = &process->process;
  assert_true(exu_space_finalize(of->space));
  assert_true(exu_modules_init(&process->modules, of, &process->options, &process->arena, &process->diagnostics));
  exu_space_set_backing(of->space, exu_modules_back_region, &process->modules);
}

static size_t diagnostics_of(const struct process *process, const char *code) {
  size_t count = 0;
  for (size_t i = 0; i < process->diagnostics.list.count; i++)
    count += strcmp(process->diagnostics.list.items[i].code, code) == 0;
  return count;
}

static bool path_is(const struct exu_binary *module, const char *path) {
  return module->path.data && module->path.size == strlen(path) && memcmp(module->path.data, path, strlen(path)) == 0;
}

/* Copies of a library: another build id; no build id; no build id and a larger .bss. */
enum change { SAME, OTHER_ID, NO_ID, NO_ID_OTHER_LAYOUT };

static char *library(const struct process *process, const char *name, enum change change) {
  char *path = path_in(process->scratch, name);
  struct exu_elf_file *file = exu_elf_file_open(libc_path, NULL);
  struct exu_build_id id = exu_elf_file_build_id(file);
  exu_elf_file_close(file);
  size_t size;
  uint8_t *bytes = read_whole(libc_path, &size), *place = memmem(bytes, size, id.bytes, id.size);
  assert_non_null(place);
  if (change == OTHER_ID) place[0] ^= 0xff;
  if (change >= NO_ID) place[-8] = 77; /* the type of the note, which its name "GNU" follows */
  if (change == NO_ID_OTHER_LAYOUT) {
    ElfW(Ehdr) header;
    memcpy(&header, bytes, sizeof header);
    for (size_t i = 0; i < header.e_phnum; i++) {
      ElfW(Phdr) segment;
      uint8_t *at = bytes + header.e_phoff + i * sizeof segment;
      memcpy(&segment, at, sizeof segment);
      if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_W)) continue;
      segment.p_memsz += 8;
      memcpy(at, &segment, sizeof segment);
    }
  }
  write_whole(path, bytes, size);
  free(bytes);
  return path;
}

static enum exu_module_file state_of(struct process *process, size_t index) {
  struct exu_binary *module = &process->modules.items[index];
  struct exu_elf_file *file = exu_modules_file(&process->modules, module);
  assert_ptr_equal(file, module->file);
  bool usable = module->file_state == EXU_FILE_MATCHED || module->file_state == EXU_FILE_UNVERIFIED;
  assert_int_equal(file != NULL, usable);
  return module->file_state;
}

static void image_is_described_by_its_header(void **state) {
  struct process *process = *state;
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
  struct process *process = *state;
  load(process, libc_path, libc_path, BASE, SAVED_HEADER);
  map_data(process, libc_path, libc_path, OTHER_BASE);
  find(process);
  assert_int_equal(process->modules.count, 1);
  assert_int_equal(process->modules.items[0].start, BASE);
}

static void image_loaded_twice_is_two_modules(void **state) {
  struct process *process = *state;
  load(process, libc_path, libc_path, BASE, SAVED_HEADER);
  load(process, libc_path, libc_path, OTHER_BASE, SAVED_HEADER);
  find(process);
  assert_int_equal(process->modules.count, 2);
  assert_int_equal(process->modules.items[1].bias, OTHER_BASE);
}

/* Some pages of the code of a file, as mmap(2) puts them anywhere. */
static void map_code(struct process *process, const char *file, uint64_t base, uint64_t offset, uint64_t pages) {
  uint64_t size;
  struct exu_region region = {.start = base,
                              .end = base + pages * PAGE,
                              .source = add_file(process, file, &size),
                              .prot = EXU_PROT_READ | EXU_PROT_EXEC};
  add_mapping(process, file, base, base + pages * PAGE, offset);
  assert_true(exu_space_add(process->process.space, &region));
}

static void code_of_an_image_that_is_mapped_once_more_is_no_module(void **state) {
  struct process *process = *state;
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
  struct process *process = *state;
  load(process, libc_path, libc_path, BASE, SAVED_HEADER);
  uint64_t end = process->mappings[process->process.mapping_count - 1].end + 64 * PAGE;
  load(process, libc_path, libc_path, end, SAVED_HEADER);
  find(process);
  assert_int_equal(process->modules.count, 2);
  assert_true(process->modules.items[0].end <= process->modules.items[1].start);
}

static void file_that_is_no_elf_is_no_module(void **state) {
  struct process *process = *state;
  char *path = path_in(process->scratch, "text");
  write_whole(path, "this is not an ELF file", 23);
  map_data(process, path, path, BASE);
  find(process);
  assert_int_equal(process->modules.count, 0);
  free(path);
}

static void unsaved_header_leaves_an_unverified_module(void **state) {
  struct process *process = *state;
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

static void text_is_read_from_a_matched_file_only(void **state) {
  struct process *process = *state;
  char *plain = library(process, "noid.so", NO_ID);
  load(process, libc_path, libc_path, BASE, SAVED_HEADER);
  load(process, plain, plain, OTHER_BASE, SAVED_HEADER_ONLY);
  find(process);
  struct exu_elf_file *file = exu_elf_file_open(libc_path, NULL);
  size_t count, checked = 0;
  const struct exu_elf_segment *segments = exu_elf_file_segments(file, &count);
  for (size_t i = 0; i < count; i++) {
    if (segments[i].type != PT_LOAD || (segments[i].flags & PF_W) || segments[i].filesz < 64) continue;
    uint64_t offset = segments[i].offset + segments[i].filesz - 64, vaddr = segments[i].vaddr + segments[i].filesz - 64;
    uint8_t wanted[64], got[64];
    assert_true(exu_elf_file_read(file, offset, wanted, sizeof wanted));
    assert_int_equal(exu_space_read(process->process.space, BASE + vaddr, got, sizeof got), EXU_READABLE);
    assert_memory_equal(wanted, got, sizeof got);
    assert_int_equal(exu_space_read(process->process.space, OTHER_BASE + vaddr, got, sizeof got), EXU_NOT_SAVED);
    checked++;
  }
  assert_true(checked > 0);
  exu_elf_file_close(file);
  free(plain);
}

static void relro_is_not_read_from_the_file(void **state) {
  struct process *process = *state;
  uint64_t size;
  load(process, libc_path, libc_path, BASE, SAVED_HEADER);
  /* The same image once more, its data read-only by now and not saved. */
  uint32_t source = add_file(process, libc_path, &size);
  struct exu_elf_file *file = exu_elf_file_open(libc_path, NULL);
  size_t count;
  uint64_t data = 0;
  const struct exu_elf_segment *segments = exu_elf_file_segments(file, &count);
  for (size_t i = 0; i < count; i++) {
    const struct exu_elf_segment *segment = &segments[i];
    if (segment->type != PT_LOAD) continue;
    uint64_t start = OTHER_BASE + segment->vaddr / PAGE * PAGE, offset = segment->offset / PAGE * PAGE;
    uint64_t end = OTHER_BASE + (segment->vaddr + segment->filesz + PAGE - 1) / PAGE * PAGE;
    struct exu_region region = {.start = start,
                                .end = end,
                                .saved = offset == 0 ? PAGE : 0,
                                .offset = offset,
                                .source = source,
                                .prot = segment->flags & ~(uint32_t)PF_W};
    add_mapping(process, libc_path, start, end, offset);
    assert_true(exu_space_add(process->process.space, &region));
    if (segment->flags & PF_W) data = start;
  }
  exu_elf_file_close(file);
  find(process);
  uint8_t byte;
  assert_true(data != 0);
  assert_int_equal(exu_space_read(process->process.space, data, &byte, 1), EXU_NOT_SAVED);
}

static void file_states_are_told_apart(void **state) {
  struct process *process = *state;
  char *other = library(process, "other.so", OTHER_ID), *plain = library(process, "noid.so", NO_ID);
  char *larger = library(process, "larger.so", NO_ID_OTHER_LAYOUT);
  char *none = path_in(process->scratch, "none.so"), *gone = path_in(process->scratch, "gone.so (deleted)");
  load(process, libc_path, libc_path, BASE, SAVED_HEADER);                  /* 0 */
  load(process, libc_path, other, BASE + (1UL << 32), SAVED_HEADER);        /* 1 */
  load(process, libc_path, none, BASE + (2UL << 32), SAVED_HEADER);         /* 2 */
  load(process, libc_path, gone, BASE + (3UL << 32), SAVED_HEADER);         /* 3 */
  load(process, plain, plain, BASE + (4UL << 32), SAVED_HEADER_ONLY);       /* 4 */
  load(process, plain, larger, BASE + (5UL << 32), SAVED_HEADER);           /* 5 */
  load(process, libc_path, plain, BASE + (6UL << 32), SAVED_HEADER);        /* 6: an id in the core only */
  load(process, plain, process->scratch, BASE + (7UL << 32), SAVED_HEADER); /* 7: the path is a directory now */
  find(process);
  assert_int_equal(process->modules.count, 8);
  assert_int_equal(state_of(process, 0), EXU_FILE_MATCHED);
  assert_int_equal(process->diagnostics.list.count, 0);
  assert_int_equal(state_of(process, 1), EXU_FILE_MISMATCHED);
  assert_int_equal(diagnostics_of(process, "module-mismatched"), 1);
  assert_int_equal(state_of(process, 2), EXU_FILE_MISSING);
  assert_int_equal(diagnostics_of(process, "module-missing"), 1);
  assert_int_equal(state_of(process, 3), EXU_FILE_DELETED);
  assert_int_equal(diagnostics_of(process, "module-deleted"), 1);
  assert_int_equal(state_of(process, 4), EXU_FILE_UNVERIFIED);
  assert_int_equal(diagnostics_of(process, "module-unverified"), 1);
  assert_int_equal(state_of(process, 5), EXU_FILE_MISMATCHED);
  assert_int_equal(state_of(process, 6), EXU_FILE_MISMATCHED);
  assert_int_equal(state_of(process, 7), EXU_FILE_MISMATCHED);
  assert_false(process->diagnostics.incomplete); /* whether it matters, the caller knows */
  size_t said = process->diagnostics.list.count;
  assert_int_equal(said, 7);
  for (size_t i = 0; i < 8; i++) state_of(process, i); /* asked once, said once */
  assert_int_equal(process->diagnostics.list.count, said);
  free(other), free(plain), free(larger), free(none), free(gone);
}

/* A copy of a library without a build id, with one byte changed at a place of its file. */
static char *changed_copy(const struct process *process, const char *library, const char *name, uint64_t offset) {
  char *path = path_in(process->scratch, name);
  size_t size;
  uint8_t *bytes = read_whole(library, &size);
  assert_true(offset < size);
  bytes[offset] ^= 1;
  write_whole(path, bytes, size);
  free(bytes);
  return path;
}

static void without_build_ids_headers_dynamic_section_and_constants_tell_files_apart(void **state) {
  struct process *process = *state;
  char *plain = library(process, "noid.so", NO_ID);
  struct exu_elf_file *file = exu_elf_file_open(plain, NULL);
  size_t count;
  uint64_t dynamic = 0;
  const struct exu_elf_segment *segments = exu_elf_file_segments(file, &count);
  for (size_t i = 0; i < count; i++)
    if (segments[i].type == PT_DYNAMIC) dynamic = segments[i].offset;
  uint64_t sections = exu_elf_file_header(file)->shoff;
  exu_elf_file_close(file);
  char *header = changed_copy(process, plain, "header.so", offsetof(Elf64_Ehdr, e_entry));
  char *segment = changed_copy(process, plain, "segment.so", sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_paddr));
  char *entry = changed_copy(process, plain, "entry.so", dynamic + 8);
  char *constant = changed_copy(process, plain, "constant.so", PAGE - 1);
  char *unsaved = changed_copy(process, plain, "unsaved.so", sections + 100);
  char *const paths[] = {plain, header, segment, entry, constant, unsaved};
  for (size_t i = 0; i < 6; i++) load(process, plain, paths[i], BASE + (i << 32), SAVED_HEADER);
  /* What strip(1) does: the section headers are elsewhere. */
  char *stripped = changed_copy(process, plain, "stripped.so", offsetof(Elf64_Ehdr, e_shoff) + 1);
  load(process, plain, stripped, BASE + (6UL << 32), SAVED_HEADER);
  find(process);
  assert_int_equal(state_of(process, 0), EXU_FILE_MATCHED);
  for (size_t i = 1; i < 5; i++) assert_int_equal(state_of(process, i), EXU_FILE_MISMATCHED);
  assert_int_equal(state_of(process, 5), EXU_FILE_MATCHED); /* nothing that runs */
  assert_int_equal(state_of(process, 6), EXU_FILE_UNVERIFIED);
  assert_int_equal(diagnostics_of(process, "module-mismatched") + diagnostics_of(process, "module-unverified"), 5);
  free(plain), free(stripped), free(header), free(segment), free(entry), free(constant), free(unsaved);
}

static void search_directory_is_tried_past_a_mismatch(void **state) {
  struct process *process = *state;
  char *other = library(process, "lib.so", OTHER_ID), *directory = path_in(process->scratch, "found");
  char *same = path_in(process->scratch, "found/lib.so"), *deleted = path_in(process->scratch, "lib.so (deleted)");
  assert_int_equal(mkdir(directory, 0700), 0);
  copy_whole(libc_path, same);
  const char *search[] = {process->scratch, directory};
  load(process, libc_path, other, BASE, SAVED_HEADER);
  load(process, libc_path, deleted, OTHER_BASE, SAVED_HEADER);
  process->options.search = search;
  process->options.search_count = 2;
  find(process);
  assert_int_equal(state_of(process, 0), EXU_FILE_MATCHED);
  assert_int_equal(state_of(process, 1), EXU_FILE_MATCHED);
  assert_int_equal(process->diagnostics.list.count, 0);
  free(other), free(directory), free(same), free(deleted);
}

static void executable_is_for_the_main_program(void **state) {
  struct process *process = *state;
  char *other = library(process, "lib.so", OTHER_ID), *none = path_in(process->scratch, "none.so");
  load(process, libc_path, none, BASE, SAVED_HEADER);
  load(process, libc_path, none, OTHER_BASE, SAVED_HEADER);
  load(process, other, other, THIRD_BASE, SAVED_HEADER);
  process->process.auxv.phdr = BASE + 64;
  process->options.executable = libc_path;
  find(process);
  assert_true(process->modules.items[0].main);
  assert_false(process->modules.items[1].main);
  assert_int_equal(state_of(process, 0), EXU_FILE_MATCHED);
  assert_int_equal(state_of(process, 1), EXU_FILE_MISSING);
  assert_int_equal(state_of(process, 2), EXU_FILE_MATCHED);
  free(other), free(none);
}

static void wrong_executable_is_said_and_not_used(void **state) {
  struct process *process = *state;
  char *other = library(process, "lib.so", OTHER_ID);
  load(process, libc_path, libc_path, BASE, SAVED_HEADER);
  process->process.auxv.phdr = BASE + 64;
  process->options.executable = other;
  find(process);
  assert_int_equal(state_of(process, 0), EXU_FILE_MATCHED);
  assert_int_equal(diagnostics_of(process, "executable-mismatched"), 1);
  assert_int_equal(process->diagnostics.list.count, 1);
  free(other);
}

static void sysroot_replaces_this_machine(void **state) {
  struct process *process = *state;
  run_command("mkdir -p '%s/root/usr/lib' && ln -s /usr/lib '%s/root/lib'", process->scratch, process->scratch);
  char *root = path_in(process->scratch, "root"), *inside = path_in(root, "usr/lib/exuvia-test.so");
  copy_whole(libc_path, inside);
  load(process, libc_path, "/lib/../lib/exuvia-test.so", BASE, SAVED_HEADER);
  load(process, libc_path, libc_path, OTHER_BASE, SAVED_HEADER);
  process->options.sysroot = root;
  find(process);
  assert_int_equal(state_of(process, 0), EXU_FILE_MATCHED);
  assert_int_equal(state_of(process, 1), EXU_FILE_MISSING); /* though it is on this machine */
  free(root), free(inside);
}

static void debug_only_file_gives_symbols_but_no_text(void **state) {
  struct process *process = *state;
  char *path = path_in(process->scratch, "only.so");
  run_command("objcopy --only-keep-debug '%s' '%s'", libc_path, path);
  load(process, libc_path, path, BASE, SAVED_HEADER);
  find(process);
  uint8_t bytes[16];
  const struct exu_file_mapping *text = &process->mappings[1];
  assert_int_equal(state_of(process, 0), EXU_FILE_MATCHED);
  assert_int_equal(exu_space_read(process->process.space, text->start, bytes, sizeof bytes), EXU_NOT_SAVED);
  free(path);
}

static void hostile_paths_are_only_names(void **state) {
  struct process *process = *state;
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
  struct process *process = *state;
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
  struct process *process = *state;
  size_t size, modules = 0;
  uint8_t *bytes = read_whole(libc_path, &size);
  uint32_t seed = 7;
  char *path = path_in(process->scratch, "lying");
  for (int round = 0; round < 300; round++) {
    struct process inner = {.scratch = NULL};
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

static void paths_in_a_root_stay_inside_both_ways(void **state) {
  struct process *process = *state;
  const char *s = process->scratch;
  run_command("mkdir -p '%s/r/usr/lib' '%s/r/etc' && echo in > '%s/r/usr/lib/f' && echo out > '%s/f' && cd '%s/r' && "
              "ln -s /usr/lib lib && ln -s ../../../../usr etc/u && ln -s /lib/f etc/alt && ln -s loop loop && "
              "ln -s ../../f escape && ln -s lib/ slash && mkfifo pipe",
              s, s, s, s, s);
  char *root = path_in(s, "r");
  const struct {
    const char *path;
    enum exu_status status;
  } cases[] = {
      {"/usr/lib/f", EXU_OK},        {"usr/lib/f", EXU_OK},        {"/lib/f", EXU_OK},
      {"//lib/./..//lib/f", EXU_OK}, {"/../../lib/f", EXU_OK},     {"/etc/u/lib/f", EXU_OK},
      {"/etc/alt", EXU_OK},          {"/slash/f", EXU_OK},         {"/loop", EXU_NOT_FOUND},
      {"/escape", EXU_NOT_FOUND},    {"/../f", EXU_NOT_FOUND},     {"/usr/lib/f/x", EXU_NOT_FOUND},
      {"/pipe", EXU_BAD_FORMAT},     {"/usr/lib", EXU_BAD_FORMAT}, {"/", EXU_BAD_FORMAT},
  };
  for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
    const char *path = cases[i / 2].path;
    struct exu_error error = {EXU_OK, ""};
    char text[8] = "";
    int fd = i % 2 ? exu_open_in_root(root, path, &error) : exu_open_in_root_by_steps(root, path, &error);
    if (error.status != cases[i / 2].status) fail_msg("%s: status %d, %s", path, (int)error.status, error.message);
    assert_int_equal(fd >= 0, error.status == EXU_OK);
    struct stat examined;
    assert_int_equal(exu_examine_regular(root, path, &examined), fd >= 0);
    if (fd < 0) continue;
    assert_int_equal(examined.st_size, 3);
    assert_int_equal(read(fd, text, sizeof text), 3);
    assert_string_equal(text, "in\n");
    close(fd);
  }
  free(root);
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
  struct process *process = *state;
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

static int note_libc(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  (void)context;
  if (strstr(info->dlpi_name, "/libc.so") || strstr(info->dlpi_name, "/libc-"))
    snprintf(libc_path, sizeof libc_path, "%s", info->dlpi_name);
  return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  dl_iterate_phdr(note_libc, NULL);
  const struct CMUnitTest tests[] = {
      TEST(image_is_described_by_its_header),
      TEST(file_mapped_to_be_read_is_no_module),
      TEST(image_loaded_twice_is_two_modules),
      TEST(code_of_an_image_that_is_mapped_once_more_is_no_module),
      TEST(adjacent_images_are_two_modules),
      TEST(file_that_is_no_elf_is_no_module),
      TEST(unsaved_header_leaves_an_unverified_module),
      TEST(text_is_read_from_a_matched_file_only),
      TEST(relro_is_not_read_from_the_file),
      TEST(file_states_are_told_apart),
      TEST(without_build_ids_headers_dynamic_section_and_constants_tell_files_apart),
      TEST(search_directory_is_tried_past_a_mismatch),
      TEST(executable_is_for_the_main_program),
      TEST(wrong_executable_is_said_and_not_used),
      TEST(sysroot_replaces_this_machine),
      TEST(debug_only_file_gives_symbols_but_no_text),
      TEST(hostile_paths_are_only_names),
      TEST(modules_without_names_get_them_from_the_link_map),
      TEST(lying_headers_are_clipped_or_refused),
      TEST(paths_in_a_root_stay_inside_both_ways),
      TEST(real_core_has_the_modules_of_its_process),
  };
  return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
