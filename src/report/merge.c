/* SPDX-License-Identifier: Apache-2.0 */
#include "report/merge.h"

enum { END = UINT32_MAX }; /* of a linked list of runs */

/* ---- The order of runs ------------------------------------------------------------------------------------------- */

/* Which of two runs of different chains is the inner one. False when nothing tells, *known says that. */
static bool is_inner(const struct exu_merge_run *a, const struct exu_merge_run *b, bool *known) {
  if (a->host != EXU_MERGE_NO_HOST && b->host != EXU_MERGE_NO_HOST) return a->host < b->host;
  /* The stack grows down. */
  if (a->marker && b->marker) return a->marker < b->marker;
  *known = false;
  return false;
}

/* Two lists of runs into one. Where nothing tells, what is left of the first comes before the second. */
static uint32_t join(struct exu_merge_run *runs, uint32_t a, uint32_t b, bool *known) {
  uint32_t first = END, *last = &first;
  while (a != END && b != END) {
    bool decided = true;
    uint32_t *inner = is_inner(&runs[b], &runs[a], &decided) ? &b : &a;
    *known &= decided;
    *last = *inner;
    last = &runs[*inner].link;
    *inner = *last;
  }
  *last = a != END ? a : b;
  return first;
}

/* Sort the array as the list is. */
static void arrange(struct exu_merge_run *runs, size_t count, uint32_t list) {
  for (uint32_t position = 0; list != END; position++) {
    uint32_t next = runs[list].link;
    runs[list].link = position;
    list = next;
  }
  for (size_t i = 0; i < count; i++) {
    while (runs[i].link != i) {
      struct exu_merge_run displaced = runs[runs[i].link];
      runs[runs[i].link] = runs[i];
      runs[i] = displaced;
    }
  }
}

/* Chains are joined in pairs, so that many of them do not cost more than a sort. Says whether the order is known. */
static bool order_chains(struct exu_merge_run *runs, size_t count) {
  enum { LEVELS = 33 };
  uint32_t lists[LEVELS], joined = END;
  bool known = true;
  for (size_t i = 0; i < LEVELS; i++) lists[i] = END;
  if (count == 0 || runs[0].chain == runs[count - 1].chain) return true;
  for (size_t first = 0, end; first < count; first = end) {
    for (end = first + 1; end < count && runs[end].chain == runs[first].chain; end++) {
      runs[end - 1].link = (uint32_t)end;
    }
    runs[end - 1].link = END;
    uint32_t list = (uint32_t)first;
    size_t level = 0;
    for (; level < LEVELS - 1 && lists[level] != END; level++) {
      list = join(runs, lists[level], list, &known);
      lists[level] = END;
    }
    lists[level] = list;
  }
  for (size_t i = 0; i < LEVELS; i++) joined = join(runs, lists[i], joined, &known);
  arrange(runs, count, joined);
  return known;
}

/* ---- By marker --------------------------------------------------------------------------------------------------- */

/* The first frame whose memory ends after the address. */
static size_t frame_at(const struct exu_merge_native *native, size_t count, uint64_t address) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (native[middle].cfa != 0 && native[middle].cfa <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/*
 * Where an ascending stretch ends: frames of a signal handler may run on a stack of their own, and frames may be
 * missing.
 */
static size_t stretch_end(const struct exu_merge_native *native, size_t count, size_t first) {
  size_t end = first + 1;
  while (end < count && native[end].sp > native[end - 1].sp && native[end - 1].cfa != 0 &&
         native[end - 1].cfa <= native[end].sp) {
    end++;
  }
  return end;
}

/* The hosts of all runs in one stretch; runs that have none yet. */
static bool find_hosts(const struct exu_merge_native *native, size_t first, size_t end, struct exu_merge_run *runs,
                       size_t run_count) {
  bool all = true;
  for (size_t r = 0; r < run_count; r++) {
    uint64_t marker = runs[r].marker;
    if (runs[r].host != EXU_MERGE_NO_HOST || marker == 0) continue;
    size_t i = marker < native[first].sp ? end : first + frame_at(native + first, end - first, marker);
    if (i < end && native[i].cfa != 0 && native[i].sp <= marker && marker < native[i].cfa) {
      runs[r].host = (int32_t)i;
    } else {
      all = false;
    }
  }
  return all;
}

static void clear_hosts(struct exu_merge_run *runs, size_t count) {
  for (size_t i = 0; i < count; i++) runs[i].host = EXU_MERGE_NO_HOST;
}

static size_t count_ascending(const struct exu_merge_run *runs, size_t count) {
  int32_t last = EXU_MERGE_NO_HOST;
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (runs[i].host <= last) continue;
    last = runs[i].host;
    kept++;
  }
  return kept;
}

static size_t count_descending(const struct exu_merge_run *runs, size_t count) {
  int32_t last = INT32_MAX;
  size_t kept = 0;
  for (size_t i = count; i-- > 0;) {
    if (runs[i].host == EXU_MERGE_NO_HOST || runs[i].host >= last) continue;
    last = runs[i].host;
    kept++;
  }
  return kept;
}

/*
 * Hosts must ascend strictly. Seen from the innermost, one that is too far out would cost all between; seen from the
 * outermost, one that is too far in would: the view that keeps more is taken.
 */
static void drop_disorder(struct exu_merge_run *runs, size_t count) {
  if (count_ascending(runs, count) >= count_descending(runs, count)) {
    int32_t last = EXU_MERGE_NO_HOST;
    for (size_t i = 0; i < count; i++) {
      if (runs[i].host <= last)
        runs[i].host = EXU_MERGE_NO_HOST;
      else
        last = runs[i].host;
    }
  } else {
    int32_t last = INT32_MAX;
    for (size_t i = count; i-- > 0;) {
      if (runs[i].host == EXU_MERGE_NO_HOST) continue;
      if (runs[i].host >= last)
        runs[i].host = EXU_MERGE_NO_HOST;
      else
        last = runs[i].host;
    }
  }
}

static bool any_host(const struct exu_merge_run *runs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (runs[i].host != EXU_MERGE_NO_HOST) return true;
  }
  return false;
}

struct exu_merge_result exu_merge_by_marker(const struct exu_merge_stack *stack, struct exu_merge_run *runs,
                                            size_t run_count) {
  /* A stack has one stretch, two with a signal's, and one more for each gap. A damaged one may have any number. */
  enum { STRETCHES_MAX = 64 };
  const struct exu_merge_native *native = stack->frames;
  size_t stretches = 0;
  bool all = run_count == 0;
  clear_hosts(runs, run_count);
  for (size_t first = 0, end; first < stack->count && !all && stretches < STRETCHES_MAX; first = end, stretches++) {
    end = stretch_end(native, stack->count, first);
    all = find_hosts(native, first, end, runs, run_count);
  }
  bool known = order_chains(runs, run_count);
  drop_disorder(runs, run_count);
  return (struct exu_merge_result){any_host(runs, run_count) ? EXU_MERGE_BY_MARKER : EXU_MERGE_FAILED, known};
}

/* ---- By pointer -------------------------------------------------------------------------------------------------- */

struct matching {
  const struct exu_merge_stack *stack;
  struct exu_merge_run *runs;
  size_t run_count;
  exu_merge_keeps *keeps;
  void *context;
  size_t budget; /* questions that may still be asked */
};

/* A function that may be the eval loop: the one that symbols call so, or any by its identity. */
struct candidate {
  uint64_t function;
  bool named;
};

struct fit {
  size_t matched; /* runs that got a host */
  size_t skipped; /* calls that keep no run's pointer */
};

static bool is_kept(struct matching *matching, size_t native, size_t run) {
  if (native >= matching->stack->count || run >= matching->run_count || matching->budget == 0) return false;
  matching->budget--;
  uint64_t pointer = matching->runs[run].pointer;
  return pointer != 0 && matching->keeps(matching->context, native, pointer);
}

/* The next call of the candidate from `i` on; the number of frames when there is none. */
static size_t next_call(const struct exu_merge_stack *stack, struct candidate candidate, size_t i) {
  for (; i < stack->count; i++) {
    const struct exu_merge_native *native = &stack->frames[i];
    if (candidate.named ? native->eval_name : !native->eval_name && native->function == candidate.function) break;
  }
  return i;
}

/*
 * How many runs to leave out so that the call keeps the next, and the call after it the one that follows. `next` is the
 * number of frames when no call follows directly.
 */
static size_t find_ahead(struct matching *matching, size_t call, size_t next, size_t run, size_t far) {
  for (size_t ahead = 1; ahead <= far && run + ahead < matching->run_count; ahead++) {
    if (!is_kept(matching, call, run + ahead)) continue;
    if (next >= matching->stack->count || run + ahead + 1 >= matching->run_count) return ahead;
    if (is_kept(matching, next, run + ahead + 1)) return ahead;
  }
  return 0;
}

/*
 * Give the calls of a function to the runs, one each. Normally every call keeps the pointer of the run whose turn it
 * is.
 * A call is skipped when its frame is not the thread state's yet, or no more (a stack overflow at the very entry);
 * runs are left out when their calls are missing (an unnamed part of the eval loop, a gap).
 */
static struct fit assign(struct matching *matching, struct candidate candidate) {
  enum { NEAR = 8 };
  const struct exu_merge_stack *stack = matching->stack;
  struct fit fit = {0, 0};
  size_t run = 0, gap = 0;
  bool after_gap = false;
  clear_hosts(matching->runs, matching->run_count);
  for (size_t call = next_call(stack, candidate, 0), next; call < stack->count; call = next) {
    next = next_call(stack, candidate, call + 1);
    for (; gap < stack->gap_count && stack->gaps[gap] <= call; gap++) after_gap = true;
    if (!is_kept(matching, call, run)) {
      size_t far = after_gap ? matching->run_count : NEAR;
      size_t follows = gap < stack->gap_count && stack->gaps[gap] <= next ? stack->count : next;
      size_t ahead = 0;
      if (candidate.named && !is_kept(matching, follows, run)) ahead = find_ahead(matching, call, follows, run, far);
      if (ahead == 0) {
        fit.skipped++;
        if (!candidate.named) break;
        continue;
      }
      run += ahead;
    }
    matching->runs[run++].host = (int32_t)call;
    fit.matched++;
    after_gap = false;
  }
  return fit;
}

/* Calls that keep no pointer are the exception. A function that no symbol calls the eval loop has none. */
static bool is_fit(struct fit fit, struct candidate candidate) {
  return fit.matched > 0 && (candidate.named ? fit.skipped <= 1 + fit.matched / 2 : fit.skipped == 0);
}

static size_t count_calls(const struct exu_merge_stack *stack, struct candidate candidate) {
  size_t count = 0;
  for (size_t i = next_call(stack, candidate, 0); i < stack->count; i = next_call(stack, candidate, i + 1)) count++;
  return count;
}

/* No pointer helps: as many calls as runs, or the innermost ones when unwinding stopped early. */
static bool assign_by_name(struct matching *matching) {
  const struct exu_merge_stack *stack = matching->stack;
  const struct candidate named = {.named = true};
  size_t calls = count_calls(stack, named), run = 0;
  clear_hosts(matching->runs, matching->run_count);
  bool possible = stack->complete ? calls == matching->run_count : calls <= matching->run_count;
  if (calls == 0 || !possible || stack->gap_count > 0) return false;
  for (size_t call = next_call(stack, named, 0); call < stack->count; call = next_call(stack, named, call + 1)) {
    matching->runs[run++].host = (int32_t)call;
  }
  return true;
}

/*
 * A part of the eval loop that the compiler split off has no symbol in a stripped file. A run that is left, between
 * two that
 * have hosts, gets the frame between those that has no symbol and keeps its pointer, if that is only one.
 */
static void fill_in(struct matching *matching) {
  struct exu_merge_run *runs = matching->runs;
  const struct exu_merge_stack *stack = matching->stack;
  for (size_t run = 0; run < matching->run_count; run++) {
    bool first = run == 0, last = run + 1 == matching->run_count;
    if (runs[run].host != EXU_MERGE_NO_HOST || (!first && runs[run - 1].host == EXU_MERGE_NO_HOST) ||
        (!last && runs[run + 1].host == EXU_MERGE_NO_HOST) || (last && !stack->complete)) {
      continue;
    }
    size_t end = last ? stack->count : (size_t)runs[run + 1].host, found = 0;
    for (size_t i = first ? 0 : (size_t)runs[run - 1].host + 1; i < end && found < 2; i++) {
      if (stack->frames[i].function != 0 || stack->frames[i].eval_name || !is_kept(matching, i, run)) continue;
      runs[run].host = (int32_t)i;
      found++;
    }
    if (found != 1) runs[run].host = EXU_MERGE_NO_HOST;
  }
}

/*
 * Callers of the eval loop keep the frame object too, to release it, and what it calls saves its registers. Where a
 * symbol
 * names the eval loop, it only has to fit; else the function that covers the most runs is it, when only one does.
 */
static enum exu_merge_rule choose(struct matching *matching) {
  enum { FUNCTIONS_MAX = 64 };
  const struct exu_merge_stack *stack = matching->stack;
  struct candidate best = {.named = true};
  struct fit fit = assign(matching, best);
  if (is_fit(fit, best)) {
    if (fit.matched < matching->run_count) fill_in(matching);
    return EXU_MERGE_BY_POINTER;
  }
  uint64_t tried[FUNCTIONS_MAX];
  size_t tried_count = 0, covered = 0;
  bool tie = false;
  for (size_t i = 0; i < stack->count && tried_count < FUNCTIONS_MAX; i++) {
    uint64_t function = stack->frames[i].function;
    bool known = function == 0 || stack->frames[i].eval_name;
    for (size_t k = 0; k < tried_count && !known; k++) known = tried[k] == function;
    if (known) continue;
    struct candidate candidate = {.function = tried[tried_count++] = function};
    fit = assign(matching, candidate);
    if (!is_fit(fit, candidate) || fit.matched < covered) continue;
    tie = fit.matched == covered;
    covered = fit.matched;
    best = candidate;
  }
  /* Without any symbol every run must be covered, or chance could do it; two of them where frames are missing. */
  bool whole = stack->complete && stack->gap_count == 0;
  if (!tie && covered >= (whole ? matching->run_count : 2)) {
    assign(matching, best);
    return EXU_MERGE_BY_POINTER;
  }
  if (assign_by_name(matching)) return EXU_MERGE_BY_NAME;
  clear_hosts(matching->runs, matching->run_count);
  return EXU_MERGE_FAILED;
}

/*
 * Several chains: every call of the eval loop keeps the pointer of one of the chains' innermost runs that are left. A
 * register may still hold the pointer of another chain, so the chain at hand is asked first.
 */
static bool order_by_pointer(struct matching *matching) {
  enum { CHAINS_MAX = 16 };
  struct exu_merge_run *runs = matching->runs;
  const struct candidate named = {.named = true};
  uint32_t heads[CHAINS_MAX], list = END, *last = &list;
  size_t chains = 0, current = 0, left = matching->run_count;
  if (left == 0 || runs[0].chain == runs[left - 1].chain) return true;
  for (size_t i = 0; i < matching->run_count; i++) {
    bool is_first = i == 0 || runs[i].chain != runs[i - 1].chain;
    if (is_first && chains == CHAINS_MAX) return false;
    if (is_first) heads[chains++] = (uint32_t)i;
    bool is_last = i + 1 == matching->run_count || runs[i + 1].chain != runs[i].chain;
    runs[i].link = is_last ? END : (uint32_t)i + 1;
  }
  for (size_t call = next_call(matching->stack, named, 0); call < matching->stack->count;
       call = next_call(matching->stack, named, call + 1)) {
    for (size_t k = 0; k < chains; k++) {
      size_t chain = (current + k) % chains;
      if (heads[chain] == END || !is_kept(matching, call, heads[chain])) continue;
      *last = heads[chain];
      last = &runs[heads[chain]].link;
      heads[chain] = *last;
      current = chain;
      left--;
      break;
    }
  }
  for (size_t k = 0; k < chains; k++) {
    *last = heads[(current + k) % chains];
    while (*last != END) last = &runs[*last].link;
  }
  arrange(runs, matching->run_count, list);
  return left == 0;
}

struct exu_merge_result exu_merge_by_pointer(const struct exu_merge_stack *stack, struct exu_merge_run *runs,
                                             size_t run_count, exu_merge_keeps *keeps, void *context) {
  enum { QUESTIONS_MAX = 4 * 1000 * 1000 };
  struct matching matching = {.stack = stack,
                              .runs = runs,
                              .run_count = run_count,
                              .keeps = keeps,
                              .context = context,
                              .budget = QUESTIONS_MAX};
  clear_hosts(runs, run_count);
  if (run_count == 0) return (struct exu_merge_result){EXU_MERGE_FAILED, true};
  bool known = order_by_pointer(&matching);
  return (struct exu_merge_result){choose(&matching), known};
}

/* ---- One order --------------------------------------------------------------------------------------------------- */

struct writing {
  struct exu_merge_item *items;
  size_t count;
  bool loose; /* the last item is a run without a host: what comes next did not call it directly */
};

static void put_gap(struct writing *writing) {
  writing->loose = false;
  if (writing->count > 0 && writing->items[writing->count - 1].kind == EXU_MERGE_GAP) return;
  writing->items[writing->count++] = (struct exu_merge_item){EXU_MERGE_GAP, 0};
}

static void put(struct writing *writing, enum exu_merge_kind kind, size_t index) {
  if (writing->loose) put_gap(writing);
  writing->items[writing->count++] = (struct exu_merge_item){kind, (uint32_t)index};
}

static void put_loose_run(struct writing *writing, size_t run) {
  if (!writing->loose) put_gap(writing);
  writing->loose = false;
  put(writing, EXU_MERGE_RUN, run);
  writing->loose = true;
}

/* Does a run without a host come before native frame `i`? */
static bool is_before(const struct exu_merge_stack *stack, const struct exu_merge_run *run, size_t i, bool gap) {
  if (run->marker == 0) return gap;
  return run->marker < stack->frames[i].sp && (i == 0 || run->marker >= stack->frames[i - 1].sp);
}

size_t exu_merge_room(const struct exu_merge_stack *stack, size_t run_count) {
  return stack->count + stack->gap_count + 3 * run_count;
}

size_t exu_merge(const struct exu_merge_stack *stack, const struct exu_merge_run *runs, size_t run_count,
                 struct exu_merge_item *items) {
  struct writing writing = {.items = items};
  size_t run = 0, hosted = 0, gap = 0;
  for (size_t i = 0;; i++) {
    bool is_gap = gap < stack->gap_count && stack->gaps[gap] == i;
    if (is_gap) {
      put_gap(&writing);
      gap++;
    }
    if (hosted < run) hosted = run;
    while (hosted < run_count && runs[hosted].host == EXU_MERGE_NO_HOST) hosted++;
    bool limit = i == stack->count || (hosted < run_count && runs[hosted].host == (int32_t)i);
    while (run < hosted && (limit || is_before(stack, &runs[run], i, is_gap))) put_loose_run(&writing, run++);
    if (i == stack->count) break;
    if (run < run_count && runs[run].host == (int32_t)i) {
      put(&writing, EXU_MERGE_RUN, run++);
      put(&writing, EXU_MERGE_HOST, i);
    } else {
      put(&writing, EXU_MERGE_NATIVE, i);
    }
  }
  return writing.count;
}
