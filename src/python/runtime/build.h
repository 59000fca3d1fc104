/* SPDX-License-Identifier: Apache-2.0 */
/* Deciding the layout of a build: its own debug offsets, its binary's DWARF, the shipped table. */
#ifndef EXUVIA_PYTHON_RUNTIME_BUILD_H
#define EXUVIA_PYTHON_RUNTIME_BUILD_H

#include "base/error.h"
#include "python/runtime/candidate.h"

/*
 * Try to read `_Py_DebugOffsets` at `runtime`: sets the build, the layout and layout_from. False when there is none
 * there, or none that validates (then *error says why; its status is EXU_UNSUPPORTED when the version has no
 * supplement).
 */
bool exu_py_layout_from_debug_offsets(struct exu_py_candidate *candidate, uint64_t runtime, struct exu_error *error);

/* From the DWARF of the module's file, when there is one that matches. */
bool exu_py_layout_from_dwarf(struct exu_py_candidate *candidate, struct exu_binary *module);

/* From the shipped table for py->runtime->build with the given kind. */
bool exu_py_layout_from_table(struct exu_py_candidate *candidate, bool debug);

/* Whether the file's symbols say that it is a --with-pydebug build. */
enum exu_tristate exu_py_is_debug_build(struct exu_py *py, struct exu_binary *module);

/*
 * How many code objects of the innermost frames of the first few thread states make sense with the current layout; a
 * measure to tell kinds of builds apart. -1: there are no frames to judge by. Leaves no trace.
 */
int exu_py_probe_layout(struct exu_py_candidate *candidate);

#endif
