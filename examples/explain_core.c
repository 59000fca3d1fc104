/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explain a core: what the process died of, and where each of its threads was.
 *
 *     cc explain_core.c $(pkg-config --cflags --libs exuvia) -o explain_core
 *     ./explain_core CORE
 */
#include <ctype.h>
#include <exuvia/exuvia.h>
#include <inttypes.h>
#include <stdio.h>

/* Text of the process is data: nothing in it may move a terminal's cursor. Controls are c2 80 to c2 9f in UTF-8, too. */
static void print_string(struct exu_string text, const char *otherwise) {
  if (!text.data) {
    fputs(otherwise, stdout);
    return;
  }
  for (size_t i = 0; i < text.size; i++) {
    const unsigned char byte = (unsigned char)text.data[i];
    const bool wide = byte == 0xc2 && i + 1 < text.size && (unsigned char)text.data[i + 1] < 0xa0;
    putchar(wide || iscntrl(byte) ? '?' : byte);
    if (wide) i++;
  }
}

static void print_frame(const struct exu_frame *frame) {
  switch (frame->kind) {
  case EXU_FRAME_PYTHON:
    fputs("  ", stdout);
    print_string(frame->qualname.data ? frame->qualname : frame->function, "?");
    fputs("  ", stdout);
    print_string(frame->file, "?");
    if (frame->position.line > 0) printf(":%" PRId32, frame->position.line);
    break;
  case EXU_FRAME_NATIVE:
    fputs("  [native] ", stdout);
    print_string(frame->function, "??");
    break;
  case EXU_FRAME_GAP: /* mostly that frames are missing here */ printf("  ... %s", exu_gap_text(frame->gap)); break;
  }
  putchar('\n');
}

static void print_thread(const struct exu_thread *thread) {
  printf("\nthread %" PRId64 " ", thread->tid);
  print_string(thread->name, "without a name");
  puts(thread->crashed ? " (crashed), most recent call first:" : ", most recent call first:");
  for (size_t i = 0; i < thread->frame_count; i++) print_frame(&thread->frames[i]);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s CORE\n", argv[0]);
    return 64;
  }
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  enum exu_result result = exu_session_open_core(argv[1], &options, &session);
  if (result == EXU_RESULT_OK) result = exu_session_explain(session, &report);
  if (result != EXU_RESULT_OK) {
    fprintf(stderr, "%s: %s\n", argv[0], exu_result_text(result));
    exu_session_close(session);
    return 2;
  }
  if (report->crash) {
    exu_write_crash(report, stdout);
    putchar('\n');
  }
  for (size_t i = 0; i < report->thread_count; i++) print_thread(&report->threads[i]);

  /* A report is never lost to one thing that is missing: what it was is said here. */
  for (size_t i = 0; i < report->diagnostic_count; i++) {
    const struct exu_diagnostic *diagnostic = &report->diagnostics[i];
    if (!diagnostic->incomplete) continue;
    printf("missing (%s): ", diagnostic->code);
    print_string(diagnostic->message, "");
    putchar('\n');
  }
  int status = (int)report->outcome;
  exu_report_destroy(report);
  exu_session_close(session);
  return status;
}
