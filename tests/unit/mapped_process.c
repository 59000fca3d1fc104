/* SPDX-License-Identifier: Apache-2.0 */
#include "mapped_process.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "binary/open.h"
#include "files.h"

char libc_path[4096];

int set_up(void **state) {
  struct mapped_process *process = calloc(1, sizeof *process);
  exu_arena_init(&process->arena, 64 << 20);
  exu_diagnostics_init(&process->diagnostics, &process->arena);
  process->process.arch = exu_arch_find(EM_X86_64, ELFCLASS64, ELFDATA2LSB);
  process->process.space = exu_space_create(&process->arena);
  process->process.mappings = process->mappings;
  process->scratch = scratch_create();
  *state = process;
  return process->process.arch && process->process.space ? 0 : -1;
}

int tear_down(void **state) {
  struct mapped_process *process = *state;
  exu_space_destroy(process->process.space);
  exu_modules_deinit(&process->modules);
  for (size_t i = 0; i < process->fd_count; i++) close(process->fds[i]);
  scratch_remove(process->scratch);
  exu_arena_deinit(&process->arena);
  free(process);
  return 0;
}

uint32_t add_file(struct mapped_process *process, const char *file, uint64_t *size) {
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  struct stat status;
  assert_true(fd >= 0 && fstat(fd, &status) == 0);
  process->fds[process->fd_count++] = fd;
  *size = (uint64_t)status.st_size;
  int source = exu_space_add_source(process->process.space, exu_source_of_file(fd, *size, false));
  assert_true(source >= 0);
  return (uint32_t)source;
}

void add_mapping(struct mapped_process *process, const char *path, uint64_t start, uint64_t end, uint64_t offset) {
  struct exu_process *of = &process->process;
  assert_true(of->mapping_count < MAPPINGS);
  process->mappings[of->mapping_count++] = (struct exu_file_mapping){
      .start = start, .end = end, .offset = offset, .path = exu_arena_string(&process->arena, path, strlen(path))};
}

/* Map `file` as a loader does, with `path` for a name; without a name it gets no file mappings. */
void load(struct mapped_process *process, const char *file, const char *path, uint64_t base, enum saved saved) {
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
void map_data(struct mapped_process *process, const char *file, const char *path, uint64_t base) {
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

void find(struct mapped_process *process) {
  struct exu_process *of = &process->process;
  assert_true(exu_space_finalize(of->space));
  assert_true(exu_modules_init(&process->modules, of, &process->options, &process->arena, &process->diagnostics));
  exu_space_set_backing(of->space, exu_modules_back_region, &process->modules);
}

size_t diagnostics_of(const struct mapped_process *process, const char *code) {
  size_t count = 0;
  for (size_t i = 0; i < process->diagnostics.list.count; i++)
    count += strcmp(process->diagnostics.list.items[i].code, code) == 0;
  return count;
}

bool path_is(const struct exu_binary *module, const char *path) {
  return module->path.data && module->path.size == strlen(path) && memcmp(module->path.data, path, strlen(path)) == 0;
}

char *library(const struct mapped_process *process, const char *name, enum change change) {
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

enum exu_module_file state_of(struct mapped_process *process, size_t index) {
  struct exu_binary *module = &process->modules.items[index];
  struct exu_elf_file *file = exu_modules_file(&process->modules, module);
  assert_ptr_equal(file, module->file);
  bool usable = module->file_state == EXU_FILE_MATCHED || module->file_state == EXU_FILE_UNVERIFIED;
  assert_int_equal(file != NULL, usable);
  return module->file_state;
}

static int note_libc(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  (void)context;
  if (strstr(info->dlpi_name, "/libc.so") || strstr(info->dlpi_name, "/libc-"))
    snprintf(libc_path, sizeof libc_path, "%s", info->dlpi_name);
  return 0;
}

void find_libc(void) { dl_iterate_phdr(note_libc, NULL); }
