/* SPDX-License-Identifier: Apache-2.0 */
/* The report for people, in the spirit of a Python traceback. */
#include "render/text.h"

#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"

/* Diagnostics of one code that are shown without `verbose`. */
enum { SHOWN_PER_CODE = 10 };

static const struct exu_style plain = {"", "", "", "", "", ""};
static const struct exu_style colored = {
    .crash = "\033[1;31m",
    .heading = "\033[1m",
    .place = "\033[35m",
    .marker = "\033[1;31m",
    .dim = "\033[2m",
    .reset = "\033[0m",
};

static void put_diagnostic(struct exu_text *text, const struct exu_diagnostic *diagnostic) {
  struct exu_output *out = &text->out;
  exu_out(out, "  ");
  if (diagnostic->tid >= 0) {
    exu_out(out, "thread ");
    exu_out_signed(out, diagnostic->tid);
    exu_out(out, ": ");
  }
  exu_out_escaped(out, diagnostic->message, 0, EXU_MESSAGE_SHOWN);
  exu_out(out, text->style->dim);
  exu_out(out, " [");
  exu_out(out, diagnostic->code);
  exu_out_char(out, ']');
  exu_out(out, text->style->reset);
  exu_out_char(out, '\n');
}

/* All diagnostics from `first` on that have its code and kind. */
static void put_code(struct exu_text *text, size_t first) {
  const struct exu_report *report = text->report;
  const struct exu_diagnostic *model = &report->diagnostics[first];
  size_t count = 0;
  for (size_t i = first; i < report->diagnostic_count; i++) {
    const struct exu_diagnostic *diagnostic = &report->diagnostics[i];
    if (diagnostic->incomplete != model->incomplete || strcmp(diagnostic->code, model->code) != 0) continue;
    if (text->options->verbose || count < SHOWN_PER_CODE) put_diagnostic(text, diagnostic);
    count++;
  }
  if (text->options->verbose || count <= SHOWN_PER_CODE) return;
  exu_out(&text->out, "  ... and ");
  exu_out_grouped(&text->out, count - SHOWN_PER_CODE);
  exu_out(&text->out, " more of this kind [");
  exu_out(&text->out, model->code);
  exu_out(&text->out, "]\n");
}

static bool is_first_of_code(const struct exu_report *report, size_t index) {
  const struct exu_diagnostic *diagnostic = &report->diagnostics[index];
  for (size_t i = 0; i < index; i++) {
    const struct exu_diagnostic *earlier = &report->diagnostics[i];
    if (earlier->incomplete == diagnostic->incomplete && strcmp(earlier->code, diagnostic->code) == 0) return false;
  }
  return true;
}

static void put_diagnostics(struct exu_text *text, bool incomplete, const char *heading) {
  const struct exu_report *report = text->report;
  bool any = false;
  for (size_t i = 0; i < report->diagnostic_count; i++) {
    if (report->diagnostics[i].incomplete != incomplete || !is_first_of_code(report, i)) continue;
    if (!any) {
      exu_out_char(&text->out, '\n');
      exu_out(&text->out, text->style->heading);
      exu_out(&text->out, heading);
      exu_out(&text->out, text->style->reset);
      exu_out_char(&text->out, '\n');
    }
    any = true;
    put_code(text, i);
  }
}

static const char *file_state(const struct exu_module *module, bool is_live) {
  switch (module->file) {
  case EXU_FILE_UNCHECKED: return "not checked";
  case EXU_FILE_MATCHED: return "file matches";
  case EXU_FILE_MISMATCHED: return module->build_id.data ? "build ID mismatch" : "the file is another build";
  case EXU_FILE_MISSING: return "file not found";
  case EXU_FILE_DELETED: return "the file was deleted or replaced while in use";
  case EXU_FILE_UNVERIFIED: return "not proved to be the same file";
  case EXU_FILE_CORE: return is_live ? "from memory only" : "from the core only";
  }
  return "?";
}

static void put_modules(struct exu_text *text) {
  struct exu_output *out = &text->out;
  if (text->report->module_count == 0) return;
  exu_out_char(out, '\n');
  exu_out(out, text->style->heading);
  exu_out(out, "Modules:");
  exu_out(out, text->style->reset);
  exu_out_char(out, '\n');
  for (size_t i = 0; i < text->report->module_count; i++) {
    const struct exu_module *module = &text->report->modules[i];
    exu_out(out, "  ");
    exu_out_hex(out, module->start);
    exu_out_char(out, '-');
    exu_out_hex(out, module->end);
    exu_out_char(out, ' ');
    exu_out_escaped(out, module->path, EXU_ESCAPE_QUOTED, EXU_PATH_SHOWN);
    exu_out(out, ", build ID ");
    exu_out_escaped(out, module->build_id, 0, EXU_NAME_SHOWN);
    exu_out(out, ", ");
    exu_out(out, file_state(module, text->report->source_kind == EXU_SOURCE_LIVE));
    exu_out_char(out, '\n');
  }
}

/* Before the first line of a file is shown, everything that ran from it is held against it. */
static void check_sources(const struct exu_report *report, struct exu_sources *sources) {
  struct exu_map seen = {.slots = NULL}; /* a code object has a file name of its own */
  for (size_t i = 0; sources && i < report->thread_count; i++) {
    const struct exu_thread *thread = &report->threads[i];
    const char *last = NULL;
    for (size_t k = 0; k < thread->frame_count; k++) {
      const struct exu_frame *frame = &thread->frames[k];
      bool is_new = true;
      if (frame->kind != EXU_FRAME_PYTHON || !frame->file.data || frame->file.data == last) continue;
      last = frame->file.data;
      if (exu_map_insert(&seen, (uintptr_t)last, &is_new) && !is_new) continue;
      exu_source_check(sources, frame->file, frame->first_line, frame->function);
    }
  }
  exu_map_deinit(&seen);
}

bool exu_write_text(const struct exu_report *report, const struct exu_text_options *options, FILE *file) {
  static const struct exu_text_options defaults = {.sysroot = NULL};
  struct exu_text text;
  if (!report || !file) {
    errno = EINVAL;
    return false;
  }
  if (!options) options = &defaults;
  text.report = report;
  text.options = options;
  text.style = options->color ? &colored : &plain;
  text.sources = options->source ? exu_sources_create(report, options->sysroot) : NULL;
  text.addresses = false;
  exu_output_init(&text.out, file);
  check_sources(report, text.sources);

  exu_text_header(&text);
  exu_text_threads(&text);
  if (options->verbose) put_modules(&text);
  put_diagnostics(&text, true, "Incomplete:");
  if (options->verbose) put_diagnostics(&text, false, "Notes:");

  exu_sources_destroy(text.sources); /* first: it may change errno */
  return exu_output_finish(&text.out);
}
