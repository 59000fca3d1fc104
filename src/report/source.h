/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of source files of this machine. The paths come from the target and may name anything: only regular files are
 * opened, nothing blocks, and what is read is bounded.
 */
#ifndef EXUVIA_REPORT_SOURCE_H
#define EXUVIA_REPORT_SOURCE_H

#include <stdbool.h>

#include "exuvia/exuvia.h"

struct exu_sources;

/* `sysroot` (NULL: none) is where the paths begin; links do not lead out of it (Linux >= 5.6). NULL: no memory. */
struct exu_sources *exu_sources_create(const char *sysroot);

/* NULL is allowed. */
void exu_sources_destroy(struct exu_sources *sources);

/*
 * Line `line` (1-based) of `file`, without its end, in *text; valid until the next call. False when there is no such
 * file or line, or when `file` is not an absolute path: what it was relative to died with the process.
 */
bool exu_source_line(struct exu_sources *sources, struct exu_string file, int32_t line, struct exu_string *text);

#endif
