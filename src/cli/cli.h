/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: a client of the library that knows only its public header. */
#ifndef EXUVIA_CLI_CLI_H
#define EXUVIA_CLI_CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses beside those of enum exu_outcome; the numbers are those of <sysexits.h>. */
enum {
  CLI_USAGE = 64, /* the command line is wrong */
  CLI_IOERR = 74, /* the output could not be written */
};

/* Which options a command takes. */
enum option_id {
  OPTION_JSON,
  OPTION_PYTHON_ONLY,
  OPTION_NATIVE_ALL,
  OPTION_SYSROOT,
  OPTION_SEARCH,
  OPTION_DEBUGINFOD,
  OPTION_MAX_FRAMES,
  OPTION_MAX_THREADS,
  OPTION_NO_STOP,
  OPTION_TREE,
  OPTION_WATCH,
  OPTION_COUNT,
  OPTION_COLOR,
  OPTION_QUIET,
  OPTION_VERBOSE,
  OPTION_HELP,
  OPTION_VERSION,
};

enum argument { ARGUMENT_NONE, ARGUMENT_REQUIRED, ARGUMENT_OPTIONAL };

struct option_spec {
  enum option_id id;
  const char *name; /* without the dashes */
  char letter;      /* '\0': none */
  enum argument argument;
  const char *argument_name;
  const char *help;
};

extern const struct option_spec cli_options[];
extern const size_t cli_option_count;

enum color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* A command line that was taken apart. */
struct arguments {
  const char **operands; /* the command first */
  size_t operand_count;
  bool json;
  bool python_only;
  bool native_all;
  enum color color;
  int verbosity; /* -1 quiet, 0, 1 verbose */
  const char *sysroot;
  const char **search;
  size_t search_count;
  bool debuginfod;
  uint64_t max_frames;
  uint64_t max_threads;
  bool no_stop;
  bool tree;
  uint64_t watch_ms;    /* 0: once */
  uint64_t watch_count; /* 0: until the process ends */
  bool help;
  bool version;
  unsigned given; /* bit per option_id */
};

struct command {
  const char *name;
  const char *operands; /* "CORE [EXECUTABLE]" */
  const char *summary;
  const char *details; /* paragraphs for the command's help */
  unsigned options;    /* bit per option_id, beside --help and --version */
  int (*run)(const struct arguments *arguments);
};

extern const struct command cli_commands[];
extern const size_t cli_command_count;

/* NULL: no such command. */
const struct command *cli_find_command(const char *name);

/* Take the command line apart. Returns 0, or the exit status of what is wrong and has been said. Deinit either way. */
int arguments_parse(struct arguments *arguments, int argc, char **argv);
void arguments_deinit(struct arguments *arguments);

/* The commands. Each returns an exit status. */
int run_core(const struct arguments *arguments);
int run_attach(const struct arguments *arguments);
int run_help(const struct arguments *arguments);
int run_version(const struct arguments *arguments);

/* The program's help, or one command's. */
void print_help(FILE *out, const struct command *command);

/* What every command that makes a report has in common. */
struct exu_options;
struct exu_report;
struct exu_session;

/* The options of the library that the arguments ask for. */
struct exu_options options_of(const struct arguments *arguments);

/* The report of a session that was opened with this enum exu_result, and is closed; NULL without memory. */
struct exu_report *explain(int opened, struct exu_session **session);

/*
 * Print a report, and say on standard error why there is no Python stack in it if that is the outcome. Without a report
 * (NULL), there was no memory for one. Returns the exit status.
 */
int show_report(const struct arguments *arguments, const char *what, const struct exu_report *report);

/* "exuvia: ..." on stderr in one line; what is not printable ASCII or plain UTF-8 is escaped. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Say that standard output could not be written, by errno; returns CLI_IOERR. */
int output_failed(void);

/* complain, and where to read more; returns CLI_USAGE. */
int usage_error(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
