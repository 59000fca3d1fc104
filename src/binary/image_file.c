/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module that no file on this machine is the same as, but whose image the process holds: the parts of it that tell
 * where functions are and how to unwind them become an ELF file in memory, without a name.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/guard.h"
#include "binary/debug_file_private.h"
#include "binary/elf_file_private.h"

enum { CHUNK = 64 * 1024, PAGE = 4096, DYNAMIC_MAX = 64 * 1024 };

/* Bytes of one image, and of all: a core with holes can pretend any size. */
static const uint64_t IMAGE_MAX = 256 << 20, IMAGES_MAX = 1 << 30;

struct copy {
  struct exu_modules *modules;
  const struct exu_binary *module;
  int fd;
  uint64_t end;  /* of what is written */
  uint64_t left; /* bytes that may still be read */
  uint8_t *chunk;
};

static bool write_at(int fd, uint64_t offset, const void *bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t put = pwrite(fd, (const char *)bytes + done, size - done, (off_t)(offset + done));
    if (put <= 0) return false;
    done += (size_t)put;
  }
  return true;
}

static bool is_zero(const uint8_t *bytes, size_t size) {
  return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* All of [address, address + size), else nothing that counts. Zeros become a hole. */
static bool copy_bytes(struct copy *copy, uint64_t address, uint64_t offset, uint64_t size) {
  if (size > copy->left) return false;
  for (uint64_t done = 0; done < size;) {
    size_t part = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
    if (exu_space_read(copy->modules->process->space, address + done, copy->chunk, part) != EXU_READABLE) return false;
    bool hole = offset + done >= copy->end && is_zero(copy->chunk, part);
    if (!hole && !write_at(copy->fd, offset + done, copy->chunk, part)) return false;
    done += part;
    copy->left -= part;
  }
  return true;
}

/*
 * A segment that the process did not change. What lies behind it in its last page comes along: the vDSO's section
 * headers.
 */
static bool copy_segment(struct copy *copy, const struct exu_elf_segment *segment) {
  uint64_t address = copy->module->bias + segment->vaddr, end;
  if ((segment->flags & PF_W) || segment->filesz == 0 || segment->filesz > IMAGE_MAX || segment->offset > IMAGE_MAX)
    return false;
  if (__builtin_add_overflow(address, segment->filesz, &end) || end > UINT64_MAX - PAGE) return false;
  if (!copy_bytes(copy, address, segment->offset, segment->filesz)) return false;
  uint64_t rest = (PAGE - end % PAGE) % PAGE;
  if (!copy_bytes(copy, end, segment->offset + segment->filesz, rest)) rest = 0;
  uint64_t written = segment->offset + segment->filesz + rest;
  if (written > copy->end) copy->end = written;
  return true;
}

/*
 * An entry of PT_DYNAMIC as it is in the file: glibc adds the bias to addresses where it can, musl and the vDSO do not.
 */
static void restore_entry(const struct exu_image *image, Elf64_Dyn *entry) {
  switch (entry->d_tag) {
  case DT_SYMTAB:
  case DT_STRTAB:
  case DT_HASH:
  case DT_GNU_HASH:
    if (entry->d_un.d_ptr >= image->start && entry->d_un.d_ptr < image->end) entry->d_un.d_ptr -= image->bias;
    break;
  default: break;
  }
}

/*
 * PT_DYNAMIC leads to the symbols where there are no section headers. It lies among data that the loader has written
 * to.
 */
static void copy_dynamic(struct copy *copy, const struct exu_image *image, Elf64_Phdr *segment) {
  Elf64_Dyn *entries = (Elf64_Dyn *)(void *)copy->chunk; /* malloc'ed: aligned */
  uint64_t size = segment->p_memsz < DYNAMIC_MAX ? segment->p_memsz / sizeof *entries * sizeof *entries : 0;
  uint64_t at = (copy->end + 15) / 16 * 16, address = image->bias + segment->p_vaddr;
  if (size == 0 || size > CHUNK) return;
  if (exu_space_read(copy->modules->process->space, address, entries, (size_t)size) != EXU_READABLE) return;
  for (size_t i = 0; i < size / sizeof *entries; i++) restore_entry(image, &entries[i]);
  if (!write_at(copy->fd, at, entries, (size_t)size)) return;
  segment->p_offset = at;
  segment->p_filesz = size;
  copy->end = at + size;
}

static bool write_headers(struct copy *copy, const struct exu_image *image, const Elf64_Phdr *segments) {
  const struct exu_elf_header *in = &image->header;
  uint64_t sections_end = in->shoff + (uint64_t)in->shnum * in->shentsize;
  bool sections = in->shoff > 0 && in->shoff < copy->end && sections_end <= copy->end;
  uint64_t at = (copy->end + 7) / 8 * 8;
  Elf64_Ehdr out = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                    .e_type = in->type,
                    .e_machine = in->machine,
                    .e_version = EV_CURRENT,
                    .e_entry = in->entry,
                    .e_phoff = at,
                    .e_ehsize = sizeof out,
                    .e_phentsize = sizeof *segments,
                    .e_phnum = (uint16_t)image->segment_count,
                    .e_shentsize = sizeof(Elf64_Shdr)};
  if (sections) {
    out.e_shoff = in->shoff;
    out.e_shnum = in->shnum;
    out.e_shstrndx = in->shstrndx;
  }
  return write_at(copy->fd, 0, &out, sizeof out) &&
         write_at(copy->fd, at, segments, image->segment_count * sizeof *segments);
}

static bool holds(const struct exu_elf_segment *outer, const struct exu_elf_segment *inner) {
  return inner->vaddr >= outer->vaddr && inner->vaddr - outer->vaddr <= outer->filesz &&
         inner->filesz <= outer->filesz - (inner->vaddr - outer->vaddr);
}

static const struct exu_elf_segment *segment_of_type(const struct exu_image *image, uint32_t type) {
  for (size_t i = 0; i < image->segment_count; i++)
    if (image->segments[i].type == type) return &image->segments[i];
  return NULL;
}

/*
 * Constants, where .eh_frame, .dynsym and .dynstr are, and code only where it shares their segment. Without .eh_frame
 * it is not enough: the first page of every module, which the kernel always saves, has the symbols of the smallest
 * ones.
 */
static bool copy_image(struct copy *copy, const struct exu_image *image) {
  const struct exu_elf_segment *unwinding = segment_of_type(image, PT_GNU_EH_FRAME);
  Elf64_Phdr *out EXU_GUARD(free) = calloc(image->segment_count + 1, sizeof *out);
  bool useful = false;
  if (!out || image->segment_count >= PN_XNUM) return false;
  for (size_t i = 0; i < image->segment_count; i++) {
    const struct exu_elf_segment *segment = &image->segments[i];
    out[i] = (Elf64_Phdr){.p_type = segment->type,
                          .p_flags = segment->flags,
                          .p_offset = segment->offset,
                          .p_vaddr = segment->vaddr,
                          .p_paddr = segment->vaddr,
                          .p_filesz = segment->filesz,
                          .p_memsz = segment->memsz,
                          .p_align = segment->align};
    if (segment->type != PT_LOAD) continue;
    bool unwinds = unwinding && holds(segment, unwinding);
    bool copied = (unwinds || !(segment->flags & PF_X)) && copy_segment(copy, segment);
    if (!copied) out[i].p_filesz = 0;
    useful |= copied && unwinds;
  }
  for (size_t i = 0; useful && i < image->segment_count; i++)
    if (out[i].p_type == PT_DYNAMIC) copy_dynamic(copy, image, &out[i]);
  return useful && write_headers(copy, image, out);
}

static struct exu_elf_file *open_image(struct exu_modules *modules, const struct exu_binary *module) {
  uint8_t *chunk EXU_GUARD(free) = malloc(CHUNK);
  const uint64_t room = IMAGES_MAX - modules->image_bytes, allowed = room < IMAGE_MAX ? room : IMAGE_MAX;
  struct copy copy = {.modules = modules, .module = module, .left = allowed, .chunk = chunk};
  struct exu_error error;
  if (!chunk || !module->image->header.is_64 || module->image->header.big_endian) return NULL;
  copy.fd = memfd_create("image", MFD_CLOEXEC);
  if (copy.fd < 0) return NULL;
  bool copied = copy_image(&copy, module->image);
  modules->image_bytes += allowed - copy.left;
  if (copied) return exu_elf_file_open_fd(copy.fd, "image in the core", &error);
  close(copy.fd);
  return NULL;
}

struct exu_elf_file *exu_modules_image_file(struct exu_modules *modules, struct exu_binary *module) {
  if (!module->image || exu_modules_file(modules, module)) return NULL;
  if (!module->debug) module->debug = exu_arena_alloc(modules->arena, sizeof *module->debug);
  if (!module->debug) return NULL;
  if (!module->debug->image_tried) {
    module->debug->image_tried = true;
    module->debug->image = open_image(modules, module);
    bool gone = module->file_state == EXU_FILE_MISSING || module->file_state == EXU_FILE_DELETED;
    if (module->debug->image && gone) module->file_state = EXU_FILE_CORE;
  }
  return module->debug->image;
}

struct exu_elf_file *exu_modules_file_or_image(struct exu_modules *modules, struct exu_binary *module) {
  struct exu_elf_file *file = exu_modules_file(modules, module);
  return file ? file : exu_modules_image_file(modules, module);
}

struct exu_elf_file *exu_binary_image_file(const struct exu_binary *module) {
  return module->debug ? module->debug->image : NULL;
}
