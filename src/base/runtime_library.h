/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXUVIA_BASE_RUNTIME_LIBRARY_H
#define EXUVIA_BASE_RUNTIME_LIBRARY_H

#include "exuvia/exuvia.h"

/* A library in which a thread waits, works or starts on behalf of the one that called it: of C, of C++. */
bool exu_is_runtime_library(struct exu_string path);

#endif
