/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ELF file on disk: build id, sections, symbols looked up lazily. Read by position and checked here, so that
 * neither a corrupt file nor one that shrinks meanwhile does harm; libelf and libdw are started for DWARF only.
 */
#ifndef EXUVIA_BINARY_ELF_FILE_H
#define EXUVIA_BINARY_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "elf/format.h"
#include "exuvia/exuvia.h"
#include "memory/source.h"

struct exu_elf_file;

/*
 * Open a file as ELF. Only regular files are opened (a path of the process may name a FIFO or a device). Returns NULL
 * and fills in *error on failure.
 */
struct exu_elf_file *exu_elf_file_open(const char *path, struct exu_error *error);
void exu_elf_file_close(struct exu_elf_file *file); /* NULL is allowed */

/* The same for an open regular file, which is closed in any case; `path` is for messages only. */
struct exu_elf_file *exu_elf_file_open_fd(int fd, const char *path, struct exu_error *error);

/* The file as a source, which keeps it open until it is closed itself. */
struct exu_source exu_elf_file_source(struct exu_elf_file *file);
int exu_elf_file_fd(const struct exu_elf_file *file); /* borrowed */
uint64_t exu_elf_file_size(const struct exu_elf_file *file);
uint16_t exu_elf_file_machine(const struct exu_elf_file *file);
const struct exu_elf_header *exu_elf_file_header(const struct exu_elf_file *file);

/* The program headers that the file has room for. */
const struct exu_elf_segment *exu_elf_file_segments(const struct exu_elf_file *file, size_t *count);

/* All or nothing, by position. */
bool exu_elf_file_read(const struct exu_elf_file *file, uint64_t offset, void *buffer, size_t size);

/* From the program headers' notes, else from the sections'. size 0 when there is none. */
struct exu_build_id exu_elf_file_build_id(struct exu_elf_file *file);

/* Best kind of symbols that the file itself has. */
enum exu_symbols exu_elf_file_symbols(struct exu_elf_file *file);

/*
 * A file of debug information that goes with another one (objcopy --only-keep-debug): it has that one's build id,
 * addresses and symbols, but not its code, which must not be read from it.
 */
bool exu_elf_file_debug_only(struct exu_elf_file *file);

/* Its code is written to when it is loaded (DT_TEXTREL): what runs is not what is in the file. */
bool exu_elf_file_text_relocations(const struct exu_elf_file *file);

/*
 * The lowest p_vaddr of a PT_LOAD, rounded down to a page as the kernel maps it: load bias = where the file is mapped
 * minus this. Returns false when there is no PT_LOAD.
 */
bool exu_elf_file_first_load(struct exu_elf_file *file, uint64_t *vaddr);

struct exu_elf_symbol {
  uint64_t value; /* st_value, in the file's own addresses */
  uint64_t size;
};

/*
 * A defined symbol by its exact name: in .symtab, else in .dynsym; a global one wins over local ones. Symbols of files,
 * sections and thread-local variables do not count. Returns false when there is none.
 */
bool exu_elf_file_symbol(struct exu_elf_file *file, const char *name, struct exu_elf_symbol *symbol);

/* The function that covers an address. */
struct exu_elf_cover {
  uint64_t address;       /* asked for, in the file's own addresses */
  struct exu_string name; /* as the linker knows it; unknown when no symbol's size covers the address */
  uint64_t start;
};

/*
 * Answer all addresses, which are sorted, in one pass over the best symbol table. A symbol without a size covers
 * nothing. Where several do, the smallest wins, then functions before labels, global before local names, and the
 * plainest name.
 */
void exu_elf_file_cover(struct exu_elf_file *file, struct exu_elf_cover *covers, size_t count, struct exu_arena *arena);

/* A section by its name: its address in the file's own addresses and its size. */
bool exu_elf_file_section(struct exu_elf_file *file, const char *name, uint64_t *address, uint64_t *size);

/* libelf's handle on the file, or NULL. Owned by the file. */
struct Elf *exu_elf_file_elf(struct exu_elf_file *file);

/* libdw's handle on the DWARF that the file itself has, or NULL. Owned by the file. */
struct Dwarf *exu_elf_file_dwarf(struct exu_elf_file *file);

#endif
