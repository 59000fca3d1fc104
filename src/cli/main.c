/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/cli.h"
#include "exuvia/exuvia.h"

enum {
  REPORT_OPTIONS = 1u << OPTION_JSON | 1u << OPTION_PYTHON_ONLY | 1u << OPTION_NATIVE_ALL | 1u << OPTION_SYSROOT |
                   1u << OPTION_SEARCH | 1u << OPTION_DEBUGINFOD | 1u << OPTION_MAX_FRAMES | 1u << OPTION_MAX_THREADS |
                   1u << OPTION_COLOR | 1u << OPTION_QUIET | 1u << OPTION_VERBOSE,
};

const struct command cli_commands[] = {
    {"core", "CORE [EXECUTABLE]", "Explain a core dump",
     "CORE is an ELF core file, as the kernel or gcore write it. EXECUTABLE is the\n"
     "main program, when it is not where the core says.\n"
     "\n"
     "Every thread is shown as one stack: the native frames, and the Python frames\n"
     "where the interpreter runs them. The interpreter's own frames that only lead\n"
     "from one Python function to the next are left out; --native-all shows them.\n",
     REPORT_OPTIONS, run_core},
    {"attach", "PID", "Explain a live process",
     "The process is stopped for some milliseconds, while its stacks and Python's\n"
     "structures are copied, and then runs on as before; the report says for how\n"
     "long. It says what each thread waits for, who holds that, and which threads\n"
     "wait for each other.\n",
     REPORT_OPTIONS | 1u << OPTION_NO_STOP | 1u << OPTION_TREE | 1u << OPTION_WATCH | 1u << OPTION_COUNT, run_attach},
    {"version", "", "Print the version", NULL, 0, run_version},
    {"help", "[COMMAND]", "Print help about a command, or this", NULL, 0, run_help},
};
const size_t cli_command_count = sizeof cli_commands / sizeof *cli_commands;

const struct command *cli_find_command(const char *name) {
  for (size_t i = 0; i < cli_command_count; i++) {
    if (strcmp(cli_commands[i].name, name) == 0) return &cli_commands[i];
  }
  return NULL;
}

int run_version(const struct arguments *arguments) {
  if (arguments->operand_count > 1 && !arguments->version) {
    return usage_error(cli_find_command("version"), "extra operand '%s'", arguments->operands[1]);
  }
  printf("exuvia %s\n", exu_version());
  return EXU_OUTCOME_COMPLETE;
}

/*
 * With standard output or error closed, the next file that is opened would take its number and get the report. Take
 * the number with something that cannot be written to, so that writing fails as it should.
 */
static void occupy_standard_files(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) return;
  }
}

/* Exit status 0 must mean that the report is where it should be: also errors that only show now count. */
static int close_output(int status) {
  bool failed = fflush(stdout) != 0;
  if (!failed && !ferror(stdout)) failed = fclose(stdout) != 0;
  return failed && status != CLI_IOERR ? output_failed() : status;
}

static int check_options(const struct command *command, const struct arguments *arguments) {
  for (size_t i = 0; i < cli_option_count; i++) {
    unsigned bit = 1u << cli_options[i].id;
    if (arguments->given & bit & ~command->options) {
      return usage_error(command, "'%s' has no option --%s", command->name, cli_options[i].name);
    }
  }
  return 0;
}

/* What is looked for in a directory that is not there is not found: why, is said. */
static void check_directory(const char *option, const char *directory) {
  int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0)
    close(fd);
  else
    complain("--%s=%s: %s", option, directory, strerror(errno));
}

static void check_directories(const struct arguments *arguments) {
  if (arguments->sysroot) check_directory("sysroot", arguments->sysroot);
  for (size_t i = 0; i < arguments->search_count; i++) check_directory("search", arguments->search[i]);
}

static int run(const struct arguments *arguments) {
  const char *name = arguments->operand_count > 0 ? arguments->operands[0] : NULL;
  if (!name && arguments->help) {
    print_help(stdout, NULL);
    return EXU_OUTCOME_COMPLETE;
  }
  if (arguments->version && !arguments->help) return run_version(arguments);
  if (!name) return usage_error(NULL, "missing command: 'exuvia core CORE' or 'exuvia attach PID'");

  const struct command *command = cli_find_command(name);
  if (!command && access(name, F_OK) == 0)
    return usage_error(NULL, "no command '%s'; is it 'exuvia core %s'?", name, name);
  if (!command) return usage_error(NULL, "unknown command '%s'; the commands are core, attach, version and help", name);
  if (arguments->help) {
    print_help(stdout, command);
    return EXU_OUTCOME_COMPLETE;
  }
  int wrong = check_options(command, arguments);
  if (wrong) return wrong;
  check_directories(arguments);
  return command->run(arguments);
}

/*
 * Where address space is limited (ulimit -v), a stack that cannot grow any more ends a program; an allocation that
 * fails does not. So the stack has what it will need before the rest is used up: libdw keeps 300 KiB of lines on it.
 */
static void __attribute__((noinline)) grow_stack(void) {
  enum { SIZE = 1024 * 1024, PAGE = 4096 };
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  void *trial = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (trial == MAP_FAILED) return;
  munmap(trial, SIZE);
  char pages[SIZE];
  for (size_t i = SIZE; i > 0; i -= PAGE) *(volatile char *)&pages[i - 1] = 0;
}

int main(int argc, char **argv) {
  occupy_standard_files();
  grow_stack();
  struct arguments arguments;
  int status = arguments_parse(&arguments, argc, argv);
  if (status == 0) status = run(&arguments);
  arguments_deinit(&arguments);
  return close_output(status);
}
