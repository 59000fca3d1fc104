/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "render/text.h"
#include "render/words.h"

#include <string.h>

enum {
  LINE_BYTES_MAX = 500, /* of a source line that are shown */
  CYCLE_MAX = 24,       /* the longest cycle of mutual recursion that is folded, native frames included */
  REPEATS_SHOWN = 3,    /* CPython's _RECURSIVE_CUTOFF: that many of equal lines are shown before the rest is counted */
  CYCLES_SHOWN = 2,
};

/* Different places of one source line are one line; without a file the address is shown. */
static bool same_native_place(const struct exu_frame *a, const struct exu_frame *b) {
  return a->module == b->module && (a->file.data || a->address == b->address) && a->inlined == b->inlined &&
         a->eval == b->eval && a->signal == b->signal;
}

bool exu_text_same_line(const struct exu_frame *a, const struct exu_frame *b) {
  return a->kind == b->kind && a->runtime == b->runtime && a->position.line == b->position.line &&
         exu_string_equal(a->function, b->function) && exu_string_equal(a->file, b->file) &&
         exu_string_equal(a->qualname, b->qualname) && (a->kind != EXU_FRAME_NATIVE || same_native_place(a, b)) &&
         (a->kind != EXU_FRAME_GAP || a->gap == b->gap);
}

static bool is_blank(char byte) { return byte == ' ' || byte == '\t' || byte == '\f' || byte == '\v'; }

/* A source line as it is shown: without its indentation, escaped, cut; and where its marked part begins and ends. */
struct shown {
  char bytes[LINE_BYTES_MAX * 4 + EXU_ESCAPED_MAX];
  size_t size;
  bool cut;
  bool valid;   /* every byte up to the mark's end is UTF-8: byte columns mean what CPython counted */
  size_t cells; /* of the whole line */
  size_t mark;  /* cells before the mark */
  size_t mark_cells;
};

/* `from` and `to` are byte offsets in `line`, from < to. */
static void show(struct exu_string line, size_t from, size_t to, struct shown *shown) {
  size_t mark_end = 0, at = 0;
  /* Not by an initializer, which would clear `bytes` for every frame. */
  shown->size = shown->cells = shown->mark = shown->mark_cells = 0;
  shown->cut = false;
  shown->valid = true;
  while (at < line.size) {
    struct exu_char character = exu_char_at(line.data + at, line.size - at);
    if (at + character.size > LINE_BYTES_MAX) {
      shown->cut = true;
      break;
    }
    if (character.kind == EXU_CHAR_INVALID && at < to) shown->valid = false;
    if (at <= from) shown->mark = shown->cells;
    if (character.code == '\t') { /* one cell wherever it stands, so that the mark stays under what it marks */
      shown->bytes[shown->size++] = ' ';
      shown->cells++;
    } else {
      shown->size += exu_escape_char(character, line.data + at, 0, shown->bytes + shown->size, &shown->cells);
    }
    at += character.size;
    if (at <= to) mark_end = shown->cells;
  }
  if (from < at && mark_end > shown->mark) shown->mark_cells = mark_end - shown->mark;
}

/*
 * The marked part of a source line of which the first `indent` bytes are not shown, as byte offsets in the rest. False
 * when the columns are unknown or cannot be right for this line: the file is not the one that ran.
 */
static bool marked_part(const struct exu_position *position, struct exu_string line, size_t indent, size_t *from,
                        size_t *to) {
  if (position->column < 0 || position->end_column < 0 || position->end_line < position->line) return false;
  size_t begin = (size_t)position->column, end = (size_t)position->end_column;
  /* Of an expression of several lines the first is marked to its end, as CPython does. */
  if (position->end_line > position->line) end = indent + line.size;
  if (begin < indent || begin >= end || end > indent + line.size) return false;
  *from = begin - indent;
  *to = end - indent;
  return true;
}

/* Once for each file: why it has no lines although it is there, or why its lines may not be what ran. */
static void put_doubt(struct exu_text *text, const struct exu_frame *frame) {
  const char *doubt = exu_source_doubt(text->sources, frame->file);
  if (!doubt) return;
  exu_out(&text->out, text->style->dim);
  exu_out(&text->out, "    [");
  exu_out(&text->out, doubt);
  exu_out(&text->out, "]");
  exu_out(&text->out, text->style->reset);
  exu_out_char(&text->out, '\n');
}

static void put_source(struct exu_text *text, const struct exu_frame *frame) {
  struct exu_output *out = &text->out;
  struct exu_string line;
  if (!text->sources) return;
  bool found = exu_source_line(text->sources, frame->file, frame->position.line, &line);
  put_doubt(text, frame);
  if (!found) return;
  size_t indent = 0;
  while (indent < line.size && is_blank(line.data[indent])) indent++;
  struct exu_string stripped = {line.data + indent, line.size - indent};
  while (stripped.size > 0 && is_blank(stripped.data[stripped.size - 1])) stripped.size--;
  if (stripped.size == 0) return;

  size_t from = 0, to = 0;
  bool changed = exu_source_has_changed(text->sources, frame->file);
  bool marked = !changed && marked_part(&frame->position, stripped, indent, &from, &to);
  struct shown shown;
  show(stripped, from, to, &shown);
  exu_out(out, changed ? "    (now) " : "    ");
  exu_out_bytes(out, shown.bytes, shown.size);
  exu_out(out, shown.cut ? "...\n" : "\n");

  /* A mark under the whole line says nothing: CPython leaves it out. */
  if (!marked || !shown.valid || shown.mark_cells == 0 || shown.mark_cells == shown.cells) return;
  exu_out_repeat(out, ' ', 4 + shown.mark);
  exu_out(out, text->style->marker);
  exu_out_repeat(out, '^', shown.mark_cells);
  exu_out(out, text->style->reset);
  exu_out_char(out, '\n');
}

static void put_place(struct exu_text *text, struct exu_string string, int flags, size_t shown) {
  exu_out(&text->out, text->style->place);
  exu_out_escaped(&text->out, string, flags, shown);
  exu_out(&text->out, text->style->reset);
}

static void put_line_number(struct exu_text *text, int32_t line) {
  exu_out(&text->out, ", line ");
  exu_out(&text->out, text->style->place);
  if (line >= 0) {
    exu_out_signed(&text->out, line);
  } else {
    exu_out_char(&text->out, '?');
  }
  exu_out(&text->out, text->style->reset);
}

/* `"file"` with its quotes, or a bare question mark. */
static void put_file(struct exu_text *text, struct exu_string file) {
  if (file.data) exu_out_char(&text->out, '"');
  put_place(text, file, EXU_ESCAPE_QUOTED, EXU_PATH_SHOWN);
  if (file.data) exu_out_char(&text->out, '"');
}

static bool qualname_says_all(const struct exu_frame *frame) {
  const struct exu_string name = frame->function, qualname = frame->qualname;
  return qualname.size >= name.size && exu_string_equal(exu_string_behind(qualname, qualname.size - name.size), name);
}

/* The qualified name, which nearly always ends with the name, or both. */
static void put_function(struct exu_text *text, const struct exu_frame *frame) {
  exu_out(&text->out, ", in ");
  if (!frame->qualname.data || frame->qualname.size == 0) {
    put_place(text, frame->function, 0, EXU_NAME_SHOWN);
  } else if (!frame->function.data || qualname_says_all(frame)) {
    put_place(text, frame->qualname, 0, EXU_NAME_SHOWN);
  } else {
    put_place(text, frame->function, 0, EXU_NAME_SHOWN);
    exu_out(&text->out, " (");
    put_place(text, frame->qualname, 0, EXU_NAME_SHOWN);
    exu_out_char(&text->out, ')');
  }
}

/* Of frames that another interpreter runs than the innermost ones. */
static void put_interpreter(struct exu_text *text, const struct exu_thread *thread, const struct exu_frame *frame) {
  const struct exu_report *report = text->report;
  struct exu_output *out = &text->out;
  const bool other = frame->runtime != thread->runtime && report->runtime_count > 1;
  if (other && (size_t)frame->runtime < report->runtime_count) {
    exu_out(out, " [Python ");
    exu_out_escaped(out, report->runtimes[frame->runtime].version, 0, EXU_NAME_SHOWN);
    exu_out_char(out, ']');
  } else if (frame->interpreter >= 0 && frame->interpreter != thread->interpreter) {
    exu_out(out, " [interpreter ");
    exu_out_signed(out, frame->interpreter);
    exu_out_char(out, ']');
  }
}

static void put_python_frame(struct exu_text *text, const struct exu_thread *thread, const struct exu_frame *frame) {
  struct exu_output *out = &text->out;
  exu_out(out, "  File ");
  put_file(text, frame->file);
  put_line_number(text, frame->position.line);
  put_function(text, frame);
  put_interpreter(text, thread, frame);
  if (text->addresses && frame->address) {
    exu_out(out, " [frame ");
    exu_out_hex(out, frame->address);
    exu_out_char(out, ']');
  }
  exu_out_char(out, '\n');
  put_source(text, frame);
}

static void put_dim(struct exu_text *text, const char *words) {
  exu_out(&text->out, text->style->dim);
  exu_out(&text->out, words);
  exu_out(&text->out, text->style->reset);
}

static const struct exu_module *module_of(const struct exu_text *text, const struct exu_frame *frame) {
  const struct exu_report *report = text->report;
  return frame->module >= 0 && (size_t)frame->module < report->module_count ? &report->modules[frame->module] : NULL;
}

static void put_module(struct exu_text *text, const struct exu_module *module) {
  struct exu_string name = text->options->verbose ? module->path : exu_base_name(module->path);
  exu_out_escaped(&text->out, name, EXU_ESCAPE_QUOTED, EXU_PATH_SHOWN);
}

/*
 * `python3.11+0x1234`: what addr2line takes for a position-independent file, and the only name of a unsymbolized
 * function.
 */
static void put_module_offset(struct exu_text *text, const struct exu_frame *frame) {
  const struct exu_module *module = module_of(text, frame);
  if (module) {
    put_module(text, module);
    exu_out_char(&text->out, '+');
    exu_out_hex(&text->out, frame->address - module->start);
  } else {
    exu_out_hex(&text->out, frame->address);
  }
}

/* "./Modules/main.c", as compilers wrote it down, without the dot. */
static struct exu_string native_file(struct exu_string file) {
  return file.size > 2 && exu_string_starts(file, "./") ? exu_string_behind(file, 2) : file;
}

/* What Cython writes for a C compiler says nothing to whoever wrote the .pyx file. */
static bool is_generated(const struct exu_frame *frame) {
  static const char *const suffixes[] = {".c", ".cpp", ".cc", ".cxx"};
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes && frame->symbol; i++) {
    if (exu_string_ends(frame->file, suffixes[i])) return true;
  }
  return false;
}

/*
 * The form of a Python line behind a word that tells them apart, for editors that look for `File "...", line N`. No
 * source lines: the paths are those of the machine that compiled it.
 */
static void put_native_frame(struct exu_text *text, const struct exu_frame *frame) {
  const struct exu_module *module = module_of(text, frame);
  struct exu_output *out = &text->out;
  const bool has_file = frame->file.data && !is_generated(frame);
  if (frame->signal) {
    exu_out(out, "  <signal handler called>\n");
    return;
  }
  exu_out(out, "  ");
  put_dim(text, "(native) ");
  if (has_file) {
    exu_out(out, "File \"");
    exu_out_escaped(out, native_file(frame->file), EXU_ESCAPE_QUOTED, EXU_PATH_SHOWN);
    exu_out_char(out, '"');
    exu_out(out, ", line ");
    if (frame->position.line >= 0) {
      exu_out_signed(out, frame->position.line);
    } else {
      exu_out_char(out, '?');
    }
  } else {
    put_module_offset(text, frame);
  }
  exu_out(out, ", in ");
  if (frame->function.data) {
    put_place(text, frame->function, 0, EXU_NAME_SHOWN);
  } else {
    exu_out(out, "??");
  }
  if (has_file && module) {
    exu_out(out, " (");
    put_module(text, module);
    exu_out_char(out, ')');
  }
  if (frame->symbol) put_dim(text, " [cython]");
  if (frame->inlined) put_dim(text, " [inlined]");
  if (frame->eval) put_dim(text, " [eval loop]");
  if (text->addresses) {
    exu_out(out, " [pc ");
    exu_out_hex(out, frame->address);
    exu_out_char(out, ']');
  }
  exu_out_char(out, '\n');
}

static void put_gap(struct exu_text *text, const struct exu_thread *thread, const struct exu_frame *frame) {
  exu_out(&text->out, "  [");
  exu_words_gap(&text->out, thread, frame->gap);
  exu_out(&text->out, "]\n");
}

static void put_frame(struct exu_text *text, const struct exu_thread *thread, const struct exu_frame *frame) {
  switch (frame->kind) {
  case EXU_FRAME_PYTHON: put_python_frame(text, thread, frame); break;
  case EXU_FRAME_NATIVE: put_native_frame(text, frame); break;
  case EXU_FRAME_GAP: put_gap(text, thread, frame); break;
  }
}

/*
 * How often the `period` frames ending at index `last` (towards index 0, that is: towards the most recent call) are
 * repeated; 1 when they are not.
 */
static size_t count_repeats(const struct exu_frame *frames, size_t last, size_t period) {
  size_t equal = 0;
  while (last >= equal + period && exu_text_same_line(&frames[last - equal], &frames[last - equal - period])) equal++;
  return equal / period + 1;
}

static void put_repeated(struct exu_text *text, size_t period, size_t times) {
  struct exu_output *out = &text->out;
  exu_out(out, text->style->dim);
  exu_out(out, "  [Previous ");
  if (period > 1) {
    exu_out_unsigned(out, period);
    exu_out(out, " calls");
  } else {
    exu_out(out, "line");
  }
  exu_out(out, " repeated ");
  exu_out_unsigned(out, times);
  exu_out(out, times > 1 ? " more times]" : " more time]");
  exu_out(out, text->style->reset);
  exu_out_char(out, '\n');
}

/* frames[left - count, left), the outermost first. */
static void put_range(struct exu_text *text, const struct exu_thread *thread, const struct exu_text_folds *folds,
                      size_t left, size_t count) {
  const size_t end = left - count;
  while (left > end) {
    size_t folded = exu_text_fold(folds, thread, left);
    if (exu_text_is_wrapper(folds, thread, left)) {
      left--;
      continue;
    }
    if (folded == 0 || folded > left - end) {
      put_frame(text, thread, &thread->frames[--left]);
    } else {
      exu_text_folded(text, folds, thread, left, folded);
      left -= folded;
    }
  }
}

void exu_text_frames(struct exu_text *text, const struct exu_thread *thread) {
  const struct exu_frame *frames = thread->frames;
  const struct exu_text_folds folds = exu_text_find_folds(text, thread);
  size_t written = thread->frame_count; /* frames[left, written) are part of no cycle and come next */
  for (size_t left = thread->frame_count; left > 0;) {
    size_t period = 1, repeats = 1, shown = REPEATS_SHOWN;
    for (; period <= CYCLE_MAX; period++) {
      repeats = count_repeats(frames, left - 1, period);
      shown = period == 1 ? REPEATS_SHOWN : CYCLES_SHOWN;
      /* A short cycle costs more to explain than to show. */
      if (repeats > (period == 1 ? shown : shown + 1)) break;
    }
    if (period > CYCLE_MAX) {
      left--;
      continue;
    }
    put_range(text, thread, &folds, written, written - left);
    put_range(text, thread, &folds, left, shown * period);
    put_repeated(text, period, repeats - shown);
    left -= repeats * period;
    written = left;
  }
  put_range(text, thread, &folds, written, written);
}
