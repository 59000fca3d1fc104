/* SPDX-License-Identifier: Apache-2.0 */
#include "liar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char MARK[] = "EXUVIA-SCRATCH-BEGINS-HERE";
enum { SCRATCH_SIZE = 1024 * 1024 - 4096 };

static void fail(const char *why) {
  fprintf(stderr, "FAIL: %s\n", why);
  exit(2);
}

/* ---- Opening -------------------------------------------------------------------------------------------------------- */

static uint64_t address_of(const struct inside *inside, uint64_t offset) {
  size_t count;
  const struct exu_region *regions = exu_space_regions(inside->process.space, &count);
  for (size_t i = 0; i < count; i++) {
    if (offset >= regions[i].offset && offset - regions[i].offset < regions[i].saved)
      return regions[i].start + (offset - regions[i].offset);
  }
  return 0;
}

/* Is the mark at this offset the one of the program's buffer: the mark, then zeros? */
static bool adopt_scratch(struct liar *liar, uint64_t offset) {
  static const uint8_t zeros[4096];
  const uint8_t *hit = liar->scene.pristine + offset;
  if (liar->scene.size - offset < SCRATCH_SIZE + 4096 || memcmp(hit + sizeof MARK, zeros, sizeof zeros) != 0)
    return false;
  uint64_t address = (address_of(&liar->inside, offset) + sizeof MARK + 63) & ~UINT64_C(63);
  if (inside_offset(&liar->inside, address + SCRATCH_SIZE - 1) == UINT64_MAX) return false;
  liar->scratch = address;
  liar->scratch_size = SCRATCH_SIZE;
  return true;
}

static bool scan_for_mark(void *context, uint64_t address, const uint8_t *bytes, size_t size) {
  struct liar *liar = context;
  const uint8_t *end = bytes + size;
  for (const uint8_t *hit = bytes; (hit = memmem(hit, (size_t)(end - hit), MARK, sizeof MARK - 1)); hit++) {
    if (adopt_scratch(liar, inside_offset(&liar->inside, address + (uint64_t)(hit - bytes)))) return false;
  }
  return true;
}

static void find_scratch(struct liar *liar) {
  size_t count;
  const struct exu_region *regions = exu_space_regions(liar->inside.process.space, &count);
  for (size_t i = 0; i < count && !liar->scratch; i++) {
    if (regions[i].prot & EXU_PROT_WRITE)
      exu_space_scan(liar->inside.process.space, &regions[i], sizeof MARK, scan_for_mark, liar);
  }
  if (!liar->scratch) fail("the core has no scratch memory");
}

static const struct exu_thread *thread_of_state(const struct liar *liar, uint64_t tstate) {
  static struct exu_py_stack stack;
  static struct inside *inside;
  inside = (struct inside *)(uintptr_t)&liar->inside;
  stack = (struct exu_py_stack){0};
  if (!exu_py_frames(&inside->py, tstate, -1, 0, &stack) || stack.frames.count == 0) return NULL;
  for (size_t i = 0; i < liar->scene.truth->thread_count; i++) {
    const struct exu_thread *thread = &liar->scene.truth->threads[i];
    if (thread->frame_count && thread->frames[0].address == stack.frames.items[0].address) return thread;
  }
  return NULL;
}

void liar_open(struct liar *liar, const char *core) {
  scene_open(&liar->scene, core);
  inside_open(&liar->inside, &liar->scene);
  liar->layout = &liar->inside.py.runtime->layout;
  const struct exu_report *truth = liar->scene.truth;
  if (truth->thread_count > THREADS_MAX) fail("the core has too many threads");
  for (size_t i = 0; i < truth->thread_count; i++) {
    if (truth->threads[i].frame_count > FRAMES_MAX) fail("the core has too many frames");
    if (truth->threads[i].crashed) liar->victim = i;
  }
  liar->thread = &truth->threads[liar->victim];
  for (size_t i = 0; i < liar->inside.threads.threads.count; i++) {
    uint64_t tstate = liar->inside.threads.threads.items[i].tstate;
    if (thread_of_state(liar, tstate) == liar->thread) liar->tstate = tstate;
  }
  if (!liar->tstate || liar->thread->frame_count < 8) fail("the crashed thread has too few frames");
  find_scratch(liar);
}

void liar_close(struct liar *liar) {
  inside_close(&liar->inside);
  scene_close(&liar->scene);
}

/* ---- Preparing a lie -------------------------------------------------------------------------------------------------- */

static void write_field(struct liar *liar, uint64_t address, struct exu_field field, uint64_t value) {
  uint64_t offset = inside_offset(&liar->inside, address + field.offset);
  if (field.size == 0 || field.size > 8 || offset == UINT64_MAX) {
    fprintf(stderr, "FAIL: a lie about 0x%llx cannot be told\n", (unsigned long long)address);
    liar->failures++;
    return;
  }
  scene_write(&liar->scene, offset, &value, field.size);
}

void liar_put(struct liar *liar, uint64_t address, struct exu_field field, uint64_t value) {
  if (liar->patch_count == PATCHES_MAX) fail("too many patches");
  write_field(liar, address, field, value);
  uint64_t offset = inside_offset(&liar->inside, address + field.offset);
  if (offset != UINT64_MAX) liar->patches[liar->patch_count++] = (struct patch){offset, field.size};
}

void liar_put_word(struct liar *liar, uint64_t address, uint64_t value) {
  liar_put(liar, address, (struct exu_field){.offset = 0, .size = 8}, value);
}

void liar_scratch(struct liar *liar, uint64_t address, struct exu_field field, uint64_t value) {
  if (address < liar->scratch || address + field.offset + 8 > liar->scratch + liar->scratch_size)
    fail("beyond the scratch");
  write_field(liar, address, field, value);
  liar->scratch_used = true;
}

uint64_t liar_frame(const struct liar *liar, size_t index) { return liar->thread->frames[index].address; }

struct exu_field liar_code_field(const struct liar *liar) {
  return exu_py_has(liar->layout->tstate_frame) ? liar->layout->frame_code : liar->layout->iframe_executable;
}

struct exu_field liar_previous_field(const struct liar *liar) {
  return exu_py_has(liar->layout->tstate_frame) ? liar->layout->frame_back : liar->layout->iframe_previous;
}

uint64_t liar_code(const struct liar *liar, uint64_t frame) {
  return inside_field(&liar->inside, frame, liar_code_field(liar)) & ~UINT64_C(7);
}

void liar_lose(struct liar *liar, size_t first, size_t last, enum fate fate) {
  for (size_t i = first; i <= last && i < liar->thread->frame_count; i++) liar->fates[liar->victim][i] = fate;
}

void liar_lose_thread(struct liar *liar, uint64_t tstate) {
  const struct exu_thread *thread = thread_of_state(liar, tstate);
  if (!thread) return;
  size_t index = (size_t)(thread - liar->scene.truth->threads);
  for (size_t i = 0; i < thread->frame_count; i++) liar->fates[index][i] = LOST;
  liar->names_lost = true;
}

void liar_lose_code(struct liar *liar, struct exu_field field, uint64_t value, enum fate fate) {
  const struct exu_report *truth = liar->scene.truth;
  for (size_t t = 0; t < truth->thread_count; t++) {
    for (size_t i = 0; i < truth->threads[t].frame_count; i++) {
      uint64_t code = liar_code(liar, truth->threads[t].frames[i].address);
      if (inside_field(&liar->inside, code, field) == value) liar->fates[t][i] = fate;
    }
  }
}

/* ---- Telling it -------------------------------------------------------------------------------------------------------- */

static bool frames_as_expected(const struct liar *liar, size_t index, const struct exu_thread *thread) {
  const struct exu_thread *truth = &liar->scene.truth->threads[index];
  size_t next = 0;
  bool lost_any = false;
  for (size_t i = 0; i < truth->frame_count; i++) {
    enum fate fate = liar->fates[index][i];
    lost_any |= fate == LOST;
    if (fate == LOST) continue;
    if (next == thread->frame_count) return false;
    const struct exu_frame *frame = &thread->frames[next++];
    if (!frame_agrees(frame, &truth->frames[i]) || !same_string(frame->function, truth->frames[i].function) ||
        !same_string(frame->file, truth->frames[i].file))
      return false;
    if (frame->position.line != (fate == LINE_LOST ? -1 : truth->frames[i].position.line)) return false;
  }
  return next == thread->frame_count && (!lost_any || !thread->frames_complete || !thread->python);
}

static const char *threads_as_expected(const struct liar *liar, const struct exu_report *report) {
  const struct exu_report *truth = liar->scene.truth;
  if (report->thread_count != truth->thread_count) return "another number of threads";
  for (size_t i = 0; i < truth->thread_count; i++) {
    const struct exu_thread *thread = &report->threads[i];
    bool name_missing = liar->names_lost && !thread->name.data;
    if (thread->tid != truth->threads[i].tid) return "another thread";
    if (!same_string(thread->name, truth->threads[i].name) && !name_missing) return "another thread name";
    if (!frames_as_expected(liar, i, thread)) return "not the frames that are expected";
  }
  return NULL;
}

static const char *nothing_as_expected(const struct exu_report *report, enum exu_outcome outcome, const char *code) {
  if (outcome != EXU_OUTCOME_NOTHING) return "something was shown";
  for (size_t i = 0; i < report->thread_count; i++) {
    if (report->threads[i].frame_count > 0) return "frames, and yet the outcome is nothing";
  }
  return has_diagnostic(report, code) ? NULL : "the diagnostic is missing";
}

static const char *judge(const struct liar *liar, const struct exu_report *report, enum exu_outcome outcome,
                         const char *code) {
  if (!report->crash) return "the crash is lost";
  if (liar->nothing) return nothing_as_expected(report, outcome, code);
  const char *wrong = threads_as_expected(liar, report);
  if (wrong) return wrong;
  if (liar->interpreters && report->interpreter_count != liar->interpreters) return "another number of interpreters";
  if (!code) return outcome == EXU_OUTCOME_NOTHING ? "nothing was shown" : NULL;
  if (!has_diagnostic(report, code)) return "the diagnostic is missing";
  return outcome == EXU_OUTCOME_PARTIAL ? NULL : "the outcome is not partial";
}

static void print_frames(const struct exu_report *report) {
  for (size_t i = 0; i < report->thread_count; i++) {
    fprintf(stderr, "  thread %lld:", (long long)report->threads[i].tid);
    for (size_t k = 0; k < report->threads[i].frame_count && k < 16; k++) {
      const struct exu_frame *frame = &report->threads[i].frames[k];
      fprintf(stderr, " %.*s:%d", frame->function.size < 40 ? (int)frame->function.size : 40, frame->function.data,
              frame->position.line);
    }
    fprintf(stderr, "\n");
  }
}

static void forget(struct liar *liar) {
  while (liar->patch_count > 0) {
    const struct patch *patch = &liar->patches[--liar->patch_count];
    scene_restore(&liar->scene, patch->offset, patch->size);
  }
  if (liar->scratch_used) scene_restore(&liar->scene, inside_offset(&liar->inside, liar->scratch), liar->scratch_size);
  liar->scratch_used = liar->names_lost = liar->nothing = false;
  liar->interpreters = 0;
  memset(liar->fates, 0, sizeof liar->fates);
}

void liar_tell(struct liar *liar, const char *name, const char *code) {
  if (!liar->only || strcmp(liar->only, name) == 0) {
    struct exu_report *report;
    enum exu_outcome outcome = scene_explain(&liar->scene, name, &report);
    const char *wrong = judge(liar, report, outcome, code);
    liar->told++;
    if (wrong || liar->only) {
      fprintf(stderr, "%s: %s: %s\n", wrong ? "FAIL" : "ok", name, wrong ? wrong : "");
      print_diagnostics(report);
      print_frames(report);
    }
    liar->failures += wrong != NULL;
    exu_report_destroy(report);
  }
  forget(liar);
}

void liar_skip(struct liar *liar, const char *name) {
  printf("skipped: %s (CPython %.*s has no such structure)\n", name, (int)liar->inside.py.runtime->version_text.size,
         liar->inside.py.runtime->version_text.data);
  liar->skipped++;
}
