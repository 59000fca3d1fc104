/* SPDX-License-Identifier: Apache-2.0 */
/* Two reports of one live process: which threads have moved in between? */
#include "exuvia/exuvia.h"

/* Less is what being stopped and let go costs a thread that sleeps. */
enum { IDLE_US = 2000 };

static bool same_frame(const struct exu_frame *a, const struct exu_frame *b) {
  return a->kind == b->kind && a->address == b->address && a->position.line == b->position.line &&
         a->position.column == b->position.column;
}

static bool same_stack(const struct exu_thread *a, const struct exu_thread *b) {
  if (a->frame_count != b->frame_count) return false;
  for (size_t i = 0; i < a->frame_count; i++)
    if (!same_frame(&a->frames[i], &b->frames[i])) return false;
  return true;
}

/* Threads keep their order; most of the time the next one is the one that is looked for. */
static const struct exu_thread *find(const struct exu_report *report, int64_t tid, size_t *next) {
  for (size_t i = 0; i < report->thread_count; i++) {
    const struct exu_thread *thread = &report->threads[(*next + i) % report->thread_count];
    if (thread->tid != tid) continue;
    *next = (size_t)(thread - report->threads) + 1;
    return thread;
  }
  return NULL;
}

void exu_report_compare(struct exu_report *report, const struct exu_report *earlier) {
  if (!report || !earlier) return;
  struct exu_thread *threads =
      /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
      (struct exu_thread *)(uintptr_t)report->threads; /* the report's own, now written again */
  size_t next = 0;
  for (size_t i = 0; i < report->thread_count; i++) {
    struct exu_thread *thread = &threads[i];
    const struct exu_thread *before = thread->tid >= 0 ? find(earlier, thread->tid, &next) : NULL;
    if (!before) continue;
    bool measured = thread->cpu_us >= 0 && before->cpu_us >= 0;
    if (!measured && thread->frame_count == 0 && before->frame_count == 0) continue; /* nothing to compare */
    bool used = measured && thread->cpu_us - before->cpu_us > IDLE_US;
    thread->moved = used || !same_stack(thread, before) ? EXU_YES : EXU_NO;
  }
}
