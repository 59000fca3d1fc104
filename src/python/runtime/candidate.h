/* SPDX-License-Identifier: Apache-2.0 */
/* What may turn out to be a runtime, while it is looked for: its description grows, and is read through meanwhile. */
#ifndef EXUVIA_PYTHON_RUNTIME_CANDIDATE_H
#define EXUVIA_PYTHON_RUNTIME_CANDIDATE_H

#include "python/reader.h"

/* It must not move: the reader has the address of the description. */
struct exu_py_candidate {
  struct exu_py_runtime runtime;
  struct exu_py py; /* reads with what is known so far; nothing is cached in it */
};

#endif
