/* SPDX-License-Identifier: Apache-2.0 */
/* Symbols that are packed into .gnu_debugdata of another file: they become a file in memory without a name. */
#include <elf.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/guard.h"
#include "binary/debug_file_private.h"
#include "binary/elf_file_private.h"

enum { CHUNK = 64 * 1024 };

/* Real ones unpack to less than a megabyte; a liar's must not fill the memory. */
static const uint64_t UNPACKED_MAX = 64 << 20, UNPACKER_MAX = 128 << 20;

static bool write_at(int fd, uint64_t offset, const void *bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t put = pwrite(fd, (const char *)bytes + done, size - done, (off_t)(offset + done));
    if (put <= 0) return false;
    done += (size_t)put;
  }
  return true;
}

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
