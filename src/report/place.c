/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which thread of the operating system runs a thread state. A thread state keeps the ident of the thread that made it,
 * but another one may run it: before 3.13 that is what _xxsubinterpreters does, and what programs do that embed Python.
 * Where its frames are on a C stack is a proof; the ident is what there is without frames.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/guard.h"
#include "base/search.h"
#include "report/stacks_private.h"

/* Bytes of stacks that are searched for frame objects, in all; frame objects of one thread state that are sought. */
enum { SEARCH_MAX = 64 * 1024 * 1024, OBJECTS_MAX = 64, NO_THREAD = 0 };

/* ---- By ident ---------------------------------------------------------------------------------------------------- */

/*
 * In 2.7 a forked child keeps the thread states of its parent's other threads (Python 3 deletes them), and a new
 * thread easily gets the stack, and so the ident, of one of those. New thread states are put first in the list: of two
 * in one interpreter with the same ident the later one in the list is a leftover.
 */
static bool is_leftover(const struct exu_stacks *stacks, const struct exu_py_thread *state,
                        const struct exu_py_thread *later) {
  const struct exu_py *py = exu_state_py(stacks, state);
  return py->runtime->build.version.major < 3 && later && later->interpreter == state->interpreter;
}

static bool index_by_ident(struct exu_stacks *stacks) {
  struct exu_py_thread *states = stacks->python.threads.items;
  for (size_t i = stacks->python.threads.count; i-- > 0;) {
    bool is_new;
    if (states[i].ident == 0) continue; /* not started yet */
    uint64_t *first = exu_map_insert_number(&stacks->by_ident, states[i].ident, &is_new);
    if (!first) return false;
    const struct exu_py_thread *later = *first ? &states[*first - 1] : NULL;
    stacks->next_same[i] = *first;
    if (is_leftover(stacks, &states[i], later)) stacks->next_same[i] = stacks->next_same[*first - 1];
    *first = i + 1;
  }
  return true;
}

uint64_t exu_self(const struct exu_stacks *stacks, const struct exu_os_thread *os) {
  const struct exu_registers *registers = &os->registers;
  return registers->has_thread_pointer ? stacks->process->arch->pthread_self(registers->thread_pointer) : 0;
}

/* The thread states by two numbers that tell them where the thread pointer is not known. */
struct lookup {
  const struct exu_py_thread **by_ident; /* sorted */
  size_t count;
  struct exu_map by_native_id; /* -> the first thread state, counted from 1 */
};

static int compare_idents(const void *a, const void *b) {
  const struct exu_py_thread *const *x = a, *const *y = b;
  return (*x)->ident < (*y)->ident ? -1 : (*x)->ident > (*y)->ident;
}

/* What the C library calls a thread whose descriptor this is; 0: unknown. It says where it is itself. */
static uint64_t tid_in_descriptor(const struct exu_process *process, uint64_t ident) {
  uint64_t self;
  uint8_t tid[4];
  if (process->tid_in_descriptor == 0 || !exu_process_word(process, ident, &self) || self != ident) return 0;
  if (exu_space_read(process->space, ident + process->tid_in_descriptor, tid, sizeof tid) != EXU_READABLE) return 0;
  struct exu_cursor cursor = exu_cursor(tid, sizeof tid, process->arch->big_endian);
  return exu_cursor_u32(&cursor);
}

static bool make_lookup(const struct exu_stacks *stacks, struct lookup *lookup) {
  const struct exu_process *process = stacks->process;
  const struct exu_py_thread *states = stacks->python.threads.items;
  const size_t count = stacks->python.threads.count;
  lookup->by_ident = calloc(count + 1, sizeof *lookup->by_ident);
  if (!lookup->by_ident) return false;
  for (size_t i = count; i-- > 0;) {
    bool is_new;
    if (states[i].ident) lookup->by_ident[lookup->count++] = &states[i];
    const uint64_t tid = states[i].native_id ? states[i].native_id : tid_in_descriptor(process, states[i].ident);
    if (!tid) continue;
    uint64_t *first = exu_map_insert_number(&lookup->by_native_id, tid, &is_new);
    if (!first) return false;
    *first = i + 1;
  }
  qsort(lookup->by_ident, lookup->count, sizeof(struct exu_py_thread *), compare_idents);
  return true;
}

static void free_lookup(struct lookup *lookup) {
  free(lookup->by_ident);
  exu_map_deinit(&lookup->by_native_id);
}

/* The ident of the thread whose descriptor the address lies in; 0: of none. */
static uint64_t ident_around(const struct lookup *lookup, uint64_t address) {
  const size_t next = EXU_PARTITION_POINT(i, lookup->count, lookup->by_ident[i]->ident <= address);
  const uint64_t ident = next > 0 ? lookup->by_ident[next - 1]->ident : 0;
  return address - ident < EXU_DESCRIPTOR_MAX ? ident : 0;
}

/*
 * Index + 1 of the first thread state of a thread: its thread_id is the thread pointer. Where that is not known the
 * thread's descriptor decides, or else the kernel's thread id; that is wrong in a child that forked, and only there.
 * Before 3.11 a thread state does not know it, but the C library may. *told: there was something to go by.
 */
static size_t first_thread_state(const struct exu_stacks *stacks, const struct lookup *lookup,
                                 const struct exu_os_thread *os, bool *told) {
  uint64_t self = exu_self(stacks, os);
  *told = self != 0 || os->in_descriptor != 0;
  if (!self && os->in_descriptor) self = ident_around(lookup, os->in_descriptor);
  const uint64_t *first = self          ? exu_map_find_number(&stacks->by_ident, self)
                          : os->tid > 0 ? exu_map_find_number(&lookup->by_native_id, (uint64_t)os->tid)
                                        : NULL;
  return first ? *first : 0;
}

static bool place_by_ident(struct exu_stacks *stacks) {
  const struct exu_process *process = stacks->process;
  struct lookup lookup = {0};
  bool memory = index_by_ident(stacks) && make_lookup(stacks, &lookup);
  for (size_t i = 0; memory && i < process->thread_count; i++) {
    bool told;
    size_t state = first_thread_state(stacks, &lookup, &process->threads[i], &told);
    stacks->untold[i] = state == 0 && !told;
    for (; state; state = stacks->next_same[state - 1]) stacks->place[state - 1] = i + 1;
  }
  free_lookup(&lookup);
  return memory;
}

/* ---- By the address of a marker ---------------------------------------------------------------------------------- */

/* The stack of a thread, as far as it is in use: [sp, end). */
struct stack {
  uint64_t sp;
  uint64_t end;
  size_t thread; /* index + 1 */
  bool is_own;   /* the stack that the thread was made with, not one that it may share a mapping with others */
};

struct placing {
  struct exu_stacks *stacks;
  struct stack *by_sp; /* sorted; of the threads whose registers are known */
  size_t count;
};

static int compare_stacks(const void *a, const void *b) {
  const struct stack *x = a, *y = b;
  return x->sp < y->sp ? -1 : x->sp > y->sp;
}

/*
 * glibc and musl keep the descriptor of a thread, which pthread_self() points to, at the top of the stack that they
 * made for it. The main thread's lies elsewhere.
 */
static bool find_stacks(struct placing *placing) {
  const struct exu_process *process = placing->stacks->process;
  placing->by_sp = calloc(process->thread_count + 1, sizeof *placing->by_sp);
  if (!placing->by_sp) return false;
  for (size_t i = 0; i < process->thread_count; i++) {
    const struct exu_registers *registers = &process->threads[i].registers;
    const struct exu_region *region = registers->sp ? exu_space_find(process->space, registers->sp) : NULL;
    if (!region) continue;
    const uint64_t self = exu_self(placing->stacks, &process->threads[i]);
    const bool is_inside = self > registers->sp && self < region->end;
    placing->by_sp[placing->count++] = (struct stack){.sp = registers->sp,
                                                      .end = is_inside ? self : region->end,
                                                      .thread = i + 1,
                                                      .is_own = is_inside || process->threads[i].tid == process->pid};
  }
  qsort(placing->by_sp, placing->count, sizeof *placing->by_sp, compare_stacks);
  return true;
}

/*
 * Index + 1 of the thread on whose stack the address is. Only the stack that begins last before it can be it. Fibers
 * may lie side by side in one mapping: of another thread than `maker` only its own stack is believed. That of a thread
 * of which nothing else is known is its own if it ends with the descriptor of the one that made the state.
 */
static size_t thread_at(const struct placing *placing, uint64_t address, size_t maker, uint64_t ident) {
  const size_t next = EXU_PARTITION_POINT(i, placing->count, placing->by_sp[i].sp <= address);
  const struct stack *stack = next > 0 ? &placing->by_sp[next - 1] : NULL;
  if (!stack || address >= stack->end) return NO_THREAD;
  const bool ends_with_ident = placing->stacks->untold[stack->thread - 1] && ident > address && ident < stack->end;
  return stack->thread == maker || stack->is_own || ends_with_ident ? stack->thread : NO_THREAD;
}

/* ---- By the frame objects that its calls of the eval loop keep --------------------------------------------------- */

/* The frame objects of a thread state before 3.10, and where they were found. */
struct sought {
  size_t state;
  uint64_t objects[OBJECTS_MAX];
  size_t count;
  size_t met;     /* of these, in their order, on the stack at hand */
  size_t thread;  /* index + 1 of the thread with all of them */
  size_t threads; /* how many have them all */
};

/* That a frame object is sought for a thread state; in a damaged process, for any number of them. */
struct claim {
  size_t item; /* of those that are sought */
  size_t next; /* index + 1 of the next claim of the same object; 0: none */
};

struct search {
  struct placing *placing;
  EXU_VECTOR(struct sought) items;
  EXU_VECTOR(struct claim) claims;
  struct exu_map heads; /* object -> index + 1 of its first claim */
  uint64_t left;        /* bytes that may still be searched, and claims that may still be looked at */
  bool whole;           /* every thread's stack was searched */
};

/* Take so much from what may still be searched. False: there is less. */
static bool spend(struct search *search, uint64_t amount) {
  if (search->left < amount) search->whole = false;
  if (search->left < amount) return false;
  search->left -= amount;
  return true;
}

static void meet(struct search *search, uint64_t word) {
  const uint64_t *head = exu_map_find_number(&search->heads, word);
  for (size_t i = head ? *head : 0; i != 0 && spend(search, 1); i = search->claims.items[i - 1].next) {
    struct sought *sought = &search->items.items[search->claims.items[i - 1].item];
    if (sought->met < sought->count && sought->objects[sought->met] == word) sought->met++;
  }
}

static void search_stack(struct search *search, const struct stack *stack) {
  enum { CHUNK = 512 };
  const struct exu_process *process = search->placing->stacks->process;
  const struct exu_registers *registers = &process->threads[stack->thread - 1].registers;
  const uint64_t word = process->arch->word_size;
  uint64_t words[CHUNK];
  if (!spend(search, search->items.count)) return;
  for (size_t i = 0; i < search->items.count; i++) search->items.items[i].met = 0;
  for (size_t i = 0; i < EXU_REGISTERS_MAX; i++) {
    if (registers->valid >> i & 1) meet(search, registers->value[i]);
  }
  for (uint64_t at = stack->sp / word * word; stack->end - at >= word && at < stack->end;) {
    const size_t count = (stack->end - at) / word < CHUNK ? (size_t)((stack->end - at) / word) : CHUNK;
    if (!spend(search, count * word)) return;
    const size_t got = exu_process_read_words(process, at, words, count);
    for (size_t i = 0; i < got; i++) meet(search, words[i]);
    search->whole &= got == count;
    if (got < count) break;
    at += count * word;
  }
  for (size_t i = 0; i < search->items.count; i++) {
    struct sought *sought = &search->items.items[i];
    if (sought->met < sought->count) continue;
    sought->thread = stack->thread;
    sought->threads++;
  }
}

static bool seek(struct search *search, size_t state, const struct exu_py *py, uint64_t tstate) {
  struct sought *sought = EXU_PUSH(search->placing->stacks->arena, &search->items);
  if (!sought) return false;
  *sought = (struct sought){.state = state};
  sought->count = exu_py_frame_objects(py, tstate, sought->objects, OBJECTS_MAX);
  if (sought->count == 0) search->items.count--;
  for (size_t i = 0; i < sought->count; i++) {
    bool is_new;
    uint64_t *head = exu_map_insert_number(&search->heads, sought->objects[i], &is_new);
    if (head && *head && search->claims.items[*head - 1].item == search->items.count - 1)
      continue; /* it is there twice */
    struct claim *claim = head ? EXU_PUSH(search->placing->stacks->arena, &search->claims) : NULL;
    if (!claim) return false;
    *claim = (struct claim){.item = search->items.count - 1, .next = (size_t)*head};
    *head = search->claims.count;
  }
  return true;
}

/* ---- All together ------------------------------------------------------------------------------------------------ */

static void move(struct exu_stacks *stacks, size_t state, size_t thread) {
  const size_t maker = stacks->place[state];
  const struct exu_py_thread *one = &stacks->python.threads.items[state];
  stacks->place[state] = thread;
  if (maker == thread || thread == NO_THREAD) return;
  if (maker == NO_THREAD && stacks->untold[thread - 1]) return; /* it may be its maker */
  const int64_t tid = stacks->process->threads[thread - 1].tid;
  if (maker) {
    exu_info(stacks->diagnostics, EXU_DIAGNOSTIC_THREAD_STATE_MOVED, tid,
             "the thread state at 0x%llx was made by thread %lld; its frames are on the stack of thread %lld",
             (unsigned long long)one->tstate, (long long)stacks->process->threads[maker - 1].tid, (long long)tid);
  } else {
    exu_info(stacks->diagnostics, EXU_DIAGNOSTIC_THREAD_STATE_MOVED, tid,
             "the thread state at 0x%llx was made by a thread that is not there; its frames are on the stack of thread "
             "%lld",
             (unsigned long long)one->tstate, (long long)tid);
  }
}

/* Only where another thread may well run it are stacks searched for it, or its ident doubted. */
static bool is_doubtful(const struct exu_stacks *stacks, size_t state) {
  const struct exu_py_thread *one = &stacks->python.threads.items[state];
  if (stacks->process->thread_count < 2) return false;
  if (!stacks->python.interpreters.items[one->interpreter].main || stacks->place[state] == NO_THREAD) return true;
  const size_t runtime = stacks->python.interpreters.items[one->interpreter].runtime;
  const uint64_t *first = exu_map_find_number(&stacks->by_ident, one->ident);
  size_t i = first ? *first : 0;
  for (; i != 0; i = stacks->next_same[i - 1]) {
    const struct exu_py_thread *other = &stacks->python.threads.items[i - 1];
    if (other != one && stacks->python.interpreters.items[other->interpreter].runtime == runtime) return true;
  }
  return false;
}

/* Exactly one stack keeps its frame objects: that one. Else the ident is believed only if no other can be it. */
static void decide(struct search *search, const struct sought *sought) {
  struct exu_stacks *stacks = search->placing->stacks;
  if (sought->threads == 1 && (search->whole || sought->thread == stacks->place[sought->state])) {
    move(stacks, sought->state, sought->thread);
    return;
  }
  const bool is_nowhere = sought->threads == 0 && search->whole && stacks->place[sought->state] == NO_THREAD;
  stacks->doubtful[sought->state] = !is_nowhere;
  move(stacks, sought->state, NO_THREAD);
}

/*
 * A marker that was found on no stack is on one that is not known, or on a fiber's. May the thread that made the state
 * run it all the same: would it have been found on the stack of any other?
 */
static bool may_be_maker(const struct placing *placing, size_t maker) {
  size_t others = 0;
  for (size_t i = 0; i < placing->count; i++) others += placing->by_sp[i].is_own && placing->by_sp[i].thread != maker;
  return others + 1 >= placing->stacks->process->thread_count;
}

static bool place_by_stacks(struct placing *placing) {
  struct exu_stacks *stacks = placing->stacks;
  struct search search = {
      .placing = placing, .left = SEARCH_MAX, .whole = placing->count == stacks->process->thread_count};
  bool memory = true;
  for (size_t i = 0; memory && i < stacks->python.threads.count; i++) {
    const struct exu_py_thread *state = &stacks->python.threads.items[i];
    const struct exu_py *py = exu_state_py(stacks, state);
    const uint64_t marker = exu_py_marker(py, state->tstate);
    const size_t thread = marker ? thread_at(placing, marker, stacks->place[i], state->ident) : NO_THREAD;
    if (thread) {
      move(stacks, i, thread);
    } else if (is_doubtful(stacks, i)) {
      const bool has_marker =
          !exu_py_has(py->runtime->layout.tstate_frame) || exu_py_has(py->runtime->layout.tstate_cframe);
      const size_t before = search.items.count;
      if (!has_marker) memory = seek(&search, i, py, state->tstate);
      stacks->doubtful[i] = search.items.count == before;
      if (marker && !may_be_maker(placing, stacks->place[i])) move(stacks, i, NO_THREAD);
    }
  }
  for (size_t i = 0; memory && search.items.count > 0 && i < placing->count; i++)
    search_stack(&search, &placing->by_sp[i]);
  for (size_t i = 0; memory && i < search.items.count; i++) decide(&search, &search.items.items[i]);
  exu_map_deinit(&search.heads);
  return memory;
}

/* The list of each thread's states, in the order of Python's. */
static void link_states(struct exu_stacks *stacks) {
  memset(stacks->next_same, 0, stacks->python.threads.count * sizeof *stacks->next_same);
  for (size_t i = stacks->python.threads.count; i-- > 0;) {
    const size_t thread = stacks->place[i];
    if (thread == NO_THREAD) continue;
    stacks->next_same[i] = stacks->first[thread - 1];
    stacks->first[thread - 1] = i + 1;
  }
}

bool exu_place_thread_states(struct exu_stacks *stacks) {
  const struct exu_process *process = stacks->process;
  const size_t count = stacks->python.threads.count;
  struct placing placing = {.stacks = stacks};
  stacks->next_same = exu_arena_array(stacks->arena, count, sizeof *stacks->next_same);
  stacks->place = exu_arena_array(stacks->arena, count, sizeof *stacks->place);
  stacks->doubtful = exu_arena_array(stacks->arena, count, sizeof *stacks->doubtful);
  stacks->first = exu_arena_array(stacks->arena, process->thread_count, sizeof *stacks->first);
  stacks->untold = exu_arena_array(stacks->arena, process->thread_count, sizeof *stacks->untold);
  if (!stacks->next_same || !stacks->place || !stacks->doubtful || !stacks->first || !stacks->untold) return false;
  if (!place_by_ident(stacks)) return false;
  bool memory = find_stacks(&placing) && place_by_stacks(&placing);
  free(placing.by_sp);
  link_states(stacks);
  return memory;
}
