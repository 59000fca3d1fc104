/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live process as a target: read while it runs, stopped for a moment, and from then on what was copied in that
 * moment.
 */
#ifndef EXUVIA_PROCESS_LIVE_H
#define EXUVIA_PROCESS_LIVE_H

#include "process/process.h"

/*
 * Open the process `pid`, or the one with a thread of that id, without stopping it: its mappings, its memory, its
 * files. On success the caller owns *target (exu_target_close), which must not outlive `diagnostics`. On failure
 * *target is not touched, and error->message is one line that says which rule refused it.
 */
bool exu_target_open_live(int64_t pid, struct exu_arena *arena, struct exu_diagnostics *diagnostics,
                          struct exu_target *target, struct exu_error *error);

/*
 * Stop the process, for EXU_STOP_MAX_MS at most, read anew what was read while it ran, and fill in its threads with
 * their registers. Threads that did not stop in time are marked. On failure it runs on.
 */
bool exu_live_stop(struct exu_target *target, struct exu_arena *arena, struct exu_error *error);

/* Copy the used part of every thread's stack. While the process is stopped. */
void exu_live_copy_stacks(struct exu_target *target);

/*
 * Let the process go on. Sets target->pause_us, and says when it has run already. What is copied of its changing memory
 * from now on is late.
 */
void exu_live_release(struct exu_target *target);

/*
 * After exu_live_release: the registers and the stacks of threads that stopped only now, for want of a processor; they have
 * run no instruction since the others were stopped. Those of which nothing is to be had are said.
 */
void exu_live_take_late(struct exu_target *target);

/* Was the changing memory at this address copied after the process went on? It may not go with the registers. */
bool exu_live_late(const struct exu_target *target, uint64_t address);

/*
 * Without stopping: fill in the threads, and of the registers what the kernel tells of a thread that sleeps: the system
 * call, the stack pointer and the pc. What was read before is forgotten.
 */
bool exu_live_glance(struct exu_target *target, struct exu_arena *arena, struct exu_error *error);

/* Did exu_live_glance learn where the descriptor of a thread is? */
bool exu_live_knows_descriptors(const struct exu_target *target);

/* Has the thread slept, and done nothing else, ever since exu_live_glance? What was read of it since was so all the while. */
bool exu_live_slept(const struct exu_target *target, const struct exu_os_thread *thread);

/* After reading without stopping: set `ran` of the threads that did not sleep all the time since exu_live_glance. */
void exu_live_look_back(struct exu_target *target);

/* Forget what was read of the memory that changes, to read it anew. */
void exu_live_forget(const struct exu_target *target);

/* Threads' names and the processor time that they have used, as they are now. */
void exu_live_describe_threads(struct exu_target *target, struct exu_arena *arena);

/*
 * A path on this machine for the root directory of the process; NULL when it is this process's own. Lives as long as
 * the target.
 */
const char *exu_live_root(const struct exu_target *target);

/*
 * The same for who has no target any more, with its NUL: good as long as the process, and a thread that now lives, does.
 */
struct exu_string exu_live_root_for_later(const struct exu_target *target, struct exu_arena *arena);

/* The file behind a mapping, also when it has no name any more. A descriptor, or -1. */
int exu_live_open_mapping(const struct exu_target *target, const struct exu_file_mapping *mapping);

#endif
