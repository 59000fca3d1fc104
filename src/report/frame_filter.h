/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame filter: native calls that tell a reader nothing, the interpreter's way from one Python frame to the next
 * and how programs start, are not shown unless they are asked for.
 */
#ifndef EXUVIA_REPORT_FRAME_FILTER_H
#define EXUVIA_REPORT_FRAME_FILTER_H

#include <stdbool.h>

#include "exuvia/exuvia.h"

/* What a native call is to somebody who reads a stack. */
enum exu_function_class {
  EXU_FUNCTION_UNKNOWN,  /* no symbol, in a module of the program's own, of a library or of nobody */
  EXU_FUNCTION_VISIBLE,  /* does something */
  EXU_FUNCTION_FILTERED, /* of the interpreter: passes a call on (vectorcall, argument parsing, eval) or starts it */
  EXU_FUNCTION_BINDING, /* of pybind11 or PyO3, in an extension module: passes a call on to a function of that module */
  EXU_FUNCTION_UNSYMBOLIZED, /* of the interpreter, without a symbol */
  EXU_FUNCTION_PY_MAIN,      /* of the interpreter: what a main function calls that does nothing else */
  EXU_FUNCTION_MAIN,         /* the function main */
  EXU_FUNCTION_START,        /* of the C library or its start files: starts a program or a thread */
  EXU_FUNCTION_LIBC,         /* of the C library or the dynamic linker, without a symbol */
};

/* `interpreter`: the module is the one that the interpreter's code is in. */
enum exu_function_class exu_classify_function(struct exu_string function, struct exu_string module, bool interpreter);

/*
 * Does an EXU_FUNCTION_BINDING say no more than `callee`, the function of its module that it calls, directly or not?
 * What is made for one function says more where that one was inlined.
 */
bool exu_binding_names(struct exu_string binding, struct exu_string callee);

/* The eval loop: PyEval_EvalFrameEx in 2.7 (`python2`), _PyEval_EvalFrameDefault since; also a part split off it. */
bool exu_is_eval_loop(struct exu_string function, bool python2);

#endif
