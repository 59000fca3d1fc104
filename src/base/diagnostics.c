/* SPDX-License-Identifier: Apache-2.0 */
#include "base/diagnostics.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum kind { MISSING, NOTE, EITHER };

#define EXU_DIAGNOSTIC(constant, code, kind, meaning) [EXU_DIAGNOSTIC_##constant] = {(code), (kind)},
static const struct {
  const char *code;
  enum kind kind;
} known[] = {
#include "base/diagnostics.def"
};
#undef EXU_DIAGNOSTIC

void exu_diagnostics_init(struct exu_diagnostics *diagnostics, struct exu_arena *arena) {
  *diagnostics = (struct exu_diagnostics){.arena = arena};
}

static bool has_room(const struct exu_diagnostics *diagnostics, const char *code) {
  if (diagnostics->list.count >= EXU_DIAGNOSTICS_MAX) return false;
  size_t same = 0;
  for (size_t i = 0; i < diagnostics->list.count; i++) same += strcmp(diagnostics->list.items[i].code, code) == 0;
  return same < EXU_DIAGNOSTICS_MAX_PER_CODE;
}

/* NULL, and counted, when there is no room for it. */
static struct exu_diagnostic *push(struct exu_diagnostics *diagnostics, const char *code) {
  struct exu_diagnostic *one = has_room(diagnostics, code) ? EXU_PUSH(diagnostics->arena, &diagnostics->list) : NULL;
  diagnostics->suppressed += !one;
  return one;
}

__attribute__((format(printf, 5, 0))) static void add(struct exu_diagnostics *diagnostics,
                                                      enum exu_diagnostic_code code, int64_t tid, bool incomplete,
                                                      const char *format, va_list arguments) {
  assert(known[code].kind != (incomplete ? NOTE : MISSING));
  diagnostics->incomplete |= incomplete;
  struct exu_diagnostic *one = push(diagnostics, known[code].code);
  if (!one) return;
  *one = (struct exu_diagnostic){.code = known[code].code,
                                 .message = exu_arena_vprintf(diagnostics->arena, format, arguments),
                                 .tid = tid,
                                 .incomplete = incomplete};
}

void exu_incomplete(struct exu_diagnostics *diagnostics, enum exu_diagnostic_code code, int64_t tid, const char *format,
                    ...) {
  va_list arguments;
  va_start(arguments, format);
  add(diagnostics, code, tid, true, format, arguments);
  va_end(arguments);
}

void exu_incomplete_first(struct exu_diagnostics *diagnostics, enum exu_diagnostic_code code, const char *format, ...) {
  const size_t before = diagnostics->list.count;
  va_list arguments;
  va_start(arguments, format);
  add(diagnostics, code, -1, true, format, arguments);
  va_end(arguments);
  if (diagnostics->list.count == before) return;
  struct exu_diagnostic *list = diagnostics->list.items, one = list[before];
  memmove(list + 1, list, before * sizeof *list);
  list[0] = one;
}

void exu_info(struct exu_diagnostics *diagnostics, enum exu_diagnostic_code code, int64_t tid, const char *format,
              ...) {
  va_list arguments;
  va_start(arguments, format);
  add(diagnostics, code, tid, false, format, arguments);
  va_end(arguments);
}

bool exu_diagnostic_is_among(const struct exu_diagnostic *one, const enum exu_diagnostic_code *codes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(one->code, known[codes[i]].code) == 0) return true;
  }
  return false;
}

void exu_diagnostics_excuse(struct exu_diagnostics *diagnostics, int64_t tid, const enum exu_diagnostic_code *codes,
                            size_t count) {
  /* Of those that are not on the list it is not known whose they are. */
  bool incomplete = diagnostics->incomplete && diagnostics->suppressed > 0;
  for (size_t i = 0; i < diagnostics->list.count; i++) {
    struct exu_diagnostic *one = &diagnostics->list.items[i];
    if (one->tid == tid && exu_diagnostic_is_among(one, codes, count)) one->incomplete = false;
    incomplete |= one->incomplete;
  }
  diagnostics->incomplete = incomplete;
}

void exu_diagnostics_append(struct exu_diagnostics *diagnostics, const struct exu_diagnostics *other) {
  diagnostics->incomplete |= other->incomplete;
  diagnostics->suppressed += other->suppressed;
  for (size_t i = 0; i < other->list.count; i++) {
    struct exu_diagnostic *one = push(diagnostics, other->list.items[i].code);
    if (one) *one = other->list.items[i];
  }
}

void exu_diagnostics_finish(struct exu_diagnostics *diagnostics) {
  if (diagnostics->suppressed == 0) return;
  char message[96];
  snprintf(message, sizeof message, "%zu more diagnostics of the same kinds are not listed", diagnostics->suppressed);
  struct exu_diagnostic *one = EXU_PUSH(diagnostics->arena, &diagnostics->list);
  if (!one) return;
  *one = (struct exu_diagnostic){.code = known[EXU_DIAGNOSTIC_DIAGNOSTICS_SUPPRESSED].code,
                                 .message = exu_arena_string(diagnostics->arena, message, strlen(message)),
                                 .tid = -1,
                                 .incomplete = false};
}
