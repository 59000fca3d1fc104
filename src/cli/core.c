/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
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
  if (!reason) {
    complain("%s: no Python stack can be shown", path);
    return;
  }
  int size = reason->message.size < 2000 ? (int)reason->message.size : 2000;
  complain("%s: %.*s", path, size, reason->message.data);
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
      .sysroot = arguments->sysroot,
  };
  return exu_write_text(report, &options, stdout);
}

int run_core(const struct arguments *arguments) {
  const struct command *command = cli_find_command("core");
  if (arguments->operand_count < 2) return usage_error(command, "which core? The operand CORE is missing");
  if (arguments->operand_count > 3) return usage_error(command, "too many operands: '%s'", arguments->operands[3]);

  if (arguments->python_only && arguments->native_all)
    return usage_error(command, "--python-only and --native-all exclude each other");

  const char *path = arguments->operands[1];
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  options.executable = arguments->operand_count == 3 ? arguments->operands[2] : NULL;
  options.sysroot = arguments->sysroot;
  options.search = arguments->search;
  options.search_count = arguments->search_count;
  options.python_only = arguments->python_only;
  options.native_all = arguments->native_all;
  options.debuginfod = arguments->debuginfod;
  options.max_frames = arguments->max_frames;
  options.max_threads = arguments->max_threads;
  options.check_modules = arguments->json || arguments->verbosity > 0;

  struct exu_report *report = NULL;
  enum exu_outcome outcome = exu_explain_core(path, &options, &report);
  if (!report) {
    complain("%s: out of memory", path);
    return EXU_OUTCOME_NOTHING;
  }
  int status = (int)outcome;
  if (!print_report(arguments, report)) status = output_failed();
  if (outcome == EXU_OUTCOME_NOTHING) say_why(path, report);
  exu_report_destroy(report);
  return status;
}
