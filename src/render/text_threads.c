/* SPDX-License-Identifier: Apache-2.0 */
/* Threads, with those that have the same stack shown once. */
#include "base/str.h"
#include "render/text.h"

#include <stdlib.h>
#include <string.h>

enum { NAMED = 5 /* threads of a group that are named one by one */ };

#define NONE SIZE_MAX

/* Threads with the same stack, as a linked list of indices in the order of the report. */
struct groups {
  size_t *next;  /* by thread: the next of its group, or NONE */
  size_t *last;  /* by first thread of a group: its last thread */
  size_t *table; /* hash table of first threads */
  size_t mask;
};

static uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 29;
}

static uint64_t mix_string(uint64_t hash, struct exu_string string) {
  size_t at = 0;
  for (; string.size - at >= 8; at += 8) {
    uint64_t word;
    memcpy(&word, string.data + at, 8);
    hash = mix(hash, word);
  }
  uint64_t word = 0;
  for (; at < string.size; at++) word = word << 8 | (unsigned char)string.data[at];
  return mix(hash, word ^ string.size << 56);
}

static uint64_t hash_thread(const struct exu_thread *thread) {
  uint64_t hash = mix((uint64_t)thread->gil, thread->frame_count);
  if (exu_text_has_wait(thread)) {
    const struct exu_wait *wait = thread->wait;
    hash = mix(mix(hash, (uint64_t)wait->kind), wait->address);
    hash = mix(mix(mix(hash, (uint64_t)wait->owner_tid), (uint64_t)wait->system_call), (uint64_t)wait->fd);
  }
  for (size_t i = 0; i < thread->frame_count; i++) {
    const struct exu_frame *frame = &thread->frames[i];
    hash = mix(hash, (uint64_t)(uint32_t)frame->position.line << 32 | (uint32_t)frame->position.column);
    hash = mix_string(hash, frame->function);
    hash = mix_string(hash, frame->file);
    if (frame->kind == EXU_FRAME_NATIVE && !frame->file.data) hash = mix(hash, frame->address);
    if (frame->kind == EXU_FRAME_GAP) hash = mix(hash, (uint64_t)frame->gap);
  }
  return hash;
}

static bool same_stack(const struct exu_thread *a, const struct exu_thread *b) {
  if (a->moved != b->moved || a->python_unknown != b->python_unknown) return false;
  if ((a->tid < 0) != (b->tid < 0) || a->unplaced != b->unplaced) return false;
  if (a->gil != b->gil || a->interpreter != b->interpreter || a->runtime != b->runtime ||
      a->frames_complete != b->frames_complete)
    return false;
  if (a->native_complete != b->native_complete || a->frame_count != b->frame_count) return false;
  if (a->frames_left_out != b->frames_left_out) return false;
  for (size_t i = 0; i < a->frame_count; i++) {
    const struct exu_frame *one = &a->frames[i], *other = &b->frames[i];
    if (memcmp(&one->position, &other->position, sizeof one->position) != 0) return false;
    if (one->interpreter != other->interpreter || !exu_text_same_line(one, other)) return false;
  }
  return true;
}

/* Threads about which there is more to say than their stack are not folded. */
static bool is_ordinary(const struct exu_thread *thread) {
  return !thread->crashed && thread->gil != EXU_GIL_HOLDS && thread->frame_count > 0;
}

static void groups_deinit(struct groups *groups) {
  free(groups->next);
  free(groups->last);
  free(groups->table);
}

/* Without memory every thread is shown on its own. */
static bool groups_init(struct groups *groups, size_t threads) {
  size_t slots = 16;
  while (slots / 2 < threads) slots *= 2;
  *groups = (struct groups){
      .next = malloc(threads * sizeof(size_t)),
      .last = malloc(threads * sizeof(size_t)),
      .table = malloc(slots * sizeof(size_t)),
      .mask = slots - 1,
  };
  if (!groups->next || !groups->last || !groups->table) return false;
  for (size_t i = 0; i < slots; i++) groups->table[i] = NONE;
  return true;
}

/* True when the thread opens a group, false when it joined an earlier one. */
static bool groups_add(struct groups *groups, const struct exu_report *report, size_t index, bool alone) {
  const struct exu_thread *threads = report->threads;
  groups->next[index] = NONE;
  groups->last[index] = index;
  if (alone || !is_ordinary(&threads[index])) return true;
  for (size_t slot = (size_t)hash_thread(&threads[index]);; slot++) {
    size_t *first = &groups->table[slot & groups->mask];
    if (*first == NONE) {
      *first = index;
      return true;
    }
    if (!same_stack(&threads[*first], &threads[index]) || !exu_text_same_wait(report, *first, index)) continue;
    groups->next[groups->last[*first]] = index;
    groups->last[*first] = index;
    return false;
  }
}

/* Has Python frames of which not even one could be read. */
static bool is_unreadable(const struct exu_thread *thread) {
  return thread->python && thread->frame_count == 0 && !thread->frames_complete;
}

void exu_text_label(struct exu_text *text, const struct exu_thread *thread) {
  struct exu_output *out = &text->out;
  if (thread->tid >= 0) {
    exu_out_signed(out, thread->tid);
  } else {
    exu_out_char(out, '?');
  }
  if (thread->name.data) {
    exu_out(out, " \"");
    exu_out_escaped(out, thread->name, EXU_ESCAPE_QUOTED, EXU_NAME_SHOWN);
    exu_out_char(out, '"');
  } else if (thread->comm.data) {
    exu_out(out, " [");
    exu_out_escaped(out, thread->comm, EXU_ESCAPE_QUOTED, EXU_NAME_SHOWN);
    exu_out_char(out, ']');
  }
}

/* Has frames, and none of them is Python's. */
static bool is_native(const struct exu_thread *thread) {
  for (size_t i = 0; i < thread->frame_count; i++) {
    if (thread->frames[i].kind == EXU_FRAME_PYTHON) return false;
  }
  return thread->frame_count > 0;
}

static void put_remark(struct exu_output *out, bool *any, const char *remark) {
  exu_out(out, *any ? ", " : " (");
  exu_out(out, remark);
  *any = true;
}

/* Where there are several. */
static void put_interpreter(struct exu_text *text, const struct exu_thread *thread, bool *any) {
  const struct exu_report *report = text->report;
  size_t interpreters = 0;
  if (thread->interpreter < 0) return;
  if (report->runtime_count > 1 && thread->runtime >= 0 && (size_t)thread->runtime < report->runtime_count) {
    put_remark(&text->out, any, "Python ");
    exu_out_escaped(&text->out, report->runtimes[thread->runtime].version, 0, EXU_NAME_SHOWN);
  }
  for (size_t i = 0; i < report->interpreter_count; i++)
    interpreters += report->interpreters[i].runtime == (size_t)thread->runtime;
  if (interpreters < 2) return;
  put_remark(&text->out, any, "interpreter ");
  exu_out_signed(&text->out, thread->interpreter);
}

void exu_text_remarks(struct exu_text *text, const struct exu_thread *thread, enum exu_text_place place) {
  const struct exu_string main_name = {"MainThread", 10};
  struct exu_output *out = &text->out;
  bool any = false;
  if (thread->crashed) put_remark(out, &any, "crashed");
  if (thread->main && place != EXU_TEXT_GROUP && !exu_string_equal(thread->name, main_name))
    put_remark(out, &any, "main thread");
  if (thread->tid < 0)
    put_remark(out, &any, thread->unplaced ? "it is not known which thread" : "no such thread in the operating system");
  if (thread->gil == EXU_GIL_HOLDS) put_remark(out, &any, "holds the GIL");
  bool said = exu_text_has_wait(thread) && thread->wait->kind == EXU_WAIT_GIL;
  if (thread->gil == EXU_GIL_WAITS && !said)
    put_remark(out, &any, place == EXU_TEXT_GROUP ? "wait for the GIL" : "waits for the GIL");
  put_interpreter(text, thread, &any);
  if (place != EXU_TEXT_SUMMARY && is_native(thread))
    put_remark(out, &any, thread->python_unknown ? "no Python frames are known" : "no Python frames");
  if (text->report->source_kind == EXU_SOURCE_LIVE && thread->moved != EXU_UNKNOWN)
    put_remark(out, &any, thread->moved == EXU_YES ? "has moved" : "has not moved");
  if (any) exu_out_char(out, ')');
}

/* The threads from `first` on, named while there are few. */
static void put_names(struct exu_text *text, const struct groups *groups, size_t first) {
  const struct exu_thread *threads = text->report->threads;
  size_t count = 0, shown = NAMED;
  for (size_t i = first; i != NONE; i = groups->next[i]) count++;
  if (text->options->verbose || count <= NAMED + 1) shown = count;
  size_t index = first;
  for (size_t i = 0; i < shown; i++, index = groups->next[index]) {
    if (i > 0) exu_out(&text->out, i + 1 == count ? " and " : ", ");
    exu_text_label(text, &threads[index]);
  }
  if (shown == count) return;
  exu_out(&text->out, " and ");
  exu_out_grouped(&text->out, count - shown);
  exu_out(&text->out, " more");
}

/* Where the stack begins is unknown, and no gap says so. */
static bool has_lost_start(const struct exu_thread *thread) {
  if (thread->native_complete != EXU_NO) return false;
  for (size_t i = 0; i < thread->frame_count; i++) {
    if (thread->frames[i].kind == EXU_FRAME_GAP) return false;
  }
  return true;
}

/* Between two greenlets a line among its frames says why there are none of Python. */
static bool is_switching(const struct exu_thread *thread) {
  for (size_t i = 0; i < thread->frame_count; i++) {
    const struct exu_frame *frame = &thread->frames[i];
    if (frame->kind == EXU_FRAME_GAP && (frame->gap == EXU_GAP_SWITCH || frame->gap == EXU_GAP_SWITCH_PYTHON))
      return true;
  }
  return false;
}

/* Why no frames are shown. */
static const char *why_none(const struct exu_thread *thread) {
  if (is_unreadable(thread)) return "  Its Python frames could not be read, see below\n";
  return thread->python_unknown ? "  No Python frames are known\n" : "  No Python frames\n";
}

static void put_thread(struct exu_text *text, const struct groups *groups, size_t first) {
  const struct exu_thread *thread = &text->report->threads[first];
  struct exu_output *out = &text->out;
  bool grouped = groups && groups->next[first] != NONE;
  text->addresses = text->options->verbose && !grouped; /* the threads of a group differ in them */
  exu_out_char(out, '\n');
  exu_out(out, thread->crashed ? text->style->crash : text->style->heading);
  exu_out(out, grouped ? "Threads " : "Thread ");
  if (grouped) {
    put_names(text, groups, first);
    exu_out(out, ", all with this stack");
  } else {
    exu_text_label(text, thread);
  }
  exu_text_remarks(text, thread, grouped ? EXU_TEXT_GROUP : EXU_TEXT_THREAD);
  exu_out(out, text->style->reset);
  if (thread->frame_count == 0) {
    exu_out(out, ":\n");
    exu_text_wait(text, first, grouped);
    exu_out(out, why_none(thread));
    return;
  }
  exu_out(out, ", most recent call last:\n");
  exu_text_wait(text, first, grouped);
  if (!thread->frames_complete && !is_switching(thread))
    exu_out(out, "  [Some frames of this thread are missing, see below]\n");
  if (has_lost_start(thread))
    exu_out(out, thread->python || thread->crashed ? "  [The native frames before these are missing, see below]\n"
                                                   : "  [The native frames before these are missing]\n");
  exu_text_frames(text, thread);
}

static void put_left_out(struct exu_text *text) {
  const size_t count = text->report->threads_left_out;
  if (count == 0) return;
  exu_out_char(&text->out, '\n');
  exu_out_grouped(&text->out, count);
  exu_out(&text->out,
          count == 1 ? " more thread left out (--max-threads)\n" : " more threads left out (--max-threads)\n");
}

/*
 * The crashed thread, or the one whose handler raised the signal, then the circles of threads that wait for each other,
 * and the first of each that hangs. Marks what it shows.
 */
static void put_first(struct exu_text *text, bool *shown) {
  const struct exu_report *report = text->report;
  for (size_t i = 0; i < report->thread_count; i++) {
    if (!report->threads[i].crashed) continue;
    put_thread(text, NULL, i);
    if (shown) shown[i] = true;
  }
  /* A handler in it raised the signal: what that ran for is not known, but there it is to be seen. */
  const int64_t handler = report->crash && report->crash->tid < 0 ? report->crash->handler_tid : 0;
  for (size_t i = 0; shown && handler > 0 && i < report->thread_count; i++) {
    if (report->threads[i].tid != handler || shown[i]) continue;
    put_thread(text, NULL, i);
    shown[i] = true;
  }
  for (size_t i = 0; shown && i < report->deadlock_count; i++) {
    const struct exu_deadlock *deadlock = &report->deadlocks[i];
    for (size_t j = 0; j < deadlock->thread_count; j++) {
      size_t index = deadlock->threads[j];
      if (!shown[index]) put_thread(text, NULL, index);
      shown[index] = true;
    }
  }
  for (size_t i = 0; shown && i < report->hang_count; i++) {
    size_t index = report->hangs[i].threads[0];
    if (!shown[index]) put_thread(text, NULL, index);
    shown[index] = true;
  }
}

/* Their stacks are of use to those who ask for native frames, and where one of them is named as an owner. */
static bool is_summarized(const struct exu_text *text, const struct exu_thread *thread) {
  if (thread->crashed || is_unreadable(thread)) return false;
  return thread->frame_count == 0 || (!thread->python && is_native(thread) && !text->options->native_all);
}

/* A thread that another one waits for is shown with its stack, and so is the thread that it waits for. */
static void mark_owners(const struct exu_report *report, size_t index, bool *summarized) {
  for (const struct exu_wait *wait = report->threads[index].wait; wait && wait->owner >= 0;) {
    const size_t owner = (size_t)wait->owner;
    if (owner >= report->thread_count || !summarized[owner] || report->threads[owner].frame_count == 0) return;
    summarized[owner] = false;
    wait = report->threads[owner].wait;
  }
}

/* By thread: is it only counted, with those that do the same? NULL without memory. */
static bool *find_summarized(const struct exu_text *text) {
  const struct exu_report *report = text->report;
  bool *summarized = malloc((report->thread_count + 1) * sizeof *summarized);
  if (!summarized) return NULL;
  for (size_t i = 0; i < report->thread_count; i++) summarized[i] = is_summarized(text, &report->threads[i]);
  for (size_t i = 0; i < report->thread_count; i++) {
    if (!is_summarized(text, &report->threads[i])) mark_owners(report, i, summarized);
  }
  return summarized;
}

void exu_text_threads(struct exu_text *text) {
  const struct exu_report *report = text->report;
  struct groups groups = {0};
  bool folded = report->thread_count > 1 && groups_init(&groups, report->thread_count);
  bool *summarized = find_summarized(text);
  bool *shown = report->thread_count ? calloc(report->thread_count, sizeof *shown) : NULL;
  bool *opens = folded ? calloc(report->thread_count, sizeof *opens) : NULL;
  if (!opens) folded = false;

  put_first(text, shown);
  for (size_t i = 0; shown && summarized && i < report->thread_count; i++) {
    if (shown[i]) {
      mark_owners(report, i, summarized);
      summarized[i] = false;
    }
  }
  for (size_t i = 0; folded && i < report->thread_count; i++)
    opens[i] = groups_add(&groups, report, i, (shown && shown[i]) || (summarized && summarized[i]));
  for (size_t i = 0; i < report->thread_count; i++) {
    if (report->threads[i].crashed || (shown && shown[i]) || (folded && !opens[i])) continue;
    if (!summarized || !summarized[i]) put_thread(text, folded ? &groups : NULL, i);
  }
  if (summarized) exu_text_summary(text, summarized);
  put_left_out(text);
  free(summarized);
  free(shown);
  free(opens);
  groups_deinit(&groups);
}
