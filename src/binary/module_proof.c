/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/module_proof.h"

#include <elf.h>
#include <string.h>

/*
 * Where section headers are is in the ELF header: one byte more anywhere in the file, and they are elsewhere. Sizes and
 * addresses of tables, the first and the last function are in PT_DYNAMIC.
 */
enum { PAGE = 4096, CHUNK = 4096, CONSTANTS_MAX = 1024 * 1024, DYNAMIC_MAX = 4096 /* entries */ };

/* The same segments of the same sizes? */
static bool layouts_agree(const struct exu_image *image, struct exu_elf_file *file) {
  const struct exu_elf_header *header = exu_elf_file_header(file);
  if (header->type != image->header.type || header->machine != image->header.machine ||
      header->is_64 != image->header.is_64 || header->big_endian != image->header.big_endian)
    return false;
  size_t count, i = 0, k = 0;
  const struct exu_elf_segment *segments = exu_elf_file_segments(file, &count);
  for (;; i++, k++) {
    while (i < count && segments[i].type != PT_LOAD) i++;
    while (k < image->segment_count && image->segments[k].type != PT_LOAD) k++;
    if (i == count || k == image->segment_count) return i == count && k == image->segment_count;
    const struct exu_elf_segment *a = &segments[i], *b = &image->segments[k];
    if (a->offset != b->offset || a->vaddr != b->vaddr || a->filesz != b->filesz || a->memsz != b->memsz ||
        a->flags != b->flags)
      return false;
  }
}

/* How many bytes from the address on the process has itself, at most `most`. */
static size_t saved_at(const struct exu_process *process, uint64_t address, size_t most) {
  const struct exu_region *region = exu_space_find(process->space, address);
  if (!region || address - region->start >= region->saved) return 0;
  uint64_t left = region->saved - (address - region->start);
  return left < most ? (size_t)left : most;
}

/* The process's bytes against the file's. They must all be saved. */
static enum exu_match compare(const struct exu_process *process, uint64_t address, struct exu_elf_file *file,
                              uint64_t offset, uint64_t size) {
  uint8_t ours[CHUNK], theirs[CHUNK];
  for (uint64_t done = 0; done < size;) {
    size_t part = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
    part = saved_at(process, address + done, part);
    if (part == 0 || exu_space_read(process->space, address + done, theirs, part) != EXU_READABLE)
      return EXU_MATCH_POSSIBLE;
    if (!exu_elf_file_read(file, offset + done, ours, part) || memcmp(ours, theirs, part) != 0) return EXU_MATCH_OTHER;
    done += part;
  }
  return EXU_MATCH_SAME;
}

static size_t header_size(const struct exu_elf_header *header) {
  return header->is_64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
}

static enum exu_match compare_headers(const struct exu_process *process, const struct exu_image *image,
                                      struct exu_elf_file *file) {
  const struct exu_elf_header *theirs = &image->header, *ours = exu_elf_file_header(file);
  if (ours->entry != theirs->entry || ours->phoff != theirs->phoff || ours->phnum != theirs->phnum)
    return EXU_MATCH_OTHER;
  enum exu_match proof =
      compare(process, image->start + theirs->phoff, file, theirs->phoff, (uint64_t)theirs->phnum * theirs->phentsize);
  if (proof != EXU_MATCH_SAME) return proof;
  proof = compare(process, image->start, file, 0, header_size(theirs));
  /* strip(1) moves the section headers and leaves the rest as it is. */
  return proof == EXU_MATCH_OTHER ? EXU_MATCH_POSSIBLE : proof;
}

static uint64_t word_at(const uint8_t *bytes, size_t word, bool big) {
  uint64_t first = exu_elf_u32(bytes, big);
  if (word == 4) return first;
  uint64_t second = exu_elf_u32(bytes + 4, big);
  return big ? first << 32 | second : second << 32 | first;
}

/* The loader adds the bias to addresses in PT_DYNAMIC, and stores one for debuggers. */
static enum exu_match compare_dynamic(const struct exu_process *process, const struct exu_image *image,
                                      struct exu_elf_file *file) {
  const struct exu_elf_segment *dynamic = NULL;
  for (size_t i = 0; i < image->segment_count && !dynamic; i++)
    if (image->segments[i].type == PT_DYNAMIC) dynamic = &image->segments[i];
  if (!dynamic) return EXU_MATCH_POSSIBLE;
  const size_t word = image->header.is_64 ? 8 : 4;
  const bool big = image->header.big_endian;
  uint64_t count = dynamic->filesz / (2 * word), address = image->bias + dynamic->vaddr;
  for (uint64_t i = 0; i < count && i < DYNAMIC_MAX; i++) {
    uint8_t ours[16], theirs[16];
    const uint64_t at = i * 2 * word;
    if (saved_at(process, address + at, 2 * word) < 2 * word ||
        exu_space_read(process->space, address + at, theirs, 2 * word) != EXU_READABLE)
      return EXU_MATCH_POSSIBLE;
    if (!exu_elf_file_read(file, dynamic->offset + at, ours, 2 * word)) return EXU_MATCH_OTHER;
    const uint64_t tag = word_at(ours, word, big), value = word_at(ours + word, word, big);
    const uint64_t there = word_at(theirs + word, word, big);
    if (tag != word_at(theirs, word, big)) return EXU_MATCH_OTHER;
    if (tag == DT_NULL) return EXU_MATCH_SAME;
    if (tag != DT_DEBUG && there != value && there != value + image->bias) return EXU_MATCH_OTHER;
  }
  return EXU_MATCH_OTHER; /* it has no end */
}

/*
 * What the process could not write to, as far as it was saved. In code debuggers do write. False: some of it differs.
 */
static bool constants_agree(const struct exu_process *process, const struct exu_image *image,
                            struct exu_elf_file *file) {
  uint64_t left = CONSTANTS_MAX;
  for (size_t i = 0; i < image->segment_count; i++) {
    const struct exu_elf_segment *segment = &image->segments[i];
    if (segment->type != PT_LOAD || (segment->flags & PF_W)) continue;
    uint64_t size = segment->filesz;
    if (segment->flags & PF_X) size = segment->offset == 0 && size > PAGE ? PAGE : segment->offset == 0 ? size : 0;
    for (uint64_t at = segment->offset == 0 ? header_size(&image->header) : 0; at < size && left > 0;) {
      uint64_t part = saved_at(process, image->bias + segment->vaddr + at, CHUNK);
      if (part > size - at) part = size - at;
      if (part > left) part = left;
      if (part == 0) break; /* what follows in the same segment is seldom saved */
      if (compare(process, image->bias + segment->vaddr + at, file, segment->offset + at, part) == EXU_MATCH_OTHER)
        return false;
      at += part;
      left -= part;
    }
  }
  return true;
}

enum exu_match exu_image_is_of(const struct exu_process *process, const struct exu_image *image,
                               struct exu_elf_file *file) {
  if (!layouts_agree(image, file)) return EXU_MATCH_OTHER;
  enum exu_match headers = compare_headers(process, image, file);
  enum exu_match dynamic = headers == EXU_MATCH_OTHER ? headers : compare_dynamic(process, image, file);
  if (dynamic == EXU_MATCH_OTHER || !constants_agree(process, image, file)) return EXU_MATCH_OTHER;
  return headers == EXU_MATCH_SAME ? dynamic : headers;
}
