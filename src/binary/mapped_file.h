/* SPDX-License-Identifier: Apache-2.0 */
/* The file that a process mapped and could not read, as it is on this machine. */
#ifndef EXUVIA_BINARY_MAPPED_FILE_H
#define EXUVIA_BINARY_MAPPED_FILE_H

#include "process/process.h"

/*
 * If the crash is about a mapped file (exu_crash.file), say how long the file of that name is. A core has nothing but
 * the name: the file here may be another one. Call it last, when the crash is known.
 */
void exu_mapped_file_measure(struct exu_process *process, const char *sysroot);

#endif
