/* SPDX-License-Identifier: Apache-2.0 */
/* From arguments to a report on standard output: what `core` and `attach` have in common. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/tree.h"
#include "exuvia/exuvia.h"

static bool use_color(enum color color) {
  if (color != COLOR_AUTO) return color == COLOR_ALWAYS;
  const char *no_color = getenv("NO_COLOR"); /* https://no-color.org: set and not empty */
  const char *term = getenv("TERM");
  if (no_color && *no_color) return false;
  return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

/*
 * Say in one line why there is no Python stack. What is known last knows best: it was met on the way to the stacks,
 * after everything that did not keep the analysis from going on.
 */
static void say_why(const char *path, const struct exu_report *report) {
  const struct exu_diagnostic *reason = NULL;
  for (size_t i = 0; i < report->diagnostic_count; i++) {
    const struct exu_diagnostic *diagnostic = &report->diagnostics[i];
    if (diagnostic->message.data && diagnostic->incomplete && diagnostic->tid < 0) reason = diagnostic;
  }
  struct exu_string why = {"no Python stack can be shown", strlen("no Python stack can be shown")};
  if (reason) why = reason->message;
  const int size = why.size < INT_MAX ? (int)why.size : INT_MAX;
  /* What refuses a process names it already. */
  if (report->source_kind == EXU_SOURCE_LIVE && report->thread_count == 0)
    complain("%.*s", size, why.data);
  else
    complain("%s: %.*s", path, size, why.data);
}

/* A report of nothing but the reason is no report: the reason is on standard error. */
static bool is_worth_showing(const struct exu_report *report) {
  return report->crash || report->python || report->thread_count > 0;
}

static bool print_report(const struct arguments *arguments, const struct exu_report *report) {
  if (arguments->json) return exu_write_json(report, stdout);
  if (!is_worth_showing(report)) return true;
  const struct exu_text_options options = {
      .color = use_color(arguments->color),
      .source = arguments->verbosity >= 0,
      .verbose = arguments->verbosity > 0,
      .native_all = arguments->native_all,
      .sysroot = arguments->sysroot,
  };
  return exu_write_text(report, &options, stdout);
}

struct exu_options options_of(const struct arguments *arguments) {
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  options.sysroot = arguments->sysroot;
  options.search = arguments->search;
  options.search_count = arguments->search_count;
  options.python_only = arguments->python_only;
  options.native_all = arguments->native_all;
  options.debuginfod = arguments->debuginfod;
  options.max_frames = arguments->max_frames;
  options.max_threads = arguments->max_threads;
  options.no_stop = arguments->no_stop;
  options.check_modules = arguments->json || arguments->verbosity > 0;
  return options;
}

struct exu_report *explain(int opened, struct exu_session **session) {
  struct exu_report *report = NULL;
  if (opened == EXU_RESULT_OK) exu_session_explain(*session, &report);
  exu_session_close(*session);
  return report;
}

int show_report(const struct arguments *arguments, const char *what, const struct exu_report *report) {
  if (!report) {
    complain("%s: out of memory", what);
    return EXU_OUTCOME_NOTHING;
  }
  int status = print_report(arguments, report) ? (int)report->outcome : output_failed();
  if (report->outcome != EXU_OUTCOME_NOTHING) return status;
  /* While it was looked at: that is why. */
  if (report->source_kind == EXU_SOURCE_LIVE && report->thread_count > 0 && process_has_ended(report->pid))
    complain("%s has ended", what);
  else
    say_why(what, report);
  return status;
}
