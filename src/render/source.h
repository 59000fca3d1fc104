/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of source files of this machine. The paths come from the process and may name anything: only regular files are
 * opened, nothing blocks, and what is read is bounded.
 */
#ifndef EXUVIA_RENDER_SOURCE_H
#define EXUVIA_RENDER_SOURCE_H

#include <stdbool.h>

#include "exuvia/exuvia.h"

struct exu_sources;

/*
 * For the files that a report names, which must outlive this. They begin at `sysroot`, which is taken to have what the
 * process had, or when that is NULL, at the root directory of the process (exu_report.root), where it counts whether a
 * file has changed since exu_report.sources_as_of. Links do not lead out of it (Linux >= 5.6). NULL: no memory.
 */
struct exu_sources *exu_sources_create(const struct exu_report *report, const char *sysroot);

/* NULL is allowed. */
void exu_sources_destroy(struct exu_sources *sources);

/*
 * Line `line` (1-based) of `file`, without its end, in *text; valid until the next call. False when there is no such
 * file or line; when `file` is relative to a directory that is not known: what it was relative to died with the
 * process; and when the file is known not to be what ran. What has changed (exu_source_has_changed) need not be it.
 * `file` must live as long as `sources`.
 */
bool exu_source_line(struct exu_sources *sources, struct exu_string file, int32_t line, struct exu_string *text);

/*
 * Code of the name `function` that was defined in line `first_line` of `file` ran: from now on the file has no lines if
 * that cannot be.
 */
void exu_source_check(struct exu_sources *sources, struct exu_string file, int32_t first_line,
                      struct exu_string function);

/* Was the file changed after the process started, or its core was written? Known after a line was asked for. */
bool exu_source_has_changed(struct exu_sources *sources, struct exu_string file);

/* What is wrong with a file, in words, for the one who asks first; else NULL. Static. */
const char *exu_source_doubt(struct exu_sources *sources, struct exu_string file);

#endif
