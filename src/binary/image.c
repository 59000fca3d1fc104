/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/image.h"

#include <elf.h>
#include <string.h>

#include "base/str.h"

enum {
  HEAD = 4096,        /* what kernels save of an image whose text they do not save */
  SEGMENTS_MAX = 256, /* real images have about ten */
  NOTES_MAX = 4096,
  DYNAMIC_MAX = 4096, /* entries */
  STRING_MAX = 4096,
};

uint64_t exu_process_page(const struct exu_process *process) {
  uint64_t page = process->auxv.page_size;
  bool sane = page >= 4096 && page <= 1UL << 20 && (page & (page - 1)) == 0;
  return sane ? page : 4096;
}

bool exu_process_word(const struct exu_process *process, uint64_t address, uint64_t *word) {
  uint8_t bytes[8];
  size_t size = process->arch->word_size == 4 ? 4 : 8;
  bool big = process->arch->big_endian;
  if (exu_space_read(process->space, address, bytes, size) != EXU_READABLE) return false;
  *word = exu_elf_u32(bytes, big);
  if (size == 8) {
    uint64_t second = exu_elf_u32(bytes + 4, big);
    *word = big ? *word << 32 | second : second << 32 | *word;
  }
  return true;
}

struct exu_string exu_process_string(const struct exu_process *process, uint64_t address, struct exu_arena *arena) {
  char bytes[STRING_MAX];
  size_t size = exu_space_read_some(process->space, address, bytes, sizeof bytes);
  const char *nul = size > 0 ? memchr(bytes, 0, size) : NULL;
  if (!nul || nul == bytes) return (struct exu_string){NULL, 0};
  return exu_arena_string(arena, bytes, (size_t)(nul - bytes));
}

/* Decode the program headers into `segments`, which has room for SEGMENTS_MAX; returns their number, 0 on failure. */
static size_t read_segments(const struct exu_process *process, const uint8_t *head, size_t head_size,
                            const struct exu_image *image, struct exu_elf_segment *segments) {
  const struct exu_elf_header *header = &image->header;
  size_t entry = exu_elf_segment_size(header);
  if (header->phnum > SEGMENTS_MAX || header->phentsize != entry) return 0;
  /* The program headers lie in the first segment, which begins with the ELF header. */
  size_t size = header->phnum * entry;
  uint8_t copy[SEGMENTS_MAX * sizeof(Elf64_Phdr)];
  const uint8_t *bytes = copy;
  uint64_t address;
  if (header->phoff <= head_size && size <= head_size - header->phoff) {
    bytes = head + header->phoff;
  } else if (__builtin_add_overflow(image->start, header->phoff, &address) ||
             exu_space_read(process->space, address, copy, size) != EXU_READABLE) {
    return 0;
  }
  for (size_t i = 0; i < header->phnum; i++) segments[i] = exu_elf_decode_segment(header, bytes + i * entry);
  return header->phnum;
}

/* From the PT_LOADs: the bias, and where the image ends. */
static bool place(const struct exu_process *process, struct exu_image *image) {
  const uint64_t mask = exu_process_page(process) - 1;
  uint64_t low = UINT64_MAX, high = 0;
  for (size_t i = 0; i < image->segment_count; i++) {
    const struct exu_elf_segment *segment = &image->segments[i];
    uint64_t end;
    if (segment->type != PT_LOAD) continue;
    if (__builtin_add_overflow(segment->vaddr, segment->memsz, &end) || end > UINT64_MAX - mask) return false;
    if ((segment->vaddr & ~mask) < low) low = segment->vaddr & ~mask;
    end = (end + mask) & ~mask;
    if (end > high) high = end;
  }
  if (low >= high || __builtin_add_overflow(image->start, high - low, &image->end)) return false;
  image->bias = image->start - low;
  return true;
}

static struct exu_build_id read_build_id(const struct exu_process *process, const uint8_t *head, size_t head_size,
                                         const struct exu_image *image) {
  struct exu_build_id id = {.size = 0};
  for (size_t i = 0; i < image->segment_count && id.size == 0; i++) {
    const struct exu_elf_segment *segment = &image->segments[i];
    if (segment->type != PT_NOTE) continue;
    uint64_t address = image->bias + segment->vaddr, from_start = address - image->start;
    if (address < image->start || address >= image->end) continue;
    bool big = image->header.big_endian;
    if (from_start < head_size && segment->filesz <= head_size - from_start) {
      id = exu_elf_note_build_id(head + from_start, (size_t)segment->filesz, segment->align, big);
    } else {
      uint8_t bytes[NOTES_MAX];
      size_t size = segment->filesz < sizeof bytes ? (size_t)segment->filesz : sizeof bytes;
      size = exu_space_read_some(process->space, address, bytes, size);
      id = exu_elf_note_build_id(bytes, size, segment->align, big);
    }
  }
  return id;
}

enum exu_image_result exu_image_read(const struct exu_process *process, uint64_t start, struct exu_arena *arena,
                                     struct exu_image *image) {
  uint8_t head[HEAD];
  size_t size = exu_space_read_some(process->space, start, head, sizeof head);
  if (size < SELFMAG) return EXU_IMAGE_UNSAVED;
  if (memcmp(head, ELFMAG, SELFMAG) != 0) return EXU_IMAGE_NONE;
  struct exu_image result = {.start = start};
  if (!exu_elf_decode_header(head, size, &result.header)) return EXU_IMAGE_BAD;
  const struct exu_arch *arch = process->arch;
  if (result.header.machine != arch->machine || result.header.big_endian != arch->big_endian) return EXU_IMAGE_BAD;
  if (result.header.type != ET_EXEC && result.header.type != ET_DYN) return EXU_IMAGE_BAD;
  struct exu_elf_segment segments[SEGMENTS_MAX];
  result.segments = segments;
  result.segment_count = read_segments(process, head, size, &result, segments);
  if (!place(process, &result)) return EXU_IMAGE_BAD;
  result.build_id = read_build_id(process, head, size, &result);
  struct exu_elf_segment *kept = exu_arena_array(arena, result.segment_count, sizeof *kept);
  if (!kept) return EXU_IMAGE_NO_MEMORY;
  memcpy(kept, segments, result.segment_count * sizeof *kept);
  result.segments = kept;
  *image = result;
  return EXU_IMAGE_OK;
}

bool exu_image_is_loaded(const struct exu_process *process, const struct exu_image *image) {
  const uint64_t mask = exu_process_page(process) - 1;
  const struct exu_file_mapping *first = exu_process_mapping(process, image->start);
  bool code = false;
  for (size_t i = 0; i < image->segment_count; i++)
    code |= image->segments[i].type == PT_LOAD && (image->segments[i].flags & PF_X) && image->segments[i].filesz > 0;
  for (size_t i = 0; i < image->segment_count; i++) {
    const struct exu_elf_segment *segment = &image->segments[i];
    if (segment->type != PT_LOAD || segment->filesz == 0 || (code && !(segment->flags & PF_X))) continue;
    uint64_t address = (image->bias + segment->vaddr) & ~mask;
    const struct exu_region *region = exu_space_find(process->space, address);
    const struct exu_file_mapping *mapping = exu_process_mapping(process, address);
    /* Code without a file mapping is still code: programs move theirs to huge pages. */
    if (!region && !mapping) return false;
    if (code && region && !(region->prot & (EXU_PROT_EXEC | EXU_PROT_UNKNOWN))) return false;
    if (!mapping || !first) continue;
    if (!exu_string_equal(mapping->path, first->path)) return false;
    if (mapping->offset + (address - mapping->start) != (segment->offset & ~mask)) return false;
  }
  return true;
}

bool exu_image_dynamic(const struct exu_process *process, const struct exu_image *image, uint64_t tag,
                       uint64_t *value) {
  const struct exu_elf_segment *dynamic = NULL;
  for (size_t i = 0; i < image->segment_count && !dynamic; i++)
    if (image->segments[i].type == PT_DYNAMIC) dynamic = &image->segments[i];
  if (!dynamic) return false;
  const uint64_t word = process->arch->word_size == 4 ? 4 : 8;
  uint64_t count = dynamic->memsz / (2 * word);
  if (count > DYNAMIC_MAX) count = DYNAMIC_MAX;
  uint64_t address = image->bias + dynamic->vaddr;
  for (uint64_t i = 0; i < count; i++, address += 2 * word) {
    uint64_t found;
    if (!exu_process_word(process, address, &found) || found == DT_NULL) return false;
    if (found == tag) return exu_process_word(process, address + word, value);
  }
  return false;
}

struct exu_string exu_image_soname(const struct exu_process *process, const struct exu_image *image,
                                   struct exu_arena *arena) {
  uint64_t name, strings;
  if (!exu_image_dynamic(process, image, DT_SONAME, &name) || !exu_image_dynamic(process, image, DT_STRTAB, &strings))
    return (struct exu_string){NULL, 0};
  /* glibc adds the bias to the addresses in PT_DYNAMIC where it is writable; musl and the vDSO keep the file's. */
  if (strings < image->start || strings >= image->end) strings += image->bias;
  return exu_process_string(process, strings + name, arena);
}
