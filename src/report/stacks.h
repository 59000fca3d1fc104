/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of a report: threads of the operating system joined with Python's thread states, each with its frames. In
 * two steps, because a live process is stopped only during the first.
 */
#ifndef EXUVIA_REPORT_STACKS_H
#define EXUVIA_REPORT_STACKS_H

#include "base/diagnostics.h"
#include "exuvia/exuvia.h"
#include "native/stacks.h"
#include "process/process.h"
#include "python/runtime/runtime.h"

struct exu_stacks;

/*
 * Read what exu_stacks_read is about to read of a live process, and throw it away: what a process that runs has in its
 * memory may be nonsense by then, but most of the pages that will be needed are known, and the pause is short. What
 * takes long to find in files is found and kept.
 */
void exu_stacks_prefetch(struct exu_runtimes *runtimes);

/* After exu_process_read_late_threads: what threads wait for that had not stopped before. */
void exu_stacks_read_late_waits(struct exu_stacks *stacks);

/*
 * Read what the report shows of Python: its interpreters and, in the order of the process, its threads, still without
 * frames. `runtimes` is NULL when there is no Python: then no thread will have Python frames. Stops early without
 * memory; what was done by then stays. NULL without memory for anything.
 */
struct exu_stacks *exu_stacks_read(struct exu_report *report, struct exu_process *process,
                                   struct exu_runtimes *runtimes, const struct exu_options *options,
                                   struct exu_diagnostics *diagnostics);

/*
 * Unwind the native stacks, unless `native` is NULL, and fill in the frames of the threads and what they wait for. Of
 * the process's changing memory it reads only the stacks.
 */
void exu_stacks_finish(struct exu_stacks *stacks, struct exu_native *native);

/* Not every thread state was read: of the threads that have none it is not known whether they do. NULL is allowed. */
void exu_stacks_doubt_python(struct exu_stacks *stacks);

void exu_stacks_destroy(struct exu_stacks *stacks); /* NULL is allowed */

#endif
