/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of a report: threads of the operating system joined with Python's thread states, each with its frames. */
#ifndef EXUVIA_REPORT_STACKS_H
#define EXUVIA_REPORT_STACKS_H

#include "base/diagnostics.h"
#include "exuvia/exuvia.h"
#include "native/stacks.h"
#include "python/process.h"
#include "target/target.h"

/*
 * Fill in the report's interpreters and threads, in the order of the target. `py` is NULL when there is no Python:
 * then the threads
 * have no frames. Stops early without memory; what was done by then stays.
 */
void exu_report_threads(struct exu_report *report, const struct exu_target *target, struct exu_py *py,
                        struct exu_native *native, const struct exu_options *options,
                        struct exu_diagnostics *diagnostics);

#endif
