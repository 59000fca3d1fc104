/* SPDX-License-Identifier: Apache-2.0 */
/* Reports that no real process would have left behind, for the tests of the writers. */
#ifndef EXUVIA_TESTS_SAMPLE_REPORT_H
#define EXUVIA_TESTS_SAMPLE_REPORT_H

#include "exuvia/exuvia.h"

/* Initializers of struct exu_string. */
#define TEXT(literal)                                                                                                  \
  { literal, sizeof(literal) - 1 }
#define UNKNOWN_TEXT                                                                                                   \
  { NULL, 0 }

extern const struct exu_report sample_full;    /* every field has a value, every enumeration several */
extern const struct exu_report sample_unknown; /* nothing is known that can be unknown */
extern const struct exu_report sample_evil;    /* strings that try to be more than data */
extern const struct exu_report sample_live;    /* threads that wait in every way, two of them for each other */
extern const struct exu_report sample_nothing; /* a core that could not be read */

/*
 * Compare what `write` prints with the file tests/data/NAME; with EXUVIA_UPDATE_GOLDEN set in the environment,
 * write that file instead.
 */
typedef bool sample_writer(FILE *out, const void *context);
void assert_golden(const char *name, sample_writer *write, const void *context);

/* What `write` prints, NUL-terminated; the caller frees it. */
char *printed(sample_writer *write, const void *context, size_t *size);

/* How many lines of the text begin with `beginning`. */
size_t count_lines(const char *text, const char *beginning);

#endif
