/* SPDX-License-Identifier: Apache-2.0 */
/* Which threads nobody can let go on: what is known of each, for hang.c and deadlock.c. */
#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "process/processes.h"
#include "waits/hang.h"
#include "waits/waits_private.h"

/* Only threads of this process wake it, although it does not say so in the call. */
static bool is_private(const struct exu_seen *seen) {
  return !seen->futex.shared || seen->wait.kind == EXU_WAIT_JOIN || seen->wait.kind == EXU_WAIT_ONCE;
}

/* Nobody has changed the word since, which comes before the thread is woken. */
static bool is_unchanged(const struct exu_seen *seen) {
  uint32_t word;
  if (seen->around.after < sizeof word) return false;
  memcpy(&word, seen->around.bytes + EXU_AROUND_BEFORE, sizeof word);
  return seen->futex.inherits || word == seen->futex.expected;
}

/* Not at the moment of which the others tell: it was read while it ran, or stopped after they had gone on. */
static bool may_have_run(const struct exu_os_thread *thread) { return thread->ran || thread->unstopped; }

/* Any process wakes it that has mapped this. */
static uint64_t shared_futex(const struct exu_seen *seen) {
  bool sleeps = !may_have_run(seen->subject.os) && seen->in_futex && !seen->futex.timed && is_unchanged(seen);
  return sleeps && seen->wait.kind != EXU_WAIT_GIL && !is_private(seen) ? seen->futex.address : 0;
}

bool exu_wait_is_asleep(const struct exu_finishing *finishing, const struct exu_seen *seen) {
  if (may_have_run(seen->subject.os)) return false;
  if (seen->wait.kind == EXU_WAIT_GIL) return seen->wait.owner >= 0 || finishing->gil_is_lost;
  return seen->in_futex && !seen->futex.timed && is_private(seen) && is_unchanged(seen);
}

bool exu_wait_sees_all(const struct exu_waits *waits) { return waits->seen.count == waits->process->thread_count; }

/*
 * The GIL is held by a thread state of no thread that is here. That alone proves nothing: a program may run a thread
 * state in another thread than the one it was made in. But those that wait for it do not have it.
 */
bool exu_wait_gil_is_lost(const struct exu_waits *waits) {
  if (!exu_wait_sees_all(waits) || waits->seen.count == 0) return false;
  for (size_t i = 0; i < waits->seen.count; i++) {
    const struct exu_wait_subject *subject = &waits->seen.items[i].subject;
    if (may_have_run(subject->os) || subject->gil == 0 || subject->gil_holder == 0) return false;
    if (subject->gil != waits->seen.items[0].subject.gil || subject->gils[0] != 0) return false;
  }
  return true;
}

bool exu_wait_has_handler(int64_t pid) {
  /* Ctrl-C ends a program, and so do faults; the last two are glibc's own. */
  enum { INT = 2, ILL = 4, TRAP = 5, ABRT = 6, BUS = 7, FPE = 8, SEGV = 11, CANCEL = 32, SETXID = 33 };
  static const int ends[] = {INT, ILL, TRAP, ABRT, BUS, FPE, SEGV, CANCEL, SETXID};
  uint64_t caught;
  if (!exu_process_catches(pid, &caught)) return true;
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) caught &= ~(UINT64_C(1) << (ends[i] - 1));
  return caught != 0;
}

/* Does the process have a handler for a signal that somebody might send it? */
static enum exu_outside outside(const struct exu_waits *waits) {
  const struct exu_process *process = waits->process;
  if (!exu_wait_sees_all(waits)) return EXU_OUTSIDE_SIGNAL;
  for (size_t i = 0; i < waits->seen.count; i++) {
    if (!waits->seen.items[i].subject.os->registers.has_thread_pointer) return EXU_OUTSIDE_SIGNAL;
  }
  if (process->running_pid < 0) return EXU_OUTSIDE_UNKNOWN;
  return process->stopped || exu_wait_has_handler(process->running_pid) ? EXU_OUTSIDE_SIGNAL : EXU_OUTSIDE_NOTHING;
}

/* Why it is certain that what holds it is not there. */
static const struct exu_evidence *prove_loss(struct exu_waits *waits, const struct exu_wait *wait) {
  const struct exu_evidence *proof = NULL;
  for (const struct exu_evidence *one = wait->owner_evidence; one; one = one->next) {
    struct exu_evidence copy = *one;
    copy.next = NULL;
    exu_evidence_add(waits->arena, &proof, copy);
  }
  exu_evidence_add(waits->arena, &proof,
                   (struct exu_evidence){.kind = proof ? EXU_EVIDENCE_NO_SUCH_THREAD : EXU_EVIDENCE_NO_HOLDER});
  return proof;
}

static struct exu_stand make_stand(const struct exu_finishing *finishing, const struct exu_seen *seen) {
  const struct exu_wait *wait = &seen->wait;
  struct exu_stand stand = {.is_thread = true,
                            .python = finishing->threads[seen->subject.thread].python,
                            .asleep = wait->kind != EXU_WAIT_UNKNOWN && exu_wait_is_asleep(finishing, seen),
                            .lost = seen->lost && exu_wait_sees_all(finishing->waits),
                            .owner = wait->owner,
                            .kind = wait->kind,
                            .address = wait->address};
  if (stand.lost) stand.proof = prove_loss(finishing->waits, wait);
  return stand;
}

bool exu_wait_find_hangs(struct exu_finishing *finishing, struct exu_report *report) {
  struct exu_waits *waits = finishing->waits;
  if (report->thread_count == 0) return true;
  EXU_GUARD(free) struct exu_stand *stands = calloc(report->thread_count, sizeof *stands);
  if (!stands) return false;
  for (size_t i = 0; i < report->thread_count; i++) stands[i].owner = -1;
  bool all_asleep = true;
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    if (seen->subject.thread >= report->thread_count) continue;
    stands[seen->subject.thread] = make_stand(finishing, seen);
    seen->wait.asleep = stands[seen->subject.thread].asleep;
    seen->wait.shared_futex = shared_futex(seen);
    all_asleep &= stands[seen->subject.thread].asleep;
  }
  return exu_hangs_find(waits->arena, stands, report->thread_count, all_asleep ? outside(waits) : EXU_OUTSIDE_SIGNAL,
                        report->deadlocks, report->deadlock_count, &report->hangs, &report->hang_count);
}
