/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes with a module besides its own file: a separate file of debug information, the small symbol table that some
 * distributions pack into .gnu_debugdata, and the image in the core. Each is opened on first use, kept by the module
 * and released with it. NULL means that there is none, or none that is proved to belong to the module.
 */
#ifndef EXUVIA_BINARY_DEBUG_FILE_H
#define EXUVIA_BINARY_DEBUG_FILE_H

#include "binary/module.h"

struct Dwarf;

/*
 * The separate file of debug information: by build id below /usr/lib/debug/.build-id (of the sysroot) and the search
 * directories, else by the name in .gnu_debuglink. Build ids must be equal; only for a module that has none, the
 * checksum of .gnu_debuglink decides. Last, debuginfod servers are asked, when exu_options.debuginfod is set and the
 * module's own file has no DWARF.
 */
struct exu_elf_file *exu_modules_debug_file(struct exu_modules *modules, struct exu_binary *module);

/* The unpacked .gnu_debugdata of the module's file: an ELF file with the symbols that are not in .dynsym. */
struct exu_elf_file *exu_modules_mini_file(struct exu_modules *modules, struct exu_binary *module);

/*
 * For a module without a file: an ELF file made of the parts of the image that the process holds: what its code is not,
 * and its PT_DYNAMIC as it was before the loader changed it. Segments that were not saved whole are empty in it. The
 * vDSO is whole in cores that the kernel writes; all modules are where coredump_filter says so (bit 2), and in a live
 * process.
 */
struct exu_elf_file *exu_modules_image_file(struct exu_modules *modules, struct exu_binary *module);

/* The module's file, else its image: for names and unwinding, which are the same in both. */
struct exu_elf_file *exu_modules_file_or_image(struct exu_modules *modules, struct exu_binary *module);

/* What exu_modules_image_file answered, if it was asked. */
struct exu_elf_file *exu_binary_image_file(const struct exu_binary *module);

/*
 * DWARF of the module's file or else of its separate one, with the shared file (dwz) that it refers to. `patient`: also
 * if it is so large and packed that unpacking it takes longer than everything else.
 */
struct Dwarf *exu_modules_dwarf(struct exu_modules *modules, struct exu_binary *module, bool patient);

/* The best kind of symbols of what was used for the module: `file`, its own or its image, and what goes with it. */
enum exu_symbols exu_binary_symbols(const struct exu_binary *module, struct exu_elf_file *file);

/* For exu_modules_deinit. NULL is allowed. */
struct exu_debug_files;
void exu_debug_files_close(struct exu_debug_files *files);

#endif
