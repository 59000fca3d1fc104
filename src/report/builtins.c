/* SPDX-License-Identifier: Apache-2.0 */
#include "report/builtins.h"

enum { ASKED_MAX = 4096, WORDS_MAX = 256 };

void exu_builtins_deinit(struct exu_builtins *builtins) { exu_map_deinit(&builtins->names); }

static bool is_unsymbolized(const struct exu_native_frame *frame) {
  const struct exu_native_place *place = frame->place;
  return place->call_count == 1 && !place->calls[0].function.data && place->part_start != 0 && !frame->signal;
}

static struct exu_string find(struct exu_py *py, const struct exu_native_thread *native, size_t index,
                              const struct exu_py_frame *caller) {
  const struct exu_native_frame *frame = &native->frames[index];
  const uint64_t end = index + 1 < native->count ? native->frames[index + 1].cfa : frame->cfa;
  uint64_t words[WORDS_MAX];
  size_t count = exu_process_read_words_between(py->process, frame->sp, end, words, WORDS_MAX);
  return exu_py_builtin_among(py, words, count, caller, frame->place->part_start);
}

struct exu_string exu_builtin_name(struct exu_builtins *builtins, struct exu_py *py,
                                   const struct exu_native_thread *native, size_t index,
                                   const struct exu_py_frame *caller) {
  const struct exu_string unknown = {NULL, 0};
  const struct exu_native_frame *frame = &native->frames[index];
  bool is_new;
  if (!is_unsymbolized(frame)) return unknown;
  void **slot = exu_map_find(&builtins->names, (uintptr_t)frame);
  if (slot) return *slot ? *(const struct exu_string *)*slot : unknown;
  if (builtins->asked >= ASKED_MAX || !exu_py_has(py->runtime->layout.definition_function)) return unknown;
  builtins->asked++;
  const struct exu_string name = find(py, native, index, caller);
  struct exu_string *kept = name.data ? exu_arena_alloc(py->arena, sizeof *kept) : NULL;
  slot = exu_map_insert(&builtins->names, (uintptr_t)frame, &is_new);
  if (kept) *kept = name;
  if (slot) *slot = kept;
  return kept ? name : unknown;
}
