/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line for each of several cores: the signal, the Python version, and the innermost Python function of the thread that
 * crashed, which is what one would sort and count them by.
 *
 *     cc one_line.c $(pkg-config --cflags --libs exuvia) -o one_line
 *     ./one_line CORE...
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

/* NULL: no thread crashed for certain, or it ran no Python. */
static const struct exu_frame *innermost_python(const struct exu_report *report) {
  for (size_t i = 0; i < report->thread_count; i++) {
    const struct exu_thread *thread = &report->threads[i];
    for (size_t j = 0; thread->crashed && j < thread->frame_count; j++) {
      if (thread->frames[j].kind == EXU_FRAME_PYTHON) return &thread->frames[j];
    }
  }
  return NULL;
}

static void print_line(const char *path, const struct exu_report *report) {
  printf("%s: %s, ", path, report->crash && report->crash->name ? report->crash->name : "no signal");
  if (report->python) {
    fputs("Python ", stdout);
    print_string(report->python->version, "of an unknown version");
  } else {
    fputs("no Python", stdout);
  }
  const struct exu_frame *frame = innermost_python(report);
  if (frame) {
    fputs(", in ", stdout);
    print_string(frame->function, "?");
    fputs(" (", stdout);
    print_string(frame->file, "?");
    if (frame->position.line > 0) printf(":%" PRId32, frame->position.line);
    putchar(')');
  }
  if (!report->python && report->diagnostic_count > 0) {
    fputs(": ", stdout);
    print_string(report->diagnostics[report->diagnostic_count - 1].message, "");
  }
  putchar('\n');
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s CORE...\n", argv[0]);
    return 64;
  }
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  options.python_only = true; /* native stacks are not unwound: much faster, and Python frames are the same */
  int worst = (int)EXU_OUTCOME_COMPLETE;
  for (int i = 1; i < argc; i++) {
    struct exu_session *session = NULL;
    struct exu_report *report = NULL;
    enum exu_result result = exu_session_open_core(argv[i], &options, &session);
    if (result == EXU_RESULT_OK) result = exu_session_explain(session, &report);
    exu_session_close(session); /* the report stays */
    if (result != EXU_RESULT_OK) {
      fprintf(stderr, "%s: %s\n", argv[i], exu_result_text(result));
      return 2;
    }
    print_line(argv[i], report);
    if ((int)report->outcome > worst) worst = (int)report->outcome;
    exu_report_destroy(report);
  }
  return worst;
}
