/* SPDX-License-Identifier: Apache-2.0 */
/* The code that CPython puts between two calls of the eval loop for `perf` (-X perf, 3.12 and later). */
#ifndef EXUVIA_NATIVE_TRAMPOLINE_H
#define EXUVIA_NATIVE_TRAMPOLINE_H

#include "process/process.h"

/*
 * Does the call before a return address minus one belong to a copy of _Py_trampoline_func_start
 * (Python/asm_trampoline.S)? Python/perf_trampoline.c makes one for each code object, in memory of no file.
 */
bool exu_is_perf_trampoline(const struct exu_process *process, uint64_t address);

#endif
