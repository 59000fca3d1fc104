/* SPDX-License-Identifier: Apache-2.0 */
/* Private to merged_stack.c: which native frames run the Python frames of a thread. */
#ifndef EXUVIA_REPORT_MERGED_STACK_PRIVATE_H
#define EXUVIA_REPORT_MERGED_STACK_PRIVATE_H

#include "merge/merge.h"
#include "report/merged_stack.h"

/* Which call of a native frame is the eval loop: it may have been inlined into its caller. */
size_t exu_eval_call(const struct exu_stack_runtime *runtime, const struct exu_native_place *place);

/* Where one of several runtimes runs, only frames of its module can be its eval loop. */
bool exu_may_run(const struct exu_stack_builder *builder, const struct exu_stack_runtime *runtime,
                 const struct exu_native_frame *frame);

/* Fill in `natives`, one for each native frame of a thread, as the rule of a runtime sees them; NULL: as none does. */
void exu_merge_natives(const struct exu_stack_builder *builder, const struct exu_stack_runtime *runtime,
                       const struct exu_native_thread *thread, struct exu_merge_native *natives);

/* That it is not known how the frames of several interpreters on the thread interleave. */
void exu_say_order(const struct exu_stack_builder *builder, int64_t tid);

/*
 * Find the eval frames of `activations`, which come in the order of their chains: each runtime's by its own rule, then
 * all into one order. `natives` are the frames of the stack, which each rule sees in its way. Sets thread->merged_by.
 * False without memory.
 */
bool exu_find_eval_frames(struct exu_stack_builder *builder, const struct exu_stack_parts *parts,
                          const struct exu_merge_stack *stack, struct exu_merge_native *natives,
                          struct exu_merge_activation *activations, size_t activation_count, struct exu_thread *thread);

#endif
