/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the public header that make a report. What a caller does wrong ends here. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "analyze.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/str.h"
#include "binary/symbols.h"
#include "exuvia/exuvia.h"
#include "waits/waits.h"

/* Without exu_options.memory_limit; a report of a million frames needs about this much. */
enum { MEMORY_LIMIT_MIB = 256 };

/* Of struct exu_options, in any version: what is larger is no size. */
enum { OPTIONS_SIZE_MAX = 4096 };

/* More than there is. */
#define MEMORY_LIMIT_MAX (SIZE_MAX / 2)

/*
 * A report, with the memory that it and its session live on: whichever of them goes last releases it. The report comes
 * first, so that its address is this one's.
 */
struct report_box {
  struct exu_report report;
  struct exu_arena arena;
  atomic_uint owners;
};

struct exu_session {
  struct exu_options options;
  int64_t pid; /* of a live process, as the caller said it; -1: it is a core */
  struct exu_analysis *analysis;
  struct exu_callback callback; /* of a core that the caller reads */
  struct exu_limits limits;
  struct exu_arena lookups; /* what was looked up: */
  struct exu_map symbols;   /* address -> struct exu_symbol */
  bool explained;
};

static struct report_box *box_of(struct exu_report *report) { return (struct report_box *)report; }

static void release_box(struct report_box *box) {
  if (!box || atomic_fetch_sub(&box->owners, 1) != 1) return;
  exu_arena_deinit(&box->arena);
  free(box);
}

/* `source`: what the report calls it, which may take so much `memory`. NULL without any. */
static struct exu_analysis *analysis_create(struct exu_session *session, struct exu_string source, size_t memory) {
  struct exu_analysis *analysis = calloc(1, sizeof *analysis);
  struct report_box *box = analysis ? calloc(1, sizeof *box) : NULL;
  if (!box) {
    free(analysis);
    return NULL;
  }
  exu_arena_init(&box->arena, memory);
  atomic_init(&box->owners, 1);
  box->report.source_kind = session->pid < 0 ? EXU_SOURCE_CORE : EXU_SOURCE_LIVE;
  if (source.data) box->report.source_path = exu_arena_string(&box->arena, source.data, source.size);
  box->report.pid = session->pid;
  box->report.pause_us = -1;
  *analysis = (struct exu_analysis){
      .arena = &box->arena, .limits = &session->limits, .report = &box->report, .options = session->options};
  return analysis;
}

static void analysis_destroy(struct exu_analysis *analysis) {
  struct report_box *box = box_of(analysis->report);
  exu_analysis_deinit(analysis);
  free(analysis);
  release_box(box);
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

/*
 * Take what the caller's version of the structure has. One that is larger than ours comes from a newer caller, who may
 * ask for nothing that is not known here. All members are whole words, or bytes that share one.
 */
static bool take_options(const struct exu_options *theirs, struct exu_options *options) {
  static const struct exu_options defaults = EXU_OPTIONS_DEFAULT;
  *options = defaults;
  if (!theirs) return true;
  if (theirs->size < sizeof theirs->size || theirs->size % sizeof theirs->size != 0) return false;
  if (theirs->size > OPTIONS_SIZE_MAX) return false;
  for (size_t i = sizeof *theirs; i < theirs->size; i++)
    if (((const char *)theirs)[i] != 0) return false;
  memcpy(options, theirs, theirs->size < sizeof *options ? theirs->size : sizeof *options);
  options->size = sizeof *options;
  return options->search || options->search_count == 0;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static const struct exu_string no_name = {NULL, 0};

/* `source`: what the report calls it. `pid`: -1 of a core. */
static enum exu_result open_session(struct exu_string source, int64_t pid, const struct exu_options *options,
                                    struct exu_session **session) {
  struct exu_options taken;
  if (!take_options(options, &taken)) return EXU_RESULT_MISUSE;
  const size_t limit = taken.memory_limit ? taken.memory_limit : (size_t)MEMORY_LIMIT_MIB << 20;
  struct exu_session *opened = calloc(1, sizeof *opened);
  if (!opened) return EXU_RESULT_NO_MEMORY;
  opened->options = taken;
  opened->pid = pid;
  opened->analysis = analysis_create(opened, source, limit < MEMORY_LIMIT_MAX ? limit : MEMORY_LIMIT_MAX);
  if (!opened->analysis) {
    free(opened);
    return EXU_RESULT_NO_MEMORY;
  }
  exu_arena_init(&opened->lookups, opened->analysis->arena->budget);
  *session = opened;
  return EXU_RESULT_OK;
}

enum exu_result exu_session_open_core(const char *path, const struct exu_options *options,
                                      struct exu_session **session) {
  if (!session) return EXU_RESULT_MISUSE;
  *session = NULL;
  if (!path) return EXU_RESULT_MISUSE;
  enum exu_result result = open_session(exu_string_of(path), -1, options, session);
  if (result != EXU_RESULT_OK) return result;
  const char *kept = (*session)->analysis->report->source_path.data;
  (*session)->analysis->core.path = kept;
  if (kept) return EXU_RESULT_OK;
  exu_session_close(*session);
  *session = NULL;
  return EXU_RESULT_NO_MEMORY;
}

enum exu_result exu_session_open_fd(int fd, const struct exu_options *options, struct exu_session **session) {
  if (!session) return EXU_RESULT_MISUSE;
  *session = NULL;
  if (fd < 0) return EXU_RESULT_MISUSE;
  enum exu_result result = open_session(no_name, -1, options, session);
  if (result == EXU_RESULT_OK) (*session)->analysis->core.fd = fd;
  return result;
}

enum exu_result exu_session_open_memory(const void *bytes, size_t size, const struct exu_options *options,
                                        struct exu_session **session) {
  if (!session) return EXU_RESULT_MISUSE;
  *session = NULL;
  if (!bytes || size > PTRDIFF_MAX) return EXU_RESULT_MISUSE;
  enum exu_result result = open_session(no_name, -1, options, session);
  if (result == EXU_RESULT_OK) (*session)->analysis->core.source = exu_source_of_memory(bytes, size);
  return result;
}

enum exu_result exu_session_open_reader(exu_read_function *read, void *context, uint64_t size,
                                        const struct exu_options *options, struct exu_session **session) {
  if (!session) return EXU_RESULT_MISUSE;
  *session = NULL;
  if (!read || size > INT64_MAX) return EXU_RESULT_MISUSE;
  enum exu_result result = open_session(no_name, -1, options, session);
  if (result != EXU_RESULT_OK) return result;
  (*session)->callback = (struct exu_callback){read, context};
  (*session)->analysis->core.source = exu_source_of_callback(&(*session)->callback, size);
  return EXU_RESULT_OK;
}

enum exu_result exu_session_open_process(int64_t pid, const struct exu_options *options, struct exu_session **session) {
  char path[32];
  if (!session) return EXU_RESULT_MISUSE;
  *session = NULL;
  if (pid <= 0) return EXU_RESULT_MISUSE;
  snprintf(path, sizeof path, "/proc/%" PRId64, pid);
  return open_session(exu_string_of(path), pid, options, session);
}

void exu_session_cancel(struct exu_session *session) {
  if (session) exu_limits_cancel(&session->limits);
}

void exu_session_close(struct exu_session *session) {
  if (!session) return;
  exu_map_deinit(&session->symbols);
  exu_arena_deinit(&session->lookups);
  analysis_destroy(session->analysis);
  free(session);
}

/* ---- The report -------------------------------------------------------------------------------------------------- */

/*
 * A C++ exception on its way, a call that is not yet linked to its caller: about one stop in a thousand of a busy process
 * meets what cannot be followed. The next moment it may be over.
 */
static void look_again(struct exu_session *session) {
  struct exu_analysis *first = session->analysis;
  const size_t memory = first->arena->budget - first->arena->allocated;
  struct exu_analysis *second = analysis_create(session, first->report->source_path, memory);
  if (!second) return;
  exu_analyze(second);
  const int64_t pause = first->report->pause_us + (second->report->pause_us > 0 ? second->report->pause_us : 0);
  const bool whole = exu_analysis_is_whole(second);
  session->analysis = whole ? second : first;
  session->analysis->report->pause_us = pause;
  analysis_destroy(whole ? first : second);
}

enum exu_result exu_session_explain(struct exu_session *session, struct exu_report **report) {
  if (report) *report = NULL;
  if (!session || !report || session->explained) return EXU_RESULT_MISUSE;
  session->explained = true;
  exu_limits_start(&session->limits, session->options.time_limit_ms);
  exu_analyze(session->analysis);
  if (exu_analysis_may_become_whole(session->analysis)) look_again(session);
  exu_analysis_finish(session->analysis);
  *report = session->analysis->report;
  atomic_fetch_add(&box_of(*report)->owners, 1);
  return EXU_RESULT_OK;
}

/* ---- Memory and symbols ------------------------------------------------------------------------------------------ */

/* Is all of it as it was when the stacks were read? */
static bool is_consistent(const struct exu_process *process, uint64_t address, size_t size) {
  enum { PAGE = 4096 };
  const uint64_t last = address + (size - 1);
  if (process->sampled || !exu_process_is_consistent(process, last)) return false;
  for (uint64_t at = address; at <= last && last - at >= PAGE; at += PAGE)
    if (!exu_process_is_consistent(process, at)) return false;
  return exu_process_is_consistent(process, address);
}

enum exu_result exu_session_read(struct exu_session *session, uint64_t address, void *buffer, size_t size,
                                 bool *consistent) {
  if (!session || !session->explained || (!buffer && size > 0)) return EXU_RESULT_MISUSE;
  const struct exu_analysis *analysis = session->analysis;
  if (!analysis->has_process) return EXU_RESULT_READ_FAILED;
  if (size > 0 && address > UINT64_MAX - (size - 1)) return EXU_RESULT_UNMAPPED;
  switch (exu_space_read(analysis->process.space, address, buffer, size)) {
  case EXU_READABLE: break;
  case EXU_UNMAPPED: return EXU_RESULT_UNMAPPED;
  case EXU_NOT_SAVED:
  case EXU_CUT_OFF: return EXU_RESULT_NOT_SAVED;
  case EXU_READ_FAILED: return EXU_RESULT_READ_FAILED;
  }
  if (consistent) *consistent = size == 0 || is_consistent(&analysis->process, address, size);
  return EXU_RESULT_OK;
}

/* What lies at an address of a module. NULL without memory. */
static const struct exu_symbol *look_up(struct exu_session *session, struct exu_binary *module, uint64_t address) {
  struct exu_modules *modules = &session->analysis->modules;
  bool is_new;
  void **slot = exu_map_insert(&session->symbols, address, &is_new);
  if (!slot) return NULL;
  if (!is_new && *slot) return *slot;
  struct exu_symbol *symbol = exu_arena_alloc(&session->lookups, sizeof *symbol);
  if (!symbol) return NULL;
  exu_modules_file(modules, module); /* which settles the bias */
  struct exu_elf_cover cover = {.address = address - module->bias};
  if (!exu_module_cover(modules, module, &cover, 1, &session->lookups)) return NULL;
  *symbol = (struct exu_symbol){.name = cover.name,
                                .address = cover.name.data ? cover.start + module->bias : module->start,
                                .module = (int32_t)(module - modules->items)};
  *slot = symbol;
  return symbol;
}

enum exu_result exu_session_symbol_at(struct exu_session *session, uint64_t address, struct exu_symbol *symbol) {
  if (!session || !session->explained || !symbol) return EXU_RESULT_MISUSE;
  const struct exu_analysis *analysis = session->analysis;
  struct exu_binary *module = analysis->has_modules && address ? exu_modules_find(&analysis->modules, address) : NULL;
  if (!module) return EXU_RESULT_NOT_FOUND;
  const struct exu_symbol *found = look_up(session, module, address);
  if (!found) return EXU_RESULT_NO_MEMORY;
  *symbol = *found;
  return EXU_RESULT_OK;
}

enum exu_result exu_session_find_symbol(struct exu_session *session, int32_t module, const char *name,
                                        uint64_t *address) {
  if (!session || !session->explained || !name || !address || module < -1) return EXU_RESULT_MISUSE;
  if (!session->analysis->has_modules) return EXU_RESULT_NOT_FOUND;
  struct exu_modules *modules = &session->analysis->modules;
  if (module >= 0 && (size_t)module >= modules->count) return EXU_RESULT_MISUSE;
  /* All of them: the main program first, as the dynamic linker does. */
  for (int main = 1; main >= 0; main--) {
    for (size_t i = 0; i < modules->count; i++) {
      struct exu_elf_symbol found;
      struct exu_binary *one = &modules->items[i];
      if (one->main != (main == 1) || (module >= 0 && i != (size_t)module)) continue;
      exu_modules_file(modules, one); /* which settles the bias */
      if (!exu_module_symbol(modules, one, name, &found)) continue;
      *address = found.value + one->bias;
      return EXU_RESULT_OK;
    }
  }
  return EXU_RESULT_NOT_FOUND;
}

void exu_report_relate(struct exu_report *const *reports, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!reports || !reports[i]) return;
  /* Of those that ran no more nobody can be asked what it has open. */
  struct exu_report **running = calloc(count + 1, sizeof *running);
  struct exu_arena **arenas = calloc(count + 1, sizeof *arenas);
  size_t found = 0;
  for (size_t i = 0; running && arenas && i < count; i++) {
    if (reports[i]->source_kind != EXU_SOURCE_LIVE) continue;
    running[found] = reports[i];
    arenas[found++] = &box_of(reports[i])->arena;
  }
  if (found > 0) exu_waits_between(running, arenas, found);
  free(running);
  free(arenas);
}

void exu_report_destroy(struct exu_report *report) { release_box(box_of(report)); }

const char *exu_result_text(enum exu_result value) {
  static const char *const texts[] = {
#define EXU_TEXT(constant, text) [constant] = (text),
      EXU_RESULTS(EXU_TEXT)
#undef EXU_TEXT
  };
  const size_t index = (size_t)value;
  return index < sizeof texts / sizeof *texts ? texts[index] : "unknown result";
}

const char *exu_version(void) { return EXU_VERSION; }
