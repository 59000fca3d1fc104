/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report as JSON, schema exuvia-report/1 (docs/report.schema.json). Written as a stream: every element of a list
 * on a line of its own, so that line tools and diff work on it. What is unknown is null.
 */
#include "render/json.h"

static const char *source_kind(enum exu_source_kind kind) {
  switch (kind) {
  case EXU_SOURCE_CORE: return "core";
  case EXU_SOURCE_LIVE: return "live";
  case EXU_SOURCE_PACKED: return "packed";
  }
  return NULL;
}

static const char *found_by(enum exu_found_by how) {
  switch (how) {
  case EXU_FOUND_BY_NONE: return NULL;
  case EXU_FOUND_BY_SYMBOL: return "symbol";
  case EXU_FOUND_BY_SECTION: return "section";
  case EXU_FOUND_BY_COOKIE: return "cookie";
  case EXU_FOUND_BY_ANCHOR: return "anchor";
  }
  return NULL;
}

static const char *layout_from(enum exu_layout_from from) {
  switch (from) {
  case EXU_LAYOUT_NONE: return NULL;
  case EXU_LAYOUT_DEBUG_OFFSETS: return "debug-offsets";
  case EXU_LAYOUT_DWARF: return "dwarf";
  case EXU_LAYOUT_TABLE: return "table";
  }
  return NULL;
}

static const char *gil(enum exu_gil state) {
  switch (state) {
  case EXU_GIL_UNKNOWN: return "unknown";
  case EXU_GIL_NONE: return "none";
  case EXU_GIL_HOLDS: return "holds";
  case EXU_GIL_WAITS: return "waits";
  }
  return "unknown";
}

static const char *splice(enum exu_splice_rule rule) {
  switch (rule) {
  case EXU_SPLICE_NONE: return NULL;
  case EXU_SPLICE_MARKER: return "marker";
  case EXU_SPLICE_POINTER: return "pointer";
  case EXU_SPLICE_NAME: return "name";
  }
  return NULL;
}

static const char *module_file(enum exu_module_file file) {
  switch (file) {
  case EXU_FILE_UNCHECKED: return NULL;
  case EXU_FILE_MATCHED: return "matched";
  case EXU_FILE_MISMATCHED: return "mismatched";
  case EXU_FILE_MISSING: return "missing";
  case EXU_FILE_DELETED: return "deleted";
  case EXU_FILE_UNVERIFIED: return "unverified";
  case EXU_FILE_CORE: return "core";
  }
  return NULL;
}

static const char *symbols(enum exu_symbols kind) {
  switch (kind) {
  case EXU_SYMBOLS_UNKNOWN: return NULL;
  case EXU_SYMBOLS_NONE: return "none";
  case EXU_SYMBOLS_DYNSYM: return "dynsym";
  case EXU_SYMBOLS_SYMTAB: return "symtab";
  case EXU_SYMBOLS_DWARF: return "dwarf";
  }
  return NULL;
}

static void put_source(struct exu_output *out, const struct exu_report *report) {
  exu_out(out, "{\"kind\": ");
  exu_json_word(out, source_kind(report->source_kind));
  exu_out(out, ", \"path\": ");
  exu_json_string(out, report->source_path);
  exu_out(out, ", \"bytes\": ");
  exu_out_unsigned(out, report->source_bytes);
  exu_out(out, ", \"compression\": null, \"truncated\": ");
  exu_json_bool(out, report->source_truncated);
  exu_out(out, ", \"missing_bytes\": ");
  exu_out_unsigned(out, report->source_missing_bytes);
  exu_out(out, ", \"pause_us\": ");
  exu_json_id(out, report->source_kind == EXU_SOURCE_LIVE ? report->pause_us : -1);
  exu_out_char(out, '}');
}

static void put_process(struct exu_output *out, const struct exu_report *report) {
  exu_out(out, "{\"pid\": ");
  exu_json_id(out, report->pid);
  exu_out(out, ", \"executable\": ");
  exu_json_string(out, report->executable);
  exu_out(out, ", \"arguments\": ");
  exu_json_string(out, report->arguments);
  exu_out(out, ", \"arch\": ");
  exu_json_word(out, report->arch);
  exu_out_char(out, '}');
}

static void put_crash_file(struct exu_output *out, const struct exu_crash_file *file) {
  if (!file->path.data) {
    exu_out(out, "null");
    return;
  }
  exu_out(out, "{\"path\": ");
  exu_json_string(out, file->path);
  exu_out(out, ", \"position\": ");
  exu_out_unsigned(out, file->position);
  exu_out(out, ", \"mapped_from\": ");
  exu_out_unsigned(out, file->mapped_from);
  exu_out(out, ", \"mapped_bytes\": ");
  exu_out_unsigned(out, file->mapped_bytes);
  exu_out(out, ", \"length_now\": ");
  exu_json_id(out, file->length);
  exu_out(out, ", \"changed_after_core\": ");
  exu_json_tristate(out, file->changed);
  exu_out_char(out, '}');
}

static void put_crash(struct exu_output *out, const struct exu_crash *crash) {
  if (!crash) {
    exu_out(out, "null");
    return;
  }
  exu_out(out, "{\"signal\": ");
  exu_out_signed(out, crash->signal);
  exu_out(out, ", \"name\": ");
  exu_json_word(out, crash->name);
  exu_out(out, ", \"code\": ");
  if (crash->has_code) {
    exu_out_signed(out, crash->code);
  } else {
    exu_out(out, "null");
  }
  exu_out(out, ", \"code_name\": ");
  exu_json_word(out, crash->code_name);
  exu_out(out, ", \"address\": ");
  exu_json_address(out, crash->has_address, crash->address);
  exu_out(out, ", \"address_in\": ");
  exu_json_string(out, crash->address_in);
  exu_out(out, ", \"sender_pid\": ");
  exu_json_id(out, crash->sender_pid);
  exu_out(out, ", \"sender_uid\": ");
  exu_json_id(out, crash->sender_uid);
  exu_out(out, ", \"tid\": ");
  exu_json_id(out, crash->tid);
  exu_out(out, ", \"raised_again\": ");
  if (crash->raised_signal != 0) {
    exu_out(out, "{\"signal\": ");
    exu_out_signed(out, crash->raised_signal);
    exu_out(out, ", \"name\": ");
    exu_json_word(out, crash->raised_name);
    exu_out_char(out, '}');
  } else {
    exu_out(out, "null");
  }
  exu_out(out, ", \"handler_tid\": ");
  exu_json_id(out, crash->handler_tid > 0 ? crash->handler_tid : -1);
  exu_out(out, ", \"file\": ");
  put_crash_file(out, &crash->file);
  exu_out(out, ", \"message\": ");
  exu_json_string(out, crash->message);
  exu_out(out, ", \"summary\": ");
  exu_json_string(out, crash->summary);
  exu_out_char(out, '}');
}

static void put_module_path(struct exu_output *out, const struct exu_report *report, int32_t module) {
  bool has_module = module >= 0 && (size_t)module < report->module_count;
  exu_json_string(out, has_module ? report->modules[module].path : (struct exu_string){NULL, 0});
}

static void put_python(struct exu_output *out, const struct exu_report *report, const struct exu_python *python) {
  if (!python) {
    exu_out(out, "null");
    return;
  }
  exu_out(out, "{\"version\": ");
  exu_json_string(out, python->version);
  exu_out(out, ", \"debug\": ");
  exu_json_tristate(out, python->debug);
  exu_out(out, ", \"free_threaded\": ");
  exu_json_tristate(out, python->free_threaded);
  exu_out(out, ", \"runtime\": ");
  exu_json_address(out, python->runtime != 0, python->runtime);
  exu_out(out, ", \"found_by\": ");
  exu_json_word(out, found_by(python->found_by));
  exu_out(out, ", \"layout_from\": ");
  exu_json_word(out, layout_from(python->layout_from));
  exu_out(out, ", \"finalizing\": ");
  exu_json_tristate(out, python->finalizing);
  exu_out(out, ", \"module\": ");
  put_module_path(out, report, python->module);
  exu_out_char(out, '}');
}

static void put_interpreter(struct exu_output *out, const struct exu_interpreter *interpreter) {
  exu_out(out, "{\"id\": ");
  exu_json_id(out, interpreter->id);
  exu_out(out, ", \"address\": ");
  exu_json_address(out, true, interpreter->address);
  exu_out(out, ", \"gc_collecting\": ");
  exu_json_tristate(out, interpreter->gc_collecting);
  exu_out(out, ", \"runtime\": ");
  exu_out_unsigned(out, interpreter->runtime);
  exu_out(out, ", \"gil_holder\": ");
  exu_json_id(out, interpreter->gil_holder);
  exu_out_char(out, '}');
}

static void put_python_frame(struct exu_output *out, const struct exu_report *report, const struct exu_frame *frame) {
  exu_out(out, "{\"kind\": \"python\", \"function\": ");
  exu_json_string(out, frame->function);
  exu_out(out, ", \"qualname\": ");
  exu_json_string(out, frame->qualname);
  exu_out(out, ", \"file\": ");
  exu_json_string(out, frame->file);
  exu_out(out, ", \"line\": ");
  exu_json_id(out, frame->position.line);
  exu_out(out, ", \"end_line\": ");
  exu_json_id(out, frame->position.end_line);
  exu_out(out, ", \"column\": ");
  exu_json_id(out, frame->position.column);
  exu_out(out, ", \"end_column\": ");
  exu_json_id(out, frame->position.end_column);
  exu_out(out, ", \"entry\": ");
  exu_json_bool(out, frame->entry);
  exu_out(out, ", \"interpreter\": ");
  exu_json_id(out, frame->interpreter);
  if (report->runtime_count > 1) {
    exu_out(out, ", \"runtime\": ");
    exu_out_signed(out, frame->runtime);
  }
  exu_out(out, ", \"address\": ");
  exu_json_address(out, frame->address != 0, frame->address);
  exu_out_char(out, '}');
}

static void put_native_frame(struct exu_output *out, const struct exu_report *report, const struct exu_frame *frame) {
  bool has_module = frame->module >= 0 && (size_t)frame->module < report->module_count;
  exu_out(out, "{\"kind\": \"native\", \"function\": ");
  exu_json_string(out, frame->function);
  exu_out(out, ", \"symbol\": ");
  exu_json_string(out, frame->symbol);
  exu_out(out, ", \"file\": ");
  exu_json_string(out, frame->file);
  exu_out(out, ", \"line\": ");
  exu_json_id(out, frame->position.line);
  exu_out(out, ", \"module\": ");
  put_module_path(out, report, frame->module);
  exu_out(out, ", \"pc\": ");
  exu_json_address(out, true, frame->address);
  exu_out(out, ", \"offset\": ");
  exu_json_address(out, has_module || frame->function.data, frame->offset);
  exu_out(out, ", \"inlined\": ");
  exu_json_bool(out, frame->inlined);
  exu_out(out, ", \"signal\": ");
  exu_json_bool(out, frame->signal);
  exu_out(out, ", \"eval\": ");
  exu_json_bool(out, frame->eval);
  exu_out_char(out, '}');
}

static const char *gap(enum exu_gap gap) {
  switch (gap) {
  case EXU_GAP_NATIVE: return "native-missing";
  case EXU_GAP_PYTHON: return "python-missing";
  case EXU_GAP_MOVED: return "moved";
  case EXU_GAP_GREENLET: return "greenlet-start";
  case EXU_GAP_COMPILED: return "compiled-code";
  case EXU_GAP_LEFT_OUT: return "left-out";
  case EXU_GAP_SWITCH: return "greenlet-switch";
  }
  return NULL;
}

static void put_gap(struct exu_output *out, const struct exu_frame *frame) {
  exu_out(out, "{\"kind\": \"gap\", \"code\": ");
  exu_json_word(out, gap(frame->gap));
  exu_out(out, ", \"reason\": ");
  exu_json_string(out, frame->function);
  exu_out_char(out, '}');
}

static void put_frame(struct exu_output *out, const struct exu_report *report, const struct exu_frame *frame) {
  switch (frame->kind) {
  case EXU_FRAME_PYTHON: put_python_frame(out, report, frame); break;
  case EXU_FRAME_NATIVE: put_native_frame(out, report, frame); break;
  case EXU_FRAME_GAP: put_gap(out, frame); break;
  }
}

static void put_thread(struct exu_output *out, const struct exu_report *report, const struct exu_thread *thread) {
  bool is_live = report->source_kind == EXU_SOURCE_LIVE; /* of others these two are not set */
  exu_out(out, "{\"tid\": ");
  exu_json_id(out, thread->tid);
  if (thread->unplaced) exu_out(out, ", \"unplaced\": true");
  exu_out(out, ", \"name\": ");
  exu_json_string(out, thread->name);
  exu_out(out, ", \"comm\": ");
  exu_json_string(out, thread->comm);
  exu_out(out, ", \"main\": ");
  exu_json_bool(out, thread->main);
  exu_out(out, ", \"interpreter\": ");
  exu_json_id(out, thread->interpreter);
  exu_out(out, ", \"runtime\": ");
  exu_json_id(out, thread->runtime);
  exu_out(out, ", \"python\": ");
  exu_json_tristate(out, thread->python_unknown ? EXU_UNKNOWN : thread->python ? EXU_YES : EXU_NO);
  exu_out(out, ", \"crashed\": ");
  exu_json_bool(out, thread->crashed);
  exu_out(out, ", \"gil\": ");
  exu_json_word(out, gil(thread->gil));
  exu_out(out, ", \"native_complete\": ");
  exu_json_tristate(out, thread->native_complete);
  exu_out(out, ", \"splice\": ");
  exu_json_word(out, splice(thread->splice));
  exu_out(out, ", \"frames_complete\": ");
  exu_json_bool(out, thread->frames_complete);
  exu_out(out, ", \"moved\": ");
  exu_json_tristate(out, is_live ? thread->moved : EXU_UNKNOWN);
  exu_out(out, ", \"cpu_us\": ");
  exu_json_id(out, is_live ? thread->cpu_us : -1);
  exu_out(out, ",\n      \"waits_on\": ");
  exu_json_wait(out, report, thread->wait);
  if (thread->frames_left_out > 0) {
    exu_out(out, ",\n      \"frames_left_out\": ");
    exu_out_unsigned(out, thread->frames_left_out);
  }
  exu_out(out, ",\n      \"frames\": [");
  for (size_t i = 0; i < thread->frame_count; i++) {
    exu_out(out, i ? ",\n      " : "\n      ");
    put_frame(out, report, &thread->frames[i]);
  }
  exu_out(out, thread->frame_count ? "\n    ]}" : "]}");
}

static void put_module(struct exu_output *out, const struct exu_module *module) {
  exu_out(out, "{\"path\": ");
  exu_json_string(out, module->path);
  exu_out(out, ", \"build_id\": ");
  exu_json_string(out, module->build_id);
  exu_out(out, ", \"start\": ");
  exu_json_address(out, true, module->start);
  exu_out(out, ", \"end\": ");
  exu_json_address(out, true, module->end);
  exu_out(out, ", \"symbols\": ");
  exu_json_word(out, symbols(module->symbols));
  exu_out(out, ", \"file\": ");
  exu_json_word(out, module_file(module->file));
  exu_out_char(out, '}');
}

static void put_diagnostic(struct exu_output *out, const struct exu_diagnostic *diagnostic) {
  exu_out(out, "{\"code\": ");
  exu_json_word(out, diagnostic->code);
  exu_out(out, ", \"message\": ");
  exu_json_string(out, diagnostic->message);
  exu_out(out, ", \"tid\": ");
  exu_json_id(out, diagnostic->tid);
  exu_out(out, ", \"incomplete\": ");
  exu_json_bool(out, diagnostic->incomplete);
  exu_out_char(out, '}');
}

/* The beginning of element `index` of a list, and the end of a list of `count`. */
static void put_element(struct exu_output *out, size_t index) { exu_out(out, index ? ",\n    " : "\n    "); }

static void put_list_end(struct exu_output *out, size_t count) { exu_out(out, count ? "\n  ]" : "]"); }

static void put_report(struct exu_output *out, const struct exu_report *report) {
  exu_out(out, "{\n  \"schema\": \"" EXU_SCHEMA "\",\n  \"tool\": {\"name\": \"exuvia\", \"version\": \"" EXU_VERSION
               "\"},\n  \"source\": ");
  put_source(out, report);
  exu_out(out, ",\n  \"process\": ");
  put_process(out, report);
  exu_out(out, ",\n  \"crash\": ");
  put_crash(out, report->crash);
  exu_out(out, ",\n  \"python\": ");
  put_python(out, report, report->python);

  exu_out(out, ",\n  \"runtimes\": [");
  for (size_t i = 0; i < report->runtime_count; i++) {
    put_element(out, i);
    put_python(out, report, &report->runtimes[i]);
  }
  put_list_end(out, report->runtime_count);
  exu_out(out, ",\n  \"interpreters\": [");
  for (size_t i = 0; i < report->interpreter_count; i++) {
    put_element(out, i);
    put_interpreter(out, &report->interpreters[i]);
  }
  put_list_end(out, report->interpreter_count);
  exu_out(out, ",\n  \"threads\": [");
  for (size_t i = 0; i < report->thread_count; i++) {
    put_element(out, i);
    put_thread(out, report, &report->threads[i]);
  }
  put_list_end(out, report->thread_count);
  if (report->threads_left_out > 0) {
    exu_out(out, ",\n  \"threads_left_out\": ");
    exu_out_unsigned(out, report->threads_left_out);
  }
  exu_out(out, ",\n  \"deadlocks\": [");
  for (size_t i = 0; i < report->deadlock_count; i++) {
    put_element(out, i);
    exu_json_deadlock(out, report, &report->deadlocks[i]);
  }
  put_list_end(out, report->deadlock_count);
  exu_out(out, ",\n  \"hangs\": [");
  for (size_t i = 0; i < report->hang_count; i++) {
    put_element(out, i);
    exu_json_hang(out, report, &report->hangs[i]);
  }
  put_list_end(out, report->hang_count);
  exu_out(out, ",\n  \"modules\": [");
  for (size_t i = 0; i < report->module_count; i++) {
    put_element(out, i);
    put_module(out, &report->modules[i]);
  }
  put_list_end(out, report->module_count);
  exu_out(out, ",\n  \"diagnostics\": [");
  for (size_t i = 0; i < report->diagnostic_count; i++) {
    put_element(out, i);
    put_diagnostic(out, &report->diagnostics[i]);
  }
  put_list_end(out, report->diagnostic_count);
  exu_out(out, "\n}\n");
}

bool exu_write_json(const struct exu_report *report, FILE *file) {
  struct exu_output out;
  exu_output_init(&out, file);
  put_report(&out, report);
  return exu_output_finish(&out);
}
