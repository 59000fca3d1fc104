/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "render/text.h"
#include "render/words.h"

/* Threads named one by one in a line. */
enum { TIDS_SHOWN = 8 };

static void label(struct exu_text *text, const char *name) {
  exu_out(&text->out, text->style->dim);
  exu_out(&text->out, name);
  exu_out(&text->out, text->style->reset);
}

/* An id that may be unknown. */
static void put_id(struct exu_output *out, int64_t id) {
  if (id >= 0) {
    exu_out_signed(out, id);
  } else {
    exu_out_char(out, '?');
  }
}

/* "Process 12, live; stopped for 1.2 ms" */
static void put_live(struct exu_text *text) {
  const struct exu_report *report = text->report;
  struct exu_output *out = &text->out;
  exu_out(out, text->style->heading);
  exu_out(out, "Process ");
  put_id(out, report->pid);
  if (report->pause_us < 0) {
    exu_out(out, ", live; not stopped");
    return;
  }
  exu_out(out, ", live; stopped for ");
  exu_out_unsigned(out, (uint64_t)report->pause_us / 1000);
  exu_out_char(out, '.');
  exu_out_unsigned(out, (uint64_t)report->pause_us / 100 % 10);
  exu_out(out, " ms");
}

static void put_verdict(struct exu_text *text) {
  const struct exu_crash *crash = text->report->crash;
  struct exu_output *out = &text->out;
  if (!crash && text->report->source_kind == EXU_SOURCE_LIVE) {
    put_live(text);
  } else if (!crash) {
    exu_out(out, text->style->heading);
    exu_out(out, "No fatal signal recorded");
  } else {
    exu_out(out, text->style->crash);
    exu_words_crash(out, text->report);
  }
  exu_out(out, text->style->reset);
  exu_out(out, "\n\n");
}

/* The kernel puts 0 when the sender has no number in the namespace of the receiver. */
static void put_sender(struct exu_output *out, const struct exu_crash *crash, int64_t self) {
  if (crash->sender_pid < 0) return;
  if (crash->sender_pid == 0) {
    exu_out(out, ", sent from outside of its PID namespace");
  } else {
    exu_out(out, ", sent by process ");
    exu_out_signed(out, crash->sender_pid);
    if (crash->sender_pid == self) exu_out(out, " itself");
  }
  if (crash->sender_uid < 0) return;
  exu_out(out, " (user ");
  exu_out_signed(out, crash->sender_uid);
  exu_out_char(out, ')');
}

static void put_signal(struct exu_text *text) {
  const struct exu_crash *crash = text->report->crash;
  struct exu_output *out = &text->out;
  if (!crash) return;
  label(text, "  Signal   ");
  if (crash->name) {
    exu_out(out, crash->name);
  } else {
    exu_out_signed(out, crash->signal);
  }
  if (crash->code_name) {
    exu_out(out, " (");
    exu_out(out, crash->code_name);
    exu_out_char(out, ')');
  } else if (crash->has_code) {
    exu_out(out, " (code ");
    exu_out_signed(out, crash->code);
    exu_out_char(out, ')');
  }
  if (crash->has_address) {
    exu_out(out, " at address ");
    exu_out_hex(out, crash->address);
  }
  if (crash->place.kind != EXU_CRASH_AT_UNKNOWN) {
    exu_out(out, ", ");
    exu_words_crash_place(out, &crash->place);
  }
  put_sender(out, crash, text->report->pid);
  if (crash->raised_signal == crash->signal) {
    exu_out(out, ", raised again");
  } else if (crash->raised_signal != 0) {
    exu_out(out, ", then ");
    exu_out(out, crash->raised_name ? crash->raised_name : "another");
    exu_out(out, " was raised");
  }
  exu_out_char(out, '\n');
}

static void put_process(struct exu_text *text) {
  const struct exu_report *report = text->report;
  struct exu_output *out = &text->out;
  if (report->pid < 0 && !report->executable.data && !report->arguments.data) return;
  label(text, "  Process  ");
  put_id(out, report->pid);
  if (report->arguments.data && report->arguments.size > 0) {
    exu_out(out, ", ");
    exu_out_escaped(out, report->arguments, 0, EXU_PATH_SHOWN);
  }
  if (report->executable.data && (text->options->verbose || !report->arguments.data || report->arguments.size == 0)) {
    exu_out(out, ", executable ");
    exu_out_escaped(out, report->executable, EXU_ESCAPE_QUOTED, EXU_PATH_SHOWN);
  }
  exu_out_char(out, '\n');
}

static const char *found_by(enum exu_found_by how) {
  switch (how) {
  case EXU_FOUND_BY_NONE: break;
  case EXU_FOUND_BY_SYMBOL: return "its symbol";
  case EXU_FOUND_BY_SECTION: return "its section";
  case EXU_FOUND_BY_COOKIE: return "its cookie in memory";
  case EXU_FOUND_BY_THREAD_POINTER: return "a thread pointer";
  }
  return "?";
}

static const char *layout_from(enum exu_layout_from from) {
  switch (from) {
  case EXU_LAYOUT_NONE: break;
  case EXU_LAYOUT_DEBUG_OFFSETS: return "the process's debug offsets";
  case EXU_LAYOUT_DWARF: return "the DWARF of its binary";
  case EXU_LAYOUT_TABLE: return "a table of this program";
  }
  return "?";
}

static void put_runtime(struct exu_text *text, const struct exu_python *python) {
  const struct exu_report *report = text->report;
  struct exu_output *out = &text->out;
  label(text, "  Python   ");
  exu_out_escaped(out, python->version, 0, EXU_NAME_SHOWN);
  if (python->debug == EXU_YES) exu_out(out, ", debug build");
  if (python->free_threaded == EXU_YES) exu_out(out, ", free-threaded");
  if (report->runtime_count > 1 && python->module >= 0 && (size_t)python->module < report->module_count) {
    exu_out(out, ", in ");
    exu_out_escaped(out, report->modules[python->module].path, 0, EXU_PATH_SHOWN);
  }
  bool is_live = report->source_kind == EXU_SOURCE_LIVE;
  if (python->finalizing == EXU_YES) exu_out(out, is_live ? ", is shutting down" : ", was shutting down");
  exu_out_char(out, '\n');
  if (!text->options->verbose) return;
  label(text, "  Runtime  ");
  if (python->runtime) {
    exu_out_hex(out, python->runtime);
    exu_out(out, ", ");
  }
  exu_out(out, "found by ");
  exu_out(out, found_by(python->found_by));
  exu_out(out, ", layout from ");
  exu_out(out, layout_from(python->layout_from));
  exu_out_char(out, '\n');
}

/* That nothing was found tells nothing where it was not looked for to the end, or cannot be read. */
static bool is_unread(const struct exu_report *report) {
  static const char *const codes[] = {"cancelled", "memory-budget", "python-unsupported", "time-limit"};
  for (size_t i = 0; i < report->diagnostic_count; i++) {
    for (size_t k = 0; k < sizeof codes / sizeof *codes; k++)
      if (strcmp(report->diagnostics[i].code, codes[k]) == 0) return true;
  }
  return false;
}

static void put_python(struct exu_text *text) {
  for (size_t i = 0; i < text->report->runtime_count; i++) put_runtime(text, &text->report->runtimes[i]);
  if (text->report->runtime_count > 0) return;
  label(text, "  Python   ");
  exu_out(&text->out, is_unread(text->report) ? "not read, see below\n" : "none found\n");
}

/* " 12, 13, 14 and 47 more": the threads in this state. */
static void put_tids(struct exu_text *text, enum exu_gil state) {
  size_t count = 0;
  for (size_t i = 0; i < text->report->thread_count; i++) {
    const struct exu_thread *thread = &text->report->threads[i];
    if (thread->gil != state) continue;
    if (count++ >= TIDS_SHOWN && !text->options->verbose) continue;
    exu_out(&text->out, count > 1 ? ", " : " ");
    put_id(&text->out, thread->tid);
  }
  if (count <= TIDS_SHOWN || text->options->verbose) return;
  exu_out(&text->out, " and ");
  exu_out_grouped(&text->out, count - TIDS_SHOWN);
  exu_out(&text->out, " more");
}

static size_t count_gil(const struct exu_report *report, enum exu_gil state) {
  size_t count = 0;
  for (size_t i = 0; i < report->thread_count; i++) count += report->threads[i].gil == state;
  return count;
}

/* Does a GIL of this runtime have a holder, who was not named for an interpreter before? */
static bool has_holder(const struct exu_report *report, size_t index) {
  const struct exu_interpreter *one = &report->interpreters[index];
  if (one->gil_holder < 0 || (size_t)one->gil_holder >= report->thread_count) return false;
  for (size_t i = 0; i < index; i++) {
    const struct exu_interpreter *other = &report->interpreters[i];
    if (other->runtime == one->runtime && other->gil_holder == one->gil_holder) return false;
  }
  return true;
}

/* Several runtimes have a GIL each. */
static void put_gils(struct exu_text *text) {
  const struct exu_report *report = text->report;
  struct exu_output *out = &text->out;
  for (size_t i = 0; i < report->interpreter_count; i++) {
    const struct exu_interpreter *interpreter = &report->interpreters[i];
    if (!has_holder(report, i) || interpreter->runtime >= report->runtime_count) continue;
    label(text, "  GIL      ");
    exu_out(out, "of Python ");
    exu_out_escaped(out, report->runtimes[interpreter->runtime].version, 0, EXU_NAME_SHOWN);
    exu_out(out, " held by thread ");
    put_id(out, report->threads[interpreter->gil_holder].tid);
    exu_out_char(out, '\n');
  }
}

static void put_gil(struct exu_text *text) {
  size_t holders = count_gil(text->report, EXU_GIL_HOLDS), waiters = count_gil(text->report, EXU_GIL_WAITS);
  struct exu_output *out = &text->out;
  if (text->report->runtime_count > 1) {
    put_gils(text);
    return;
  }
  if (holders + waiters == 0 || text->report->thread_count < 2) return;
  label(text, "  GIL      ");
  if (holders > 0) {
    exu_out(out, holders == 1 ? "held by thread" : "held by threads");
    put_tids(text, EXU_GIL_HOLDS);
  }
  if (waiters > 0) {
    if (holders > 0) exu_out(out, "; ");
    exu_out(out, waiters == 1 ? "waited for by thread" : "waited for by threads");
    put_tids(text, EXU_GIL_WAITS);
  }
  exu_out_char(out, '\n');
}

static void put_gc(struct exu_text *text) {
  const struct exu_report *report = text->report;
  size_t shown = 0, more = 0;
  for (size_t i = 0; i < report->interpreter_count; i++) {
    if (report->interpreters[i].gc_collecting != EXU_YES) continue;
    if (shown == TIDS_SHOWN && !text->options->verbose) {
      more++;
      continue;
    }
    if (shown == 0) {
      label(text, "  GC       ");
      exu_out(&text->out, report->source_kind == EXU_SOURCE_LIVE ? "is running" : "was running");
    }
    const size_t runtime = report->interpreters[i].runtime;
    if (report->interpreter_count > 1) {
      exu_out(&text->out, shown == 0 ? " in interpreter " : ", ");
      put_id(&text->out, report->interpreters[i].id);
    }
    if (report->runtime_count > 1 && runtime < report->runtime_count) {
      exu_out(&text->out, " of Python ");
      exu_out_escaped(&text->out, report->runtimes[runtime].version, 0, EXU_NAME_SHOWN);
    }
    shown++;
  }
  if (more > 0) {
    exu_out(&text->out, " and ");
    exu_out_grouped(&text->out, more);
    exu_out(&text->out, " more");
  }
  if (shown > 0) exu_out_char(&text->out, '\n');
}

static void put_source(struct exu_text *text) {
  const struct exu_report *report = text->report;
  struct exu_output *out = &text->out;
  if (report->source_kind == EXU_SOURCE_LIVE) return;
  if (!report->source_truncated && !text->options->verbose) return;
  label(text, "  Core     ");
  exu_out_escaped(out, report->source_path, EXU_ESCAPE_QUOTED, EXU_PATH_SHOWN);
  exu_out(out, ", ");
  exu_out_count(out, report->source_bytes, "byte");
  if (report->arch) {
    exu_out(out, ", ");
    exu_out(out, report->arch);
  }
  if (report->source_truncated) {
    exu_out(out, ", truncated: ");
    exu_out_count(out, report->source_missing_bytes, "byte");
    exu_out(out, report->source_missing_bytes == 1 ? " is missing" : " are missing");
  }
  exu_out_char(out, '\n');
}

void exu_text_header(struct exu_text *text) {
  put_verdict(text);
  exu_text_deadlocks(text);
  put_signal(text);
  put_process(text);
  put_python(text);
  put_gil(text);
  put_gc(text);
  put_source(text);
}
