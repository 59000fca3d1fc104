/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the JSON writer share. */
#ifndef EXUVIA_RENDER_JSON_H
#define EXUVIA_RENDER_JSON_H

#include "exuvia/exuvia.h"
#include "render/output.h"

/* Values; null when unknown. json_values.c */
void exu_json_string(struct exu_output *out, struct exu_string string);
void exu_json_word(struct exu_output *out, const char *word); /* NULL: unknown */
void exu_json_bool(struct exu_output *out, bool value);
void exu_json_tristate(struct exu_output *out, enum exu_tristate value);
void exu_json_address(struct exu_output *out, bool known, uint64_t address);
void exu_json_id(struct exu_output *out, int64_t number); /* negative: unknown */

/* What a thread waits for, and who waits for whom. json_waits.c */
void exu_json_wait(struct exu_output *out, const struct exu_report *report, const struct exu_wait *wait);
void exu_json_hang(struct exu_output *out, const struct exu_report *report, const struct exu_hang *hang);
void exu_json_deadlock(struct exu_output *out, const struct exu_report *report, const struct exu_deadlock *deadlock);

#endif
