/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic cores for tests, laid out as the kernel does: ELF header, program headers, notes, memory, and with
 * PN_XNUM a section header at the end. Every mistake that a real file could have can be made on purpose.
 */
#ifndef EXUVIA_TESTS_ELF_BUILDER_H
#define EXUVIA_TESTS_ELF_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CORE_R = 4, CORE_W = 2, CORE_X = 1 };

struct core_builder;

struct core_registers { /* of x86-64 */
  uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, rip, fs_base, rflags;
  int64_t orig_rax;
};

struct core_builder *core_builder_create(void);
void core_builder_destroy(struct core_builder *core);

/* Overwrite fields of the ELF header; the defaults are those of an x86-64 core. */
void core_builder_set_ident(struct core_builder *core, uint8_t elf_class, uint8_t data);
void core_builder_set_type(struct core_builder *core, uint16_t type, uint16_t machine);

/* A PT_LOAD with `file_size` bytes of `bytes`, or of their own addresses' low bytes when `bytes` is NULL. */
void core_builder_load(struct core_builder *core, uint64_t address, uint64_t memory_size, const void *bytes,
                       uint64_t file_size, uint32_t prot);
/* The same with a p_offset and p_filesz that are just claimed: nothing is stored. */
void core_builder_load_at(struct core_builder *core, uint64_t address, uint64_t memory_size, uint64_t offset,
                          uint64_t file_size, uint32_t prot);

/* Begin another PT_NOTE; notes are padded to 8 when `alignment` is 8, else to 4. The first one exists already. */
void core_builder_note_segment(struct core_builder *core, uint64_t alignment);
void core_builder_note(struct core_builder *core, const char *name, uint32_t type, const void *bytes, size_t size);
/* Bytes into the current PT_NOTE as they are. */
void core_builder_raw_notes(struct core_builder *core, const void *bytes, size_t size);

/* The notes of the kernel, for x86-64. */
void core_builder_prstatus(struct core_builder *core, int32_t tid, int16_t cursig,
                           const struct core_registers *registers);
void core_builder_prpsinfo(struct core_builder *core, int32_t pid, const char *name, const char *arguments);
void core_builder_siginfo(struct core_builder *core, int32_t signal, int32_t code, uint64_t word);
struct core_file {
  uint64_t start, end, pages;
  const char *path;
};
void core_builder_file(struct core_builder *core, uint64_t page_size, const struct core_file *files, size_t count);

/* Always use PN_XNUM; without it, it is used when there are too many segments. */
void core_builder_force_xnum(struct core_builder *core);

/* The finished file; *size is its size. Valid until the builder is destroyed. Call once, last. */
const uint8_t *core_builder_finish(struct core_builder *core, size_t *size);

/* Where core_builder_finish has put the PT_LOAD number `index`. */
uint64_t core_builder_offset(const struct core_builder *core, size_t index);

/*
 * A file without a name that holds the bytes, and a path to open it by. The descriptor is the caller's to close.
 */
struct nameless_file {
  int fd;
  char path[32];
};
struct nameless_file nameless_file(const void *bytes, size_t size);

#endif
