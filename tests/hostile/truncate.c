/* SPDX-License-Identifier: Apache-2.0 */
/* A core that is cut off, at every length that could make a difference. Nothing is invented and the loss is said. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hostile.h"

struct tally {
  size_t cases;
  size_t outcomes[3];
  size_t failures;
};

/* The end of the program headers and the notes: what follows is memory. */
static uint64_t end_of_notes(const struct inside *inside) {
  uint64_t end = 0;
  for (size_t i = 0; i < inside->place_count; i++) {
    const struct place *place = &inside->places[i];
    if (place->address == 0 && place->offset + place->size > end) end = place->offset + place->size;
  }
  return end;
}

static const char *check(const struct scene *scene, const struct exu_report *report, enum exu_outcome outcome) {
  if (outcome == EXU_OUTCOME_COMPLETE) return "the report claims to be complete";
  bool read = !has_diagnostic(report, "source-unreadable");
  if (read && (!report->source_truncated || !has_diagnostic(report, "core-truncated"))) return "the loss is not said";
  for (size_t i = 0; i < report->thread_count; i++) {
    const struct exu_thread *thread = &report->threads[i];
    const struct exu_thread *truth = find_truth(scene, thread);
    if (!truth) return "a thread that never was";
    if (!frames_are_subset(thread, truth)) return "a frame that never was";
    bool all = thread->frame_count == truth->frame_count;
    if (thread->python && thread->frames_complete && !all) return "a thread that claims to be complete";
    if (thread->name.data && truth->name.data && !same_string(thread->name, truth->name)) return "another name";
  }
  return NULL;
}

static void try_length(struct scene *scene, uint64_t length, struct tally *tally) {
  struct exu_report *report;
  char what[64];
  if (length >= scene->size || ftruncate(scene->fd, (off_t)length) != 0) return;
  snprintf(what, sizeof what, "truncate: length %" PRIu64, length);
  enum exu_outcome outcome = scene_explain(scene, what, &report);
  const char *wrong = check(scene, report, outcome);
  tally->cases++;
  tally->outcomes[outcome]++;
  if (wrong) {
    if (tally->failures++ < 20) {
      fprintf(stderr, "FAIL: %s: %s\n", what, wrong);
      print_diagnostics(report);
    }
  }
  exu_report_destroy(report);
}

int run_truncate(int count, char **arguments) {
  static struct inside inside;
  struct scene scene;
  struct tally tally = {0};
  uint64_t step = count > 1 ? strtoull(arguments[1], NULL, 0) : 4096;
  uint64_t header_step = count > 2 ? strtoull(arguments[2], NULL, 0) : 1;
  if (step == 0 || header_step == 0) return 64;
  scene_open(&scene, arguments[0]);
  inside_open(&inside, &scene);
  uint64_t notes = end_of_notes(&inside);
  inside_close(&inside);
  /* Downwards, so that the copy need not be filled again. */
  try_length(&scene, scene.size - 1, &tally);
  for (uint64_t length = (scene.size - 1) / step * step; length > notes; length -= step) {
    try_length(&scene, length + 1, &tally);
    try_length(&scene, length, &tally);
    try_length(&scene, length - 1, &tally);
    if (length < step) break;
  }
  size_t beyond = tally.cases;
  for (uint64_t length = notes + 1; length-- > 0;) {
    if (length % header_step == 0 || length < 256) try_length(&scene, length, &tally);
  }
  printf("truncate: %zu lengths (%zu of them within headers and notes): %zu partial, %zu nothing, %zu wrong; "
         "%ld KiB\n",
         tally.cases, tally.cases - beyond, tally.outcomes[1], tally.outcomes[2], tally.failures, max_rss_kib());
  scene_close(&scene);
  return memory_is_fine() && tally.failures == 0 ? 0 : 1;
}
