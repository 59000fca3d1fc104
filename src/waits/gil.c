/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that waits for the GIL: who holds it. */
#include "waits/waits_private.h"

void exu_wait_for_gil(struct exu_finishing *finishing, struct exu_seen *seen) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_wait *wait = &seen->wait;
  struct exu_seen *holder = exu_wait_find(&finishing->by_gil, seen->subject.gil);
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
