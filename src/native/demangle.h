/* SPDX-License-Identifier: Apache-2.0 */
/* Names as their authors wrote them: C++ (Itanium), Rust v0 and legacy. */
#ifndef EXUVIA_NATIVE_DEMANGLE_H
#define EXUVIA_NATIVE_DEMANGLE_H

#include "base/arena.h"

/* The demangled name, in the arena; the name itself when it is not mangled or too long to be trusted. */
struct exu_string exu_demangle(struct exu_arena *arena, struct exu_string name);

#endif
