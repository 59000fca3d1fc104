/* SPDX-License-Identifier: Apache-2.0 */
#include "elf_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { EHDR = 64, PHDR = 56, SHDR = 64, XNUM = 0xffff, PRSTATUS = 336, PR_REG = 112, NOTE_SEGMENTS_MAX = 4096 };

struct buffer {
  uint8_t *bytes;
  size_t size;
  size_t capacity;
};

struct load {
  uint64_t address;
  uint64_t memory_size;
  uint64_t file_size;
  uint64_t offset; /* in `memory`, or in the file when `claimed` */
  uint32_t prot;
  bool claimed;
};

struct note_segment {
  size_t start; /* in `notes` */
  size_t end;
  uint64_t alignment;
};

struct core_builder {
  uint8_t elf_class;
  uint8_t data;
  uint16_t type;
  uint16_t machine;
  bool xnum;
  struct load *loads;
  size_t load_count;
  size_t load_capacity;
  struct note_segment segments[NOTE_SEGMENTS_MAX];
  size_t segment_count;
  struct buffer notes;
  struct buffer memory;
  struct buffer file;
  uint64_t memory_offset; /* of `memory` in the file */
};

static void *checked(void *memory) {
  if (!memory) abort();
  return memory;
}

static void append(struct buffer *buffer, const void *bytes, size_t size) {
  if (buffer->size + size > buffer->capacity) {
    buffer->capacity = (buffer->size + size) * 2;
    buffer->bytes = checked(realloc(buffer->bytes, buffer->capacity));
  }
  if (!size) return;
  if (bytes) {
    memcpy(buffer->bytes + buffer->size, bytes, size);
  } else {
    memset(buffer->bytes + buffer->size, 0, size);
  }
  buffer->size += size;
}

static void append_u16(struct buffer *buffer, uint64_t value) {
  append(buffer, (const uint8_t[]){(uint8_t)value, (uint8_t)(value >> 8)}, 2);
}

static void append_u32(struct buffer *buffer, uint64_t value) {
  append_u16(buffer, value);
  append_u16(buffer, value >> 16);
}

static void append_u64(struct buffer *buffer, uint64_t value) {
  append_u32(buffer, value);
  append_u32(buffer, value >> 32);
}

struct core_builder *core_builder_create(void) {
  struct core_builder *core = checked(calloc(1, sizeof *core));
  core->elf_class = 2;
  core->data = 1;
  core->type = 4;
  core->machine = 62;
  core->segments[0].alignment = 4;
  core->segment_count = 1;
  return core;
}

void core_builder_destroy(struct core_builder *core) {
  free(core->loads);
  free(core->notes.bytes);
  free(core->memory.bytes);
  free(core->file.bytes);
  free(core);
}

void core_builder_set_ident(struct core_builder *core, uint8_t elf_class, uint8_t data) {
  core->elf_class = elf_class;
  core->data = data;
}

void core_builder_set_type(struct core_builder *core, uint16_t type, uint16_t machine) {
  core->type = type;
  core->machine = machine;
}

static void add_load(struct core_builder *core, const struct load *load) {
  if (core->load_count == core->load_capacity) {
    core->load_capacity = core->load_capacity ? core->load_capacity * 2 : 16;
    core->loads = checked(realloc(core->loads, core->load_capacity * sizeof *core->loads));
  }
  core->loads[core->load_count++] = *load;
}

void core_builder_load(struct core_builder *core, uint64_t address, uint64_t memory_size, const void *bytes,
                       uint64_t file_size, uint32_t prot) {
  add_load(core, &(struct load){.address = address,
                                .memory_size = memory_size,
                                .file_size = file_size,
                                .offset = core->memory.size,
                                .prot = prot});
  size_t start = core->memory.size;
  append(&core->memory, bytes, (size_t)file_size);
  for (size_t i = 0; !bytes && i < file_size; i++) core->memory.bytes[start + i] = (uint8_t)(address + i);
}

void core_builder_load_at(struct core_builder *core, uint64_t address, uint64_t memory_size, uint64_t offset,
                          uint64_t file_size, uint32_t prot) {
  add_load(core, &(struct load){.address = address,
                                .memory_size = memory_size,
                                .file_size = file_size,
                                .offset = offset,
                                .prot = prot,
                                .claimed = true});
}

void core_builder_note_segment(struct core_builder *core, uint64_t alignment) {
  if (core->segment_count == NOTE_SEGMENTS_MAX) abort();
  core->segments[core->segment_count++] =
      (struct note_segment){.start = core->notes.size, .end = core->notes.size, .alignment = alignment};
}

void core_builder_raw_notes(struct core_builder *core, const void *bytes, size_t size) {
  append(&core->notes, bytes, size);
  core->segments[core->segment_count - 1].end = core->notes.size;
}

static void pad_notes(struct core_builder *core) {
  const struct note_segment *segment = &core->segments[core->segment_count - 1];
  size_t past = (core->notes.size - segment->start) % (segment->alignment == 8 ? 8 : 4);
  if (past) append(&core->notes, NULL, (segment->alignment == 8 ? 8 : 4) - past);
}

void core_builder_note(struct core_builder *core, const char *name, uint32_t type, const void *bytes, size_t size) {
  append_u32(&core->notes, strlen(name) + 1);
  append_u32(&core->notes, size);
  append_u32(&core->notes, type);
  append(&core->notes, name, strlen(name) + 1);
  pad_notes(core);
  append(&core->notes, bytes, size);
  pad_notes(core);
  core->segments[core->segment_count - 1].end = core->notes.size;
}

void core_builder_prstatus(struct core_builder *core, int32_t tid, int16_t cursig,
                           const struct core_registers *registers) {
  static const struct core_registers none = {.orig_rax = -1};
  const struct core_registers *r = registers ? registers : &none;
  struct buffer note = {0};
  const uint64_t flags = 0x246 | r->rflags;
  append(&note, NULL, 12);
  append_u16(&note, (uint16_t)cursig);
  append(&note, NULL, 18);
  append_u32(&note, (uint32_t)tid);
  append(&note, NULL, PR_REG - 36);
  const uint64_t words[] = {15,     14,   13,     12,     r->rbp, r->rbx,     11,     10,
                            9,      8,    r->rax, r->rcx, r->rdx, r->rsi,     r->rdi, (uint64_t)r->orig_rax,
                            r->rip, 0x33, flags,  r->rsp, 0x2b,   r->fs_base, 0,      0,
                            0,      0,    0};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) append_u64(&note, words[i]);
  append(&note, NULL, PRSTATUS - note.size);
  core_builder_note(core, "CORE", 1, note.bytes, note.size);
  free(note.bytes);
}

void core_builder_prpsinfo(struct core_builder *core, int32_t pid, const char *name, const char *arguments) {
  struct buffer note = {0};
  append(&note, NULL, 24);
  append_u32(&note, (uint32_t)pid);
  append(&note, NULL, 12);
  char fields[16 + 80] = "";
  memcpy(fields, name, strnlen(name, 16));
  memcpy(fields + 16, arguments, strnlen(arguments, 80));
  append(&note, fields, sizeof fields);
  core_builder_note(core, "CORE", 3, note.bytes, note.size);
  free(note.bytes);
}

void core_builder_siginfo(struct core_builder *core, int32_t signal, int32_t code, uint64_t word) {
  struct buffer note = {0};
  append_u32(&note, (uint32_t)signal);
  append_u32(&note, 0);
  append_u32(&note, (uint32_t)code);
  append_u32(&note, 0);
  append_u64(&note, word);
  append(&note, NULL, 128 - note.size);
  core_builder_note(core, "CORE", 0x53494749, note.bytes, note.size);
  free(note.bytes);
}

void core_builder_file(struct core_builder *core, uint64_t page_size, const struct core_file *files, size_t count) {
  struct buffer note = {0};
  append_u64(&note, count);
  append_u64(&note, page_size);
  for (size_t i = 0; i < count; i++) {
    append_u64(&note, files[i].start);
    append_u64(&note, files[i].end);
    append_u64(&note, files[i].pages);
  }
  for (size_t i = 0; i < count; i++) append(&note, files[i].path, strlen(files[i].path) + 1);
  core_builder_note(core, "CORE", 0x46494c45, note.bytes, note.size);
  free(note.bytes);
}

void core_builder_force_xnum(struct core_builder *core) { core->xnum = true; }

static void append_program_header(struct buffer *file, uint32_t type, uint32_t flags, uint64_t offset, uint64_t address,
                                  uint64_t file_size, uint64_t memory_size, uint64_t alignment) {
  append_u32(file, type);
  append_u32(file, flags);
  append_u64(file, offset);
  append_u64(file, address);
  append_u64(file, 0);
  append_u64(file, file_size);
  append_u64(file, memory_size);
  append_u64(file, alignment);
}

const uint8_t *core_builder_finish(struct core_builder *core, size_t *size) {
  struct buffer *file = &core->file;
  size_t count = core->segment_count + core->load_count;
  bool xnum = core->xnum || count >= XNUM;
  uint64_t notes = EHDR + count * PHDR;
  core->memory_offset = notes + core->notes.size;
  uint64_t sections = core->memory_offset + core->memory.size;

  append(file, (const uint8_t[]){0x7f, 'E', 'L', 'F', core->elf_class, core->data, 1}, 7);
  append(file, NULL, 16 - 7);
  append_u16(file, core->type);
  append_u16(file, core->machine);
  append_u32(file, 1);
  append_u64(file, 0);
  append_u64(file, EHDR);
  append_u64(file, xnum ? sections : 0);
  append_u32(file, 0);
  append_u16(file, EHDR);
  append_u16(file, PHDR);
  append_u16(file, xnum ? XNUM : count);
  append_u16(file, xnum ? SHDR : 0);
  append_u16(file, xnum ? 1 : 0);
  append_u16(file, 0);

  for (size_t i = 0; i < core->segment_count; i++) {
    const struct note_segment *segment = &core->segments[i];
    append_program_header(file, 4, 0, notes + segment->start, 0, segment->end - segment->start, 0, segment->alignment);
  }
  for (size_t i = 0; i < core->load_count; i++) {
    const struct load *load = &core->loads[i];
    append_program_header(file, 1, load->prot, core_builder_offset(core, i), load->address, load->file_size,
                          load->memory_size, 4096);
  }
  append(file, core->notes.bytes, core->notes.size);
  append(file, core->memory.bytes, core->memory.size);
  if (xnum) {
    append(file, NULL, 44);
    append_u32(file, count);
    append(file, NULL, 16);
  }
  *size = file->size;
  return file->bytes;
}

uint64_t core_builder_offset(const struct core_builder *core, size_t index) {
  const struct load *load = &core->loads[index];
  return load->claimed ? load->offset : core->memory_offset + load->offset;
}

struct nameless_file nameless_file(const void *bytes, size_t size) {
  struct nameless_file file = {.fd = memfd_create("core", MFD_CLOEXEC)};
  if (file.fd < 0) abort();
  for (size_t done = 0; done < size;) {
    ssize_t written = write(file.fd, (const uint8_t *)bytes + done, size - done);
    if (written <= 0) abort();
    done += (size_t)written;
  }
  snprintf(file.path, sizeof file.path, "/proc/self/fd/%d", file.fd);
  return file;
}
