/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a core file or a live process to a report: the one place where the branches meet. Everything that is found is
 * kept: each step adds to the report, and a step that fails leaves a diagnostic.
 */
#ifndef EXUVIA_ANALYZE_H
#define EXUVIA_ANALYZE_H

#include "base/arena.h"
#include "base/diagnostics.h"
#include "base/limits.h"
#include "binary/modules.h"
#include "exuvia/exuvia.h"
#include "native/stacks.h"
#include "process/process.h"
#include "python/runtime/runtime.h"
#include "report/stacks.h"

/* Where a core is: at a path, else in a source, else behind a descriptor, which is borrowed. */
struct exu_core_input {
  const char *path;         /* NULL: none */
  struct exu_source source; /* `ops` NULL: none */
  int fd;
};

/*
 * What it begins with: `arena`, `limits` (which have begun), `options`, and of the report `source_kind`, `source_path` and `pid`; and `core`, if it
 * is one.
 */
struct exu_analysis {
  struct exu_arena *arena; /* of the report */
  struct exu_limits *limits;
  struct exu_report *report;
  struct exu_core_input core;
  struct exu_options options; /* of a live process: with its root directory */
  struct exu_diagnostics diagnostics;
  struct exu_process process;
  struct exu_modules modules;
  struct exu_runtimes runtimes;
  struct exu_native native;
  struct exu_stacks *stacks;
  bool has_process; /* what was made of it so far */
  bool has_modules;
  bool has_native;
};

/*
 * Look at it, once, and fill in the report but for its diagnostics. The parts of the analysis point into each other: it
 * must not move until exu_analysis_deinit.
 */
void exu_analyze(struct exu_analysis *analysis);

/* Then: does the report lack nothing? */
bool exu_analysis_is_whole(const struct exu_analysis *analysis);

/*
 * Or does it lack nothing but of stacks of threads of a live process, stopped while they ran, for reasons that may have
 * passed since?
 */
bool exu_analysis_may_become_whole(const struct exu_analysis *analysis);

/* Last: say in the report what it lacks. */
void exu_analysis_finish(struct exu_analysis *analysis);

/* Close everything; the report stays. */
void exu_analysis_deinit(struct exu_analysis *analysis);

#endif
