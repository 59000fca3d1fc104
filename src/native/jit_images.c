/* SPDX-License-Identifier: Apache-2.0 */
#include "native/jit_images.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/map.h"
#include "base/search.h"
#include "binary/debug_file.h"

enum {
  ENTRIES_MAX = 64 * 1024, /* of all lists together, and of stretches of code */
  IMAGE_SIZE_MAX = 16 << 20,
  IMAGES_SIZE_MAX = 64 << 20, /* of those that are copied, together */
  SECTIONS_MAX = 256,
};

/* An image while it is copied, with room for a program header at the end. */
struct copy {
  const struct exu_process *process;
  uint8_t *bytes;
  uint64_t size; /* of the image */
  Elf64_Ehdr header;
  Elf64_Shdr sections[SECTIONS_MAX];
};

static bool read_bytes(const struct exu_process *process, uint64_t address, void *bytes, size_t size) {
  return exu_space_read(process->space, address, bytes, size) == EXU_READABLE;
}

/* ---- The list ---------------------------------------------------------------------------------------------------- */

static bool is_header(const struct exu_process *process, const Elf64_Ehdr *header, uint64_t size) {
  if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
      header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != process->arch->machine)
    return false;
  return header->e_shentsize == sizeof(Elf64_Shdr) && header->e_shnum <= SECTIONS_MAX && header->e_shoff <= size &&
         header->e_shnum * sizeof(Elf64_Shdr) <= size - header->e_shoff;
}

/*
 * Where its code is: section headers say so, also in a relocatable file, whose sections were loaded before it was
 * announced. They need not be next to each other.
 */
static bool add_image(struct exu_jit_images *images, uint64_t address, uint64_t size) {
  Elf64_Ehdr header;
  Elf64_Shdr sections[SECTIONS_MAX];
  if (size < sizeof header || size > IMAGE_SIZE_MAX) return true;
  if (!read_bytes(images->process, address, &header, sizeof header) || !is_header(images->process, &header, size))
    return true;
  if (!read_bytes(images->process, address + header.e_shoff, sections, header.e_shnum * sizeof *sections)) return true;
  for (size_t i = 0; i < header.e_shnum; i++) {
    const Elf64_Shdr *section = &sections[i];
    uint64_t end;
    if (!(section->sh_flags & SHF_EXECINSTR) || section->sh_addr == 0 || section->sh_size == 0) continue;
    if (__builtin_add_overflow(section->sh_addr, section->sh_size, &end)) continue;
    struct exu_jit_code *code = images->list.count < ENTRIES_MAX ? EXU_PUSH(images->arena, &images->list) : NULL;
    if (!code) return false;
    *code = (struct exu_jit_code){.start = section->sh_addr, .end = end, .image = address, .size = size};
  }
  return true;
}

/* struct jit_code_entry: next, previous, address and size of the ELF file. `seen`: entries of any list so far. */
static void walk(struct exu_jit_images *images, uint64_t entry, struct exu_map *seen) {
  while (entry != 0 && seen->count < ENTRIES_MAX) {
    uint64_t words[4];
    bool is_new = false;
    if (!exu_map_insert(seen, entry, &is_new) || !is_new) return;
    if (!read_bytes(images->process, entry, words, sizeof words)) return;
    if (!add_image(images, words[2], words[3])) return;
    entry = words[0];
  }
}

static int by_start(const void *a, const void *b) {
  const struct exu_jit_code *x = a, *y = b;
  return x->start < y->start ? -1 : x->start > y->start;
}

static bool is_of_module(const struct exu_modules *modules, const struct exu_jit_code *code) {
  const size_t next = EXU_PARTITION_POINT(i, modules->count, modules->items[i].end <= code->start);
  return next < modules->count && modules->items[next].start < code->end;
}

void exu_jit_images_read(struct exu_jit_images *images) {
  struct exu_map seen = {0};
  if (images->process->arch->word_size != sizeof(Elf64_Addr)) return; /* the structures here are those of 64 bits */
  for (size_t i = 0; i < images->modules->count; i++) {
    struct exu_binary *module = &images->modules->items[i];
    struct exu_elf_file *file = exu_modules_file_or_image(images->modules, module);
    struct exu_elf_symbol symbol;
    /* struct jit_descriptor: version and action, the entry that is being registered, the first entry. */
    uint64_t words[3];
    if (!file || !exu_elf_file_symbol(file, "__jit_debug_descriptor", &symbol)) continue;
    if (!read_bytes(images->process, symbol.value + module->bias, words, sizeof words)) continue;
    if ((uint32_t)words[0] == 1) walk(images, words[2], &seen);
  }
  exu_map_deinit(&seen);
  size_t kept = 0;
  if (images->list.count > 1) qsort(images->list.items, images->list.count, sizeof *images->list.items, by_start);
  for (size_t i = 0; i < images->list.count; i++) {
    if (kept > 0 && images->list.items[i].start < images->list.items[kept - 1].end) continue;
    if (is_of_module(images->modules, &images->list.items[i])) continue;
    images->list.items[kept++] = images->list.items[i];
  }
  images->list.count = kept;
}

void exu_jit_images_deinit(struct exu_jit_images *images) {
  for (size_t i = 0; i < images->list.count; i++) exu_elf_file_close(images->list.items[i].file);
  images->list.count = 0;
}

struct exu_jit_code *exu_jit_images_find(const struct exu_jit_images *images, uint64_t address) {
  struct exu_jit_code *codes = images->list.items;
  const size_t found = EXU_PARTITION_POINT(i, images->list.count, codes[i].end <= address);
  return found < images->list.count && codes[found].start <= address ? &codes[found] : NULL;
}

/* ---- A copy ------------------------------------------------------------------------------------------------------ */

static bool is_inside(const struct copy *copy, const Elf64_Shdr *section) {
  return section->sh_offset <= copy->size && section->sh_size <= copy->size - section->sh_offset;
}

/*
 * libdw unpacks every packed section of debug information of a file that it is shown, whatever they unpack to; and in a
 * relocatable file only what was loaded was relocated.
 */
static bool is_kept(const struct copy *copy, const Elf64_Shdr *section) {
  if (section->sh_type == SHT_NULL || section->sh_type == SHT_NOBITS) return true;
  if (!is_inside(copy, section) || (section->sh_flags & SHF_COMPRESSED)) return false;
  if ((section->sh_flags & SHF_ALLOC) || section->sh_type == SHT_SYMTAB || section->sh_type == SHT_STRTAB) return true;
  static const char packed[] = {'Z', 'L', 'I', 'B'}; /* .zdebug_*, from before there was a flag */
  if (section->sh_size >= sizeof packed && memcmp(copy->bytes + section->sh_offset, packed, sizeof packed) == 0)
    return false;
  return copy->header.e_type != ET_REL;
}

static bool is_loaded(const Elf64_Shdr *section) {
  return (section->sh_flags & SHF_ALLOC) && section->sh_addr != 0 && section->sh_type != SHT_NOBITS;
}

/* Symbols of a relocatable file are relative to their sections. */
static void move_symbols(struct copy *copy, const Elf64_Shdr *table) {
  for (uint64_t at = 0; table->sh_size - at >= sizeof(Elf64_Sym); at += sizeof(Elf64_Sym)) {
    Elf64_Sym symbol;
    memcpy(&symbol, copy->bytes + table->sh_offset + at, sizeof symbol);
    if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= copy->header.e_shnum) continue;
    symbol.st_value += copy->sections[symbol.st_shndx].sh_addr;
    memcpy(copy->bytes + table->sh_offset + at, &symbol, sizeof symbol);
  }
}

/*
 * LLVM's RuntimeDyld announces a relocatable file of which it has filled in the sections' addresses only
 * (createRTDyldELFObject): .eh_frame is as the compiler left it, and its relocated copy is where it was loaded.
 */
static bool take_loaded(struct copy *copy) {
  for (size_t i = 0; i < copy->header.e_shnum; i++) {
    const Elf64_Shdr *section = &copy->sections[i];
    if (section->sh_type == SHT_NULL) continue;
    if (section->sh_type == SHT_SYMTAB) move_symbols(copy, section);
    /* Nobody looks for code in here. */
    if (!is_loaded(section) || (section->sh_flags & SHF_EXECINSTR)) continue;
    if (!read_bytes(copy->process, section->sh_addr, copy->bytes + section->sh_offset, section->sh_size)) return false;
  }
  return true;
}

static bool make_copy(struct copy *copy, const struct exu_jit_code *code) {
  if (!read_bytes(copy->process, code->image, copy->bytes, (size_t)code->size)) return false;
  memcpy(&copy->header, copy->bytes, sizeof copy->header);
  /* The process may have changed it since the list was read. */
  if (!is_header(copy->process, &copy->header, code->size)) return false;
  const size_t table = copy->header.e_shnum * sizeof *copy->sections;
  memcpy(copy->sections, copy->bytes + copy->header.e_shoff, table);
  for (size_t i = 0; i < copy->header.e_shnum; i++)
    if (!is_kept(copy, &copy->sections[i])) copy->sections[i] = (Elf64_Shdr){.sh_type = SHT_NULL};
  if (copy->header.e_type == ET_REL && !take_loaded(copy)) return false;
  memcpy(copy->bytes + copy->header.e_shoff, copy->sections, table);
  return true;
}

/*
 * It has the process's addresses, which a program header of our own says; a relocatable file would be relocated again.
 */
static size_t add_segment(struct copy *copy, const struct exu_jit_code *code) {
  const size_t at = (size_t)(code->size + 7) / 8 * 8;
  Elf64_Phdr segment = {.p_type = PT_LOAD,
                        .p_flags = PF_R | PF_X,
                        .p_vaddr = code->start,
                        .p_paddr = code->start,
                        .p_memsz = code->end - code->start,
                        .p_align = 1};
  copy->header.e_type = ET_DYN;
  copy->header.e_phoff = at;
  copy->header.e_phnum = 1;
  copy->header.e_phentsize = sizeof segment;
  memcpy(copy->bytes, &copy->header, sizeof copy->header);
  memcpy(copy->bytes + at, &segment, sizeof segment);
  return at + sizeof segment;
}

static struct exu_elf_file *open_copy(struct exu_jit_images *images, const struct exu_jit_code *code) {
  struct exu_error error;
  uint8_t *bytes EXU_GUARD(free) = calloc(1, (size_t)code->size + 8 + sizeof(Elf64_Phdr));
  struct copy copy = {.process = images->process, .bytes = bytes, .size = code->size};
  if (!bytes || !make_copy(&copy, code)) return NULL;
  const size_t size = add_segment(&copy, code);
  int fd = memfd_create("jit", MFD_CLOEXEC);
  if (fd < 0) return NULL;
  if (pwrite(fd, bytes, size, 0) == (ssize_t)size) return exu_elf_file_open_fd(fd, "image in memory", &error);
  close(fd);
  return NULL;
}

struct exu_elf_file *exu_jit_images_file(struct exu_jit_images *images, struct exu_jit_code *code) {
  if (code->tried) return code->file;
  code->tried = true;
  if (code->size > IMAGES_SIZE_MAX - images->copied) return NULL;
  images->copied += code->size;
  code->file = open_copy(images, code);
  return code->file;
}
