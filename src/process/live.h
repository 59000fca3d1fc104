/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that lives: read while it runs, paused for a moment (EXU_STOP_MAX_MS of stop.h at most), and from then on
 * what was copied in that moment.
 */
#ifndef EXUVIA_PROCESS_LIVE_H
#define EXUVIA_PROCESS_LIVE_H

#include "process/process.h"

/*
 * Open the process `pid`, or the one with a thread of that id, without stopping it: its mappings, its memory, its
 * files. On success the caller owns *process (exu_process_close), which must not outlive `diagnostics`. On failure
 * *process is not touched, and error->message is one line that says which rule refused it.
 */
bool exu_process_open_live(int64_t pid, struct exu_arena *arena, struct exu_diagnostics *diagnostics,
                           struct exu_process *process, struct exu_error *error);

/* Did exu_process_sample learn where the descriptor of a thread is? */
bool exu_live_knows_descriptors(const struct exu_process *process);

/*
 * exu_process_root for who has no process any more, with its NUL: good as long as the process, and a thread that now
 * lives, does.
 */
struct exu_string exu_live_root_for_later(const struct exu_process *process, struct exu_arena *arena);

#endif
