/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The symbols of a module, from all that belongs to it. .symtab has all functions, .dynsym those that others may use.
 * So: .symtab of the file, else of its separate file, else what .gnu_debugdata adds to .dynsym.
 */
#ifndef EXUVIA_BINARY_SYMBOLS_H
#define EXUVIA_BINARY_SYMBOLS_H

#include "binary/elf_file.h"
#include "binary/module.h"

/* Answer all addresses, which are sorted and, as the answers, in the file's own terms. False without memory. */
bool exu_module_cover(struct exu_modules *modules, struct exu_binary *module, struct exu_elf_cover *covers,
                      size_t count, struct exu_arena *arena);

/* A defined symbol by its exact name, as exu_elf_file_symbol has it: in the file's own terms. */
bool exu_module_symbol(struct exu_modules *modules, struct exu_binary *module, const char *name,
                       struct exu_elf_symbol *symbol);

#endif
