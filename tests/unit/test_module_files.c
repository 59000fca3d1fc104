/* SPDX-License-Identifier: Apache-2.0 */
/* The files of modules: which is the one that was loaded, where it is looked for, what is read from it. */
#include <elf.h>
#include <errno.h>
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

#include "base/str.h"
#include "binary/modules.h"
#include "binary/open.h"
#include "files.h"
#include "mapped_process.h"
#include "process/process.h"

static void text_is_read_from_a_matched_file_only(void **state) {
  struct mapped_process *process = *state;
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
  struct mapped_process *process = *state;
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
  struct mapped_process *process = *state;
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

static void why_a_file_cannot_be_opened_is_said_with_its_whole_path(void **state) {
  enum { NOBODY = 65534, LENGTH = 250 };
  struct mapped_process *process = *state;
  char name[3 * LENGTH], expected[4096];
  memset(name, 'x', sizeof name);
  for (size_t i = LENGTH; i < sizeof name; i += LENGTH) name[i - 1] = '/';
  name[sizeof name - 1] = '\0';
  char *path = path_in(process->scratch, name);
  load(process, libc_path, path, BASE, SAVED_HEADER);
  find(process);
  const uid_t user = geteuid();
  assert_int_equal(chmod(process->scratch, 0), 0);
  assert_int_equal(user == 0 ? seteuid(NOBODY) : 0, 0);
  const enum exu_module_file file = state_of(process, 0);
  assert_int_equal(seteuid(user), 0);
  assert_int_equal(chmod(process->scratch, 0700), 0);
  assert_int_equal(file, EXU_FILE_MISSING);
  snprintf(expected, sizeof expected, ": %s: %s", path, strerror(EACCES));
  assert_int_equal(process->diagnostics.list.count, 1);
  assert_true(exu_string_ends(process->diagnostics.list.items[0].message, expected));
  free(path);
}

/* A copy of a library without a build id, with one byte changed at a place of its file. */
static char *changed_copy(const struct mapped_process *process, const char *library, const char *name,
                          uint64_t offset) {
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
  struct mapped_process *process = *state;
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
  struct mapped_process *process = *state;
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
  struct mapped_process *process = *state;
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
  struct mapped_process *process = *state;
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
  struct mapped_process *process = *state;
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
  struct mapped_process *process = *state;
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
static void paths_in_a_root_stay_inside_both_ways(void **state) {
  struct mapped_process *process = *state;
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

int main(void) {
  find_libc();
  const struct CMUnitTest tests[] = {
      TEST(text_is_read_from_a_matched_file_only),
      TEST(relro_is_not_read_from_the_file),
      TEST(file_states_are_told_apart),
      TEST(why_a_file_cannot_be_opened_is_said_with_its_whole_path),
      TEST(without_build_ids_headers_dynamic_section_and_constants_tell_files_apart),
      TEST(search_directory_is_tried_past_a_mismatch),
      TEST(executable_is_for_the_main_program),
      TEST(wrong_executable_is_said_and_not_used),
      TEST(sysroot_replaces_this_machine),
      TEST(debug_only_file_gives_symbols_but_no_text),
      TEST(paths_in_a_root_stay_inside_both_ways),
  };
  return cmocka_run_group_tests_name("module files", tests, NULL, NULL);
}
