/* SPDX-License-Identifier: Apache-2.0 */
/* Variables of the C library that are no part of its interface, by their names. */
#ifndef EXUVIA_BINARY_C_LIBRARY_H
#define EXUVIA_BINARY_C_LIBRARY_H

#include "binary/module.h"

/*
 * The address of a variable of this name and size, if the module may be the C library, or contain it, and defines it;
 * 0: it does not, or its file is not there for certain.
 */
uint64_t exu_c_library_variable(struct exu_modules *modules, struct exu_binary *module, const char *name, size_t size);

#endif
