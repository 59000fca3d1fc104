/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of what was seen, in the order in which it is told. Without memory there is less in them. */
#ifndef EXUVIA_WAITS_EVIDENCE_H
#define EXUVIA_WAITS_EVIDENCE_H

#include "base/arena.h"
#include "exuvia/exuvia.h"

/* Append to a list; its `next` is none. */
void exu_evidence_add(struct exu_arena *arena, const struct exu_evidence **list, struct exu_evidence evidence);

/* A list of one. */
const struct exu_evidence *exu_evidence_of(struct exu_arena *arena, struct exu_evidence evidence);

#endif
