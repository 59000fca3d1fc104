/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of functions that Cython compiled, as Python says them: __pyx_pw_6uvloop_4loop_4Loop_45run_until_complete is
 * uvloop.loop.Loop.run_until_complete.
 *
 * Cython (Cython/Compiler/Symtab.py, Nodes.py: DefNode, DefNodeWrapper, next_id) writes a prefix for the kind of
 * function, for each scope around it its name behind the size of that and before a `_`, and the function's name. In
 * front of that name a `def` function has a number that is its own in its scope, or nothing if it is the first one
 * there; its wrapper, which Python calls, has the next number. So "4conv_2d" may be the fourth function conv_2d, or
 * the second function `d` of a scope `conv`. What tells is that its counterpart is there.
 */
#ifndef EXUVIA_NATIVE_CYTHON_NAME_H
#define EXUVIA_NATIVE_CYTHON_NAME_H

#include "base/arena.h"

enum exu_cython_kind {
  EXU_CYTHON_NONE,
  EXU_CYTHON_WRAPPER,        /* __pyx_pw_: what Python calls; it takes the arguments apart */
  EXU_CYTHON_IMPLEMENTATION, /* __pyx_pf_: the body of a `def` function */
  EXU_CYTHON_C_FUNCTION,     /* __pyx_f_: of a `cdef` or `cpdef` function */
};

enum exu_cython_kind exu_cython_kind(struct exu_string symbol);

/* Is there a symbol of that name in the same file? */
typedef bool exu_cython_has_symbol(void *context, const char *name);

/*
 * The dotted name of a symbol, in the arena; unknown when it is none of Cython's functions, or may be read in several
 * ways of which `has_symbol` proves none. `module` is the path of the file that the symbol is in, whose name is that of
 * the Python module.
 */
struct exu_string exu_cython_name(struct exu_arena *arena, struct exu_string written, struct exu_string module,
                                  exu_cython_has_symbol *has_symbol, void *context);

#endif
