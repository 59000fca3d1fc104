/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "exuvia/exuvia.h"

enum { OPTION_COLUMN = 24, LAST_COLUMN = 78 };

/* Words wrapped between OPTION_COLUMN and LAST_COLUMN; the cursor stands at OPTION_COLUMN. */
static void print_wrapped(FILE *out, const char *text) {
  size_t column = OPTION_COLUMN;
  while (*text) {
    size_t size = strcspn(text, " ");
    if (column > OPTION_COLUMN && column + 1 + size > LAST_COLUMN) {
      fprintf(out, "\n%*s", OPTION_COLUMN, "");
      column = OPTION_COLUMN;
    } else if (column > OPTION_COLUMN) {
      fputc(' ', out);
      column++;
    }
    fwrite(text, 1, size, out);
    column += size;
    text += size;
    while (*text == ' ') text++;
  }
  fputc('\n', out);
}

static void print_option(FILE *out, const struct option_spec *spec) {
  char left[64];
  const char *open = spec->argument == ARGUMENT_OPTIONAL ? "[=" : spec->argument == ARGUMENT_REQUIRED ? "=" : "";
  const char *close = spec->argument == ARGUMENT_OPTIONAL ? "]" : "";
  const char *argument = spec->argument_name ? spec->argument_name : "";
  char letter[] = {spec->letter ? '-' : ' ', spec->letter ? spec->letter : ' ', spec->letter ? ',' : ' ', '\0'};
  snprintf(left, sizeof left, "  %s --%s%s%s%s", letter, spec->name, open, argument, close);
  fprintf(out, "%-*s", OPTION_COLUMN, left);
  print_wrapped(out, spec->help);
}

static void print_options(FILE *out, unsigned options) {
  fputs("\nOptions:\n", out);
  for (size_t i = 0; i < cli_option_count; i++) {
    if (options & 1u << cli_options[i].id) print_option(out, &cli_options[i]);
  }
}

static void print_program_help(FILE *out) {
  fputs("Usage: exuvia COMMAND [OPTION]... [OPERAND]...\n"
        "Explain what a Python process left behind.\n"
        "\n"
        "Commands:\n",
        out);
  unsigned options = 1u << OPTION_HELP | 1u << OPTION_VERSION;
  for (size_t i = 0; i < cli_command_count; i++) {
    char left[64];
    snprintf(left, sizeof left, "  %s %s", cli_commands[i].name, cli_commands[i].operands);
    fprintf(out, "%-*s  %s\n", OPTION_COLUMN, left, cli_commands[i].summary);
    options |= cli_commands[i].options;
  }
  print_options(out, options);
  fputs("\n"
        "The report goes to standard output, everything else to standard error.\n"
        "Exit status: 0 complete; 1 something was missing or damaged, the report says\n"
        "what; 2 no Python stack could be shown; 64 wrong usage; 74 the report could\n"
        "not be written.\n",
        out);
}

void print_help(FILE *out, const struct command *command) {
  if (!command) {
    print_program_help(out);
    return;
  }
  bool operands = command->operands[0] != '\0';
  fprintf(out, "Usage: exuvia %s%s%s%s\n%s.\n", command->name, command->options ? " [OPTION]..." : "",
          operands ? " " : "", command->operands, command->summary);
  if (command->details) fprintf(out, "\n%s", command->details);
  print_options(out, command->options | 1u << OPTION_HELP);
}

int run_help(const struct arguments *arguments) {
  const struct command *command = NULL;
  if (arguments->operand_count > 2)
    return usage_error(cli_find_command("help"), "extra operand '%s'", arguments->operands[2]);
  if (arguments->operand_count == 2) {
    command = cli_find_command(arguments->operands[1]);
    if (!command) return usage_error(NULL, "no help about '%s': no such command", arguments->operands[1]);
  }
  print_help(stdout, command);
  return EXU_OUTCOME_COMPLETE;
}
