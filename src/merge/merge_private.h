/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rules of merge.h share: by_stack_address.c and by_frame_pointer.c find the eval frames, merge.c uses them.
 */
#ifndef EXUVIA_MERGE_MERGE_PRIVATE_H
#define EXUVIA_MERGE_MERGE_PRIVATE_H

#include "merge/merge.h"

enum { EXU_MERGE_END = UINT32_MAX }; /* of a list of activations that `link` joins */

void exu_merge_clear_eval_frames(struct exu_merge_activation *activations, size_t count);

/* Sort the array as the list is, which has all activations in it. */
void exu_merge_arrange(struct exu_merge_activation *activations, size_t count, uint32_t list);

#endif
