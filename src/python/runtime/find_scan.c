/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the runtime in the saved memory alone: by the cookie of _Py_DebugOffsets, or by a thread's thread pointer. */
#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "base/map.h"
#include "python/layout/debug_offsets.h"
#include "python/runtime/build.h"
#include "python/runtime/find.h"

/* What a search may look at. A larger core is searched in part, and the report says so. */
enum { SCAN_MAX_MIB = 4096, TSTATES_MAX = 65536, INTERPRETERS_MAX = 4096, DESCRIPTORS_MAX = 1024, HITS_MAX = 4096 };

struct search {
  const struct exu_process *process;
  exu_scan_callback *callback;
  void *context;
  uint64_t left; /* bytes that may still be looked at; holes of the core cost nothing */
};

static bool count_bytes(void *context, uint64_t address, const uint8_t *bytes, size_t size) {
  struct search *search = context;
  if (exu_process_is_over(search->process)) return false;
  if (search->left < size) {
    search->left = 0;
    return false;
  }
  search->left -= size;
  return search->callback(search->context, address, bytes, size);
}

/*
 * Search saved writable memory: first the variables of mapped files (the runtime lives there, or the pointers to it),
 * then the rest by address; or only those of one module. Stops when the callback wants to.
 */
static void scan_writable(const struct exu_py *py, const struct exu_binary *module, exu_scan_callback *callback,
                          void *context) {
  struct search search = {
      .process = py->process, .callback = callback, .context = context, .left = (uint64_t)SCAN_MAX_MIB << 20};
  size_t count;
  const struct exu_region *regions = exu_space_regions(py->space, &count);
  for (int files = 1; files >= 0; files--) {
    for (size_t i = 0; i < count; i++) {
      const struct exu_region *region = &regions[i];
      if (!(region->prot & EXU_PROT_WRITE) || region->saved < exu_py_word_size(py)) continue;
      if (module) {
        if (files == 0 || region->start >= module->end || region->end <= module->start) continue;
      } else if ((exu_process_mapping(py->process, region->start) != NULL) != (files == 1)) {
        continue;
      }
      if (exu_space_scan(py->space, region, EXU_DEBUG_OFFSETS_COOKIE_SIZE, count_bytes, &search)) continue;
      if (search.left == 0) {
        exu_incomplete(py->diagnostics, EXU_DIAGNOSTIC_SEARCH_BUDGET, -1,
                       "the search for the interpreter stopped after %d MiB of memory", SCAN_MAX_MIB);
      }
      return;
    }
  }
}

/* ---- The cookie -------------------------------------------------------------------------------------------------- */

struct cookie_search {
  struct exu_py_candidate *candidate;
  struct exu_py_attempts *attempts;
  bool found;
};

static bool try_cookie(struct cookie_search *search, uint64_t address) {
  struct exu_py_candidate *candidate = search->candidate;
  struct exu_error error = {0};
  uint64_t head;
  if (!exu_py_layout_from_debug_offsets(candidate, address, &error)) {
    if (error.status == EXU_UNSUPPORTED)
      exu_py_add_copy(search->attempts, &candidate->py, EXU_PY_COPY_UNSUPPORTED, address);
    return false;
  }
  if (!exu_py_get(&candidate->py, address, candidate->runtime.layout.runtime_interpreters_head, &head)) return false;
  candidate->runtime.module = exu_modules_find(candidate->py.modules, address);
  /* A second copy of the library, mapped as data or never started, has a cookie too: only a living one counts. */
  if (!exu_py_is_interpreter(&candidate->py, head, true)) {
    exu_py_add_copy(search->attempts, &candidate->py, head ? EXU_PY_COPY_DAMAGED : EXU_PY_COPY_UNUSED, address);
    return false;
  }
  candidate->runtime.address = address;
  candidate->runtime.interpreters = head;
  return true;
}

static bool scan_for_cookie(void *context, uint64_t address, const uint8_t *bytes, size_t size) {
  struct cookie_search *search = context;
  const uint8_t *end = bytes + size;
  for (const uint8_t *hit = bytes;
       hit < end && (hit = memmem(hit, (size_t)(end - hit), EXU_DEBUG_OFFSETS_COOKIE, EXU_DEBUG_OFFSETS_COOKIE_SIZE));
       hit++) {
    uint64_t where = address + (uint64_t)(hit - bytes);
    if (where % exu_py_word_size(&search->candidate->py) == 0 && try_cookie(search, where)) {
      search->found = true;
      return false;
    }
  }
  return true;
}

bool exu_py_find_by_cookie(struct exu_py_candidate *candidate, const struct exu_binary *module,
                           struct exu_py_attempts *attempts) {
  struct cookie_search search = {.candidate = candidate, .attempts = attempts};
  scan_writable(&candidate->py, module, scan_for_cookie, &search);
  if (search.found) candidate->runtime.found_by = EXU_FOUND_BY_COOKIE;
  return search.found;
}

/* ---- Thread states ----------------------------------------------------------------------------------------------- */

/* What pthread_self() returns in one thread: exactly, or somewhere from first to last. */
struct descriptor_range {
  uint64_t first;
  uint64_t last;
};

/*
 * A thread state keeps what pthread_self() returned, which is the thread pointer. A word with that value is the
 * thread_id of a thread state T when the interpreter that T points to has T in its list of thread states.
 */
struct descriptor_search {
  const struct exu_py *py;
  const struct exu_binary *module; /* that has to hold the interpreter's types; NULL: any */
  const struct exu_py_attempts *attempts;
  struct descriptor_range descriptors[DESCRIPTORS_MAX]; /* by address */
  size_t descriptor_count;
  size_t hits;
  uint64_t interpreter; /* the first that was found */
};

static int compare_descriptors(const void *a, const void *b) {
  const struct descriptor_range *x = a, *y = b;
  return x->first < y->first ? -1 : x->first > y->first;
}

/* A word as the key, a range as the element. */
static int compare_with_descriptor(const void *key, const void *element) {
  const struct descriptor_range *descriptor = element;
  uint64_t word = *(const uint64_t *)key;
  return word < descriptor->first ? -1 : word > descriptor->last;
}

static bool has_thread_state(const struct exu_py *py, uint64_t interpreter, uint64_t wanted) {
  struct exu_map seen = {0};
  uint64_t tstate = 0;
  bool found = false, is_new = true;
  if (!exu_py_get(py, interpreter, py->runtime->layout.interp_threads_head, &tstate)) return false;
  while (exu_py_plausible(tstate) && seen.count < TSTATES_MAX) {
    found = tstate == wanted;
    if (found || !exu_map_insert(&seen, tstate, &is_new) || !is_new) break;
    if (!exu_py_get(py, tstate, py->runtime->layout.tstate_next, &tstate)) break;
  }
  exu_map_deinit(&seen);
  return found;
}

/*
 * The module that an interpreter's types lie in, which are variables of the library in every version: that of the
 * dictionary of its modules. NULL: unknown.
 */
static struct exu_binary *module_of(const struct exu_py *py, uint64_t interpreter) {
  uint64_t dict, type;
  if (!exu_py_get(py, interpreter, py->runtime->layout.interp_modules, &dict) || !exu_py_plausible(dict)) return NULL;
  return exu_py_get(py, dict, py->runtime->layout.object_type, &type) ? exu_modules_find(py->modules, type) : NULL;
}

/* What was left behind of a runtime that has been shut down, or belongs to another copy, is not what is sought. */
static bool is_sought(const struct descriptor_search *search, uint64_t interpreter) {
  const struct exu_py *py = search->py;
  uint64_t runtime;
  /* Of another version, whose layout this is not, the module may be unknown, too. */
  if (search->module && module_of(py, interpreter) != search->module) return false;
  if (!exu_py_get(py, interpreter, py->runtime->layout.interp_runtime, &runtime)) return true; /* before 3.9 */
  for (size_t i = 0; i < search->attempts->count; i++) {
    const struct exu_py_copy *copy = &search->attempts->copies[i];
    if (copy->address == runtime && copy->state == EXU_PY_COPY_UNUSED) return false;
  }
  return true;
}

static bool try_thread_state(struct descriptor_search *search, uint64_t address) {
  const struct exu_py *py = search->py;
  uint64_t tstate = address - py->runtime->layout.tstate_thread_id.offset;
  uint64_t interpreter;
  if (!exu_py_plausible(tstate) || !exu_py_get(py, tstate, py->runtime->layout.tstate_interp, &interpreter))
    return false;
  if (!exu_py_is_interpreter(py, interpreter, false) || !has_thread_state(py, interpreter, tstate)) return false;
  if (!is_sought(search, interpreter)) return false;
  search->interpreter = interpreter;
  return true;
}

static bool scan_for_thread_state(void *context, uint64_t address, const uint8_t *bytes, size_t size) {
  struct descriptor_search *search = context;
  uint64_t lowest = search->descriptors[0].first,
           width = search->descriptors[search->descriptor_count - 1].last - lowest;
  const struct exu_arch *arch = search->py->process->arch;
  for (size_t i = 0, step = arch->word_size; i + step <= size; i += step) {
    const uint64_t word = exu_arch_word(arch, bytes + i);
    if (word - lowest > width) continue;
    if (!bsearch(&word, search->descriptors, search->descriptor_count, sizeof *search->descriptors,
                 compare_with_descriptor))
      continue;
    if (try_thread_state(search, address + i) || ++search->hits >= HITS_MAX) return false;
  }
  return true;
}

static void collect_descriptors(struct descriptor_search *search) {
  const struct exu_process *process = search->py->process;
  for (size_t i = 0; i < process->thread_count && search->descriptor_count < DESCRIPTORS_MAX; i++) {
    const struct exu_os_thread *thread = &process->threads[i];
    const bool exact = thread->registers.has_thread_pointer;
    uint64_t last = exact ? process->arch->pthread_self(thread->registers.thread_pointer) : thread->in_descriptor;
    uint64_t first = exact || last < EXU_DESCRIPTOR_MAX ? last : last - EXU_DESCRIPTOR_MAX + 1;
    if (last) search->descriptors[search->descriptor_count++] = (struct descriptor_range){first, last};
  }
  qsort(search->descriptors, search->descriptor_count, sizeof *search->descriptors, compare_descriptors);
}

/* 3.7 and 3.8: an interpreter does not know the runtime, but the runtime's list starts with one. */
struct runtime_search {
  const struct exu_py *py;
  uint64_t interpreter;
  uint64_t runtime;
};

/* The last of a list of interpreters, which is the main one: new ones are put before it. */
static uint64_t main_interpreter(const struct exu_py *py, uint64_t interpreter) {
  uint64_t next;
  for (int i = 0; i < INTERPRETERS_MAX; i++) {
    if (!exu_py_get(py, interpreter, py->runtime->layout.interp_next, &next) || !exu_py_plausible(next)) break;
    interpreter = next;
  }
  return interpreter;
}

static bool scan_for_runtime(void *context, uint64_t address, const uint8_t *bytes, size_t size) {
  struct runtime_search *search = context;
  const struct exu_layout *layout = &search->py->runtime->layout;
  const struct exu_arch *arch = search->py->process->arch;
  for (size_t i = 0, step = arch->word_size; i + step <= size; i += step) {
    const uint64_t word = exu_arch_word(arch, bytes + i);
    uint64_t head, runtime = address + i - layout->runtime_interpreters_main.offset;
    if (word != search->interpreter) continue;
    if (!exu_py_get(search->py, runtime, layout->runtime_interpreters_head, &head)) continue;
    /* Other variables point to the main interpreter too: the list must lead to it. */
    if (!exu_py_is_interpreter(search->py, head, false)) continue;
    if (main_interpreter(search->py, head) != word) continue;
    search->runtime = runtime;
    return false;
  }
  return true;
}

static uint64_t runtime_of(const struct exu_py *py, uint64_t interpreter) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t runtime;
  if (exu_py_get(py, interpreter, layout->interp_runtime, &runtime)) return runtime; /* 3.9 and later */
  if (!exu_py_has(layout->runtime_interpreters_main)) return 0;
  struct runtime_search search = {.py = py, .interpreter = main_interpreter(py, interpreter)};
  scan_writable(py, NULL, scan_for_runtime, &search);
  return search.runtime;
}

/*
 * From one interpreter to all: through the runtime, which has the list. Up to 3.6 this one and those after it are
 * known.
 */
static void adopt(struct exu_py_candidate *candidate, uint64_t interpreter) {
  uint64_t head, runtime = runtime_of(&candidate->py, interpreter);
  candidate->runtime.address = 0;
  candidate->runtime.interpreters = interpreter;
  if (!exu_py_get(&candidate->py, runtime, candidate->runtime.layout.runtime_interpreters_head, &head)) return;
  if (!exu_py_is_interpreter(&candidate->py, head, true)) return;
  candidate->runtime.address = runtime;
  candidate->runtime.interpreters = head;
}

bool exu_py_search_thread_states(struct exu_py_candidate *candidate, const struct exu_binary *module,
                                 struct exu_py_attempts *attempts) {
  struct descriptor_search search = {.py = &candidate->py, .module = module, .attempts = attempts};
  if (!exu_py_has(candidate->runtime.layout.tstate_thread_id)) return false;
  collect_descriptors(&search);
  attempts->no_descriptors |= search.descriptor_count == 0;
  if (search.descriptor_count == 0) return false;
  scan_writable(&candidate->py, NULL, scan_for_thread_state, &search);
  if (!search.interpreter) return false;
  adopt(candidate, search.interpreter);
  return true;
}

bool exu_py_find_by_thread_pointer(struct exu_py_candidate *candidate, const struct exu_binary *module,
                                   struct exu_py_attempts *attempts) {
  /* Without its file, a debug build is told from a release build by which layout makes sense of its frames. */
  struct exu_py_runtime best = candidate->runtime;
  int best_score = -2;
  bool any_table = false;
  for (int debug = 0; debug <= 1; debug++) {
    if (candidate->runtime.debug != EXU_UNKNOWN && candidate->runtime.debug != (debug ? EXU_YES : EXU_NO)) continue;
    if (!exu_py_layout_from_table(candidate, debug == 1)) continue;
    any_table = true;
    if (!exu_py_search_thread_states(candidate, module, attempts)) continue;
    int score = exu_py_probe_layout(candidate);
    if (score > best_score) {
      best = candidate->runtime;
      best_score = score;
      best.debug = score > 0 ? (debug ? EXU_YES : EXU_NO) : EXU_UNKNOWN;
    }
    if (score > 0) break;
  }
  if (!any_table) exu_py_add_copy(attempts, &candidate->py, EXU_PY_COPY_UNSUPPORTED, 0);
  if (best_score == -2) return false;
  candidate->runtime = best;
  candidate->runtime.found_by = EXU_FOUND_BY_THREAD_POINTER;
  const struct exu_py_runtime *runtime = &candidate->runtime;
  candidate->runtime.module = runtime->address ? exu_modules_find(candidate->py.modules, runtime->address)
                                               : module_of(&candidate->py, runtime->interpreters);
  return true;
}
