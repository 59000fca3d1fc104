/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf/format.h"
#include "process/notes.h"
#include "process/process.h"

enum {
  SEGMENTS_MAX = 1 << 20,
  TABLE_CHUNK = 512, /* program headers read at a time */
};

/* Everything while a core is being opened. */
struct opening {
  struct exu_process process;
  struct exu_arena *arena;
  struct exu_diagnostics *diagnostics;
  struct exu_notes notes;
  struct exu_source core; /* borrowed: the space owns it */
  uint32_t source;        /* its number there */
  struct exu_elf_header header;
  uint64_t expected; /* bytes that the file should have at least */
  uint64_t usable;   /* bytes of memory that are there */
  bool table_cut;    /* program headers are missing: `expected` may be too small */
  bool segments_damaged;
};

/* Bytes of the core that are there, at most `size`. */
static size_t read_at(const struct opening *opening, void *buffer, size_t size, uint64_t offset) {
  if (offset > INT64_MAX - size) return 0;
  ssize_t got = opening->core.ops->read(&opening->core, offset, buffer, size);
  return got > 0 ? (size_t)got : 0;
}

static bool examine(int fd, struct stat *status, struct exu_error *error) {
  if (fstat(fd, status) != 0) return exu_fail(error, EXU_IO, "cannot examine the core: %s", strerror(errno));
  if (S_ISDIR(status->st_mode)) return exu_fail(error, EXU_BAD_FORMAT, "the file is a directory, not a core");
  if (!S_ISREG(status->st_mode)) return exu_fail(error, EXU_BAD_FORMAT, "this is no regular file, so it is no core");
  return true;
}

/* Why a file that does not begin like an ELF file is not one. */
static bool fail_no_elf(const uint8_t *bytes, size_t size, struct exu_error *error) {
  static const struct {
    uint8_t magic[6];
    uint8_t length;
    const char *name;
  } packers[] = {{{0x1f, 0x8b}, 2, "gzip"},
                 {{0x28, 0xb5, 0x2f, 0xfd}, 4, "zstd"},
                 {{0xfd, '7', 'z', 'X', 'Z', 0}, 6, "xz"},
                 {{0x04, 0x22, 0x4d, 0x18}, 4, "lz4"}};
  for (size_t i = 0; i < sizeof packers / sizeof packers[0]; i++)
    if (size >= packers[i].length && memcmp(bytes, packers[i].magic, packers[i].length) == 0)
      return exu_fail(error, EXU_UNSUPPORTED, "the file is compressed with %s: decompress it first", packers[i].name);
  return exu_fail(error, EXU_BAD_FORMAT, "the file is not an ELF file, so it is no core");
}

static bool fail_no_core(uint16_t type, struct exu_error *error) {
  switch (type) {
  case ET_REL: return exu_fail(error, EXU_BAD_FORMAT, "the file is an ELF object file, not a core");
  case ET_EXEC: return exu_fail(error, EXU_BAD_FORMAT, "the file is an ELF executable, not a core");
  case ET_DYN: return exu_fail(error, EXU_BAD_FORMAT, "the file is an ELF executable or shared library, not a core");
  default: return exu_fail(error, EXU_BAD_FORMAT, "the file is an ELF file of type %u, not a core", type);
  }
}

static bool read_header(struct opening *opening, struct exu_error *error) {
  uint8_t bytes[sizeof(Elf64_Ehdr)] = {0};
  struct exu_elf_header *header = &opening->header;
  if (opening->core.size == 0) return exu_fail(error, EXU_BAD_FORMAT, "the file is empty");
  ssize_t got = opening->core.ops->read(&opening->core, 0, bytes, sizeof bytes);
  if (got < 0) return exu_fail(error, EXU_IO, "the core cannot be read");
  size_t size = (size_t)got;
  if (size < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0) return fail_no_elf(bytes, size, error);
  if (size < offsetof(Elf64_Ehdr, e_version))
    return exu_fail(error, EXU_BAD_FORMAT, "the core is truncated within its first %zu bytes", size);
  uint8_t class = bytes[EI_CLASS], data = bytes[EI_DATA];
  if ((class != ELFCLASS32 && class != ELFCLASS64) || (data != ELFDATA2LSB && data != ELFDATA2MSB))
    return exu_fail(error, EXU_BAD_FORMAT, "the ELF header is damaged (class %u, data encoding %u)", class, data);

  /* What kind of file it is can be told of less than the whole header, the rest of which is zero then. */
  if (!exu_elf_decode_header(bytes, sizeof bytes, header)) return fail_no_elf(bytes, size, error);
  if (header->type != ET_CORE) return fail_no_core(header->type, error);
  opening->process.arch = exu_arch_find(header->machine, class, data);
  if (!opening->process.arch) {
    const char *name = exu_arch_machine_name(header->machine);
    return exu_fail(error, EXU_UNSUPPORTED, "a core of a %d-bit %s-endian process on machine %u%s%s%s is not supported",
                    header->is_64 ? 64 : 32, header->big_endian ? "big" : "little", header->machine, name ? " (" : "",
                    name ? name : "", name ? ")" : "");
  }
  if (size < sizeof bytes)
    return exu_fail(error, EXU_BAD_FORMAT, "the core is truncated within its first %zu bytes", size);
  if (header->phentsize != 0 && header->phentsize < exu_elf_segment_size(header))
    return exu_fail(error, EXU_BAD_FORMAT, "the ELF header is damaged (program headers of %u bytes)",
                    header->phentsize);
  if (header->phnum == 0) return exu_fail(error, EXU_BAD_FORMAT, "the core has no program headers");
  return true;
}

static void expect(struct opening *opening, uint64_t offset, uint64_t size) {
  uint64_t end;
  if (__builtin_add_overflow(offset, size, &end)) end = UINT64_MAX;
  if (end > opening->expected) opening->expected = end;
}

/*
 * With more than 65,534 segments e_phnum is PN_XNUM and their number is in the first section header, which the kernel
 * writes at the very end of the file: a core that is cut off has lost it. Then the program headers themselves tell,
 * because the kernel lets the notes, which are the first segment, follow them at once.
 */
static uint64_t segment_count(struct opening *opening) {
  const struct exu_elf_header *header = &opening->header;
  uint8_t bytes[sizeof(Elf64_Shdr)];
  if (header->phnum != PN_XNUM) return header->phnum;
  const size_t section_size = exu_elf_section_size(header), entry_size = exu_elf_segment_size(header);
  expect(opening, header->shoff, section_size);
  if (header->shoff != 0 && read_at(opening, bytes, section_size, header->shoff) == section_size) {
    uint32_t count = exu_elf_decode_section(header, bytes).info;
    if (count >= PN_XNUM) return count;
  }
  if (read_at(opening, bytes, entry_size, header->phoff) == entry_size) {
    struct exu_elf_segment segment = exu_elf_decode_segment(header, bytes);
    uint64_t size = segment.offset - header->phoff;
    if (segment.type == PT_NOTE && segment.offset > header->phoff && size % header->phentsize == 0 &&
        size / header->phentsize >= PN_XNUM)
      return size / header->phentsize;
  }
  opening->table_cut = true;
  return PN_XNUM;
}

static void say_segment_damaged(struct opening *opening, uint64_t number, const char *what) {
  if (!opening->segments_damaged)
    exu_incomplete(opening->diagnostics, EXU_DIAGNOSTIC_SEGMENT_DAMAGED, -1, "segment %" PRIu64 " %s", number, what);
  opening->segments_damaged = true;
}

static bool add_memory(struct opening *opening, const struct exu_elf_segment *segment, uint64_t number) {
  uint64_t size = segment->memsz;
  uint64_t saved = segment->filesz;
  if (saved > size) {
    say_segment_damaged(opening, number, "says that more was saved than was mapped");
    saved = size;
  }
  /* [start, end) cannot name the last byte of the address space: no process can map it either. */
  if (size > UINT64_MAX - segment->vaddr) {
    say_segment_damaged(opening, number, "reaches beyond the end of the address space");
    size = UINT64_MAX - segment->vaddr;
  }
  struct exu_region region = {.start = segment->vaddr,
                              .end = segment->vaddr + size,
                              .saved = saved,
                              .offset = segment->offset,
                              .source = opening->source,
                              .prot = segment->flags & (EXU_PROT_READ | EXU_PROT_WRITE | EXU_PROT_EXEC)};
  if (saved > 0 && segment->offset < opening->process.bytes) {
    uint64_t there = opening->process.bytes - segment->offset;
    opening->usable += saved < there ? saved : there;
  }
  return exu_space_add(opening->process.space, &region);
}

static bool add_segment(struct opening *opening, const struct exu_elf_segment *segment, uint64_t number) {
  if (segment->type != PT_LOAD && segment->type != PT_NOTE) return true;
  if (segment->filesz > 0) expect(opening, segment->offset, segment->filesz);
  if (segment->type == PT_LOAD) return add_memory(opening, segment, number);
  exu_notes_read(&opening->notes, segment->offset, segment->filesz, segment->align);
  return true;
}

static bool read_segments(struct opening *opening, struct exu_error *error) {
  const struct exu_elf_header *header = &opening->header;
  const size_t size = exu_elf_segment_size(header);
  uint64_t count = segment_count(opening);
  uint64_t table_size;
  if (__builtin_mul_overflow(count, (uint64_t)header->phentsize, &table_size)) table_size = UINT64_MAX;
  expect(opening, header->phoff, table_size);
  if (count > SEGMENTS_MAX) {
    exu_incomplete(opening->diagnostics, EXU_DIAGNOSTIC_TOO_MANY_SEGMENTS, -1,
                   "the core has %" PRIu64 " segments, of which the first %d are used", count, SEGMENTS_MAX);
    count = SEGMENTS_MAX;
  }
  uint8_t chunk[TABLE_CHUNK * sizeof(Elf64_Phdr)];
  const size_t at_once = header->phentsize == size ? TABLE_CHUNK : 1;
  for (uint64_t first = 0; first < count; first += at_once) {
    size_t wanted = count - first < at_once ? (size_t)(count - first) : at_once;
    uint64_t offset;
    if (__builtin_add_overflow(header->phoff, first * header->phentsize, &offset)) offset = UINT64_MAX;
    const size_t there = read_at(opening, chunk, wanted * size, offset);
    uint64_t number = first;
    for (size_t at = 0; at + size <= there; at += size) {
      struct exu_elf_segment segment = exu_elf_decode_segment(header, chunk + at);
      if (!add_segment(opening, &segment, number++))
        return exu_fail(error, EXU_NO_MEMORY, "not enough memory for the core's %" PRIu64 " segments", count);
    }
    if (there < wanted * size) {
      opening->table_cut = true;
      break;
    }
  }
  return true;
}

/* What was mapped of files, where no segment tells of it: those that were added first win. */
static bool add_mappings(struct opening *opening) {
  const struct exu_process *process = &opening->process;
  for (size_t i = 0; i < process->mapping_count; i++) {
    const struct exu_region region = {
        .start = process->mappings[i].start, .end = process->mappings[i].end, .prot = EXU_PROT_UNKNOWN};
    if (region.start < region.end && !exu_space_add(process->space, &region)) return false;
  }
  return true;
}

static void say_truncated(struct opening *opening) {
  struct exu_process *process = &opening->process;
  if (opening->expected <= process->bytes && !opening->table_cut) return;
  process->truncated = true;
  if (opening->expected > process->bytes) process->missing_bytes = opening->expected - process->bytes;
  exu_incomplete(opening->diagnostics, EXU_DIAGNOSTIC_CORE_TRUNCATED, -1,
                 "the core is truncated: %s%" PRIu64 " of its bytes are missing%s",
                 opening->table_cut ? "at least " : "", process->missing_bytes,
                 opening->table_cut ? ", among them a part of its list of segments" : "");
}

static bool read_core(struct opening *opening, struct exu_error *error) {
  struct exu_process *process = &opening->process;
  if (!read_header(opening, error)) return false;
  exu_notes_init(&opening->notes, process, &opening->core, opening->arena, opening->diagnostics);
  if (!read_segments(opening, error)) return false;
  if (!exu_notes_finish(&opening->notes) || !add_mappings(opening) || !exu_space_finalize(process->space))
    return exu_fail(error, EXU_NO_MEMORY, "not enough memory for what the core lists");

  say_truncated(opening);
  if (opening->usable == 0 && process->thread_count == 0 && process->mapping_count == 0) {
    if (process->truncated)
      return exu_fail(error, EXU_BAD_FORMAT,
                      "the core is truncated before anything that could be used (%" PRIu64
                      " bytes are there, %s%" PRIu64 " are missing)",
                      process->bytes, opening->table_cut ? "at least " : "", process->missing_bytes);
    return exu_fail(error, EXU_BAD_FORMAT, "the core has neither threads nor memory");
  }
  if (process->thread_count == 0)
    exu_incomplete(opening->diagnostics, EXU_DIAGNOSTIC_NO_THREADS, -1, "the core has no registers of any thread");
  return true;
}

/* The core as the source of a space of its own, which owns it from then on. */
static bool create_space(struct opening *opening, struct exu_error *error) {
  struct exu_process *process = &opening->process;
  process->space = exu_space_create(opening->arena);
  int source = process->space ? exu_space_add_source(process->space, opening->core) : -1;
  opening->source = (uint32_t)source;
  if (!process->space && opening->core.ops->close) opening->core.ops->close(&opening->core);
  return source >= 0 || exu_fail(error, EXU_NO_MEMORY, "not enough memory");
}

static bool open_file(int fd, bool owned, struct exu_arena *arena, struct exu_diagnostics *diagnostics,
                      struct exu_process *process, struct exu_error *error) {
  struct stat status;
  if (!examine(fd, &status, error)) {
    if (owned) close(fd);
    return false;
  }
  const uint64_t size = status.st_size > 0 ? (uint64_t)status.st_size : 0;
  if (!exu_process_open_source(exu_source_of_file(fd, size, owned), arena, diagnostics, process, error)) return false;
  process->sources_as_of = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
  return true;
}

/* A FIFO or a device must neither block nor be read: it is looked at before anything else is done. */
bool exu_process_open_core(const char *path, struct exu_arena *arena, struct exu_diagnostics *diagnostics,
                           struct exu_process *process, struct exu_error *error) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return exu_fail(error, EXU_IO, "cannot open the core: %s", strerror(errno));
  return open_file(fd, true, arena, diagnostics, process, error);
}

bool exu_process_open_fd(int fd, struct exu_arena *arena, struct exu_diagnostics *diagnostics,
                         struct exu_process *process, struct exu_error *error) {
  return open_file(fd, false, arena, diagnostics, process, error);
}

bool exu_process_open_source(struct exu_source core, struct exu_arena *arena, struct exu_diagnostics *diagnostics,
                             struct exu_process *process, struct exu_error *error) {
  struct opening opening = {.process = {.pid = -1, .running_pid = -1, .pause_us = -1, .bytes = core.size},
                            .arena = arena,
                            .diagnostics = diagnostics,
                            .core = core};
  if (!create_space(&opening, error) || !read_core(&opening, error)) {
    exu_process_close(&opening.process);
    return false;
  }
  *process = opening.process;
  return true;
}
