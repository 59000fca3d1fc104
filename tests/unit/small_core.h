/* SPDX-License-Identifier: Apache-2.0 */
/* A core of one thread and a page of memory, as bytes and as a file, in which is no Python; and what sessions say of it. */
#ifndef EXUVIA_TESTS_SMALL_CORE_H
#define EXUVIA_TESTS_SMALL_CORE_H

#include "elf_builder.h"
#include "exuvia/exuvia.h"

enum { BASE = 0x10000, PAGE = 4096, TID = 4711 };

struct small_core {
  struct core_builder *builder;
  const uint8_t *bytes;
  size_t size;
  struct nameless_file file;
};

void small_core_create(struct small_core *core);
void small_core_destroy(struct small_core *core);

/* The report of a session that was opened, which is closed before the report is used. */
struct exu_report *explain_and_close(enum exu_result opened, struct exu_session **session);

void assert_is_small_core(const struct exu_report *report, const struct small_core *core);

bool has_diagnostic(const struct exu_report *report, const char *code);

#endif
