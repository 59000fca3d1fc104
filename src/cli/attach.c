/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/tree.h"
#include "exuvia/exuvia.h"

enum { PROCESSES_MAX = 4096, ENDED = -1 };

/* Processes that were shown, with the last report of each while they are watched. */
struct watched {
  int64_t pids[PROCESSES_MAX];
  size_t count;
  int64_t known[PROCESSES_MAX];
  struct exu_report *reports[PROCESSES_MAX];
  size_t known_count;
  bool shown;   /* text, which the next one is set off from */
  bool refused; /* a process that may run Python can never be shown: it may not be read */
  bool again;   /* this is not the first look */
};

static bool parse_pid(const char *text, int64_t *pid) {
  char *end;
  if (*text < '1' || *text > '9') return false;
  long value = strtol(text, &end, 10);
  *pid = value;
  return *end == '\0' && value > 0 && value <= INT32_MAX;
}

static struct exu_report **slot_of(struct watched *watched, int64_t pid) {
  for (size_t i = 0; i < watched->known_count; i++)
    if (watched->known[i] == pid) return &watched->reports[i];
  if (watched->known_count == PROCESSES_MAX) return NULL;
  watched->known[watched->known_count] = pid;
  return &watched->reports[watched->known_count++];
}

/* Forget the processes that are not in the tree any more. */
static void forget_others(struct watched *watched) {
  for (size_t i = watched->known_count; i-- > 0;) {
    size_t k = 0;
    while (k < watched->count && watched->pids[k] != watched->known[i]) k++;
    if (k < watched->count) continue;
    exu_report_destroy(watched->reports[i]);
    watched->known_count--;
    watched->known[i] = watched->known[watched->known_count];
    watched->reports[i] = watched->reports[watched->known_count];
    watched->reports[watched->known_count] = NULL;
  }
}

/* Of reports one after the other the worse status: a part (1), all (0); not written is the worst. */
static int worse(int a, int b) { return a > b ? a : b; }

/* Of the processes of a tree: nothing is shown (2) only when nothing is shown of any. */
static int together(int a, int b) {
  bool some = a != b && worse(a, b) == EXU_OUTCOME_NOTHING;
  return some ? EXU_OUTCOME_PARTIAL : worse(a, b);
}

/* A process of the tree that is explained but not shown yet. */
struct explained {
  int64_t pid;
  struct exu_report *report;
  enum exu_outcome outcome; /* of the report, or for want of one */
};

/* False for a descendant that ended before anything of it could be shown. */
static bool explain_process(const struct arguments *arguments, struct watched *watched, int64_t pid, bool descendant,
                            struct explained *explained) {
  const struct exu_options options = options_of(arguments);
  struct exu_session *session = NULL;
  struct exu_report *report = explain((int)exu_session_open_process(pid, &options, &session), &session);
  *explained =
      (struct explained){.pid = pid, .report = report, .outcome = report ? report->outcome : EXU_OUTCOME_NOTHING};
  if (descendant && explained->outcome == EXU_OUTCOME_NOTHING && process_has_ended(pid)) {
    exu_report_destroy(explained->report);
    return false;
  }
  if (explained->outcome == EXU_OUTCOME_NOTHING && (!report || report->thread_count == 0)) watched->refused = true;
  return true;
}

/* Returns an exit status. The report is kept for later, or released. */
static int show_explained(const struct arguments *arguments, struct watched *watched,
                          const struct explained *explained) {
  char what[32];
  struct exu_report *report = explained->report, **earlier = slot_of(watched, explained->pid);
  if (report && earlier && *earlier) exu_report_compare(report, *earlier);
  if (report && report->thread_count > 0 && !arguments->json) {
    if (watched->shown) printf("\n");
    watched->shown = true;
  }
  snprintf(what, sizeof what, "process %lld", (long long)explained->pid);
  int status = show_report(arguments, what, report);
  if (earlier && report) {
    exu_report_destroy(*earlier);
    *earlier = report;
  } else {
    exu_report_destroy(report);
  }
  return status;
}

static int show_process(const struct arguments *arguments, struct watched *watched, int64_t pid) {
  struct explained explained;
  explain_process(arguments, watched, pid, false, &explained);
  return show_explained(arguments, watched, &explained);
}

/* What the processes of a tree wait for of each other. */
static void relate(const struct explained *list, size_t count) {
  struct exu_report **reports = calloc(count + 1, sizeof *reports);
  size_t found = 0;
  if (!reports) return;
  for (size_t i = 0; i < count; i++)
    if (list[i].report) reports[found++] = list[i].report;
  exu_report_relate(reports, found);
  free(reports);
}

/*
 * The root is shown whatever it is; that it runs no Python (a shell that will start one) is said at the first look
 * only. Returns ENDED when there was nothing to show or to say.
 */
static int show_tree(const struct arguments *arguments, struct watched *watched, int64_t pid) {
  struct explained *list = calloc(PROCESSES_MAX, sizeof *list);
  size_t explained = 0;
  int status = ENDED;
  if (!list) {
    complain("out of memory");
    return EXU_OUTCOME_NOTHING;
  }
  watched->count = process_tree(pid, watched->pids, PROCESSES_MAX);
  forget_others(watched);
  bool known = watched->again && !looks_like_python(pid);
  if (!known) explain_process(arguments, watched, pid, false, &list[explained++]);
  /* The children of a process that has ended are another one's. */
  bool gone = (known || list[0].outcome == EXU_OUTCOME_NOTHING) && process_has_ended(pid);
  for (size_t i = 1; i < watched->count && !gone; i++) {
    int64_t descendant = watched->pids[i];
    if (looks_like_python(descendant))
      explained += explain_process(arguments, watched, descendant, true, &list[explained]);
  }
  relate(list, explained);
  for (size_t i = 0; i < explained; i++) {
    if (status == CLI_IOERR) {
      exu_report_destroy(list[i].report);
      continue;
    }
    int one = show_explained(arguments, watched, &list[i]);
    status = status == ENDED ? one : together(status, one);
  }
  free(list);
  if (gone) return EXU_OUTCOME_NOTHING;
  if (watched->count == PROCESSES_MAX) {
    complain("process %lld has more descendants than %d: the rest is not shown", (long long)pid, PROCESSES_MAX - 1);
    status = together(status, EXU_OUTCOME_PARTIAL);
  }
  watched->again = true;
  return status;
}

static int show_once(const struct arguments *arguments, struct watched *watched, int64_t pid) {
  int status = arguments->tree ? show_tree(arguments, watched, pid) : show_process(arguments, watched, pid);
  return fflush(stdout) == 0 ? status : worse(status, output_failed());
}

static void sleep_ms(uint64_t milliseconds) {
  struct timespec left = {.tv_sec = (time_t)(milliseconds / 1000), .tv_nsec = (long)(milliseconds % 1000) * 1000000};
  while (nanosleep(&left, &left) != 0) {}
}

/*
 * What cannot be shown at first will not be shown later, except in a tree: a process that is there already may start
 * Python yet.
 */
static bool may_come(const struct arguments *arguments, const struct watched *watched, int64_t pid) {
  return arguments->tree && !watched->refused && !process_has_ended(pid);
}

static int watch(const struct arguments *arguments, struct watched *watched, int64_t pid) {
  int status = show_once(arguments, watched, pid);
  for (uint64_t i = 1; arguments->watch_ms && (!arguments->watch_count || i < arguments->watch_count); i++) {
    /* A reader who has gone reads no more. */
    if (status == CLI_IOERR || (status == EXU_OUTCOME_NOTHING && !may_come(arguments, watched, pid))) break;
    sleep_ms(arguments->watch_ms);
    int again = show_once(arguments, watched, pid);
    /* It has ended after it was shown: that is how watching ends. One that has just become another program goes on. */
    if (again == EXU_OUTCOME_NOTHING && process_has_ended(pid)) break;
    if (again != ENDED) status = together(status, again);
  }
  return status;
}

int run_attach(const struct arguments *arguments) {
  const struct command *command = cli_find_command("attach");
  int64_t pid;
  if (arguments->operand_count < 2) return usage_error(command, "missing operand PID");
  if (arguments->operand_count > 2) return usage_error(command, "extra operand '%s'", arguments->operands[2]);
  if (!parse_pid(arguments->operands[1], &pid))
    return usage_error(command, "invalid process id '%s'", arguments->operands[1]);
  if (arguments->native_all && (arguments->python_only || arguments->no_stop))
    return usage_error(command, "--native-all and --%s are mutually exclusive",
                       arguments->python_only ? "python-only" : "no-stop");
  if (arguments->watch_count && !arguments->watch_ms) return usage_error(command, "--count requires --watch");

  struct watched *watched = calloc(1, sizeof *watched);
  if (!watched) {
    complain("out of memory");
    return EXU_OUTCOME_NOTHING;
  }
  int status = watch(arguments, watched, pid);
  for (size_t i = 0; i < watched->known_count; i++) exu_report_destroy(watched->reports[i]);
  free(watched);
  return status;
}
