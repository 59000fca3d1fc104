/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of an ELF file as plain structs, decoded from untrusted bytes of either class and byte order. Shared by
 * files on disk (elf_file.h) and by images in the process's memory (image.h).
 */
#ifndef EXUVIA_ELF_FORMAT_H
#define EXUVIA_ELF_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXU_BUILD_ID_MAX = 64 };

struct exu_build_id {
  uint8_t bytes[EXU_BUILD_ID_MAX];
  size_t size; /* 0: none */
};

struct exu_elf_header {
  bool is_64;
  bool big_endian;
  uint16_t type;
  uint16_t machine;
  uint64_t entry;
  uint64_t phoff;
  uint64_t shoff;
  uint16_t phentsize; /* at least the size of an entry of the class, or phnum is 0 */
  uint16_t phnum;     /* as it stands there: PN_XNUM is not resolved */
  uint16_t shentsize; /* likewise */
  uint16_t shnum;
  uint16_t shstrndx;
};

/* A program header. */
struct exu_elf_segment {
  uint32_t type;
  uint32_t flags;
  uint64_t offset;
  uint64_t vaddr;
  uint64_t filesz;
  uint64_t memsz;
  uint64_t align;
};

/* A section header. */
struct exu_elf_section {
  uint32_t name;
  uint32_t type;
  uint64_t flags;
  uint64_t address;
  uint64_t offset;
  uint64_t size;
  uint32_t link;
  uint32_t info;
  uint64_t entry_size;
};

/* A symbol table entry. */
struct exu_elf_record {
  uint32_t name;
  uint8_t info;
  uint16_t section;
  uint64_t value;
  uint64_t size;
};

/* Bytes of one entry in a file of the header's class. */
size_t exu_elf_segment_size(const struct exu_elf_header *header);
size_t exu_elf_section_size(const struct exu_elf_header *header);
size_t exu_elf_record_size(const struct exu_elf_header *header);

/* Decode an ELF header. Returns false when the bytes are not one, or too few. */
bool exu_elf_decode_header(const void *bytes, size_t size, struct exu_elf_header *header);

/* Decode one entry; `bytes` must hold as many as the function of the same name above says. */
struct exu_elf_segment exu_elf_decode_segment(const struct exu_elf_header *header, const void *bytes);
struct exu_elf_section exu_elf_decode_section(const struct exu_elf_header *header, const void *bytes);
struct exu_elf_record exu_elf_decode_record(const struct exu_elf_header *header, const void *bytes);

/*
 * The GNU build id in the notes of a PT_NOTE segment or SHT_NOTE section with that alignment; size 0 when there is
 * none. A build id that is longer than EXU_BUILD_ID_MAX counts as none.
 */
struct exu_build_id exu_elf_note_build_id(const void *bytes, size_t size, uint64_t alignment, bool big_endian);

bool exu_build_id_equal(const struct exu_build_id *a, const struct exu_build_id *b);

/* An unsigned number in the byte order of the file. */
static inline uint32_t exu_elf_u32(const uint8_t *bytes, bool big_endian) {
  return big_endian ? (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]
                    : (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

#endif
