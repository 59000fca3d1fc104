/* SPDX-License-Identifier: Apache-2.0 */
/* Native frames without a symbol that run a function which Python has a name for. */
#ifndef EXUVIA_REPORT_BUILTINS_H
#define EXUVIA_REPORT_BUILTINS_H

#include "base/map.h"
#include "native/stacks.h"
#include "python/frame/builtin.h"

/* What was found out; zeroed at first. Release with exu_builtins_deinit. */
struct exu_builtins {
  struct exu_map names; /* struct exu_native_frame -> struct exu_string in the arena */
  size_t asked;
};
void exu_builtins_deinit(struct exu_builtins *builtins);

/*
 * The name of native frame `index`, if it has no symbol, and a built-in function whose code begins where its function
 * does is referred to by its own stack frame, that of its caller or the value stack of `caller`, the Python frame that
 * it was called from (NULL: none). The interpreter's calls keep what they call there. Unknown, too, after some thousand
 * frames of a process.
 */
struct exu_string exu_builtin_name(struct exu_builtins *builtins, struct exu_py *py,
                                   const struct exu_native_thread *native, size_t index,
                                   const struct exu_py_frame *caller);

#endif
