/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where functions begin, without symbols: linkers write a sorted table of all functions that have unwinding information
 * into every module (.eh_frame_hdr), and loaders keep it in memory.
 */
#ifndef EXUVIA_NATIVE_FUNCTION_TABLE_H
#define EXUVIA_NATIVE_FUNCTION_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "binary/module.h"
#include "process/process.h"

/* Code of one function, or of the part of it that the compiler put elsewhere: [start, end), in the process. */
struct exu_function {
  uint64_t start;
  uint64_t end; /* where the next one starts; there may be padding before it */
};

/* The function that an address lies in or, where code has no unwinding information, behind. False: it is not known. */
bool exu_function_find(const struct exu_process *process, const struct exu_modules *modules, uint64_t address,
                       struct exu_function *function);

#endif
