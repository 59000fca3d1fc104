/* SPDX-License-Identifier: Apache-2.0 */
#include "elf/format.h"

#include <elf.h>
#include <string.h>

#include "base/cursor.h"

size_t exu_elf_segment_size(const struct exu_elf_header *header) {
  return header->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
}

size_t exu_elf_section_size(const struct exu_elf_header *header) {
  return header->is_64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
}

size_t exu_elf_record_size(const struct exu_elf_header *header) {
  return header->is_64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
}

/* An Elf32_Addr, Elf32_Off or Elf32_Word that the 64-bit format widened. */
static uint64_t wide(struct exu_cursor *cursor, const struct exu_elf_header *header) {
  return header->is_64 ? exu_cursor_u64(cursor) : exu_cursor_u32(cursor);
}

bool exu_elf_decode_header(const void *bytes, size_t size, struct exu_elf_header *header) {
  const uint8_t *ident = bytes;
  if (size < EI_NIDENT || memcmp(ident, ELFMAG, SELFMAG) != 0) return false;
  if (ident[EI_CLASS] != ELFCLASS64 && ident[EI_CLASS] != ELFCLASS32) return false;
  if (ident[EI_DATA] != ELFDATA2LSB && ident[EI_DATA] != ELFDATA2MSB) return false;
  struct exu_elf_header result = {
      .is_64 = ident[EI_CLASS] == ELFCLASS64,
      .big_endian = ident[EI_DATA] == ELFDATA2MSB,
  };
  struct exu_cursor cursor = exu_cursor(ident + EI_NIDENT, size - EI_NIDENT, result.big_endian);
  result.type = exu_cursor_u16(&cursor);
  result.machine = exu_cursor_u16(&cursor);
  exu_cursor_skip(&cursor, 4); /* e_version */
  result.entry = wide(&cursor, &result);
  result.phoff = wide(&cursor, &result);
  result.shoff = wide(&cursor, &result);
  exu_cursor_skip(&cursor, 4 + 2); /* e_flags, e_ehsize */
  result.phentsize = exu_cursor_u16(&cursor);
  result.phnum = exu_cursor_u16(&cursor);
  result.shentsize = exu_cursor_u16(&cursor);
  result.shnum = exu_cursor_u16(&cursor);
  result.shstrndx = exu_cursor_u16(&cursor);
  if (cursor.failed) return false;
  if (result.phoff == 0 || result.phentsize < exu_elf_segment_size(&result)) result.phnum = 0;
  if (result.shentsize < exu_elf_section_size(&result)) result.shoff = 0;
  if (result.shoff == 0) result.shnum = 0;
  *header = result;
  return true;
}

struct exu_elf_segment exu_elf_decode_segment(const struct exu_elf_header *header, const void *bytes) {
  struct exu_cursor cursor = exu_cursor(bytes, exu_elf_segment_size(header), header->big_endian);
  struct exu_elf_segment segment = {.type = exu_cursor_u32(&cursor)};
  if (header->is_64) segment.flags = exu_cursor_u32(&cursor);
  segment.offset = wide(&cursor, header);
  segment.vaddr = wide(&cursor, header);
  wide(&cursor, header); /* p_paddr */
  segment.filesz = wide(&cursor, header);
  segment.memsz = wide(&cursor, header);
  if (!header->is_64) segment.flags = exu_cursor_u32(&cursor);
  segment.align = wide(&cursor, header);
  return segment;
}

struct exu_elf_section exu_elf_decode_section(const struct exu_elf_header *header, const void *bytes) {
  struct exu_cursor cursor = exu_cursor(bytes, exu_elf_section_size(header), header->big_endian);
  struct exu_elf_section section = {.name = exu_cursor_u32(&cursor)};
  section.type = exu_cursor_u32(&cursor);
  section.flags = wide(&cursor, header);
  section.address = wide(&cursor, header);
  section.offset = wide(&cursor, header);
  section.size = wide(&cursor, header);
  section.link = exu_cursor_u32(&cursor);
  section.info = exu_cursor_u32(&cursor);
  wide(&cursor, header); /* sh_addralign */
  section.entry_size = wide(&cursor, header);
  return section;
}

struct exu_elf_record exu_elf_decode_record(const struct exu_elf_header *header, const void *bytes) {
  struct exu_cursor cursor = exu_cursor(bytes, exu_elf_record_size(header), header->big_endian);
  struct exu_elf_record record = {.name = exu_cursor_u32(&cursor)};
  if (header->is_64) {
    record.info = exu_cursor_u8(&cursor);
    exu_cursor_u8(&cursor); /* st_other */
    record.section = exu_cursor_u16(&cursor);
  }
  record.value = wide(&cursor, header);
  record.size = wide(&cursor, header);
  if (!header->is_64) {
    record.info = exu_cursor_u8(&cursor);
    exu_cursor_u8(&cursor);
    record.section = exu_cursor_u16(&cursor);
  }
  return record;
}

struct exu_build_id exu_elf_note_build_id(const void *bytes, size_t size, uint64_t alignment, bool big_endian) {
  /* The gABI asks for 8-byte alignment in 64-bit files; nobody does that but .note.gnu.property, which says so. */
  const size_t padding = alignment == 8 ? 8 : 4;
  struct exu_build_id id = {.size = 0};
  struct exu_cursor cursor = exu_cursor(bytes, size, big_endian);
  while (exu_cursor_left(&cursor) > 0) {
    uint32_t name_size = exu_cursor_u32(&cursor);
    uint32_t desc_size = exu_cursor_u32(&cursor);
    uint32_t type = exu_cursor_u32(&cursor);
    const void *name = exu_cursor_bytes(&cursor, name_size);
    exu_cursor_align(&cursor, bytes, padding);
    const void *desc = exu_cursor_bytes(&cursor, desc_size);
    if (cursor.failed) break;
    if (type == NT_GNU_BUILD_ID && name_size == sizeof ELF_NOTE_GNU && memcmp(name, ELF_NOTE_GNU, name_size) == 0 &&
        desc_size > 0 && desc_size <= EXU_BUILD_ID_MAX) {
      memcpy(id.bytes, desc, desc_size);
      id.size = desc_size;
      break;
    }
    exu_cursor_align(&cursor, bytes, padding);
  }
  return id;
}

bool exu_build_id_equal(const struct exu_build_id *a, const struct exu_build_id *b) {
  return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}
