/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the operating system joined with Python's thread states, and what those wait for. */
#include <string.h>

#include "base/str.h"
#include "report/stacks_private.h"

/* ---- Names ------------------------------------------------------------------------------------------------------- */

/* The first thread state of a runtime: the one that its main interpreter was made with. New ones are put before it. */
static bool is_oldest(const struct exu_stacks *stacks, size_t index) {
  const struct exu_py_threads *python = &stacks->python;
  const size_t interpreter = python->threads.items[index].interpreter;
  bool is_last = index + 1 == python->threads.count || python->threads.items[index + 1].interpreter != interpreter;
  return is_last && python->interpreters.items[interpreter].main;
}

/* What the threading module of an interpreter calls the thread; without threading, what it would call it. */
static struct exu_string name_in(const struct exu_stacks *stacks, size_t index, uint64_t ident, bool main) {
  const struct exu_py_thread *state = &stacks->python.threads.items[index];
  const struct exu_py_names *names = &stacks->names[state->interpreter];
  struct exu_string name = exu_py_name(names, ident);
  bool is_main = main && names->no_threading && !stacks->doubtful[index] && is_oldest(stacks, index);
  if (!name.data && is_main) name = (struct exu_string)EXU_STRING("MainThread");
  return name;
}

/* The name in the main interpreter comes before those in others, which may call it their MainThread. */
static struct exu_string thread_name(const struct exu_stacks *stacks, size_t first, uint64_t ident, bool main) {
  struct exu_string name = {NULL, 0};
  for (size_t i = first; i != 0; i = stacks->next_same[i - 1]) {
    const size_t interpreter = stacks->python.threads.items[i - 1].interpreter;
    const bool in_main = stacks->python.interpreters.items[interpreter].main;
    if (name.data && !in_main) continue;
    struct exu_string other = name_in(stacks, i - 1, ident, main);
    if (other.data) name = other;
    if (other.data && in_main) break;
  }
  return name;
}

/* What Python knows the thread by: 0 when that is not certain. */
static uint64_t ident_of(const struct exu_stacks *stacks, const struct exu_os_thread *os, size_t first) {
  const uint64_t self = exu_self(stacks, os);
  if (self || first == 0) return self;
  const struct exu_py_thread *state = &stacks->python.threads.items[first - 1];
  return stacks->doubtful[first - 1] ? 0 : state->ident;
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
  *chain = (struct exu_chain){.first = first,
                              .end = stacks->stack.frames.count,
                              .interpreter = interpreter_id(stacks, interpreter),
                              .runtime = (uint32_t)stacks->python.interpreters.items[interpreter].runtime};
  return true;
}

/* Keep what the vectors hold: a copy, or where that would be large the storage itself, in exchange for new one. */
static bool keep(struct exu_stacks *stacks, struct exu_stack_parts *kept) {
  enum { LARGE = 4096 };
  size_t frames = stacks->stack.frames.count, chains = stacks->chains.count;
  size_t bare_count = stacks->stack.bare.count;
  struct exu_chain *chain = exu_arena_array(stacks->arena, chains, sizeof *chain);
  uint64_t *bare = exu_arena_array(stacks->arena, bare_count, sizeof *bare);
  if (!chain || !bare) return false;
  if (bare_count) memcpy(bare, stacks->stack.bare.items, bare_count * sizeof *bare);
  if (chains) memcpy(chain, stacks->chains.items, chains * sizeof *chain);
  *kept = (struct exu_stack_parts){.python = stacks->stack.frames.items,
                                   .chains = chain,
                                   .chain_count = chains,
                                   .bare = bare,
                                   .bare_count = bare_count};
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

size_t exu_merged_stack_frames(const struct exu_stack_parts *parts) {
  return parts->chain_count ? parts->chains[parts->chain_count - 1].end : 0;
}

/* ---- Joining ----------------------------------------------------------------------------------------------------- */

static void begin_thread(struct exu_stacks *stacks) {
  stacks->stack.frames.count = stacks->stack.bare.count = stacks->chains.count = 0;
  stacks->moved = false;
}

/* More than one GIL can be held, or waited for with another one held: by a thread that runs two runtimes. */
static void add_gil(struct exu_stacks *stacks, size_t index, struct exu_thread *thread, enum exu_gil gil,
                    struct exu_wait_subject *subject) {
  const struct exu_py_thread *state = &stacks->python.threads.items[index];
  const struct exu_py_interpreter *interpreter = &stacks->python.interpreters.items[state->interpreter];
  /* Who made a thread state is known, but the GIL is held by who runs it. */
  if (gil == EXU_GIL_HOLDS && stacks->doubtful[index]) gil = EXU_GIL_UNKNOWN;
  if (thread->gil == EXU_GIL_UNKNOWN || gil == EXU_GIL_HOLDS || (gil == EXU_GIL_WAITS && thread->gil == EXU_GIL_NONE))
    thread->gil = gil;
  if (gil == EXU_GIL_WAITS && subject->gil == 0) {
    subject->gil = interpreter->gil_key;
    subject->gil_holder = interpreter->gil_holder;
    if (stacks->runtimes && stacks->runtimes->count > 1) subject->gil_of = interpreter->py->runtime->version_text;
  }
  for (size_t i = 0; gil == EXU_GIL_HOLDS && i < EXU_WAIT_PARTS; i++) {
    if (subject->gils[i] != 0) continue;
    subject->gils[i] = interpreter->gil_key;
    break;
  }
}

/* `os`: NULL when the thread is not known. */
static bool add_thread_state(struct exu_stacks *stacks, size_t index, struct exu_thread *thread,
                             const struct exu_os_thread *os, struct exu_wait_subject *subject) {
  const struct exu_py_thread *state = &stacks->python.threads.items[index];
  struct exu_py *py = exu_state_py(stacks, state);
  size_t first = stacks->stack.frames.count;
  thread->python = true;
  add_gil(stacks, index, thread, exu_py_gil(py, &stacks->python, state, os ? &os->registers : NULL), subject);
  if (stacks->process->sampled ? !exu_read_running(stacks, py, state->tstate, os, thread->tid)
                               : !exu_py_frames(py, state->tstate, thread->tid, 0, &stacks->stack))
    return false;
  thread->frames_complete &= stacks->stack.complete;
  return add_chain(stacks, first, state->interpreter);
}

/* The frames of each runtime: thread states are in the order of the runtimes. */
static void find_parts(const struct exu_stacks *stacks, const struct exu_stack_parts *parts,
                       struct exu_wait_subject *subject) {
  uint32_t runtime = UINT32_MAX;
  for (size_t i = 0; i < parts->chain_count; i++) {
    const struct exu_chain *chain = &parts->chains[i];
    if (chain->runtime != runtime && subject->part_count == EXU_WAIT_PARTS) break;
    if (chain->runtime != runtime)
      subject->parts[subject->part_count++] = (struct exu_wait_part){.py = &stacks->runtimes->items[chain->runtime],
                                                                     .frames = &parts->python[chain->first]};
    runtime = chain->runtime;
    subject->parts[subject->part_count - 1].frame_count += chain->end - chain->first;
  }
}

/* Put away what was read of a thread, and look at what it waits for. */
static bool finish_thread(struct exu_stacks *stacks, size_t index, const struct exu_os_thread *os,
                          struct exu_wait_subject *subject) {
  struct exu_joined *joined = &stacks->joined[index];
  joined->os = os;
  if (!keep(stacks, &joined->parts)) return false;
  joined->parts.moved = stacks->moved;
  subject->thread = index;
  subject->os = os;
  find_parts(stacks, &joined->parts, subject);
  /* What a thread that runs waits for is nothing, or was true a moment ago. */
  if (stacks->moved) return true;
  return !stacks->waits || exu_waits_read_thread(stacks->waits, subject);
}

static void set_interpreter(const struct exu_stacks *stacks, struct exu_thread *thread, size_t state) {
  const size_t interpreter = stacks->python.threads.items[state].interpreter;
  thread->interpreter = interpreter_id(stacks, interpreter);
  thread->runtime = (int32_t)stacks->python.interpreters.items[interpreter].runtime;
}

static void set_gil_holder(struct exu_stacks *stacks, size_t index, const struct exu_wait_subject *subject) {
  for (size_t k = 0; k < EXU_WAIT_PARTS && subject->gils[k] != 0; k++) {
    for (size_t i = 0; i < stacks->python.interpreters.count; i++) {
      if (stacks->python.interpreters.items[i].gil_key == subject->gils[k])
        stacks->interpreters[i].gil_holder = (int64_t)index;
    }
  }
}

static bool add_os_thread(struct exu_stacks *stacks, size_t index) {
  const struct exu_os_thread *os = &stacks->process->threads[index];
  struct exu_thread *thread = &stacks->threads[index];
  struct exu_wait_subject subject = {.thread = index};
  *thread = (struct exu_thread){.tid = os->tid,
                                .interpreter = -1,
                                .runtime = -1,
                                .main = os->tid == stacks->process->pid,
                                .crashed = os->crashed,
                                .native_complete = EXU_UNKNOWN,
                                .frames_complete = true,
                                .moved = EXU_UNKNOWN,
                                .cpu_us = -1};
  if (thread->main) thread->comm = stacks->process->comm;
  const size_t first = stacks->first ? stacks->first[index] : 0;
  thread->python_unknown = first == 0 && stacks->untold && stacks->untold[index];
  begin_thread(stacks);
  if (first) {
    set_interpreter(stacks, thread, first - 1);
    subject.ident = ident_of(stacks, os, first);
    thread->name = thread_name(stacks, first, subject.ident, thread->main);
  }
  for (size_t state = first; state; state = stacks->next_same[state - 1])
    if (!add_thread_state(stacks, state - 1, thread, os, &subject)) return false;
  set_gil_holder(stacks, index, &subject);
  return finish_thread(stacks, index, os, &subject);
}

/*
 * May a thread that is there run a thread state without our knowing? One of which nothing is known, or one that was
 * made after the threads were listed.
 */
static bool may_be_there(const struct exu_stacks *stacks) {
  if (stacks->process->sampled) return true;
  for (size_t i = 0; i < stacks->process->thread_count; i++)
    if (stacks->untold[i] || stacks->process->threads[i].unstopped) return true;
  return false;
}

static void say_alone(const struct exu_stacks *stacks, size_t index, bool unplaced) {
  const struct exu_py_thread *state = &stacks->python.threads.items[index];
  if (stacks->doubtful[index]) {
    exu_info(stacks->diagnostics, EXU_DIAGNOSTIC_THREAD_STATE_ALONE, -1,
             "it is not known which thread runs the thread state at 0x%llx: it may be another one than made it (thread "
             "ident 0x%llx), and no stack tells",
             (unsigned long long)state->tstate, (unsigned long long)state->ident);
    return;
  }
  if (unplaced) {
    exu_info(stacks->diagnostics, EXU_DIAGNOSTIC_THREAD_STATE_ALONE, -1,
             "it is not known which thread runs the thread state at 0x%llx (thread ident 0x%llx), if there is one",
             (unsigned long long)state->tstate, (unsigned long long)state->ident);
    return;
  }
  exu_info(stacks->diagnostics, EXU_DIAGNOSTIC_THREAD_STATE_ALONE, -1,
           "the thread state at 0x%llx belongs to no thread of the process (thread ident 0x%llx)",
           (unsigned long long)state->tstate, (unsigned long long)state->ident);
}

/*
 * Thread states that no thread of the operating system claims: their thread ended without cleaning up, or the core
 * does not have it. They are shown when they have frames, because those are what somebody looks for.
 */
static bool add_orphans(struct exu_stacks *stacks, size_t *count) {
  const bool unplaced = may_be_there(stacks);
  for (size_t i = 0; i < stacks->python.threads.count; i++) {
    if (stacks->place[i]) continue;
    if (exu_process_is_over(stacks->process)) return true;
    const struct exu_py_thread *state = &stacks->python.threads.items[i];
    struct exu_thread *thread = &stacks->threads[*count];
    struct exu_wait_subject subject = {.thread = *count};
    *thread = (struct exu_thread){
        .tid = -1, .native_complete = EXU_UNKNOWN, .frames_complete = true, .moved = EXU_UNKNOWN, .cpu_us = -1};
    thread->unplaced = unplaced || stacks->doubtful[i];
    set_interpreter(stacks, thread, i);
    if (!stacks->doubtful[i]) {
      subject.ident = state->ident;
      thread->name = name_in(stacks, i, state->ident, false);
    }
    begin_thread(stacks);
    if (!add_thread_state(stacks, i, thread, NULL, &subject)) return false;
    if (stacks->stack.frames.count == 0) continue;
    if (!finish_thread(stacks, *count, NULL, &subject)) return false;
    set_gil_holder(stacks, *count, &subject);
    say_alone(stacks, i, unplaced);
    ++*count;
  }
  return true;
}

static bool read_python(struct exu_stacks *stacks) {
  struct exu_report *report = stacks->report;
  for (size_t i = 0; i < stacks->runtimes->count; i++)
    if (!exu_py_threads(&stacks->runtimes->items[i], i, &stacks->python)) return false;
  size_t count = stacks->python.interpreters.count;
  stacks->interpreters = exu_arena_array(stacks->arena, count, sizeof *stacks->interpreters);
  stacks->names = exu_arena_array(stacks->arena, count, sizeof *stacks->names);
  if (!stacks->interpreters || !stacks->names) return false;
  for (size_t i = 0; i < count; i++) {
    const struct exu_py_interpreter *interpreter = &stacks->python.interpreters.items[i];
    stacks->interpreters[i] = (struct exu_interpreter){.id = interpreter->id,
                                                       .runtime = interpreter->runtime,
                                                       .address = interpreter->address,
                                                       .gc_collecting = interpreter->gc_collecting,
                                                       .gil_holder = -1};
    if (exu_process_is_over(stacks->process)) return false;
    if (!exu_py_names_read(interpreter->py, interpreter->address, &stacks->names[i])) return false;
  }
  report->interpreters = stacks->interpreters;
  report->interpreter_count = count;
  return exu_place_thread_states(stacks);
}

void exu_join(struct exu_stacks *stacks) {
  const struct exu_process *process = stacks->process;
  const bool has_python = stacks->runtimes && stacks->runtimes->count > 0;
  if (has_python && !read_python(stacks)) return;
  size_t limit = stacks->options->max_threads ? stacks->options->max_threads : SIZE_MAX;
  size_t shown = process->thread_count < limit ? process->thread_count : limit;
  size_t most = shown + stacks->python.threads.count, count = 0;
  stacks->threads = exu_arena_array(stacks->arena, most, sizeof *stacks->threads);
  stacks->joined = exu_arena_array(stacks->arena, most, sizeof *stacks->joined);
  if (!stacks->threads || !stacks->joined) return;
  stacks->report->threads = stacks->threads;
  while (count < shown && !exu_process_is_over(process) && add_os_thread(stacks, count))
    stacks->report->thread_count = ++count;
  if (shown < process->thread_count) {
    stacks->report->threads_left_out = process->thread_count - shown;
    exu_info(stacks->diagnostics, EXU_DIAGNOSTIC_MAX_THREADS, -1, "%zu of %zu threads are shown, as asked for", shown,
             process->thread_count);
  } else if (has_python && count == shown) {
    add_orphans(stacks, &count);
    stacks->report->thread_count = count;
  }
  if (stacks->waits) exu_waits_find_holders(stacks->waits);
  if (!exu_process_is_over(process)) return;
  /* Who waits for whom can only be told when all threads were looked at. */
  exu_waits_destroy(stacks->waits);
  stacks->waits = NULL;
}
