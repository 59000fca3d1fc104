/* SPDX-License-Identifier: Apache-2.0 */
/* What was missing, damaged or uncertain in the process, collected for the report. */
#ifndef EXUVIA_BASE_DIAGNOSTICS_H
#define EXUVIA_BASE_DIAGNOSTICS_H

#include "base/arena.h"
#include "exuvia/exuvia.h"

enum { EXU_DIAGNOSTICS_MAX = 1000, EXU_DIAGNOSTICS_MAX_PER_CODE = 50 };

enum exu_diagnostic_code {
#define EXU_DIAGNOSTIC(constant, code, kind, meaning) EXU_DIAGNOSTIC_##constant,
#include "base/diagnostics.def"
#undef EXU_DIAGNOSTIC
};

struct exu_diagnostics {
  struct exu_arena *arena;
  EXU_VECTOR(struct exu_diagnostic) list;
  size_t suppressed; /* how many did not fit; exu_diagnostics_finish says so in one more */
  bool incomplete;   /* some diagnostic says that something is missing */
};

void exu_diagnostics_init(struct exu_diagnostics *diagnostics, struct exu_arena *arena);

/*
 * Something is missing or damaged: the outcome is partial. `code` is not of the kind NOTE. `tid` is -1 for the whole
 * process. Only the first EXU_DIAGNOSTICS_MAX_PER_CODE of one code are kept, the rest is counted.
 */
void exu_incomplete(struct exu_diagnostics *diagnostics, enum exu_diagnostic_code code, int64_t tid, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

/* The same, as the first of all: what to do about those that follow. */
void exu_incomplete_first(struct exu_diagnostics *diagnostics, enum exu_diagnostic_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Something worth knowing that takes nothing away from the report. `code` is not of the kind MISSING. */
void exu_info(struct exu_diagnostics *diagnostics, enum exu_diagnostic_code code, int64_t tid, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * What was missing of a thread is not shown after all, for a reason that is said elsewhere: its diagnostics with one of
 * these codes (up to a NULL) take nothing away from the report any more.
 */
void exu_diagnostics_excuse(struct exu_diagnostics *diagnostics, int64_t tid, const enum exu_diagnostic_code *codes,
                            size_t count);

/* Has it one of these codes? */
bool exu_diagnostic_is_among(const struct exu_diagnostic *one, const enum exu_diagnostic_code *codes, size_t count);

/* What was said elsewhere, as if it were said here. `other` may be of another arena that lives as long. */
void exu_diagnostics_append(struct exu_diagnostics *diagnostics, const struct exu_diagnostics *other);

/* Add the count of what was suppressed. Call once, when everything else is done. */
void exu_diagnostics_finish(struct exu_diagnostics *diagnostics);

#endif
