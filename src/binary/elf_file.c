/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/elf_file.h"

#include <elf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/read_at.h"
#include "binary/elf_file_private.h"
#include "binary/open.h"

enum {
  SEGMENTS_MAX = 4096,
  SECTIONS_MAX = 65536,
  SECTION_NAMES_MAX = 1024 * 1024,
  NOTES_MAX = 64 * 1024,
  DYNAMIC_MAX = 4096, /* entries */
  PAGE = 4096,
};

bool exu_elf_file_read(const struct exu_elf_file *file, uint64_t offset, void *buffer, size_t size) {
  if (offset > file->size || size > file->size - offset) return false;
  if (offset < file->head_size && size <= file->head_size - offset) {
    if (size > 0) memcpy(buffer, file->head + offset, size);
    return true;
  }
  return exu_read_at(file->fd, buffer, size, offset);
}

/* The position in the file of an address in the file, by the program headers. */
static bool offset_of(const struct exu_elf_file *file, uint64_t vaddr, uint64_t *offset) {
  for (size_t i = 0; i < file->segment_count; i++) {
    const struct exu_elf_segment *segment = &file->segments[i];
    if (segment->type != PT_LOAD || vaddr < segment->vaddr || vaddr - segment->vaddr >= segment->filesz) continue;
    if (__builtin_add_overflow(segment->offset, vaddr - segment->vaddr, offset)) return false;
    return *offset < file->size;
  }
  return false;
}

static bool read_segments(struct exu_elf_file *file) {
  const struct exu_elf_header *header = &file->header;
  size_t count = header->phnum;
  if (count == PN_XNUM && header->shoff) {
    /* Too many for e_phnum: the number is in sh_info of the first section header. */
    uint8_t bytes[sizeof(Elf64_Shdr)];
    if (exu_elf_file_read(file, header->shoff, bytes, exu_elf_section_size(header)))
      count = exu_elf_decode_section(header, bytes).info;
  }
  if (header->phoff >= file->size) count = 0;
  if (count > 0 && count > (file->size - header->phoff) / header->phentsize)
    count = (size_t)((file->size - header->phoff) / header->phentsize);
  if (count > SEGMENTS_MAX) count = SEGMENTS_MAX;
  if (count == 0) return true;
  file->segments = calloc(count, sizeof *file->segments);
  if (!file->segments) return false;
  for (size_t i = 0; i < count; i++) {
    uint8_t bytes[sizeof(Elf64_Phdr)];
    if (!exu_elf_file_read(file, header->phoff + i * header->phentsize, bytes, exu_elf_segment_size(header))) break;
    file->segments[file->segment_count++] = exu_elf_decode_segment(header, bytes);
  }
  return true;
}

/* Note one entry of PT_DYNAMIC. Addresses become positions in the file. */
static void read_dynamic_entry(struct exu_elf_file *file, uint64_t tag, uint64_t value) {
  struct exu_elf_dynamic *dynamic = &file->dynamic;
  uint64_t *place = NULL;
  switch (tag) {
  case DT_SYMTAB: place = &dynamic->symbols; break;
  case DT_STRTAB: place = &dynamic->strings; break;
  case DT_HASH: place = &dynamic->hash; break;
  case DT_GNU_HASH: place = &dynamic->gnu_hash; break;
  case DT_STRSZ: dynamic->string_size = value; break;
  case DT_TEXTREL: dynamic->text_relocations = true; break;
  case DT_FLAGS: dynamic->text_relocations |= (value & DF_TEXTREL) != 0; break;
  default: break;
  }
  if (place && !offset_of(file, value, place)) *place = 0;
}

static void read_dynamic(struct exu_elf_file *file) {
  const struct exu_elf_segment *segment = NULL;
  for (size_t i = 0; i < file->segment_count && !segment; i++)
    if (file->segments[i].type == PT_DYNAMIC) segment = &file->segments[i];
  if (!segment) return;
  const size_t word = file->header.is_64 ? 8 : 4;
  const size_t entry = 2 * word;
  uint8_t bytes[64 * 16] = {0};
  uint64_t left = segment->filesz / entry < DYNAMIC_MAX ? segment->filesz / entry : DYNAMIC_MAX;
  uint64_t offset = segment->offset;
  while (left > 0) {
    size_t count = left < sizeof bytes / entry ? (size_t)left : sizeof bytes / entry;
    if (!exu_elf_file_read(file, offset, bytes, count * entry)) return;
    for (size_t i = 0; i < count; i++) {
      const uint8_t *tag = bytes + i * entry;
      uint64_t pair[2] = {0, 0};
      for (size_t part = 0; part < 2; part++) {
        bool big = file->header.big_endian;
        const uint8_t *at = tag + part * word;
        pair[part] = exu_elf_u32(at, big);
        if (word == 8) {
          uint64_t second = exu_elf_u32(at + 4, big);
          pair[part] = big ? pair[part] << 32 | second : second << 32 | pair[part];
        }
      }
      if (pair[0] == DT_NULL) return;
      read_dynamic_entry(file, pair[0], pair[1]);
    }
    offset += count * entry;
    left -= count;
  }
}

struct exu_elf_file *exu_elf_file_open_fd(int fd, const char *path, struct exu_error *error) {
  struct exu_elf_file *file = malloc(sizeof *file);
  if (!file) {
    close(fd);
    exu_fail(error, EXU_NO_MEMORY, "out of memory");
    return NULL;
  }
  memset(file, 0, offsetof(struct exu_elf_file, head));
  file->references = 1;
  file->fd = fd;
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    exu_fail(error, EXU_BAD_FORMAT, "%s: not a regular file", path);
    goto fail;
  }
  file->size = (uint64_t)status.st_size;
  size_t head = file->size < sizeof file->head ? (size_t)file->size : sizeof file->head;
  if (!exu_elf_file_read(file, 0, file->head, head)) {
    exu_fail(error, EXU_IO, "%s: cannot be read", path);
    goto fail;
  }
  file->head_size = head;
  if (!exu_elf_decode_header(file->head, head, &file->header)) {
    exu_fail(error, EXU_BAD_FORMAT, "%s: not an ELF file", path);
    goto fail;
  }
  if (!read_segments(file)) {
    exu_fail(error, EXU_NO_MEMORY, "out of memory");
    goto fail;
  }
  read_dynamic(file);
  return file;
fail:
  exu_elf_file_close(file);
  return NULL;
}

struct exu_elf_file *exu_elf_file_open(const char *path, struct exu_error *error) {
  int fd = exu_open_regular(path, error);
  return fd < 0 ? NULL : exu_elf_file_open_fd(fd, path, error);
}

void exu_elf_file_close(struct exu_elf_file *file) {
  if (!file || --file->references > 0) return;
  if (file->dwarf) dwarf_end(file->dwarf);
  if (file->elf) elf_end(file->elf);
  free(file->segments);
  free(file->sections);
  free(file->section_names);
  close(file->fd);
  free(file);
}

static ssize_t read_source(const struct exu_source *source, uint64_t offset, void *buffer, size_t size) {
  return exu_read_some_at(source->fd, buffer, size, offset);
}

static void close_source(const struct exu_source *source) { exu_elf_file_close(source->state); }

struct exu_source exu_elf_file_source(struct exu_elf_file *file) {
  static const struct exu_source_ops ops = {.read = read_source, .read_once = read_source, .close = close_source};
  file->references++;
  return (struct exu_source){.ops = &ops, .state = file, .fd = file->fd, .size = file->size};
}

int exu_elf_file_fd(const struct exu_elf_file *file) { return file->fd; }
uint64_t exu_elf_file_size(const struct exu_elf_file *file) { return file->size; }
uint16_t exu_elf_file_machine(const struct exu_elf_file *file) { return file->header.machine; }
const struct exu_elf_header *exu_elf_file_header(const struct exu_elf_file *file) { return &file->header; }

const struct exu_elf_segment *exu_elf_file_segments(const struct exu_elf_file *file, size_t *count) {
  *count = file->segment_count;
  return file->segments;
}

static void read_section_names(struct exu_elf_file *file, uint32_t index) {
  if (index >= file->section_count) return;
  const struct exu_elf_section *names = &file->sections[index];
  if (names->type != SHT_STRTAB || names->size > SECTION_NAMES_MAX) return;
  char *bytes = malloc((size_t)names->size + 1);
  if (!bytes) return;
  if (!exu_elf_file_read(file, names->offset, bytes, (size_t)names->size)) {
    free(bytes);
    return;
  }
  bytes[names->size] = '\0';
  file->section_names = bytes;
  file->section_names_size = (size_t)names->size;
}

static void read_sections(struct exu_elf_file *file) {
  const struct exu_elf_header *header = &file->header;
  uint8_t first[sizeof(Elf64_Shdr)];
  if (header->shoff == 0 || !exu_elf_file_read(file, header->shoff, first, exu_elf_section_size(header))) return;
  /* More sections than the header's 16 bits can count: the numbers are in the first section header. */
  struct exu_elf_section zero = exu_elf_decode_section(header, first);
  uint64_t count = header->shnum ? header->shnum : zero.size;
  uint32_t names = header->shstrndx == SHN_XINDEX ? zero.link : header->shstrndx;
  uint64_t room = (file->size - header->shoff) / header->shentsize;
  if (count > room) count = room;
  if (count > SECTIONS_MAX) count = SECTIONS_MAX;

  size_t size = (size_t)count * header->shentsize;
  uint8_t *bytes = malloc(size ? size : 1);
  file->sections = calloc(count ? (size_t)count : 1, sizeof *file->sections);
  if (bytes && file->sections && exu_elf_file_read(file, header->shoff, bytes, size)) {
    file->section_count = (size_t)count;
    for (size_t i = 0; i < file->section_count; i++)
      file->sections[i] = exu_elf_decode_section(header, bytes + i * header->shentsize);
  }
  free(bytes);
  read_section_names(file, names);
}

const struct exu_elf_section *exu_elf_file_sections(struct exu_elf_file *file, size_t *count) {
  if (!file->sections_read) {
    file->sections_read = true;
    read_sections(file);
  }
  *count = file->section_count;
  return file->sections;
}

const struct exu_elf_section *exu_elf_file_section_of_type(struct exu_elf_file *file, uint32_t type) {
  size_t count;
  const struct exu_elf_section *sections = exu_elf_file_sections(file, &count);
  for (size_t i = 0; i < count; i++)
    if (sections[i].type == type && sections[i].size > 0 && sections[i].offset < file->size) return &sections[i];
  return NULL;
}

static const struct exu_elf_section *section_by_name(struct exu_elf_file *file, const char *name) {
  size_t count;
  const struct exu_elf_section *sections = exu_elf_file_sections(file, &count);
  if (!file->section_names) return NULL;
  for (size_t i = 1; i < count; i++)
    if (sections[i].name < file->section_names_size && strcmp(file->section_names + sections[i].name, name) == 0)
      return &sections[i];
  return NULL;
}

bool exu_elf_file_section(struct exu_elf_file *file, const char *name, uint64_t *address, uint64_t *size) {
  const struct exu_elf_section *section = section_by_name(file, name);
  if (!section) return false;
  *address = section->address;
  *size = section->size;
  return true;
}

static struct exu_build_id build_id_at(struct exu_elf_file *file, uint64_t offset, uint64_t size, uint64_t alignment) {
  struct exu_build_id id = {.size = 0};
  size_t length = size < NOTES_MAX ? (size_t)size : NOTES_MAX;
  uint8_t *bytes = length > 0 ? malloc(length) : NULL;
  if (!bytes) return id;
  if (exu_elf_file_read(file, offset, bytes, length))
    id = exu_elf_note_build_id(bytes, length, alignment, file->header.big_endian);
  free(bytes);
  return id;
}

struct exu_build_id exu_elf_file_build_id(struct exu_elf_file *file) {
  struct exu_build_id id = {.size = 0};
  for (size_t i = 0; i < file->segment_count && id.size == 0; i++) {
    const struct exu_elf_segment *segment = &file->segments[i];
    if (segment->type == PT_NOTE) id = build_id_at(file, segment->offset, segment->filesz, segment->align);
  }
  if (id.size > 0) return id;
  /* A file of debug information may have kept the program headers of the other one; its sections are its own. */
  size_t count;
  const struct exu_elf_section *sections = exu_elf_file_sections(file, &count);
  for (size_t i = 0; i < count && id.size == 0; i++)
    if (sections[i].type == SHT_NOTE) id = build_id_at(file, sections[i].offset, sections[i].size, 4);
  return id;
}

bool exu_elf_file_debug_only(struct exu_elf_file *file) {
  size_t count;
  const struct exu_elf_section *sections = exu_elf_file_sections(file, &count);
  for (size_t i = 0; i < count; i++)
    if (sections[i].type == SHT_NOBITS && (sections[i].flags & SHF_EXECINSTR)) return true;
  return false;
}

bool exu_elf_file_text_relocations(const struct exu_elf_file *file) { return file->dynamic.text_relocations; }

static bool has_dwarf(struct exu_elf_file *file) {
  static const char *const names[] = {".debug_info", ".zdebug_info"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const struct exu_elf_section *section = section_by_name(file, names[i]);
    if (section && section->type != SHT_NOBITS && section->size > 0 && section->offset < file->size) return true;
  }
  return false;
}

enum exu_symbols exu_elf_file_symbols(struct exu_elf_file *file) {
  if (has_dwarf(file)) return EXU_SYMBOLS_DWARF;
  if (exu_elf_file_section_of_type(file, SHT_SYMTAB)) return EXU_SYMBOLS_SYMTAB;
  if (exu_elf_file_section_of_type(file, SHT_DYNSYM)) return EXU_SYMBOLS_DYNSYM;
  const struct exu_elf_dynamic *dynamic = &file->dynamic;
  if (dynamic->symbols && dynamic->strings && (dynamic->hash || dynamic->gnu_hash)) return EXU_SYMBOLS_DYNSYM;
  return EXU_SYMBOLS_NONE;
}

bool exu_elf_file_first_load(struct exu_elf_file *file, uint64_t *vaddr) {
  bool found = false;
  uint64_t lowest = UINT64_MAX;
  for (size_t i = 0; i < file->segment_count; i++) {
    if (file->segments[i].type != PT_LOAD || file->segments[i].vaddr > lowest) continue;
    lowest = file->segments[i].vaddr;
    found = true;
  }
  if (found) *vaddr = lowest & ~(uint64_t)(PAGE - 1);
  return found;
}

struct Elf *exu_elf_file_elf(struct exu_elf_file *file) {
  if (!file->elf && elf_version(EV_CURRENT) != EV_NONE) file->elf = elf_begin(file->fd, ELF_C_READ_MMAP, NULL);
  return file->elf;
}

struct Dwarf *exu_elf_file_dwarf(struct exu_elf_file *file) {
  if (file->dwarf_tried) return file->dwarf;
  file->dwarf_tried = true;
  Elf *elf = has_dwarf(file) ? exu_elf_file_elf(file) : NULL;
  if (elf) file->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
  return file->dwarf;
}
