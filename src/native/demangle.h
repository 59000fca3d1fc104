/* SPDX-License-Identifier: Apache-2.0 */
/* Names as their authors wrote them: C++ (Itanium), Rust v0 and legacy. */
#ifndef EXUVIA_NATIVE_DEMANGLE_H
#define EXUVIA_NATIVE_DEMANGLE_H

#include "base/arena.h"

/*
 * The name of a symbol, in the arena: without its version (`@@GLIBC_2.34`) and what makes a local name unique in the
 * whole program (`.lto_priv.0` of GCC, `.llvm.123` and `.__uniq.123` of clang), demangled if it is mangled and not too
 * long to be trusted. What says that code is a part or a special copy of a function stays, as debuggers show it:
 * `.cold`, `.part.0`, `.isra.0`, `.constprop.0`; C++'s are `f() [clone .cold]`. A name without any of it is itself.
 * The bytes of `name` are followed by a NUL.
 */
struct exu_string exu_demangle(struct exu_arena *arena, struct exu_string name);

#endif
