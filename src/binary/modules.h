/* SPDX-License-Identifier: Apache-2.0 */
/* All modules of a process: find them, and let go of their files. */
#ifndef EXUVIA_BINARY_MODULES_H
#define EXUVIA_BINARY_MODULES_H

#include "binary/module.h"

/*
 * Find every module of the process. Opens no file. `options` may be NULL, and like `process` must outlive the modules.
 * Returns false without memory.
 */
bool exu_modules_init(struct exu_modules *modules, const struct exu_process *process, const struct exu_options *options,
                      struct exu_arena *arena, struct exu_diagnostics *diagnostics);

/* Closes every file, but for those that the space reads from. */
void exu_modules_deinit(struct exu_modules *modules);

/*
 * For exu_space_set_backing, after exu_modules_init: context is the struct exu_modules. Lets code and constants that
 * the core left out be read from the module's file, if that is MATCHED: only what the process could not have written
 * to.
 */
bool exu_modules_back_region(void *context, const struct exu_region *region);

/*
 * Something is missing for want of files: say which of those that were looked for are not here, and what to do, before
 * everything else that is missing. missing_files.c
 */
void exu_modules_say_missing(struct exu_modules *modules);

#endif
