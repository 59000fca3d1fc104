/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the operating system joined with Python's thread states, and what those wait for. */
#include <string.h>

#include "report/joining.h"

/* ---- Thread states ----------------------------------------------------------------------------------------------- */

/*
 * In 2.7 a forked child keeps the thread states of its parent's other threads (Python 3 deletes them), and a new
 * thread easily gets the stack, and so the ident, of one of those. New thread states are put first in the list: of two
 * in one interpreter with the same ident the later one in the list is a leftover.
 */
static bool is_leftover(const struct exu_stacks *stacks, const struct exu_py_thread *state,
                        const struct exu_py_thread *later) {
  return stacks->py->build.version.major < 3 && later && later->interpreter == state->interpreter;
}

static bool index_thread_states(struct exu_stacks *stacks) {
  struct exu_py_thread *states = stacks->python.threads.items;
  size_t count = stacks->python.threads.count;
  stacks->next_same = exu_arena_array(stacks->arena, count, sizeof *stacks->next_same);
  stacks->taken = exu_arena_array(stacks->arena, count, sizeof *stacks->taken);
  if (!stacks->next_same || !stacks->taken) return false;
  for (size_t i = count; i-- > 0;) {
    bool is_new;
    if (states[i].ident == 0) continue; /* not started yet */
    void **slot = exu_map_insert(&stacks->by_ident, states[i].ident, &is_new);
    if (!slot) return false;
    const struct exu_py_thread *later = *slot;
    stacks->next_same[i] = later ? (size_t)(later - states) + 1 : 0;
    if (is_leftover(stacks, &states[i], later)) stacks->next_same[i] = stacks->next_same[later - states];
    *slot = &states[i];
  }
  return true;
}

/*
 * Index + 1 of the first thread state of a thread: its thread_id is the thread pointer. Where the machine does not tell
 * that, the kernel's thread id decides; it is wrong in a child that forked, and only there. Before 3.11 a thread state
 * does not know it.
 */
static size_t first_thread_state(const struct exu_stacks *stacks, const struct exu_os_thread *os) {
  const struct exu_registers *registers = &os->registers;
  uint64_t self = registers->has_thread_pointer ? stacks->target->arch->pthread_self(registers->thread_pointer) : 0;
  if (self) {
    void **slot = exu_map_find(&stacks->by_ident, self);
    return slot ? (size_t)((const struct exu_py_thread *)*slot - stacks->python.threads.items) + 1 : 0;
  }
  const struct exu_py_thread *states = stacks->python.threads.items;
  for (size_t i = 0; i < stacks->python.threads.count; i++) {
    if (states[i].native_id == (uint64_t)os->tid && os->tid > 0) return i + 1;
  }
  for (size_t i = 0; os->in_descriptor && i < stacks->python.threads.count; i++) {
    if (states[i].ident && os->in_descriptor - states[i].ident < EXU_DESCRIPTOR_MAX) return i + 1;
  }
  return 0;
}

/* The name that threading gives; without threading the main thread still is what threading would call it. */
static struct exu_string thread_name(const struct exu_stacks *stacks, const struct exu_py_thread *state, bool main) {
  const struct exu_py_names *names = &stacks->names[state->interpreter];
  struct exu_string name = exu_py_name(names, state->ident);
  if (!name.data && main && names->by_ident.count == 0) name = (struct exu_string){"MainThread", strlen("MainThread")};
  return name;
}

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

static int32_t interpreter_id(const struct exu_stacks *stacks, size_t index) {
  return (int32_t)stacks->python.interpreters.items[index].id;
}

/* The frames of a thread state that were read since there were `first`. */
static bool add_chain(struct exu_stacks *stacks, size_t first, size_t interpreter) {
  if (stacks->stack.frames.count == first) return true;
  struct exu_chain *chain = EXU_PUSH(stacks->arena, &stacks->chains);
  if (!chain) return false;
  *chain = (struct exu_chain){
      .first = first, .end = stacks->stack.frames.count, .interpreter = interpreter_id(stacks, interpreter)};
  return true;
}

/* Keep what the vectors hold: a copy, or where that would be large the storage itself, in exchange for new one. */
static bool keep(struct exu_stacks *stacks, struct exu_splice *kept) {
  enum { LARGE = 4096 };
  size_t frames = stacks->stack.frames.count, chains = stacks->chains.count;
  struct exu_chain *chain = exu_arena_array(stacks->arena, chains, sizeof *chain);
  if (!chain) return false;
  if (chains) memcpy(chain, stacks->chains.items, chains * sizeof *chain);
  *kept = (struct exu_splice){.python = stacks->stack.frames.items, .chains = chain, .chain_count = chains};
  if (frames > LARGE) {
    stacks->stack.frames.items = NULL;
    stacks->stack.frames.capacity = 0;
    return true;
  }
  struct exu_py_frame *python = exu_arena_array(stacks->arena, frames, sizeof *python);
  if (!python) return false;
  if (frames) memcpy(python, stacks->stack.frames.items, frames * sizeof *python);
  kept->python = python;
  return true;
}

size_t exu_splice_frames(const struct exu_splice *splice) {
  return splice->chain_count ? splice->chains[splice->chain_count - 1].end : 0;
}

/* ---- Joining ----------------------------------------------------------------------------------------------------- */

static void begin_thread(struct exu_stacks *stacks) {
  stacks->stack.frames.count = stacks->chains.count = 0;
  stacks->moved = false;
}

/* `os`: NULL when the thread is not known. */
static bool add_thread_state(struct exu_stacks *stacks, size_t index, struct exu_thread *thread,
                             const struct exu_os_thread *os) {
  const struct exu_py_thread *state = &stacks->python.threads.items[index];
  size_t first = stacks->stack.frames.count;
  stacks->taken[index] = true;
  thread->python = true;
  if (!thread->name.data) thread->name = thread_name(stacks, state, thread->main);
  enum exu_gil gil = exu_py_gil(stacks->py, &stacks->python, state, os ? &os->registers : NULL);
  if (thread->gil == EXU_GIL_UNKNOWN || gil == EXU_GIL_HOLDS || (gil == EXU_GIL_WAITS && thread->gil == EXU_GIL_NONE)) {
    thread->gil = gil;
  }
  bool runs = stacks->target->kind == EXU_SOURCE_LIVE && stacks->options->no_stop;
  if (runs ? !exu_glimpse(stacks, state->tstate, os, thread->tid)
           : !exu_py_frames(stacks->py, state->tstate, thread->tid, stacks->options->max_frames, &stacks->stack))
    return false;
  thread->frames_complete &= stacks->stack.complete;
  return add_chain(stacks, first, state->interpreter);
}

/* Put away what was read of a thread, and look at what it waits for. */
static bool finish_thread(struct exu_stacks *stacks, size_t index, const struct exu_os_thread *os, size_t state) {
  struct exu_joined *joined = &stacks->joined[index];
  joined->os = os;
  if (!keep(stacks, &joined->splice)) return false;
  joined->splice.moved = stacks->moved;
  struct exu_wait_subject subject = {.thread = index,
                                     .os = os,
                                     .gil = stacks->threads[index].gil,
                                     .frames = joined->splice.python,
                                     .frame_count = exu_splice_frames(&joined->splice)};
  if (state) {
    const struct exu_py_thread *python = &stacks->python.threads.items[state - 1];
    subject.interpreter = stacks->python.interpreters.items[python->interpreter].address;
    subject.ident = python->ident;
  }
  /* What a thread that runs waits for is nothing, or was true a moment ago. */
  if (stacks->moved) return true;
  return !stacks->waits || exu_waits_look(stacks->waits, &subject);
}

static bool add_os_thread(struct exu_stacks *stacks, size_t index) {
  const struct exu_os_thread *os = &stacks->target->threads[index];
  struct exu_thread *thread = &stacks->threads[index];
  *thread = (struct exu_thread){.tid = os->tid,
                                .interpreter = -1,
                                .main = os->tid == stacks->target->pid,
                                .crashed = os->crashed && stacks->target->crash,
                                .native_complete = EXU_UNKNOWN,
                                .frames_complete = true,
                                .moved = EXU_UNKNOWN,
                                .cpu_us = -1};
  if (thread->main) thread->comm = stacks->target->comm;
  const size_t first = stacks->py ? first_thread_state(stacks, os) : 0;
  begin_thread(stacks);
  if (first) thread->interpreter = interpreter_id(stacks, stacks->python.threads.items[first - 1].interpreter);
  for (size_t state = first; state; state = stacks->next_same[state - 1])
    if (!add_thread_state(stacks, state - 1, thread, os)) return false;
  return finish_thread(stacks, index, os, first);
}

/*
 * Thread states that no thread of the operating system claims: their thread ended without cleaning up, or the core
 * does not have it. They are shown when they have frames, because those are what somebody looks for.
 */
static bool add_orphans(struct exu_stacks *stacks, size_t *count) {
  for (size_t i = 0; i < stacks->python.threads.count; i++) {
    if (stacks->taken[i]) continue;
    const struct exu_py_thread *state = &stacks->python.threads.items[i];
    struct exu_thread *thread = &stacks->threads[*count];
    *thread = (struct exu_thread){.tid = -1,
                                  .interpreter = interpreter_id(stacks, state->interpreter),
                                  .native_complete = EXU_UNKNOWN,
                                  .frames_complete = true,
                                  .moved = EXU_UNKNOWN,
                                  .cpu_us = -1};
    begin_thread(stacks);
    if (!add_thread_state(stacks, i, thread, NULL)) return false;
    if (stacks->stack.frames.count == 0) continue;
    if (!finish_thread(stacks, *count, NULL, i + 1)) return false;
    exu_note(stacks->diagnostics, "thread-state-alone", -1,
             "the thread state at 0x%llx belongs to no thread of the process (thread ident 0x%llx)",
             (unsigned long long)state->tstate, (unsigned long long)state->ident);
    ++*count;
  }
  return true;
}

static bool read_python(struct exu_stacks *stacks) {
  struct exu_report *report = stacks->report;
  if (!exu_py_threads(stacks->py, &stacks->python)) return false;
  size_t count = stacks->python.interpreters.count;
  struct exu_interpreter *interpreters = exu_arena_array(stacks->arena, count, sizeof *interpreters);
  stacks->names = exu_arena_array(stacks->arena, count, sizeof *stacks->names);
  if (!interpreters || !stacks->names) return false;
  for (size_t i = 0; i < count; i++) {
    const struct exu_py_interpreter *interpreter = &stacks->python.interpreters.items[i];
    interpreters[i] = (struct exu_interpreter){
        .id = interpreter->id, .address = interpreter->address, .gc_collecting = interpreter->gc_collecting};
    if (!exu_py_names_read(stacks->py, interpreter->address, &stacks->names[i])) return false;
  }
  report->interpreters = interpreters;
  report->interpreter_count = count;
  return index_thread_states(stacks);
}

void exu_join(struct exu_stacks *stacks) {
  const struct exu_target *target = stacks->target;
  if (stacks->py && !read_python(stacks)) return;
  size_t limit = stacks->options->max_threads ? stacks->options->max_threads : SIZE_MAX;
  size_t shown = target->thread_count < limit ? target->thread_count : limit;
  size_t most = shown + stacks->python.threads.count, count = 0;
  stacks->threads = exu_arena_array(stacks->arena, most, sizeof *stacks->threads);
  stacks->joined = exu_arena_array(stacks->arena, most, sizeof *stacks->joined);
  if (!stacks->threads || !stacks->joined) return;
  stacks->report->threads = stacks->threads;
  while (count < shown && add_os_thread(stacks, count)) stacks->report->thread_count = ++count;
  if (shown < target->thread_count) {
    exu_note(stacks->diagnostics, "max-threads", -1, "%zu of %zu threads are shown, as asked for", shown,
             target->thread_count);
  } else if (stacks->py && count == shown) {
    add_orphans(stacks, &count);
    stacks->report->thread_count = count;
  }
  if (stacks->waits) exu_waits_look_again(stacks->waits);
}
