/* SPDX-License-Identifier: Apache-2.0 */
#include "native/jit_images.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/guard.h"
#include "binary/debug_file.h"

enum { IMAGES_MAX = 64 * 1024, IMAGE_SIZE_MAX = 16 << 20, SECTIONS_MAX = 256 };

static bool read_bytes(const struct exu_target *target, uint64_t address, void *bytes, size_t size) {
  return exu_space_read(target->space, address, bytes, size) == EXU_READABLE;
}

static bool read_header(const struct exu_target *target, uint64_t address, uint64_t size, Elf64_Ehdr *header) {
  if (size < sizeof *header || size > IMAGE_SIZE_MAX || !read_bytes(target, address, header, sizeof *header))
    return false;
  return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == ELFCLASS64 &&
         header->e_ident[EI_DATA] == ELFDATA2LSB && header->e_machine == target->arch->machine;
}

/*
 * Where its code is: section headers say so, also in a relocatable file, which was relocated before it was announced.
 */
static bool code_range(const struct exu_target *target, struct exu_jit_image *image) {
  Elf64_Ehdr header;
  Elf64_Shdr sections[SECTIONS_MAX];
  if (!read_header(target, image->address, image->size, &header)) return false;
  if (header.e_shentsize != sizeof *sections || header.e_shnum > SECTIONS_MAX || header.e_shoff > image->size ||
      header.e_shnum * sizeof *sections > image->size - header.e_shoff)
    return false;
  if (!read_bytes(target, image->address + header.e_shoff, sections, header.e_shnum * sizeof *sections)) return false;
  image->start = UINT64_MAX;
  image->end = 0;
  for (size_t i = 0; i < header.e_shnum; i++) {
    const Elf64_Shdr *section = &sections[i];
    uint64_t end;
    if (!(section->sh_flags & SHF_EXECINSTR) || section->sh_addr == 0 || section->sh_size == 0) continue;
    if (__builtin_add_overflow(section->sh_addr, section->sh_size, &end)) continue;
    if (section->sh_addr < image->start) image->start = section->sh_addr;
    if (end > image->end) image->end = end;
  }
  return image->start < image->end;
}

/* struct jit_code_entry: next, previous, address and size of the ELF file. */
static void walk(struct exu_jit_images *images, uint64_t entry) {
  for (size_t i = 0; entry != 0 && i < IMAGES_MAX && images->list.count < IMAGES_MAX; i++) {
    uint64_t words[4];
    if (!read_bytes(images->target, entry, words, sizeof words)) return;
    struct exu_jit_image image = {.address = words[2], .size = words[3]};
    if (code_range(images->target, &image)) {
      struct exu_jit_image *kept = EXU_PUSH(images->arena, &images->list);
      if (!kept) return;
      *kept = image;
    }
    entry = words[0];
  }
}

static int by_start(const void *a, const void *b) {
  const struct exu_jit_image *x = a, *y = b;
  return x->start < y->start ? -1 : x->start > y->start;
}

void exu_jit_images_read(struct exu_jit_images *images) {
  for (size_t i = 0; i < images->modules->count; i++) {
    struct exu_binary *module = &images->modules->items[i];
    struct exu_elf_file *file = exu_modules_file_or_image(images->modules, module);
    struct exu_elf_symbol symbol;
    /* struct jit_descriptor: version and action, the entry that is being registered, the first entry. */
    uint64_t words[3];
    if (!file || !exu_elf_file_symbol(file, "__jit_debug_descriptor", &symbol)) continue;
    if (!read_bytes(images->target, symbol.value + module->bias, words, sizeof words)) continue;
    if ((uint32_t)words[0] == 1) walk(images, words[2]);
  }
  /* libdwfl wants them disjoint. */
  size_t kept = 0;
  if (images->list.count > 1) qsort(images->list.items, images->list.count, sizeof *images->list.items, by_start);
  for (size_t i = 0; i < images->list.count; i++) {
    if (kept > 0 && images->list.items[i].start < images->list.items[kept - 1].end) continue;
    images->list.items[kept++] = images->list.items[i];
  }
  images->list.count = kept;
}

int exu_jit_image_open(const struct exu_target *target, const struct exu_jit_image *image) {
  uint8_t *bytes EXU_GUARD(free) = NULL;
  Elf64_Ehdr header;
  if (!read_header(target, image->address, image->size, &header)) return -1;
  size_t size = (size_t)(image->size + 7) / 8 * 8;
  bytes = calloc(1, size + sizeof(Elf64_Phdr));
  if (!bytes || !read_bytes(target, image->address, bytes, (size_t)image->size)) return -1;
  /*
   * It has the target's addresses, which a program header of our own says; a relocatable file would be relocated again.
   */
  Elf64_Phdr segment = {.p_type = PT_LOAD,
                        .p_flags = PF_R | PF_X,
                        .p_vaddr = image->start,
                        .p_paddr = image->start,
                        .p_memsz = image->end - image->start,
                        .p_align = 1};
  header.e_type = ET_DYN;
  header.e_phoff = size;
  header.e_phnum = 1;
  header.e_phentsize = sizeof segment;
  memcpy(bytes, &header, sizeof header);
  memcpy(bytes + size, &segment, sizeof segment);
  int fd = memfd_create("jit", MFD_CLOEXEC);
  if (fd < 0) return -1;
  if (pwrite(fd, bytes, size + sizeof segment, 0) == (ssize_t)(size + sizeof segment)) return fd;
  close(fd);
  return -1;
}
