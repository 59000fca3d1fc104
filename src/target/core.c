/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/read_at.h"
#include "base/search.h"
#include "target/live_private.h"
#include "target/notes.h"
#include "target/target.h"

/* gABI, chapters 4 and 5. The reader takes class and byte order from the header; only 64-bit machines have a table. */
enum {
  EHDR_SIZE = 64,
  PHDR_SIZE = 56,
  SHDR_INFO = 44, /* offset of sh_info in Elf64_Shdr */
  CLASS_32 = 1,
  CLASS_64 = 2,
  DATA_LITTLE = 1,
  DATA_BIG = 2,
  TYPE_REL = 1,
  TYPE_EXEC = 2,
  TYPE_DYN = 3,
  TYPE_CORE = 4,
  PT_LOAD_ = 1,
  PT_NOTE_ = 4,
  XNUM = 0xffff,
  SEGMENTS_MAX = 1 << 20,
  TABLE_CHUNK = 512, /* program headers read at a time */
};

struct header {
  uint64_t table;      /* e_phoff */
  uint64_t sections;   /* e_shoff */
  uint16_t entry_size; /* e_phentsize */
  uint16_t count;      /* e_phnum */
};

struct segment {
  uint32_t type;
  uint32_t flags;
  uint64_t offset;
  uint64_t address;
  uint64_t file_size;
  uint64_t memory_size;
  uint64_t alignment;
};

/* Everything while a core is being opened. */
struct opening {
  struct exu_target target;
  struct exu_arena *arena;
  struct exu_diagnostics *diagnostics;
  struct exu_notes notes;
  uint32_t source;   /* the core, as the space knows it */
  uint64_t expected; /* bytes that the file should have at least */
  uint64_t usable;   /* bytes of memory that are there */
  bool table_cut;    /* program headers are missing: `expected` may be too small */
  bool segments_damaged;
};

static bool examine(int fd, uint64_t *size, struct exu_error *error) {
  struct stat status;
  if (fstat(fd, &status) != 0) return exu_fail(error, EXU_IO, "cannot examine the core: %s", strerror(errno));
  if (S_ISDIR(status.st_mode)) return exu_fail(error, EXU_BAD_FORMAT, "the file is a directory, not a core");
  if (!S_ISREG(status.st_mode)) return exu_fail(error, EXU_BAD_FORMAT, "this is no regular file, so it is no core");
  if (status.st_size <= 0) return exu_fail(error, EXU_BAD_FORMAT, "the file is empty");
  *size = (uint64_t)status.st_size;
  return true;
}

/* A FIFO or a device must neither block nor be read: look before anything else is done. */
static bool open_regular(const char *path, int *fd, uint64_t *size, struct exu_error *error) {
  int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (opened < 0) return exu_fail(error, EXU_IO, "cannot open the core: %s", strerror(errno));
  if (!examine(opened, size, error)) {
    close(opened);
    return false;
  }
  *fd = opened;
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
  case TYPE_REL: return exu_fail(error, EXU_BAD_FORMAT, "the file is an ELF object file, not a core");
  case TYPE_EXEC: return exu_fail(error, EXU_BAD_FORMAT, "the file is an ELF executable, not a core");
  case TYPE_DYN: return exu_fail(error, EXU_BAD_FORMAT, "the file is an ELF executable or shared library, not a core");
  default: return exu_fail(error, EXU_BAD_FORMAT, "the file is an ELF file of type %u, not a core", type);
  }
}

static const char *machine_name(uint16_t machine) {
  switch (machine) {
  case 3: return "i386";
  case 20: return "ppc";
  case 21: return "ppc64";
  case 22: return "s390";
  case 40: return "arm";
  case 62: return "x86_64";
  case 183: return "aarch64";
  case 243: return "riscv";
  case 258: return "loongarch";
  default: return NULL;
  }
}

static bool read_header(struct opening *opening, struct header *header, struct exu_error *error) {
  uint8_t bytes[EHDR_SIZE] = {0};
  const ssize_t got = exu_read_some_at(opening->target.fd, bytes, sizeof bytes, 0);
  const size_t size = got > 0 ? (size_t)got : 0;
  if (size < 4 || memcmp(bytes, "\177ELF", 4) != 0) return fail_no_elf(bytes, size, error);
  if (size < 20) return exu_fail(error, EXU_BAD_FORMAT, "the core is cut off within its first %zu bytes", size);
  uint8_t class = bytes[4];
  uint8_t data = bytes[5];
  if ((class != CLASS_32 && class != CLASS_64) || (data != DATA_LITTLE && data != DATA_BIG))
    return exu_fail(error, EXU_BAD_FORMAT, "the ELF header is damaged (class %u, data encoding %u)", class, data);

  struct exu_cursor cursor = exu_cursor(bytes, size, data == DATA_BIG);
  exu_cursor_skip(&cursor, 16); /* e_ident */
  uint16_t type = exu_cursor_u16(&cursor);
  uint16_t machine = exu_cursor_u16(&cursor);
  if (type != TYPE_CORE) return fail_no_core(type, error);
  opening->target.arch = exu_arch_find(machine, class, data);
  if (!opening->target.arch) {
    const char *name = machine_name(machine);
    return exu_fail(error, EXU_UNSUPPORTED, "a core of a %d-bit %s-endian process on machine %u%s%s%s is not supported",
                    class == CLASS_32 ? 32 : 64, data == DATA_BIG ? "big" : "little", machine, name ? " (" : "",
                    name ? name : "", name ? ")" : "");
  }
  exu_cursor_skip(&cursor, 4 + 8); /* e_version, e_entry */
  header->table = exu_cursor_u64(&cursor);
  header->sections = exu_cursor_u64(&cursor);
  exu_cursor_skip(&cursor, 4 + 2); /* e_flags, e_ehsize */
  header->entry_size = exu_cursor_u16(&cursor);
  header->count = exu_cursor_u16(&cursor);
  if (cursor.failed) return exu_fail(error, EXU_BAD_FORMAT, "the core is cut off within its first %zu bytes", size);
  if (header->count == 0) return exu_fail(error, EXU_BAD_FORMAT, "the core has no program headers");
  if (header->entry_size < PHDR_SIZE)
    return exu_fail(error, EXU_BAD_FORMAT, "the ELF header is damaged (program headers of %u bytes)",
                    header->entry_size);
  return true;
}

static void expect(struct opening *opening, uint64_t offset, uint64_t size) {
  uint64_t end;
  if (__builtin_add_overflow(offset, size, &end)) end = UINT64_MAX;
  if (end > opening->expected) opening->expected = end;
}

static struct segment parse_segment(struct opening *opening, const uint8_t *bytes) {
  struct exu_cursor cursor = exu_cursor(bytes, PHDR_SIZE, opening->target.arch->big_endian);
  struct segment segment;
  segment.type = exu_cursor_u32(&cursor);
  segment.flags = exu_cursor_u32(&cursor);
  segment.offset = exu_cursor_u64(&cursor);
  segment.address = exu_cursor_u64(&cursor);
  exu_cursor_skip(&cursor, 8); /* p_paddr */
  segment.file_size = exu_cursor_u64(&cursor);
  segment.memory_size = exu_cursor_u64(&cursor);
  segment.alignment = exu_cursor_u64(&cursor);
  return segment;
}

/*
 * With more than 65,534 segments e_phnum is PN_XNUM and their number is in the first section header, which the kernel
 * writes at the very end of the file: a core that is cut off has lost it. Then the program headers themselves tell,
 * because the kernel lets the notes, which are the first segment, follow them at once.
 */
static uint64_t segment_count(struct opening *opening, const struct header *header) {
  if (header->count != XNUM) return header->count;
  uint8_t bytes[SHDR_INFO + 4];
  expect(opening, header->sections, 64);
  if (header->sections != 0 && exu_read_at(opening->target.fd, bytes, sizeof bytes, header->sections)) {
    struct exu_cursor cursor = exu_cursor(bytes, sizeof bytes, opening->target.arch->big_endian);
    exu_cursor_skip(&cursor, SHDR_INFO);
    uint32_t count = exu_cursor_u32(&cursor);
    if (count >= XNUM) return count;
  }
  uint8_t first[PHDR_SIZE];
  if (exu_read_at(opening->target.fd, first, sizeof first, header->table)) {
    struct segment segment = parse_segment(opening, first);
    uint64_t size = segment.offset - header->table;
    if (segment.type == PT_NOTE_ && segment.offset > header->table && size % header->entry_size == 0 &&
        size / header->entry_size >= XNUM)
      return size / header->entry_size;
  }
  opening->table_cut = true;
  return XNUM;
}

static void say_segment_damaged(struct opening *opening, uint64_t number, const char *what) {
  if (!opening->segments_damaged)
    exu_missing(opening->diagnostics, "segment-damaged", -1, "segment %" PRIu64 " %s", number, what);
  opening->segments_damaged = true;
}

static bool add_memory(struct opening *opening, const struct segment *segment, uint64_t number) {
  uint64_t size = segment->memory_size;
  uint64_t saved = segment->file_size;
  if (saved > size) {
    say_segment_damaged(opening, number, "says that more was saved than was mapped");
    saved = size;
  }
  /* [start, end) cannot name the last byte of the address space: no process can map it either. */
  if (size > UINT64_MAX - segment->address) {
    say_segment_damaged(opening, number, "reaches beyond the end of the address space");
    size = UINT64_MAX - segment->address;
  }
  struct exu_region region = {.start = segment->address,
                              .end = segment->address + size,
                              .saved = saved,
                              .offset = segment->offset,
                              .source = opening->source,
                              .prot = segment->flags & (EXU_PROT_READ | EXU_PROT_WRITE | EXU_PROT_EXEC)};
  if (saved > 0 && segment->offset < opening->target.bytes) {
    uint64_t there = opening->target.bytes - segment->offset;
    opening->usable += saved < there ? saved : there;
  }
  return exu_space_add(opening->target.space, &region);
}

static bool add_segment(struct opening *opening, const struct segment *segment, uint64_t number) {
  if (segment->type != PT_LOAD_ && segment->type != PT_NOTE_) return true;
  if (segment->file_size > 0) expect(opening, segment->offset, segment->file_size);
  if (segment->type == PT_LOAD_) return add_memory(opening, segment, number);
  exu_notes_read(&opening->notes, segment->offset, segment->file_size, segment->alignment);
  return true;
}

static bool read_segments(struct opening *opening, const struct header *header, struct exu_error *error) {
  uint64_t count = segment_count(opening, header);
  uint64_t table_size;
  if (__builtin_mul_overflow(count, (uint64_t)header->entry_size, &table_size)) table_size = UINT64_MAX;
  expect(opening, header->table, table_size);
  if (count > SEGMENTS_MAX) {
    exu_missing(opening->diagnostics, "too-many-segments", -1,
                "the core has %" PRIu64 " segments, of which the first %d are used", count, SEGMENTS_MAX);
    count = SEGMENTS_MAX;
  }
  uint8_t chunk[TABLE_CHUNK * PHDR_SIZE];
  const size_t at_once = header->entry_size == PHDR_SIZE ? TABLE_CHUNK : 1;
  for (uint64_t first = 0; first < count; first += at_once) {
    size_t wanted = count - first < at_once ? (size_t)(count - first) : at_once;
    uint64_t offset;
    if (__builtin_add_overflow(header->table, first * header->entry_size, &offset)) offset = UINT64_MAX;
    const ssize_t size = exu_read_some_at(opening->target.fd, chunk, wanted * PHDR_SIZE, offset);
    const size_t got = size > 0 ? (size_t)size / PHDR_SIZE : 0;
    for (size_t i = 0; i < got; i++) {
      struct segment segment = parse_segment(opening, chunk + i * PHDR_SIZE);
      if (!add_segment(opening, &segment, first + i))
        return exu_fail(error, EXU_NO_MEMORY, "not enough memory for the core's %" PRIu64 " segments", count);
    }
    if (got < wanted) {
      opening->table_cut = true;
      break;
    }
  }
  return true;
}

/* What was mapped of files, where no segment tells of it: those that were added first win. */
static bool add_mappings(struct opening *opening) {
  const struct exu_target *target = &opening->target;
  for (size_t i = 0; i < target->mapping_count; i++) {
    const struct exu_region region = {
        .start = target->mappings[i].start, .end = target->mappings[i].end, .prot = EXU_PROT_UNKNOWN};
    if (region.start < region.end && !exu_space_add(target->space, &region)) return false;
  }
  return true;
}

static void say_truncated(struct opening *opening) {
  struct exu_target *target = &opening->target;
  if (opening->expected <= target->bytes && !opening->table_cut) return;
  target->truncated = true;
  if (opening->expected > target->bytes) target->missing_bytes = opening->expected - target->bytes;
  exu_missing(opening->diagnostics, "core-truncated", -1,
              "the core is cut off: %s%" PRIu64 " of its bytes are missing%s", opening->table_cut ? "at least " : "",
              target->missing_bytes, opening->table_cut ? ", among them a part of its list of segments" : "");
}

static bool read_core(struct opening *opening, struct exu_error *error) {
  struct exu_target *target = &opening->target;
  struct header header = {0};
  if (!read_header(opening, &header, error)) return false;
  target->space = exu_space_create(opening->arena);
  int source = target->space ? exu_space_add_source(target->space, target->fd, target->bytes) : -1;
  if (source < 0) return exu_fail(error, EXU_NO_MEMORY, "not enough memory");
  opening->source = (uint32_t)source;
  exu_notes_init(&opening->notes, target, opening->arena, opening->diagnostics);
  if (!read_segments(opening, &header, error)) return false;
  if (!exu_notes_finish(&opening->notes) || !add_mappings(opening) || !exu_space_seal(target->space))
    return exu_fail(error, EXU_NO_MEMORY, "not enough memory for what the core lists");

  say_truncated(opening);
  if (opening->usable == 0 && target->thread_count == 0 && target->mapping_count == 0) {
    if (target->truncated)
      return exu_fail(error, EXU_BAD_FORMAT,
                      "the core is cut off before anything that could be used (%" PRIu64 " bytes are there, %s%" PRIu64
                      " are missing)",
                      target->bytes, opening->table_cut ? "at least " : "", target->missing_bytes);
    return exu_fail(error, EXU_BAD_FORMAT, "the core has neither threads nor memory");
  }
  if (target->thread_count == 0)
    exu_missing(opening->diagnostics, "no-threads", -1, "the core has no registers of any thread");
  return true;
}

bool exu_target_open_core(const char *path, struct exu_arena *arena, struct exu_diagnostics *diagnostics,
                          struct exu_target *target, struct exu_error *error) {
  struct opening opening = {.target = {.kind = EXU_SOURCE_CORE, .fd = -1, .pid = -1, .pause_us = -1},
                            .arena = arena,
                            .diagnostics = diagnostics};
  if (!open_regular(path, &opening.target.fd, &opening.target.bytes, error)) return false;
  struct stat status;
  if (fstat(opening.target.fd, &status) == 0)
    opening.target.sources_as_of = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
  if (!read_core(&opening, error)) {
    exu_target_close(&opening.target);
    return false;
  }
  *target = opening.target;
  return true;
}

void exu_target_close(struct exu_target *target) {
  exu_space_destroy(target->space);
  target->space = NULL;
  exu_live_close(target->live);
  target->live = NULL;
  if (target->fd >= 0) close(target->fd);
  target->fd = -1;
}

const struct exu_file_mapping *exu_target_mapping(const struct exu_target *target, uint64_t address) {
  const size_t next = EXU_PARTITION_POINT(i, target->mapping_count, target->mappings[i].start <= address);
  return next > 0 && address < target->mappings[next - 1].end ? &target->mappings[next - 1] : NULL;
}
