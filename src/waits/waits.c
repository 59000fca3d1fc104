/* SPDX-License-Identifier: Apache-2.0 */
/* The first step: what is read of the process while it may be stopped. */
#include "waits/waits.h"

#include <stdlib.h>

#include "waits/waits_private.h"

struct exu_waits *exu_waits_create(const struct exu_process *process, struct exu_arena *arena,
                                   struct exu_diagnostics *diagnostics) {
  struct exu_waits *waits = calloc(1, sizeof *waits);
  if (!waits) return NULL;
  waits->process = process;
  waits->arena = arena;
  waits->diagnostics = diagnostics;
  return waits;
}

void exu_waits_destroy(struct exu_waits *waits) { free(waits); }

/* The descriptors of poll(2) and select(2); what they are is asked later. */
static bool look_at_descriptors(struct exu_waits *waits, struct exu_seen *seen) {
  int32_t fds[EXU_WAIT_FDS];
  struct exu_wait *wait = &seen->wait;
  wait->fds_in_all = exu_call_descriptors(waits->process, &seen->call, fds, EXU_WAIT_FDS);
  if (wait->fds_in_all == 0) return true;
  size_t count = wait->fds_in_all < EXU_WAIT_FDS ? wait->fds_in_all : EXU_WAIT_FDS;
  struct exu_wait_fd *list = exu_arena_array(waits->arena, count, sizeof *list);
  if (!list) return false;
  for (size_t i = 0; i < count; i++) list[i].fd = fds[i];
  wait->fds = seen->fds = list;
  wait->fd_count = count;
  return true;
}

static bool look_at(struct exu_waits *waits, const struct exu_wait_subject *subject, struct exu_seen *seen) {
  *seen = (struct exu_seen){.subject = *subject, .tid = subject->os->tid, .wait = EXU_WAIT_NOTHING};
  struct exu_wait *wait = &seen->wait;
  exu_call_look(waits->process, &subject->os->registers, &seen->call);
  if (seen->call.running) return true;
  seen->in_futex = exu_futex_of(&seen->call, &seen->futex);
  if (seen->in_futex) {
    exu_around_read(waits->process, seen->futex.address, &seen->around);
  } else {
    wait->timeout_us = exu_call_timeout_us(waits->process, &seen->call);
    wait->path = exu_call_path(waits->process, &seen->call, waits->arena);
    if (!look_at_descriptors(waits, seen)) return false;
  }
  /* A thread that asks for the GIL has got what its frames wait for, or gave it up. */
  if (subject->gil) return true;
  struct exu_registers registers = subject->os->registers;
  registers.syscall = seen->call.number; /* of the original call when it was restarted */
  for (size_t i = 0; i < subject->part_count && wait->kind == EXU_WAIT_UNKNOWN; i++) {
    const struct exu_wait_part *part = &subject->parts[i];
    if (!exu_py_wait(part->py, part->frames, part->frame_count, &registers, wait)) return false;
    seen->py_part = i;
  }
  return true;
}

bool exu_waits_read_thread(struct exu_waits *waits, const struct exu_wait_subject *subject) {
  if (!subject->os) return true;
  struct exu_seen *seen = EXU_PUSH(waits->arena, &waits->seen);
  if (!seen) return false;
  return look_at(waits, subject, seen);
}

bool exu_waits_read_late(struct exu_waits *waits) {
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    const struct exu_wait_subject subject = seen->subject;
    if (!subject.os->unstopped || !subject.os->registers.valid) continue;
    const size_t works_for = seen->works_for; /* which its frames have told */
    if (!look_at(waits, &subject, seen)) return false;
    seen->works_for = works_for;
  }
  return true;
}

/* Does somebody wait for a lock, or a result, that does not record who holds it? */
static bool wants_holders(const struct exu_waits *waits) {
  for (size_t i = 0; i < waits->seen.count; i++) {
    const struct exu_wait *wait = &waits->seen.items[i].wait;
    bool is_held = wait->kind == EXU_WAIT_LOCK || wait->kind == EXU_WAIT_RLOCK || wait->kind == EXU_WAIT_FUTURE;
    if (is_held && !wait->shared && wait->owner_ident == 0 && wait->owner_tid <= 0) return true;
  }
  return false;
}

bool exu_waits_find_holders(struct exu_waits *waits) {
  if (!wants_holders(waits)) return true;
  if (!exu_waits_look_at_pools(waits)) return false;
  for (size_t i = 0; i < waits->seen.count; i++) {
    const struct exu_wait_subject *subject = &waits->seen.items[i].subject;
    if (exu_process_is_over(waits->process)) return false;
    for (size_t p = 0; p < subject->part_count; p++) {
      const struct exu_wait_part *part = &subject->parts[p];
      if (!exu_py_held(part->py, part->frames, part->frame_count, i, &waits->held)) return false;
    }
  }
  return true;
}
