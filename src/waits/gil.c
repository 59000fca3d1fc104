/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that waits for the GIL: who holds it. */
#include "waits/waits_private.h"

/* Who holds the GIL that this thread waits for. */
static struct exu_seen *gil_holder(struct exu_finishing *finishing, const struct exu_seen *seen) {
  struct exu_waits *waits = finishing->waits;
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *one = &waits->seen.items[i];
    for (size_t k = 0; k < EXU_WAIT_PARTS && one->subject.gils[k] != 0; k++) {
      if (one->subject.gils[k] == seen->subject.gil) return one;
    }
  }
  return NULL;
}

void exu_wait_for_gil(struct exu_finishing *finishing, struct exu_seen *seen) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_wait *wait = &seen->wait;
  struct exu_seen *holder = gil_holder(finishing, seen);
  wait->gil_of = seen->subject.gil_of;
  wait->evidence = exu_evidence_of(arena, (struct exu_evidence){.kind = EXU_EVIDENCE_GIL, .address = wait->futex});
  if (holder) {
    exu_wait_set_owner(finishing, wait, holder, -1);
    wait->owner_evidence = exu_evidence_of(arena, (struct exu_evidence){.kind = EXU_EVIDENCE_GIL_HOLDER});
  } else if (finishing->gil_is_lost) {
    seen->lost = true;
    wait->owner_place = EXU_OWNER_NOWHERE;
    wait->owner_evidence = exu_evidence_of(
        arena, (struct exu_evidence){.kind = EXU_EVIDENCE_GIL_STATE, .address = seen->subject.gil_holder});
  }
}
