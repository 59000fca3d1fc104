/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that write the report as JSON share. */
#ifndef EXUVIA_RENDER_JSON_H
#define EXUVIA_RENDER_JSON_H

#include "exuvia/exuvia.h"
#include "render/json_writer.h"

/* What a thread waits for, and who waits for whom. json_waits.c */
void exu_json_wait(struct exu_json *json, const char *key, const struct exu_report *report, size_t thread);
void exu_json_hang(struct exu_json *json, const struct exu_report *report, const struct exu_hang *hang);
void exu_json_deadlock(struct exu_json *json, const struct exu_report *report, const struct exu_deadlock *deadlock);

#endif
