/* SPDX-License-Identifier: Apache-2.0 */
#include "small_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

void small_core_create(struct small_core *core) {
  const struct core_registers registers = {.rip = BASE, .rsp = BASE + 64, .orig_rax = -1};
  core->builder = core_builder_create();
  core_builder_prstatus(core->builder, TID, 11, &registers);
  core_builder_prpsinfo(core->builder, TID, "program", "program --option");
  core_builder_siginfo(core->builder, 11, 1, 0xdead0000);
  core_builder_load(core->builder, BASE, PAGE, NULL, PAGE, CORE_R | CORE_W);
  core_builder_load(core->builder, BASE + PAGE, PAGE, NULL, 0, CORE_R | CORE_W);
  core->bytes = core_builder_finish(core->builder, &core->size);
  core->file = nameless_file(core->bytes, core->size);
}

void small_core_destroy(struct small_core *core) {
  close(core->file.fd);
  core_builder_destroy(core->builder);
}

struct exu_report *explain_and_close(enum exu_result opened, struct exu_session **session) {
  struct exu_report *report = NULL;
  assert_int_equal(opened, EXU_RESULT_OK);
  assert_non_null(*session);
  assert_int_equal(exu_session_explain(*session, &report), EXU_RESULT_OK);
  assert_non_null(report);
  exu_session_close(*session);
  return report;
}

void assert_is_small_core(const struct exu_report *report, const struct small_core *core) {
  assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING); /* there is no Python in it */
  assert_int_equal(report->source_kind, EXU_SOURCE_CORE);
  assert_int_equal(report->source_bytes, core->size);
  assert_false(report->source_truncated);
  assert_int_equal(report->pid, TID);
  assert_int_equal(report->thread_count, 1);
  assert_int_equal(report->threads[0].tid, TID);
  assert_non_null(report->crash);
  assert_int_equal(report->crash->signal, 11);
  assert_int_equal(report->crash->address, 0xdead0000);
}

bool has_diagnostic(const struct exu_report *report, const char *code) {
  for (size_t i = 0; i < report->diagnostic_count; i++)
    if (strcmp(report->diagnostics[i].code, code) == 0) return true;
  return false;
}
