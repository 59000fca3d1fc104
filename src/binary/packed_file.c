/* SPDX-License-Identifier: Apache-2.0 */
/* ELF files that are on no disk: packed into another one, or only in the core. They become nameless files in memory. */
#include <elf.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/guard.h"
#include "binary/debug_file_private.h"
#include "binary/elf_file_private.h"

enum { CHUNK = 64 * 1024, PAGE = 4096 };

/* Real ones unpack to less than a megabyte; a liar's must not fill the memory. */
static const uint64_t UNPACKED_MAX = 64 << 20, UNPACKER_MAX = 128 << 20, IMAGE_MAX = 256 << 20;

static bool write_at(int fd, uint64_t offset, const void *bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t put = pwrite(fd, (const char *)bytes + done, size - done, (off_t)(offset + done));
    if (put <= 0) return false;
    done += (size_t)put;
  }
  return true;
}

/* ---- .gnu_debugdata ---------------------------------------------------------------------------------------------------- */

static bool unpack(struct exu_elf_file *file, const struct exu_elf_section *section, lzma_stream *stream, int to) {
  uint8_t *in EXU_GUARD(free) = malloc(CHUNK), *out EXU_GUARD(free) = malloc(CHUNK);
  uint64_t read = 0, written = 0;
  if (!in || !out) return false;
  for (;;) {
    if (stream->avail_in == 0 && read < section->size) {
      size_t size = section->size - read < CHUNK ? (size_t)(section->size - read) : CHUNK;
      if (!exu_elf_file_read(file, section->offset + read, in, size)) return false;
      stream->next_in = in;
      stream->avail_in = size;
      read += size;
    }
    stream->next_out = out;
    stream->avail_out = CHUNK;
    lzma_ret result = lzma_code(stream, read < section->size ? LZMA_RUN : LZMA_FINISH);
    size_t got = CHUNK - stream->avail_out;
    if ((result != LZMA_OK && result != LZMA_STREAM_END) || got > UNPACKED_MAX - written) return false;
    if (!write_at(to, written, out, got)) return false;
    written += got;
    if (result == LZMA_STREAM_END) return true;
  }
}

static struct exu_elf_file *open_mini(struct exu_elf_file *file) {
  const struct exu_elf_section *section = exu_elf_file_section_named(file, ".gnu_debugdata");
  lzma_stream stream = LZMA_STREAM_INIT;
  struct exu_error error;
  if (!section || section->type == SHT_NOBITS || section->size == 0) return NULL;
  int fd = memfd_create("gnu_debugdata", MFD_CLOEXEC);
  if (fd < 0) return NULL;
  bool done = lzma_stream_decoder(&stream, UNPACKER_MAX, 0) == LZMA_OK && unpack(file, section, &stream, fd);
  lzma_end(&stream);
  if (done) return exu_elf_file_open_fd(fd, ".gnu_debugdata", &error);
  close(fd);
  return NULL;
}

struct exu_elf_file *exu_modules_mini_file(struct exu_modules *modules, struct exu_binary *module) {
  struct exu_elf_file *own = exu_modules_file(modules, module);
  if (!own) return NULL;
  if (!module->debug) module->debug = exu_arena_alloc(modules->arena, sizeof *module->debug);
  if (!module->debug) return NULL;
  if (!module->debug->mini_tried) {
    module->debug->mini_tried = true;
    module->debug->mini = open_mini(own);
  }
  return module->debug->mini;
}

/* ---- The image in the core ----------------------------------------------------------------------------------------------- */

struct copy {
  const struct exu_target *target;
  const struct exu_binary *module;
  int fd;
  uint64_t end; /* of what is written */
  uint8_t *chunk;
};

/* All of [address, address + size), else nothing that counts. */
static bool copy_bytes(struct copy *copy, uint64_t address, uint64_t offset, uint64_t size) {
  for (uint64_t done = 0; done < size;) {
    size_t part = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
    if (exu_space_read(copy->target->space, address + done, copy->chunk, part) != EXU_READABLE) return false;
    if (!write_at(copy->fd, offset + done, copy->chunk, part)) return false;
    done += part;
  }
  return true;
}

static bool holds(const struct exu_elf_segment *outer, const struct exu_elf_segment *inner) {
  return inner->vaddr >= outer->vaddr && inner->vaddr - outer->vaddr <= outer->filesz &&
         inner->filesz <= outer->filesz - (inner->vaddr - outer->vaddr);
}

/* A segment that the process did not change. What lies behind it in its last page comes along: the vDSO's section headers. */
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

static const struct exu_elf_segment *unwinding_segment(const struct exu_image *image) {
  for (size_t i = 0; i < image->segment_count; i++)
    if (image->segments[i].type == PT_GNU_EH_FRAME) return &image->segments[i];
  return NULL;
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

/* Only what unwinding needs: constants, where .eh_frame is, and code only where it shares their segment. */
static bool copy_image(struct copy *copy, const struct exu_image *image) {
  const struct exu_elf_segment *unwinding = unwinding_segment(image);
  Elf64_Phdr *out EXU_GUARD(free) = calloc(image->segment_count + 1, sizeof *out);
  bool useful = false;
  if (!out || !unwinding || image->segment_count >= PN_XNUM) return false;
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
    bool wanted = holds(segment, unwinding) || !(segment->flags & PF_X);
    if (wanted && copy_segment(copy, segment))
      useful |= holds(segment, unwinding);
    else
      out[i].p_filesz = 0;
  }
  return useful && write_headers(copy, image, out);
}

static struct exu_elf_file *open_image(const struct exu_target *target, const struct exu_binary *module) {
  uint8_t *chunk EXU_GUARD(free) = malloc(CHUNK);
  struct copy copy = {.target = target, .module = module, .chunk = chunk};
  struct exu_error error;
  if (!chunk || !module->image->header.is_64 || module->image->header.big_endian) return NULL;
  copy.fd = memfd_create("image", MFD_CLOEXEC);
  if (copy.fd < 0) return NULL;
  if (copy_image(&copy, module->image)) return exu_elf_file_open_fd(copy.fd, "image in the core", &error);
  close(copy.fd);
  return NULL;
}

struct exu_elf_file *exu_modules_image_file(struct exu_modules *modules, struct exu_binary *module) {
  if (!module->image || exu_modules_file(modules, module)) return NULL;
  if (!module->debug) module->debug = exu_arena_alloc(modules->arena, sizeof *module->debug);
  if (!module->debug) return NULL;
  if (!module->debug->image_tried) {
    module->debug->image_tried = true;
    module->debug->image = open_image(modules->target, module);
    bool gone = module->file_state == EXU_FILE_MISSING || module->file_state == EXU_FILE_DELETED;
    if (module->debug->image && gone) module->file_state = EXU_FILE_CORE;
  }
  return module->debug->image;
}

bool exu_binary_has_image(const struct exu_binary *module) { return module->debug && module->debug->image; }
