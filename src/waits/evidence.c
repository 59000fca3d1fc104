/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/evidence.h"

/* Entries are written once, in here: only those who see the report may not write them. */
void exu_evidence_add(struct exu_arena *arena, const struct exu_evidence **list, struct exu_evidence evidence) {
  struct exu_evidence *added = exu_arena_alloc(arena, sizeof *added);
  if (!added) return;
  *added = evidence;
  while (*list) list = (const struct exu_evidence **)&(*list)->next;
  *list = added;
}

const struct exu_evidence *exu_evidence_of(struct exu_arena *arena, struct exu_evidence evidence) {
  const struct exu_evidence *list = NULL;
  exu_evidence_add(arena, &list, evidence);
  return list;
}
