/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files from debuginfod servers: the one place that may cause network traffic, and only with exu_options.debuginfod.
 * libdebuginfod is loaded when it is first needed, because it brings an HTTP client and a dozen libraries with it.
 */
#ifndef EXUVIA_BINARY_DEBUGINFOD_H
#define EXUVIA_BINARY_DEBUGINFOD_H

#include "binary/module.h"

enum exu_debuginfod_kind { EXU_DEBUGINFOD_EXECUTABLE, EXU_DEBUGINFOD_DEBUG_INFO };

/*
 * The file with a build id, from the servers named in the environment variable DEBUGINFOD_URLS or their client's cache;
 * NULL when it was not asked for, nobody has it, the time is over, or what came has another build id. Why nothing can
 * be had at all is said in one diagnostic.
 */
struct exu_elf_file *exu_debuginfod_find(struct exu_modules *modules, const struct exu_build_id *id,
                                         enum exu_debuginfod_kind kind);

/* For exu_modules_deinit. NULL is allowed. */
struct exu_debuginfod;
void exu_debuginfod_close(struct exu_debuginfod *debuginfod);

#endif
