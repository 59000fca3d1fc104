/* SPDX-License-Identifier: Apache-2.0 */
#include "mutator.h"

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
static bool adopt_scratch(struct mutator *mutator, uint64_t offset) {
  static const uint8_t zeros[4096];
  const uint8_t *hit = mutator->scene.pristine + offset;
  if (mutator->scene.size - offset < SCRATCH_SIZE + 4096 || memcmp(hit + sizeof MARK, zeros, sizeof zeros) != 0)
    return false;
  uint64_t address = (address_of(&mutator->inside, offset) + sizeof MARK + 63) & ~UINT64_C(63);
  if (inside_offset(&mutator->inside, address + SCRATCH_SIZE - 1) == UINT64_MAX) return false;
  mutator->scratch = address;
  mutator->scratch_size = SCRATCH_SIZE;
  return true;
}

static bool scan_for_mark(void *context, uint64_t address, const uint8_t *bytes, size_t size) {
  struct mutator *mutator = context;
  const uint8_t *end = bytes + size;
  for (const uint8_t *hit = bytes; (hit = memmem(hit, (size_t)(end - hit), MARK, sizeof MARK - 1)); hit++) {
    if (adopt_scratch(mutator, inside_offset(&mutator->inside, address + (uint64_t)(hit - bytes)))) return false;
  }
  return true;
}

static void find_scratch(struct mutator *mutator) {
  size_t count;
  const struct exu_region *regions = exu_space_regions(mutator->inside.process.space, &count);
  for (size_t i = 0; i < count && !mutator->scratch; i++) {
    if (regions[i].prot & EXU_PROT_WRITE)
      exu_space_scan(mutator->inside.process.space, &regions[i], sizeof MARK, scan_for_mark, mutator);
  }
  if (!mutator->scratch) fail("the core has no scratch memory");
}

static const struct exu_thread *thread_of_state(const struct mutator *mutator, uint64_t tstate) {
  static struct exu_py_stack stack;
  static struct inside *inside;
  inside = (struct inside *)(uintptr_t)&mutator->inside;
  stack = (struct exu_py_stack){0};
  if (!exu_py_frames(&inside->py, tstate, -1, 0, &stack) || stack.frames.count == 0) return NULL;
  for (size_t i = 0; i < mutator->scene.truth->thread_count; i++) {
    const struct exu_thread *thread = &mutator->scene.truth->threads[i];
    if (thread->frame_count && thread->frames[0].address == stack.frames.items[0].address) return thread;
  }
  return NULL;
}

void mutator_open(struct mutator *mutator, const char *core) {
  scene_open(&mutator->scene, core);
  inside_open(&mutator->inside, &mutator->scene);
  mutator->layout = &mutator->inside.py.runtime->layout;
  const struct exu_report *truth = mutator->scene.truth;
  if (truth->thread_count > THREADS_MAX) fail("the core has too many threads");
  for (size_t i = 0; i < truth->thread_count; i++) {
    if (truth->threads[i].frame_count > FRAMES_MAX) fail("the core has too many frames");
    if (truth->threads[i].crashed) mutator->victim = i;
  }
  mutator->thread = &truth->threads[mutator->victim];
  for (size_t i = 0; i < mutator->inside.threads.threads.count; i++) {
    uint64_t tstate = mutator->inside.threads.threads.items[i].tstate;
    if (thread_of_state(mutator, tstate) == mutator->thread) mutator->tstate = tstate;
  }
  if (!mutator->tstate || mutator->thread->frame_count < 8) fail("the crashed thread has too few frames");
  find_scratch(mutator);
}

void mutator_close(struct mutator *mutator) {
  inside_close(&mutator->inside);
  scene_close(&mutator->scene);
}

/* ---- Preparing a mutation -------------------------------------------------------------------------------------------------- */

static void write_field(struct mutator *mutator, uint64_t address, struct exu_field field, uint64_t value) {
  uint64_t offset = inside_offset(&mutator->inside, address + field.offset);
  if (field.size == 0 || field.size > 8 || offset == UINT64_MAX) {
    fprintf(stderr, "FAIL: a mutation about 0x%llx cannot be made\n", (unsigned long long)address);
    mutator->failures++;
    return;
  }
  scene_write(&mutator->scene, offset, &value, field.size);
}

void mutator_put(struct mutator *mutator, uint64_t address, struct exu_field field, uint64_t value) {
  if (mutator->patch_count == PATCHES_MAX) fail("too many patches");
  write_field(mutator, address, field, value);
  uint64_t offset = inside_offset(&mutator->inside, address + field.offset);
  if (offset != UINT64_MAX) mutator->patches[mutator->patch_count++] = (struct patch){offset, field.size};
}

void mutator_put_word(struct mutator *mutator, uint64_t address, uint64_t value) {
  mutator_put(mutator, address, (struct exu_field){.offset = 0, .size = 8}, value);
}

void mutator_scratch(struct mutator *mutator, uint64_t address, struct exu_field field, uint64_t value) {
  if (address < mutator->scratch || address + field.offset + 8 > mutator->scratch + mutator->scratch_size)
    fail("beyond the scratch");
  write_field(mutator, address, field, value);
  mutator->scratch_used = true;
}

uint64_t mutator_frame(const struct mutator *mutator, size_t index) { return mutator->thread->frames[index].address; }

struct exu_field mutator_code_field(const struct mutator *mutator) {
  return exu_py_has(mutator->layout->tstate_frame) ? mutator->layout->frame_code : mutator->layout->iframe_executable;
}

struct exu_field mutator_previous_field(const struct mutator *mutator) {
  return exu_py_has(mutator->layout->tstate_frame) ? mutator->layout->frame_back : mutator->layout->iframe_previous;
}

uint64_t mutator_code(const struct mutator *mutator, uint64_t frame) {
  return inside_field(&mutator->inside, frame, mutator_code_field(mutator)) & ~UINT64_C(7);
}

void mutator_lose(struct mutator *mutator, size_t first, size_t last, enum fate fate) {
  for (size_t i = first; i <= last && i < mutator->thread->frame_count; i++) mutator->fates[mutator->victim][i] = fate;
}

void mutator_lose_thread(struct mutator *mutator, uint64_t tstate) {
  const struct exu_thread *thread = thread_of_state(mutator, tstate);
  if (!thread) return;
  size_t index = (size_t)(thread - mutator->scene.truth->threads);
  for (size_t i = 0; i < thread->frame_count; i++) mutator->fates[index][i] = LOST;
  mutator->names_lost = true;
}

void mutator_lose_code(struct mutator *mutator, struct exu_field field, uint64_t value, enum fate fate) {
  const struct exu_report *truth = mutator->scene.truth;
  for (size_t t = 0; t < truth->thread_count; t++) {
    for (size_t i = 0; i < truth->threads[t].frame_count; i++) {
      uint64_t code = mutator_code(mutator, truth->threads[t].frames[i].address);
      if (inside_field(&mutator->inside, code, field) == value) mutator->fates[t][i] = fate;
    }
  }
}

/* ---- Trying it -------------------------------------------------------------------------------------------------------- */

static bool frames_as_expected(const struct mutator *mutator, size_t index, const struct exu_thread *thread) {
  const struct exu_thread *truth = &mutator->scene.truth->threads[index];
  size_t next = 0;
  bool lost_any = false;
  for (size_t i = 0; i < truth->frame_count; i++) {
    enum fate fate = mutator->fates[index][i];
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

static const char *threads_as_expected(const struct mutator *mutator, const struct exu_report *report) {
  const struct exu_report *truth = mutator->scene.truth;
  if (report->thread_count != truth->thread_count) return "another number of threads";
  for (size_t i = 0; i < truth->thread_count; i++) {
    const struct exu_thread *thread = &report->threads[i];
    bool name_missing = mutator->names_lost && !thread->name.data;
    if (thread->tid != truth->threads[i].tid) return "another thread";
    if (!same_string(thread->name, truth->threads[i].name) && !name_missing) return "another thread name";
    if (!frames_as_expected(mutator, i, thread)) return "not the frames that are expected";
  }
  return NULL;
}

/* That a list is damaged takes no thread's Python away. */
static bool denies_python(const struct mutator *mutator, const struct exu_report *report) {
  const struct exu_report *truth = mutator->scene.truth;
  for (size_t i = 0; i < truth->thread_count; i++) {
    const struct exu_thread *thread = &report->threads[i];
    if (truth->threads[i].python && !thread->python && !thread->python_unknown) return true;
  }
  return false;
}

static const char *nothing_as_expected(const struct exu_report *report, enum exu_outcome outcome, const char *code) {
  if (outcome != EXU_OUTCOME_NOTHING) return "something was shown";
  for (size_t i = 0; i < report->thread_count; i++) {
    if (report->threads[i].frame_count > 0) return "frames, and yet the outcome is nothing";
  }
  return has_diagnostic(report, code) ? NULL : "the diagnostic is missing";
}

static const char *judge(const struct mutator *mutator, const struct exu_report *report, enum exu_outcome outcome,
                         const char *code) {
  if (!report->crash) return "the crash is lost";
  if (mutator->nothing) return nothing_as_expected(report, outcome, code);
  const char *wrong = threads_as_expected(mutator, report);
  if (wrong) return wrong;
  if (mutator->interpreters && report->interpreter_count != mutator->interpreters)
    return "another number of interpreters";
  if (!code) return outcome == EXU_OUTCOME_NOTHING ? "nothing was shown" : NULL;
  if (!has_diagnostic(report, code)) return "the diagnostic is missing";
  if (denies_python(mutator, report)) return "a thread is said to have no Python";
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

static void forget(struct mutator *mutator) {
  while (mutator->patch_count > 0) {
    const struct patch *patch = &mutator->patches[--mutator->patch_count];
    scene_restore(&mutator->scene, patch->offset, patch->size);
  }
  if (mutator->scratch_used)
    scene_restore(&mutator->scene, inside_offset(&mutator->inside, mutator->scratch), mutator->scratch_size);
  mutator->scratch_used = mutator->names_lost = mutator->nothing = false;
  mutator->interpreters = 0;
  memset(mutator->fates, 0, sizeof mutator->fates);
}

void mutator_try(struct mutator *mutator, const char *name, const char *code) {
  if (!mutator->only || strcmp(mutator->only, name) == 0) {
    struct exu_report *report;
    enum exu_outcome outcome = scene_explain(&mutator->scene, name, &report);
    const char *wrong = judge(mutator, report, outcome, code);
    mutator->tried++;
    if (wrong || mutator->only) {
      fprintf(stderr, "%s: %s: %s\n", wrong ? "FAIL" : "ok", name, wrong ? wrong : "");
      print_diagnostics(report);
      print_frames(report);
    }
    mutator->failures += wrong != NULL;
    exu_report_destroy(report);
  }
  forget(mutator);
}

void mutator_skip(struct mutator *mutator, const char *name) {
  printf("skipped: %s (CPython %.*s has no such structure)\n", name, (int)mutator->inside.py.runtime->version_text.size,
         mutator->inside.py.runtime->version_text.data);
  mutator->skipped++;
}
