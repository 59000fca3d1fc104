/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options, the GNU way: anywhere on the line, `--name value` and `--name=value`, `-qv`, `--` before operands. Not
 * getopt_long: it would accept abbreviations, which break when options are added, and this table is the help, too.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "exuvia/exuvia.h"

const struct option_spec cli_options[] = {
    {OPTION_JSON, "json", '\0', ARGUMENT_NONE, NULL, "Print the report as JSON (schema exuvia-report/1)."},
    {OPTION_PYTHON_ONLY, "python-only", '\0', ARGUMENT_NONE, NULL,
     "Show Python frames only: the native stacks are not unwound, which is faster."},
    {OPTION_NATIVE_ALL, "native-all", '\0', ARGUMENT_NONE, NULL,
     "Show every native frame: also the interpreter's own, and threads without Python."},
    {OPTION_SYSROOT, "sysroot", '\0', ARGUMENT_REQUIRED, "DIR",
     "Look for every file of the process under DIR, for a core from another machine or a container."},
    {OPTION_SEARCH, "search", '\0', ARGUMENT_REQUIRED, "DIR",
     "Look for binaries by file name in DIR, too. May be given several times."},
    {OPTION_DEBUGINFOD, "debuginfod", '\0', ARGUMENT_NONE, NULL,
     "Ask the servers in DEBUGINFOD_URLS for files that this machine lacks, for at most 20 seconds in all."},
    {OPTION_MAX_FRAMES, "max-frames", '\0', ARGUMENT_REQUIRED, "N",
     "Show the N innermost Python frames of each thread, and what they call; 0 is no limit."},
    {OPTION_MAX_THREADS, "max-threads", '\0', ARGUMENT_REQUIRED, "N", "Show at most N threads; 0 is no limit."},
    {OPTION_NO_STOP, "no-stop", '\0', ARGUMENT_NONE, NULL,
     "Do not stop the process: read it while it runs. Python frames only; what changed meanwhile is left out."},
    {OPTION_TREE, "tree", '\0', ARGUMENT_NONE, NULL, "Also every descendant of the process that runs Python."},
    {OPTION_WATCH, "watch", '\0', ARGUMENT_REQUIRED, "SECONDS",
     "Again every so many seconds, saying which threads have moved, until the process ends."},
    {OPTION_COUNT, "count", '\0', ARGUMENT_REQUIRED, "N", "With --watch: stop after N reports."},
    {OPTION_COLOR, "color", '\0', ARGUMENT_OPTIONAL, "WHEN",
     "Colour: always, never, or auto (on a terminal, unless NO_COLOR is set or TERM is dumb)."},
    {OPTION_QUIET, "quiet", 'q', ARGUMENT_NONE, NULL, "Only what is necessary: no source lines."},
    {OPTION_VERBOSE, "verbose", 'v', ARGUMENT_NONE, NULL, "Also modules, addresses, notes, and every thread by name."},
    {OPTION_HELP, "help", 'h', ARGUMENT_NONE, NULL, "Print this help."},
    {OPTION_VERSION, "version", 'V', ARGUMENT_NONE, NULL, "Print the version."},
};
const size_t cli_option_count = sizeof cli_options / sizeof *cli_options;

static const struct option_spec *find_long(const char *name, size_t size) {
  for (size_t i = 0; i < cli_option_count; i++) {
    if (strlen(cli_options[i].name) == size && memcmp(cli_options[i].name, name, size) == 0) return &cli_options[i];
  }
  return NULL;
}

/* The one option that starts like this, to suggest it. */
static const struct option_spec *suggest(const char *name, size_t size) {
  const struct option_spec *found = NULL;
  for (size_t i = 0; i < cli_option_count; i++) {
    if (strncmp(cli_options[i].name, name, size) != 0) continue;
    if (found) return NULL;
    found = &cli_options[i];
  }
  return found;
}

static const struct option_spec *find_letter(char letter) {
  for (size_t i = 0; i < cli_option_count; i++) {
    if (cli_options[i].letter == letter) return &cli_options[i];
  }
  return NULL;
}

static bool parse_number(const struct option_spec *spec, const char *text, uint64_t *number) {
  uint64_t value = 0;
  bool good = text && *text;
  for (const char *at = text; good && *at; at++) {
    good = *at >= '0' && *at <= '9' && !__builtin_mul_overflow(value, 10u, &value) &&
           !__builtin_add_overflow(value, (uint64_t)(*at - '0'), &value);
  }
  if (!good) {
    usage_error(NULL, "invalid number '%s' for option --%s", text ? text : "", spec->name);
    return false;
  }
  *number = value;
  return true;
}

static bool parse_count(const struct option_spec *spec, const char *text, uint64_t *count) {
  if (!parse_number(spec, text, count)) return false;
  if (*count == 0) usage_error(NULL, "invalid number '%s' for option --%s: at least 1", text, spec->name);
  return *count > 0;
}

/* Seconds with decimals, to milliseconds; at most a day, at least a hundredth of a second. */
static bool parse_seconds(const struct option_spec *spec, const char *text, uint64_t *milliseconds) {
  char *end = NULL;
  double seconds = text && *text >= '0' && *text <= '9' ? strtod(text, &end) : -1;
  if (!end || *end || seconds < 0.01 || seconds > 86400) {
    usage_error(NULL, "invalid argument '%s' for option --%s: seconds from 0.01 to 86400", text ? text : "",
                spec->name);
    return false;
  }
  *milliseconds = (uint64_t)(seconds * 1000);
  return true;
}

static bool parse_color(const char *when, enum color *color) {
  if (!when || strcmp(when, "always") == 0) {
    *color = COLOR_ALWAYS;
  } else if (strcmp(when, "never") == 0) {
    *color = COLOR_NEVER;
  } else if (strcmp(when, "auto") == 0) {
    *color = COLOR_AUTO;
  } else {
    usage_error(NULL, "invalid argument '%s' for option --color: always, never or auto", when);
    return false;
  }
  return true;
}

static bool apply(struct arguments *arguments, const struct option_spec *spec, const char *value) {
  arguments->given |= 1u << spec->id;
  switch (spec->id) {
  case OPTION_JSON: arguments->json = true; return true;
  case OPTION_PYTHON_ONLY: arguments->python_only = true; return true;
  case OPTION_NATIVE_ALL: arguments->native_all = true; return true;
  case OPTION_SYSROOT: arguments->sysroot = value; return true;
  case OPTION_SEARCH: arguments->search[arguments->search_count++] = value; return true;
  case OPTION_DEBUGINFOD: arguments->debuginfod = true; return true;
  case OPTION_MAX_FRAMES: return parse_number(spec, value, &arguments->max_frames);
  case OPTION_MAX_THREADS: return parse_number(spec, value, &arguments->max_threads);
  case OPTION_NO_STOP: arguments->no_stop = true; return true;
  case OPTION_TREE: arguments->tree = true; return true;
  case OPTION_WATCH: return parse_seconds(spec, value, &arguments->watch_ms);
  case OPTION_COUNT: return parse_count(spec, value, &arguments->watch_count);
  case OPTION_COLOR: return parse_color(value, &arguments->color);
  case OPTION_QUIET: arguments->verbosity = -1; return true;
  case OPTION_VERBOSE: arguments->verbosity = 1; return true;
  case OPTION_HELP: arguments->help = true; return true;
  case OPTION_VERSION: arguments->version = true; return true;
  }
  return false;
}

/* `--name`, `--name=value`, `--name value`; *index is the argument's and moves on to a value that follows. */
static bool parse_long(struct arguments *arguments, int argc, char **argv, int *index) {
  const char *name = argv[*index] + 2;
  const char *equals = strchr(name, '=');
  size_t size = equals ? (size_t)(equals - name) : strlen(name);
  const struct option_spec *spec = find_long(name, size);
  if (!spec) {
    const struct option_spec *meant = size > 0 ? suggest(name, size) : NULL;
    if (meant) {
      usage_error(NULL, "unknown option '--%.*s'; did you mean '--%s'?", (int)size, name, meant->name);
    } else {
      usage_error(NULL, "unknown option '--%.*s'", (int)size, name);
    }
    return false;
  }
  const char *value = equals ? equals + 1 : NULL;
  if (spec->argument == ARGUMENT_NONE && value) {
    usage_error(NULL, "option --%s doesn't allow an argument", spec->name);
    return false;
  }
  if (spec->argument == ARGUMENT_REQUIRED && !value) {
    if (*index + 1 == argc) {
      usage_error(NULL, "option --%s requires an argument: --%s=%s", spec->name, spec->name, spec->argument_name);
      return false;
    }
    value = argv[++*index];
  }
  if (value && *value == '\0') {
    usage_error(NULL, "the argument of --%s is empty", spec->name);
    return false;
  }
  return apply(arguments, spec, value);
}

/* `-q`, `-qv`: no option with a letter takes a value. */
static bool parse_letters(struct arguments *arguments, const char *letters) {
  for (; *letters; letters++) {
    const struct option_spec *spec = find_letter(*letters);
    if (!spec) {
      usage_error(NULL, "unknown option '-%c'", *letters);
      return false;
    }
    if (!apply(arguments, spec, NULL)) return false;
  }
  return true;
}

int arguments_parse(struct arguments *arguments, int argc, char **argv) {
  *arguments = (struct arguments){0};
  size_t room = (size_t)(argc > 0 ? argc : 1);
  arguments->operands = calloc(room, sizeof *arguments->operands);
  arguments->search = calloc(room, sizeof *arguments->search);
  if (!arguments->operands || !arguments->search) {
    complain("out of memory");
    return EXU_OUTCOME_NOTHING;
  }
  bool options = true;
  for (int i = 1; i < argc; i++) {
    const char *argument = argv[i];
    if (!options || argument[0] != '-' || argument[1] == '\0') {
      arguments->operands[arguments->operand_count++] = argument;
    } else if (strcmp(argument, "--") == 0) {
      options = false;
    } else if (argument[1] == '-') {
      if (!parse_long(arguments, argc, argv, &i)) return CLI_USAGE;
    } else if (!parse_letters(arguments, argument + 1)) {
      return CLI_USAGE;
    }
  }
  return 0;
}

void arguments_deinit(struct arguments *arguments) {
  free(arguments->operands);
  free(arguments->search);
  *arguments = (struct arguments){0};
}
