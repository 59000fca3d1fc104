/* SPDX-License-Identifier: Apache-2.0 */
/* Threads, or processes, that wait for each other, or for what nobody gives them. */
#include "render/escape.h"
#include "render/words.h"

enum {
  CIRCLE_NAMED = 32, /* threads of a circle that its sentence names, and the last one */
  HANG_NAMED = 4,    /* of a hang */
};

static void put_thread(struct exu_output *out, const struct exu_report *report, size_t thread) {
  exu_words_thread(out, report->threads[thread].name, report->threads[thread].tid);
}

/* ---- Deadlocks --------------------------------------------------------------------------------------------------- */

/* What is said around the circle. None of it is true of more than what was proved. */
static const struct {
  const char *before, *timed_before, *after;
} around[] = {
    [EXU_PROOF_CERTAIN] = {"Deadlock: ", "Deadlock until a time limit passes: ", "."},
    [EXU_PROOF_KEPT] = {"Deadlock unless other code releases what it did not take: ",
                        "Deadlock until a time limit passes, unless other code releases what it did not take: ", "."},
    [EXU_PROOF_LEAD] = {"Possible deadlock: ", "Possible deadlock until a time limit passes: ",
                        "; it is none if a lock was released since."},
};

/* From a thread of the circle to its last one, over some that are not named. */
static void put_leap(struct exu_output *out, const struct exu_report *report, size_t last, size_t between) {
  exu_out(out, "waits, over ");
  exu_out_unsigned(out, between);
  exu_out(out, between == 1 ? " more thread, for " : " more threads, for ");
  put_thread(out, report, last);
}

static void put_circle(struct exu_output *out, const struct exu_report *report, const struct exu_deadlock *deadlock) {
  const size_t *threads = deadlock->threads, count = deadlock->thread_count, last = count - 1;
  put_thread(out, report, threads[0]);
  exu_out_char(out, ' ');
  for (size_t i = 0; i < count; i++) {
    if (i > 0) exu_out(out, ", which ");
    if (i == CIRCLE_NAMED - 1 && last > CIRCLE_NAMED) {
      put_leap(out, report, threads[last], last - CIRCLE_NAMED);
      i = last - 1;
    } else {
      exu_words_edge(out, report, threads[i], threads[(i + 1) % count]);
    }
  }
}

static void put_pool(struct exu_output *out, const struct exu_deadlock *deadlock) {
  const size_t count = deadlock->thread_count;
  if (count <= 2) {
    exu_out(out, count == 1 ? "the only thread" : "both threads");
  } else {
    exu_out(out, "all ");
    exu_out_unsigned(out, count);
    exu_out(out, " threads");
  }
  exu_out(out, " of ");
  exu_words_pool(out, deadlock->pool);
  exu_out(out, count == 1 ? " waits for " : " wait for ");
  exu_out(out, deadlock->pool->jobs ? "results that only it could compute" : "Futures that only it could run");
  if (deadlock->indirect) exu_out(out, ", or for threads that do");
}

void exu_words_deadlock(struct exu_output *out, const struct exu_report *report, const struct exu_deadlock *deadlock) {
  const enum exu_proof said = deadlock->all_asleep ? EXU_PROOF_CERTAIN : deadlock->proof;
  exu_out(out, deadlock->timed ? around[said].timed_before : around[said].before);
  if (deadlock->pool) {
    put_pool(out, deadlock);
  } else {
    put_circle(out, report, deadlock);
  }
  exu_out(out, around[said].after);
  if (said != deadlock->proof)
    exu_out(out, " All threads of the process sleep until another one wakes them, without a time limit.");
}

/* ---- Hangs ------------------------------------------------------------------------------------------------------- */

static void put_waiter(struct exu_output *out, const struct exu_report *report, size_t thread) {
  put_thread(out, report, thread);
  exu_out_char(out, ' ');
  exu_words_wait_inside(out, report, thread);
}

/* Of threads that all do the same: all but the first. */
static void put_others(struct exu_output *out, const struct exu_report *report, const struct exu_hang *hang) {
  const size_t count = hang->thread_count;
  if (count < 2) return;
  exu_out(out, count == 2 ? "; so does " : "; so do ");
  for (size_t i = 1; i < count && i < HANG_NAMED; i++) {
    if (i > 1) exu_out(out, i + 1 == count ? " and " : ", ");
    put_thread(out, report, hang->threads[i]);
  }
  if (count <= HANG_NAMED) return;
  exu_out(out, " and ");
  exu_out_unsigned(out, count - HANG_NAMED);
  exu_out(out, " more");
}

/* Every thread sleeps until another one wakes it. */
static void put_all_asleep(struct exu_output *out, const struct exu_report *report, const struct exu_hang *hang) {
  const size_t count = hang->thread_count;
  put_waiter(out, report, hang->threads[0]);
  exu_out(out, count == 1 ? ", and is the only thread" : ", and every other thread sleeps until another one wakes it");
  for (size_t i = 1; i < count && i < HANG_NAMED; i++) {
    exu_out(out, i == 1 ? ": " : "; ");
    put_waiter(out, report, hang->threads[i]);
  }
  if (count <= HANG_NAMED) return;
  exu_out(out, "; and ");
  exu_out_unsigned(out, count - HANG_NAMED);
  exu_out(out, " more");
}

static bool is_in_deadlock(const struct exu_report *report, size_t thread) {
  for (size_t i = 0; i < report->deadlock_count; i++) {
    const struct exu_deadlock *deadlock = &report->deadlocks[i];
    for (size_t j = 0; j < deadlock->thread_count && deadlock->certain && !deadlock->timed; j++) {
      if (deadlock->threads[j] == thread) return true;
    }
  }
  return false;
}

/* ", which waits for Event 0x7f12 to be set", of the thread that is to end */
static void put_joined(struct exu_output *out, const struct exu_report *report, const struct exu_hang *hang) {
  const struct exu_wait *wait = report->threads[hang->threads[0]].wait;
  if (!wait || wait->owner < 0 || (uint64_t)wait->owner >= report->thread_count) return;
  exu_out(out, ", which ");
  if (is_in_deadlock(report, (size_t)wait->owner)) {
    exu_out(out, "is in a deadlock");
  } else {
    exu_words_wait_inside(out, report, (size_t)wait->owner);
  }
}

/* From one process to the one that it waits for. */
static void put_processes(struct exu_output *out, const struct exu_hang *hang) {
  for (size_t i = 0; i < hang->process_count; i++) {
    exu_out(out, i ? ", and process " : "process ");
    exu_out_signed(out, hang->processes[i].pid);
    exu_out(out, " (");
    exu_out_escaped(out, hang->processes[i].comm, 0, EXU_NAME_SHOWN);
    exu_out(out, ") ");
    exu_words_wait_elsewhere(out, hang->processes[i].wait, EXU_FORM_FINITE);
  }
}

static bool has_evidence(const struct exu_hang *hang, enum exu_evidence_kind kind) {
  const struct exu_evidence *evidence = hang->evidence;
  while (evidence && evidence->kind != kind) evidence = evidence->next;
  return evidence != NULL;
}

static const char *beginning(const struct exu_hang *hang) {
  if (hang->certain) return "Hangs for ever: ";
  if (hang->process_count == 0) return "Hangs, unless a signal's handler ends it: ";
  if (!has_evidence(hang, EXU_EVIDENCE_SEEN_PROCESSES)) return "Hangs, unless another process opens what these share: ";
  if (!has_evidence(hang, EXU_EVIDENCE_NAMED))
    return "Hangs, unless another process has what these share, which is not known of all: ";
  return "Hangs, unless another process opens what these share, or has it, which is not known of all: ";
}

void exu_words_hang(struct exu_output *out, const struct exu_report *report, const struct exu_hang *hang) {
  exu_out(out, beginning(hang));
  if (hang->process_count > 0) {
    put_processes(out, hang);
  } else if (hang->thread_count > 0 && hang->all_asleep) {
    put_all_asleep(out, report, hang);
  } else if (hang->thread_count > 0) {
    put_waiter(out, report, hang->threads[0]);
    if (hang->kind == EXU_HANG_JOIN) {
      put_joined(out, report, hang);
    } else if (report->threads[hang->threads[0]].gil == EXU_GIL_HOLDS) {
      exu_out(out, ", and has the GIL meanwhile");
    }
    put_others(out, report, hang);
  }
  exu_out_char(out, '.');
}
