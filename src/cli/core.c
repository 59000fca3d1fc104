/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/cli.h"
#include "exuvia/exuvia.h"

/* The report notes it, but who gave the file is to know. */
static void say_executable(const struct exu_report *report) {
  for (size_t i = 0; report && i < report->diagnostic_count; i++) {
    const struct exu_diagnostic *diagnostic = &report->diagnostics[i];
    if (strncmp(diagnostic->code, "executable-", strlen("executable-")) == 0 && diagnostic->message.data)
      complain("%.*s", (int)diagnostic->message.size, diagnostic->message.data);
  }
}

int run_core(const struct arguments *arguments) {
  const struct command *command = cli_find_command("core");
  if (arguments->operand_count < 2) return usage_error(command, "missing operand CORE");
  if (arguments->operand_count > 3) return usage_error(command, "extra operand '%s'", arguments->operands[3]);
  if (arguments->python_only && arguments->native_all)
    return usage_error(command, "--python-only and --native-all are mutually exclusive");

  const char *path = arguments->operands[1];
  struct exu_options options = options_of(arguments);
  options.executable = arguments->operand_count == 3 ? arguments->operands[2] : NULL;
  struct exu_session *session = NULL;
  struct exu_report *report = explain((int)exu_session_open_core(path, &options, &session), &session);
  int status = show_report(arguments, path, report);
  say_executable(report);
  exu_report_destroy(report);
  return status;
}
