/* SPDX-License-Identifier: Apache-2.0 */
/* The sentences that are made of a report's facts, as strings of C: until the next one is asked for. */
#ifndef EXUVIA_TESTS_SENTENCES_H
#define EXUVIA_TESTS_SENTENCES_H

#include "exuvia/exuvia.h"

const char *wait_sentence(const struct exu_report *report, size_t thread);
const char *deadlock_sentence(const struct exu_report *report, size_t index);
const char *hang_sentence(const struct exu_report *report, size_t index);

/* Of a report that has nothing but these. */
const char *crash_sentence(struct exu_crash *crash, int64_t pid);
const char *crash_place_words(const struct exu_crash_place *place);

/* What a descriptor is. NULL: it is unknown. */
const char *descriptor_words(const struct exu_descriptor *descriptor);

#endif
