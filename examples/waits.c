/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attach to a live process and print what each of its threads waits for, who holds that, and which of them wait for each
 * other. The process is stopped for milliseconds and runs on.
 *
 *     cc waits.c $(pkg-config --cflags --libs exuvia) -o waits
 *     ./waits PID
 */
#include <ctype.h>
#include <errno.h>
#include <exuvia/exuvia.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Text of the process is data: nothing in it may move a terminal's cursor. Controls are c2 80 to c2 9f in UTF-8, too. */
static void print_string(struct exu_string text) {
  if (!text.data) return; /* unknown */
  for (size_t i = 0; i < text.size; i++) {
    const unsigned char byte = (unsigned char)text.data[i];
    const bool wide = byte == 0xc2 && i + 1 < text.size && (unsigned char)text.data[i + 1] < 0xa0;
    putchar(wide || iscntrl(byte) ? '?' : byte);
    if (wide) i++;
  }
}

static void print_wait(const struct exu_report *report, size_t index) {
  const struct exu_thread *thread = &report->threads[index];
  const struct exu_wait *wait = thread->wait;
  printf("%" PRId64 " ", thread->tid);
  print_string(thread->name);
  fputs(": ", stdout);
  if (wait && wait->kind != EXU_WAIT_UNKNOWN) {
    exu_write_wait(report, index, stdout);
  } else {
    fputs("nothing is known", stdout);
  }
  /* An owner is only there when it is recorded. A plain Lock records none: who took it, as far as frames tell, is a lead. */
  if (wait && wait->owner >= 0) {
    fputs("; owner: ", stdout);
    print_string(report->threads[wait->owner].name);
  }
  for (size_t i = 0; wait && i < wait->taker_count; i++) {
    printf("; taken by %s in: ", exu_taken_by_name(wait->takers[i].by));
    print_string(report->threads[wait->takers[i].thread].name);
  }
  putchar('\n');
}

int main(int argc, char **argv) {
  char *end = NULL;
  errno = 0;
  int64_t pid = argc == 2 ? strtoll(argv[1], &end, 10) : 0;
  if (pid <= 0 || errno || *end) {
    fprintf(stderr, "usage: %s PID\n", argv[0]);
    return 64;
  }
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  enum exu_result result = exu_session_open_process(pid, &options, &session);
  if (result == EXU_RESULT_OK) result = exu_session_explain(session, &report);
  exu_session_close(session); /* the report stays */
  if (result != EXU_RESULT_OK) {
    fprintf(stderr, "%s: %s\n", argv[0], exu_result_text(result));
    return 2;
  }
  for (size_t i = 0; i < report->thread_count; i++) {
    if (report->threads[i].python) print_wait(report, i);
  }
  for (size_t i = 0; i < report->deadlock_count; i++) {
    exu_write_deadlock(report, i, stdout);
    putchar('\n');
  }
  for (size_t i = 0; i < report->hang_count; i++) {
    exu_write_hang(report, i, stdout);
    putchar('\n');
  }
  /* When it may not be attached to, or is gone, the last diagnostic says why. */
  if (report->outcome == EXU_OUTCOME_NOTHING && report->diagnostic_count > 0) {
    print_string(report->diagnostics[report->diagnostic_count - 1].message);
    putchar('\n');
  }
  int status = (int)report->outcome;
  exu_report_destroy(report);
  return status;
}
