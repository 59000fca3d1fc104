/* SPDX-License-Identifier: Apache-2.0 */
/* Threads whose stacks are not shown: how many do what, in which library. */
#include <stdlib.h>
#include <string.h>

#include "base/runtime_library.h"
#include "base/str.h"
#include "render/text.h"
#include "render/words.h"

enum {
  LINES_SHOWN = 8,
  NAMED = 5, /* threads of a line that are named one by one */
};

/* What a thread does, and where. Its stack has a call of `function` in `module`. */
struct doing {
  size_t thread;
  bool python_unknown;     /* it may have Python frames */
  bool stopped;            /* with its whole process: `kind` is what it goes on with */
  enum exu_wait_kind kind; /* EXU_WAIT_UNKNOWN: it is not known whether it waits */
  bool in_call;            /* EXU_WAIT_SYSCALL: nothing tells whether it waits in that */
  const char *call;        /* the system call, where that is all there is to say; else NULL */
  int32_t module;          /* -1 unknown */
  struct exu_string function;
};

static const struct exu_module *module_of(const struct exu_report *report, int32_t index) {
  return index >= 0 && (size_t)index < report->module_count ? &report->modules[index] : NULL;
}

/* The innermost call outside of the runtime libraries; if there is none, the outermost one. */
static const struct exu_frame *visible_frame(const struct exu_report *report, const struct exu_thread *thread) {
  const struct exu_frame *last = NULL;
  for (size_t i = 0; i < thread->frame_count; i++) {
    const struct exu_frame *frame = &thread->frames[i];
    const struct exu_module *module = module_of(report, frame->module);
    if (frame->kind != EXU_FRAME_NATIVE || !module) continue;
    last = frame;
    if (!exu_is_runtime_library(module->path)) return frame;
  }
  return last;
}

static struct doing doing_of(const struct exu_report *report, size_t index) {
  const struct exu_thread *thread = &report->threads[index];
  const struct exu_wait *wait = thread->wait;
  struct doing doing = {.thread = index, .python_unknown = thread->python_unknown, .module = -1};
  if (wait) doing.stopped = wait->kind == EXU_WAIT_STOPPED;
  if (wait) doing.kind = doing.stopped ? wait->resumes_as : wait->kind;
  if (doing.kind == EXU_WAIT_SYSCALL) doing.call = wait->system_call_name;
  doing.in_call = doing.kind == EXU_WAIT_SYSCALL && (!doing.call || wait->call_class == EXU_CALL_OTHER);
  const struct exu_frame *frame = visible_frame(report, thread), *end = thread->frames + thread->frame_count;
  if (!frame) return doing;
  doing.module = frame->module;
  for (; frame < end && frame->module == doing.module && !doing.function.data; frame++)
    doing.function = frame->function;
  return doing;
}

static int compare_calls(const struct doing *a, const struct doing *b) {
  if (a->python_unknown != b->python_unknown) return a->python_unknown ? 1 : -1;
  if (a->stopped != b->stopped) return a->stopped ? 1 : -1;
  if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
  if (a->in_call != b->in_call) return a->in_call ? 1 : -1;
  if (a->module != b->module) return a->module < b->module ? -1 : 1;
  int order = strcmp(a->call ? a->call : "", b->call ? b->call : "");
  if (order != 0) return order;
  if (a->function.size != b->function.size) return a->function.size < b->function.size ? -1 : 1;
  return a->function.size ? memcmp(a->function.data, b->function.data, a->function.size) : 0;
}

static int by_call(const void *a, const void *b) {
  const struct doing *one = a, *other = b;
  int order = compare_calls(one, other);
  return order ? order : (one->thread > other->thread) - (one->thread < other->thread);
}

/* Threads that do the same: `count` from items[first] on. */
struct line {
  size_t first;
  size_t count;
  size_t thread; /* the first of them in the report */
};

static int by_count(const void *a, const void *b) {
  const struct line *one = a, *other = b;
  if (one->count != other->count) return one->count > other->count ? -1 : 1;
  return (one->thread > other->thread) - (one->thread < other->thread);
}

/* What all of them do; nothing when that is not known. */
static const char *verb(const struct doing *doing) {
  if (doing->stopped) return " are stopped";
  if (doing->in_call) return " are in a system call";
  switch (doing->kind) {
  case EXU_WAIT_UNKNOWN: return "";
  case EXU_WAIT_RUNNING: return " run";
  default: return " wait";
  }
}

/* "condition variable"; NULL: no word */
static const char *waited_for(const struct doing *doing) {
  switch (doing->kind) {
  case EXU_WAIT_MUTEX: return "mutex";
  case EXU_WAIT_COND: return "condition variable";
  case EXU_WAIT_FUTEX: return "futex";
  case EXU_WAIT_GIL: return "GIL";
  case EXU_WAIT_JOIN: return "the end of another thread";
  case EXU_WAIT_CHILD: return "another process";
  case EXU_WAIT_SYSCALL: return doing->call;
  default: return NULL;
  }
}

static void put_where(struct exu_text *text, const struct doing *doing) {
  const struct exu_module *module = module_of(text->report, doing->module);
  struct exu_output *out = &text->out;
  if (module) {
    exu_out(out, " in ");
    exu_out_escaped(out, exu_base_name(module->path), EXU_ESCAPE_QUOTED, EXU_PATH_SHOWN);
  }
  if (doing->function.data) {
    exu_out(out, module ? ", in " : " in ");
    exu_out_escaped(out, doing->function, 0, EXU_NAME_SHOWN);
  }
}

static const char *without_frames(const struct doing *doing) {
  return doing->python_unknown ? " without known Python frames" : " without Python frames";
}

/* What one thread does is said as of a thread that is shown. */
static void put_one(struct exu_text *text, const struct doing *doing) {
  const struct exu_thread *thread = &text->report->threads[doing->thread];
  struct exu_output *out = &text->out;
  exu_out(out, "1 thread");
  exu_out(out, without_frames(doing));
  exu_out(out, ": ");
  exu_text_label(text, thread);
  exu_text_remarks(text, thread, EXU_TEXT_SUMMARY);
  put_where(text, doing);
  if (exu_text_has_wait(thread)) {
    exu_out(out, "; ");
    exu_words_wait(out, text->report, doing->thread, EXU_FORM_PARTICIPLE);
  }
  exu_out_char(out, '\n');
}

static void put_several(struct exu_text *text, const struct doing *items, size_t count) {
  struct exu_output *out = &text->out;
  const char *what = waited_for(items);
  size_t shown = text->options->verbose || count <= NAMED + 1 ? count : NAMED;
  exu_out_grouped(out, count);
  exu_out(out, " threads");
  exu_out(out, without_frames(items));
  exu_out(out, verb(items));
  put_where(text, items);
  if (what) {
    exu_out(out, " (");
    exu_out(out, what);
    exu_out_char(out, ')');
  }
  for (size_t i = 0; i < shown; i++) {
    const struct exu_thread *thread = &text->report->threads[items[i].thread];
    exu_out(out, i == 0 ? ": " : i + 1 == count ? " and " : ", ");
    exu_text_label(text, thread);
    exu_text_remarks(text, thread, EXU_TEXT_SUMMARY);
  }
  if (shown < count) {
    exu_out(out, " and ");
    exu_out_grouped(out, count - shown);
    exu_out(out, " more");
  }
  exu_out_char(out, '\n');
}

static size_t find_lines(struct doing *items, size_t count, struct line *lines) {
  size_t line_count = 0;
  qsort(items, count, sizeof *items, by_call);
  for (size_t i = 0; i < count; i++) {
    if (i > 0 && compare_calls(&items[i - 1], &items[i]) == 0) {
      lines[line_count - 1].count++;
    } else {
      lines[line_count++] = (struct line){.first = i, .count = 1, .thread = items[i].thread};
    }
  }
  qsort(lines, line_count, sizeof *lines, by_count);
  return line_count;
}

static void put_lines(struct exu_text *text, const struct doing *items, const struct line *lines, size_t count) {
  size_t shown = text->options->verbose || count <= LINES_SHOWN + 1 ? count : LINES_SHOWN, left = 0;
  bool known = true;
  for (size_t i = 0; i < shown; i++) {
    if (lines[i].count == 1) {
      put_one(text, &items[lines[i].first]);
    } else {
      put_several(text, &items[lines[i].first], lines[i].count);
    }
  }
  for (size_t i = shown; i < count; i++) {
    left += lines[i].count;
    known &= !items[lines[i].first].python_unknown;
  }
  if (left == 0) return;
  exu_out_grouped(&text->out, left);
  exu_out(&text->out, left == 1 ? " more thread" : " more threads");
  exu_out(&text->out, known ? " without Python frames\n" : " without known Python frames\n");
}

void exu_text_summary(struct exu_text *text, const bool *summarized) {
  const size_t threads = text->report->thread_count;
  struct doing *items = calloc(threads + 1, sizeof *items);
  struct line *lines = calloc(threads + 1, sizeof *lines);
  size_t count = 0;
  for (size_t i = 0; items && lines && i < threads; i++) {
    if (summarized[i]) items[count++] = doing_of(text->report, i);
  }
  if (count > 0) {
    exu_out_char(&text->out, '\n');
    put_lines(text, items, lines, find_lines(items, count, lines));
  }
  free(items);
  free(lines);
}
