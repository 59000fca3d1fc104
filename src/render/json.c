/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report as JSON, schema exuvia-report/1 (docs/report.schema.json). What is unknown is null.
 */
#include "render/json.h"

#include <errno.h>

#include "render/words.h"

static void put_source(struct exu_json *json, const struct exu_report *report) {
  exu_json_begin_object(json, "source", EXU_JSON_INLINE);
  exu_json_word(json, "kind", exu_source_kind_name(report->source_kind));
  exu_json_string(json, "path", report->source_path);
  exu_json_unsigned(json, "bytes", report->source_bytes);
  exu_json_null(json, "compression");
  exu_json_bool(json, "truncated", report->source_truncated);
  exu_json_unsigned(json, "missing_bytes", report->source_missing_bytes);
  exu_json_id(json, "pause_us", report->source_kind == EXU_SOURCE_LIVE ? report->pause_us : -1);
  exu_json_end(json);
}

static void put_process(struct exu_json *json, const struct exu_report *report) {
  exu_json_begin_object(json, "process", EXU_JSON_INLINE);
  exu_json_id(json, "pid", report->pid);
  exu_json_string(json, "executable", report->executable);
  exu_json_string(json, "arguments", report->arguments);
  exu_json_word(json, "arch", report->arch);
  exu_json_end(json);
}

static void put_crash_file(struct exu_json *json, const struct exu_crash_file *file) {
  if (!file->path.data) {
    exu_json_null(json, "file");
    return;
  }
  exu_json_begin_object(json, "file", EXU_JSON_INLINE);
  exu_json_string(json, "path", file->path);
  exu_json_unsigned(json, "position", file->position);
  exu_json_unsigned(json, "mapped_from", file->mapped_from);
  exu_json_unsigned(json, "mapped_bytes", file->mapped_bytes);
  exu_json_id(json, "length_now", file->length);
  exu_json_tristate(json, "changed_after_core", file->changed);
  exu_json_end(json);
}

/* What lies at the address, in words and as facts. */
static void put_crash_place(struct exu_json *json, const struct exu_crash_place *place) {
  struct exu_output words;
  if (place->kind == EXU_CRASH_AT_UNKNOWN) {
    exu_json_null(json, "address_in");
    exu_json_null(json, "place");
    return;
  }
  exu_output_init_text(&words);
  exu_words_crash_place(&words, place);
  exu_json_string(json, "address_in", exu_output_text(&words));
  exu_output_deinit_text(&words);
  exu_json_begin_object(json, "place", EXU_JSON_INLINE);
  exu_json_word(json, "kind", exu_crash_place_kind_name(place->kind));
  exu_json_string(json, "path", place->path);
  exu_json_word(json, "protection", place->protection);
  exu_json_id(json, "tid", place->tid);
  exu_json_end(json);
}

static void put_crash(struct exu_json *json, const struct exu_report *report) {
  const struct exu_crash *crash = report->crash;
  struct exu_output words;
  if (!crash) {
    exu_json_null(json, "crash");
    return;
  }
  exu_json_begin_object(json, "crash", EXU_JSON_INLINE);
  exu_json_signed(json, "signal", crash->signal);
  exu_json_word(json, "name", crash->name);
  if (crash->has_code)
    exu_json_signed(json, "code", crash->code);
  else
    exu_json_null(json, "code");
  exu_json_word(json, "code_name", crash->code_name);
  exu_json_address(json, "address", crash->has_address, crash->address);
  put_crash_place(json, &crash->place);
  exu_json_word(json, "access", exu_crash_access_name(crash->access));
  exu_json_bool(json, "stack_full", crash->stack_full);
  exu_json_id(json, "system_call", crash->system_call);
  exu_json_id(json, "sender_pid", crash->sender_pid);
  exu_json_id(json, "sender_uid", crash->sender_uid);
  exu_json_id(json, "tid", crash->tid);
  if (crash->raised_signal != 0) {
    exu_json_begin_object(json, "raised_again", EXU_JSON_INLINE);
    exu_json_signed(json, "signal", crash->raised_signal);
    exu_json_word(json, "name", crash->raised_name);
    exu_json_bool(json, "by_handler", crash->raised_by_handler);
    exu_json_end(json);
  } else {
    exu_json_null(json, "raised_again");
  }
  exu_json_id(json, "handler_tid", crash->handler_tid > 0 ? crash->handler_tid : -1);
  put_crash_file(json, &crash->file);
  exu_json_string(json, "message", crash->message);
  exu_output_init_text(&words);
  exu_words_crash(&words, report);
  exu_json_string(json, "summary", exu_output_text(&words));
  exu_output_deinit_text(&words);
  exu_json_end(json);
}

static void put_module_path(struct exu_json *json, const struct exu_report *report, int32_t module) {
  bool has_module = module >= 0 && (size_t)module < report->module_count;
  exu_json_string(json, "module", has_module ? report->modules[module].path : (struct exu_string){NULL, 0});
}

static void put_python(struct exu_json *json, const char *key, const struct exu_report *report,
                       const struct exu_python *python) {
  if (!python) {
    exu_json_null(json, key);
    return;
  }
  exu_json_begin_object(json, key, EXU_JSON_INLINE);
  exu_json_string(json, "version", python->version);
  exu_json_tristate(json, "debug", python->debug);
  exu_json_tristate(json, "free_threaded", python->free_threaded);
  exu_json_address(json, "runtime", python->runtime != 0, python->runtime);
  exu_json_word(json, "found_by", exu_found_by_name(python->found_by));
  exu_json_word(json, "layout_from", exu_layout_from_name(python->layout_from));
  exu_json_tristate(json, "finalizing", python->finalizing);
  put_module_path(json, report, python->module);
  exu_json_end(json);
}

static void put_interpreter(struct exu_json *json, const struct exu_interpreter *interpreter) {
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_id(json, "id", interpreter->id);
  exu_json_address(json, "address", true, interpreter->address);
  exu_json_tristate(json, "gc_collecting", interpreter->gc_collecting);
  exu_json_unsigned(json, "runtime", interpreter->runtime);
  exu_json_id(json, "gil_holder", interpreter->gil_holder);
  exu_json_end(json);
}

static void put_python_frame(struct exu_json *json, const struct exu_report *report, const struct exu_frame *frame) {
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_word(json, "kind", exu_frame_kind_name(frame->kind));
  exu_json_string(json, "function", frame->function);
  exu_json_string(json, "qualname", frame->qualname);
  exu_json_string(json, "file", frame->file);
  exu_json_id(json, "line", frame->position.line);
  exu_json_id(json, "end_line", frame->position.end_line);
  exu_json_id(json, "column", frame->position.column);
  exu_json_id(json, "end_column", frame->position.end_column);
  exu_json_bool(json, "entry", frame->entry);
  exu_json_id(json, "interpreter", frame->interpreter);
  if (report->runtime_count > 1) exu_json_signed(json, "runtime", frame->runtime);
  exu_json_address(json, "address", frame->address != 0, frame->address);
  exu_json_end(json);
}

static void put_native_frame(struct exu_json *json, const struct exu_report *report, const struct exu_frame *frame) {
  bool has_module = frame->module >= 0 && (size_t)frame->module < report->module_count;
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_word(json, "kind", exu_frame_kind_name(frame->kind));
  exu_json_string(json, "function", frame->function);
  exu_json_string(json, "symbol", frame->symbol ? *frame->symbol : (struct exu_string){NULL, 0});
  exu_json_string(json, "file", frame->file);
  exu_json_id(json, "line", frame->position.line);
  put_module_path(json, report, frame->module);
  exu_json_address(json, "pc", true, frame->address);
  exu_json_address(json, "offset", has_module || frame->function.data, frame->offset);
  exu_json_bool(json, "inlined", frame->inlined);
  exu_json_bool(json, "signal", frame->signal);
  exu_json_bool(json, "eval", frame->eval);
  exu_json_end(json);
}

static void put_gap(struct exu_json *json, const struct exu_thread *thread, const struct exu_frame *frame) {
  struct exu_output words;
  exu_output_init_text(&words);
  exu_words_gap(&words, thread, frame->gap);
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_word(json, "kind", exu_frame_kind_name(frame->kind));
  exu_json_word(json, "code", exu_gap_name(frame->gap));
  exu_json_string(json, "reason", exu_output_text(&words));
  exu_json_end(json);
  exu_output_deinit_text(&words);
}

static void put_frame(struct exu_json *json, const struct exu_report *report, const struct exu_thread *thread,
                      const struct exu_frame *frame) {
  switch (frame->kind) {
  case EXU_FRAME_PYTHON: put_python_frame(json, report, frame); break;
  case EXU_FRAME_NATIVE: put_native_frame(json, report, frame); break;
  case EXU_FRAME_GAP: put_gap(json, thread, frame); break;
  }
}

static void put_thread(struct exu_json *json, const struct exu_report *report, const struct exu_thread *thread) {
  bool is_live = report->source_kind == EXU_SOURCE_LIVE; /* of others these two are not set */
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_id(json, "tid", thread->tid);
  if (thread->unplaced) exu_json_bool(json, "unplaced", true);
  exu_json_string(json, "name", thread->name);
  exu_json_string(json, "comm", thread->comm);
  exu_json_bool(json, "main", thread->main);
  exu_json_id(json, "interpreter", thread->interpreter);
  exu_json_id(json, "runtime", thread->runtime);
  exu_json_tristate(json, "python", thread->python_unknown ? EXU_UNKNOWN : thread->python ? EXU_YES : EXU_NO);
  exu_json_bool(json, "crashed", thread->crashed);
  exu_json_word(json, "gil", exu_gil_name(thread->gil));
  exu_json_tristate(json, "native_complete", thread->native_complete);
  exu_json_word(json, "merged_by", exu_merged_by_name(thread->merged_by));
  exu_json_bool(json, "frames_complete", thread->frames_complete);
  exu_json_tristate(json, "moved", is_live ? thread->moved : EXU_UNKNOWN);
  exu_json_id(json, "cpu_us", is_live ? thread->cpu_us : -1);
  exu_json_break_line(json);
  exu_json_wait(json, "waits_on", report, (size_t)(thread - report->threads));
  if (thread->frames_left_out > 0) {
    exu_json_break_line(json);
    exu_json_unsigned(json, "frames_left_out", thread->frames_left_out);
  }
  exu_json_break_line(json);
  exu_json_begin_array(json, "frames", EXU_JSON_LINES);
  for (size_t i = 0; i < thread->frame_count; i++) put_frame(json, report, thread, &thread->frames[i]);
  exu_json_end(json);
  exu_json_end(json);
}

static void put_module(struct exu_json *json, const struct exu_module *module) {
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_string(json, "path", module->path);
  exu_json_string(json, "build_id", module->build_id);
  exu_json_address(json, "start", true, module->start);
  exu_json_address(json, "end", true, module->end);
  exu_json_word(json, "symbols", exu_symbols_name(module->symbols));
  exu_json_word(json, "file", exu_module_file_name(module->file));
  exu_json_end(json);
}

static void put_diagnostic(struct exu_json *json, const struct exu_diagnostic *diagnostic) {
  exu_json_begin_object(json, NULL, EXU_JSON_INLINE);
  exu_json_word(json, "code", diagnostic->code);
  exu_json_string(json, "message", diagnostic->message);
  exu_json_id(json, "tid", diagnostic->tid);
  exu_json_bool(json, "incomplete", diagnostic->incomplete);
  exu_json_end(json);
}

static void put_report(struct exu_json *json, const struct exu_report *report) {
  exu_json_begin_object(json, NULL, EXU_JSON_LINES);
  exu_json_word(json, "schema", EXU_SCHEMA);
  exu_json_begin_object(json, "tool", EXU_JSON_INLINE);
  exu_json_word(json, "name", "exuvia");
  exu_json_word(json, "version", EXU_VERSION);
  exu_json_end(json);
  put_source(json, report);
  put_process(json, report);
  put_crash(json, report);
  put_python(json, "python", report, report->python);

  exu_json_begin_array(json, "runtimes", EXU_JSON_LINES);
  for (size_t i = 0; i < report->runtime_count; i++) put_python(json, NULL, report, &report->runtimes[i]);
  exu_json_end(json);
  exu_json_begin_array(json, "interpreters", EXU_JSON_LINES);
  for (size_t i = 0; i < report->interpreter_count; i++) put_interpreter(json, &report->interpreters[i]);
  exu_json_end(json);
  exu_json_begin_array(json, "threads", EXU_JSON_LINES);
  for (size_t i = 0; i < report->thread_count; i++) put_thread(json, report, &report->threads[i]);
  exu_json_end(json);
  if (report->threads_left_out > 0) exu_json_unsigned(json, "threads_left_out", report->threads_left_out);
  exu_json_begin_array(json, "deadlocks", EXU_JSON_LINES);
  for (size_t i = 0; i < report->deadlock_count; i++) exu_json_deadlock(json, report, &report->deadlocks[i]);
  exu_json_end(json);
  exu_json_begin_array(json, "hangs", EXU_JSON_LINES);
  for (size_t i = 0; i < report->hang_count; i++) exu_json_hang(json, report, &report->hangs[i]);
  exu_json_end(json);
  exu_json_begin_array(json, "modules", EXU_JSON_LINES);
  for (size_t i = 0; i < report->module_count; i++) put_module(json, &report->modules[i]);
  exu_json_end(json);
  exu_json_begin_array(json, "diagnostics", EXU_JSON_LINES);
  for (size_t i = 0; i < report->diagnostic_count; i++) put_diagnostic(json, &report->diagnostics[i]);
  exu_json_end(json);
  exu_json_end(json);
}

bool exu_write_json(const struct exu_report *report, FILE *file) {
  struct exu_output out;
  struct exu_json json;
  if (!report || !file) {
    errno = EINVAL;
    return false;
  }
  exu_output_init(&out, file);
  exu_json_init(&json, &out);
  put_report(&json, report);
  exu_out_char(&out, '\n');
  return exu_output_finish(&out);
}
