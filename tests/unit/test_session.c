/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface: every way to open a session, and what a caller may do wrong. */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "elf_builder.h"
#include "exuvia/exuvia.h"

enum { BASE = 0x10000, PAGE = 4096, TID = 4711 };

/* A core of one thread and a page of memory, as bytes and as a file; no Python is in it. */
struct small_core {
  struct core_builder *builder;
  const uint8_t *bytes;
  size_t size;
  struct nameless_file file;
};

static void small_core_create(struct small_core *core) {
  const struct core_registers registers = {.rip = BASE, .rsp = BASE + 64, .orig_rax = -1};
  core->builder = core_builder_create();
  core_builder_prstatus(core->builder, TID, 11, &registers);
  core_builder_prpsinfo(core->builder, TID, "program", "program --option");
  core_builder_siginfo(core->builder, 11, 1, 0xdead0000);
  core_builder_load(core->builder, BASE, PAGE, NULL, PAGE, CORE_R | CORE_W);
  core_builder_load(core->builder, BASE + PAGE, PAGE, NULL, 0, CORE_R | CORE_W);
  core->bytes = core_builder_finish(core->builder, &core->size);
  core->file = nameless_file(core->bytes, core->size);
}

static void small_core_destroy(struct small_core *core) {
  close(core->file.fd);
  core_builder_destroy(core->builder);
}

/* The report of a session that was opened, which is closed before the report is used. */
static struct exu_report *explain_and_close(enum exu_result opened, struct exu_session **session) {
  struct exu_report *report = NULL;
  assert_int_equal(opened, EXU_RESULT_OK);
  assert_non_null(*session);
  assert_int_equal(exu_session_explain(*session, &report), EXU_RESULT_OK);
  assert_non_null(report);
  exu_session_close(*session);
  return report;
}

static void assert_is_small_core(const struct exu_report *report, const struct small_core *core) {
  assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING); /* there is no Python in it */
  assert_int_equal(report->source_kind, EXU_SOURCE_CORE);
  assert_int_equal(report->source_bytes, core->size);
  assert_false(report->source_truncated);
  assert_int_equal(report->pid, TID);
  assert_int_equal(report->thread_count, 1);
  assert_int_equal(report->threads[0].tid, TID);
  assert_non_null(report->crash);
  assert_int_equal(report->crash->signal, 11);
  assert_int_equal(report->crash->address, 0xdead0000);
}

static bool has_diagnostic(const struct exu_report *report, const char *code) {
  for (size_t i = 0; i < report->diagnostic_count; i++)
    if (strcmp(report->diagnostics[i].code, code) == 0) return true;
  return false;
}

/* ---- Every way to open ------------------------------------------------------------------------------------------- */

static void test_a_core_is_opened_by_its_path(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  small_core_create(&core);
  struct exu_report *report = explain_and_close(exu_session_open_core(core.file.path, NULL, &session), &session);
  assert_is_small_core(report, &core);
  assert_int_equal(report->source_path.size, strlen(core.file.path));
  assert_memory_equal(report->source_path.data, core.file.path, report->source_path.size);
  exu_report_destroy(report);
  small_core_destroy(&core);
}

static void test_a_core_is_opened_by_a_descriptor_that_stays_as_it_is(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  small_core_create(&core);
  assert_int_equal(lseek(core.file.fd, 7, SEEK_SET), 7);
  struct exu_report *report = explain_and_close(exu_session_open_fd(core.file.fd, NULL, &session), &session);
  assert_is_small_core(report, &core);
  assert_null(report->source_path.data);
  assert_int_equal(lseek(core.file.fd, 0, SEEK_CUR), 7); /* open, and where it was */
  exu_report_destroy(report);
  small_core_destroy(&core);
}

static void test_a_descriptor_of_no_regular_file_is_said(void **state) {
  (void)state;
  int ends[2];
  struct exu_session *session = NULL;
  assert_int_equal(pipe(ends), 0);
  struct exu_report *report = explain_and_close(exu_session_open_fd(ends[0], NULL, &session), &session);
  assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING);
  assert_true(has_diagnostic(report, "source-unreadable"));
  assert_int_equal(close(ends[0]), 0); /* it was borrowed */
  close(ends[1]);
  exu_report_destroy(report);
}

static void test_a_core_is_opened_from_memory(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  small_core_create(&core);
  struct exu_report *report =
      explain_and_close(exu_session_open_memory(core.bytes, core.size, NULL, &session), &session);
  assert_is_small_core(report, &core);
  assert_null(report->source_path.data);
  exu_report_destroy(report);
  small_core_destroy(&core);
}

static void test_memory_that_ends_early_is_a_truncated_core(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  small_core_create(&core);
  uint8_t *part = malloc(core.size - 100); /* of this size: a sanitizer sees what is read beyond */
  assert_non_null(part);
  memcpy(part, core.bytes, core.size - 100);
  struct exu_report *report =
      explain_and_close(exu_session_open_memory(part, core.size - 100, NULL, &session), &session);
  free(part);
  assert_true(report->source_truncated);
  assert_int_equal(report->source_missing_bytes, 100);
  exu_report_destroy(report);
  small_core_destroy(&core);
}

/* A reader of a core: what it gives at most at once, and where it fails. */
struct reader {
  const struct small_core *core;
  size_t at_once;
  uint64_t fails_from;
  int64_t failure;
  size_t calls;
};

static int64_t read_core(void *context, uint64_t offset, void *buffer, size_t size) {
  struct reader *reader = context;
  reader->calls++;
  assert_true(offset < reader->core->size && size <= reader->core->size - offset);
  if (offset + size > reader->fails_from) return reader->failure;
  if (size > reader->at_once) size = reader->at_once;
  memcpy(buffer, reader->core->bytes + offset, size);
  return (int64_t)size;
}

static void test_a_core_is_opened_by_a_function_that_reads_whatever_pieces_it_gives(void **state) {
  (void)state;
  const size_t pieces[] = {SIZE_MAX, 1000, 7};
  struct small_core core;
  small_core_create(&core);
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
    struct reader reader = {.core = &core, .at_once = pieces[i], .fails_from = UINT64_MAX};
    struct exu_session *session = NULL;
    struct exu_report *report =
        explain_and_close(exu_session_open_reader(read_core, &reader, core.size, NULL, &session), &session);
    assert_is_small_core(report, &core);
    assert_null(report->source_path.data);
    assert_true(reader.calls > 0);
    exu_report_destroy(report);
  }
  small_core_destroy(&core);
}

/* -1; more bytes than were asked for, which are not believed; and none where there are some. */
static void test_a_function_that_fails_makes_no_report_of_a_core(void **state) {
  (void)state;
  const int64_t failures[] = {-1, INT64_MAX, INT64_MIN, 0};
  struct small_core core;
  small_core_create(&core);
  for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
    for (uint64_t from = 0; from < core.size; from += from < 512 ? 8 : 512) {
      struct reader reader = {.core = &core, .at_once = SIZE_MAX, .fails_from = from, .failure = failures[i]};
      struct exu_session *session = NULL;
      struct exu_report *report =
          explain_and_close(exu_session_open_reader(read_core, &reader, core.size, NULL, &session), &session);
      if (from == 0) assert_true(has_diagnostic(report, "source-unreadable"));
      assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING);
      exu_report_destroy(report);
    }
  }
  small_core_destroy(&core);
}

static void test_a_core_that_cannot_be_read_is_not_called_another_file(void **state) {
  (void)state;
  struct small_core core;
  small_core_create(&core);
  struct reader reader = {.core = &core, .at_once = SIZE_MAX, .fails_from = 0, .failure = -1};
  struct exu_session *session = NULL;
  struct exu_report *report =
      explain_and_close(exu_session_open_reader(read_core, &reader, core.size, NULL, &session), &session);
  assert_int_equal(report->diagnostic_count, 1);
  assert_string_equal(report->diagnostics[0].message.data, "the core cannot be read");
  exu_report_destroy(report);
  small_core_destroy(&core);
}

static void test_a_core_that_is_not_there_is_a_report_that_says_so(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_report *report = explain_and_close(exu_session_open_core("/nonexistent/core", NULL, &session), &session);
  assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING);
  assert_true(has_diagnostic(report, "source-unreadable"));
  exu_report_destroy(report);
}

static void test_a_live_process_is_opened_by_its_id(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  options.no_stop = options.python_only = true; /* nothing can stop itself */
  struct exu_report *report = explain_and_close(exu_session_open_process(getpid(), &options, &session), &session);
  assert_int_equal(report->source_kind, EXU_SOURCE_LIVE);
  assert_int_equal(report->pid, getpid());
  exu_report_destroy(report);
}

/* ---- Limits ------------------------------------------------------------------------------------------------------ */

/* Reads a core, slowly, and may cancel the session that it is called by. */
struct slow_reader {
  const struct small_core *core;
  struct exu_session *session; /* to cancel; NULL: none */
  useconds_t pause;
  size_t calls;
  size_t cancels_at; /* which call does it */
};

static int64_t read_slowly(void *context, uint64_t offset, void *buffer, size_t size) {
  struct slow_reader *reader = context;
  if (reader->calls++ == reader->cancels_at) exu_session_cancel(reader->session);
  if (reader->pause) usleep(reader->pause);
  memcpy(buffer, reader->core->bytes + offset, size);
  return (int64_t)size;
}

static void test_what_was_cancelled_before_it_began_reads_no_thread_and_says_so(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  small_core_create(&core);
  assert_int_equal(exu_session_open_core(core.file.path, NULL, &session), EXU_RESULT_OK);
  exu_session_cancel(session);
  exu_session_cancel(session); /* again: nothing new */
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
  assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING);
  assert_int_equal(report->pid, TID);
  assert_int_equal(report->thread_count, 0);
  assert_true(has_diagnostic(report, "cancelled"));
  assert_false(has_diagnostic(report, "python-not-found")); /* nobody looked */
  exu_session_cancel(session);                              /* after it: nothing happens */
  exu_session_close(session);
  exu_report_destroy(report);
  small_core_destroy(&core);
}

static void test_a_report_may_be_cancelled_wherever_it_is(void **state) {
  (void)state;
  struct small_core core;
  bool ended = false;
  small_core_create(&core);
  for (size_t at = 0; !ended; at++) {
    struct slow_reader reader = {.core = &core, .cancels_at = at};
    struct exu_session *session = NULL;
    struct exu_report *report = NULL;
    assert_int_equal(exu_session_open_reader(read_slowly, &reader, core.size, NULL, &session), EXU_RESULT_OK);
    reader.session = session;
    assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
    ended = reader.calls <= at;
    assert_int_equal(has_diagnostic(report, "cancelled"), !ended);
    assert_int_equal(has_diagnostic(report, "python-not-found"), ended);
    exu_session_close(session);
    exu_report_destroy(report);
  }
  small_core_destroy(&core);
}

static void test_a_report_ends_when_its_time_is_over(void **state) {
  (void)state;
  struct small_core core;
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  struct exu_session *session = NULL;
  small_core_create(&core);
  struct slow_reader reader = {.core = &core, .pause = 2000};
  options.time_limit_ms = 1;
  struct exu_report *report =
      explain_and_close(exu_session_open_reader(read_slowly, &reader, core.size, &options, &session), &session);
  assert_true(has_diagnostic(report, "time-limit"));
  assert_false(has_diagnostic(report, "cancelled"));
  assert_int_equal(report->thread_count, 0);
  exu_report_destroy(report);
  const uint64_t enough[] = {60 * 1000, UINT64_MAX};
  for (size_t i = 0; i < sizeof enough / sizeof *enough; i++) {
    options.time_limit_ms = enough[i];
    report = explain_and_close(exu_session_open_core(core.file.path, &options, &session), &session);
    assert_is_small_core(report, &core);
    assert_false(has_diagnostic(report, "time-limit"));
    exu_report_destroy(report);
  }
  small_core_destroy(&core);
}

/* Whatever there is no memory for. */
static void test_a_report_with_little_memory_says_what_is_missing(void **state) {
  (void)state;
  struct small_core core;
  bool fits = false;
  small_core_create(&core);
  for (size_t limit = 1; !fits; limit += limit / 4 + 1) {
    struct exu_options options = EXU_OPTIONS_DEFAULT;
    struct exu_session *session = NULL;
    options.memory_limit = limit;
    struct exu_report *report =
        explain_and_close(exu_session_open_memory(core.bytes, core.size, &options, &session), &session);
    fits = !has_diagnostic(report, "memory-budget");
    assert_int_equal(report->outcome, EXU_OUTCOME_NOTHING);
    if (fits) assert_is_small_core(report, &core);
    exu_report_destroy(report);
  }
  small_core_destroy(&core);
}

/* ---- Memory and symbols ------------------------------------------------------------------------------------------ */

static void test_memory_of_a_core_is_read_or_it_is_said_why_not(void **state) {
  (void)state;
  struct small_core core;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  uint8_t bytes[16];
  bool consistent = false;
  small_core_create(&core);
  assert_int_equal(exu_session_open_core(core.file.path, NULL, &session), EXU_RESULT_OK);
  assert_int_equal(exu_session_read(session, BASE, bytes, 1, NULL), EXU_RESULT_MISUSE); /* nothing is open yet */
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
  exu_report_destroy(report);
  memset(bytes, 1, sizeof bytes);
  assert_int_equal(exu_session_read(session, BASE + PAGE - 16, bytes, 16, &consistent), EXU_RESULT_OK);
  assert_true(consistent);
  for (size_t i = 0; i < sizeof bytes; i++) assert_int_equal(bytes[i], 0xf0 + i); /* of their addresses */
  assert_int_equal(exu_session_read(session, BASE, bytes, 0, NULL), EXU_RESULT_OK);
  assert_int_equal(exu_session_read(session, BASE, NULL, 0, NULL), EXU_RESULT_OK);
  assert_int_equal(exu_session_read(session, BASE - 1, bytes, 1, NULL), EXU_RESULT_UNMAPPED);
  assert_int_equal(exu_session_read(session, BASE + PAGE, bytes, 1, NULL), EXU_RESULT_NOT_SAVED);
  assert_int_equal(exu_session_read(session, BASE + PAGE - 8, bytes, 16, NULL), EXU_RESULT_NOT_SAVED);
  assert_int_equal(exu_session_read(session, UINT64_MAX - 7, bytes, 8, NULL), EXU_RESULT_UNMAPPED);
  assert_int_equal(exu_session_read(session, UINT64_MAX - 7, bytes, 9, NULL), EXU_RESULT_UNMAPPED);
  exu_session_close(session);
  small_core_destroy(&core);
}

static void test_of_a_core_that_cannot_be_opened_nothing_is_read_or_found(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  struct exu_symbol symbol;
  uint64_t address;
  uint8_t byte;
  assert_int_equal(exu_session_open_core("/nonexistent/core", NULL, &session), EXU_RESULT_OK);
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
  assert_int_equal(exu_session_read(session, BASE, &byte, 1, NULL), EXU_RESULT_READ_FAILED);
  assert_int_equal(exu_session_symbol_at(session, BASE, &symbol), EXU_RESULT_NOT_FOUND);
  assert_int_equal(exu_session_find_symbol(session, -1, "main", &address), EXU_RESULT_NOT_FOUND);
  exu_report_destroy(report);
  exu_session_close(session);
}

static void test_symbols_of_a_process_are_found_by_address_and_by_name(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  struct exu_symbol symbol, again;
  uint64_t found = 0, number = 0;
  bool consistent = true;
  const uint64_t here = (uint64_t)(uintptr_t)small_core_create, in_libc = (uint64_t)(uintptr_t)dlsym(NULL, "getpid");
  static volatile uint64_t variable = 0x1122334455667788;
  options.no_stop = options.python_only = true; /* nothing can stop itself */
  assert_int_equal(exu_session_open_process(getpid(), &options, &session), EXU_RESULT_OK);
  assert_int_equal(exu_session_symbol_at(session, here, &symbol), EXU_RESULT_MISUSE); /* not yet */
  assert_int_equal(exu_session_find_symbol(session, -1, "main", &found), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);

  assert_int_equal(exu_session_symbol_at(session, here + 1, &symbol), EXU_RESULT_OK);
  assert_int_equal(symbol.address, here);
  assert_int_equal(symbol.name.size, strlen("small_core_create"));
  assert_memory_equal(symbol.name.data, "small_core_create", symbol.name.size);
  const struct exu_module *module = &report->modules[symbol.module];
  assert_true(module->start <= here && here < module->end);
  assert_int_equal(exu_session_symbol_at(session, here + 1, &again), EXU_RESULT_OK);
  assert_ptr_equal(again.name.data, symbol.name.data); /* it is remembered */

  assert_int_equal(exu_session_symbol_at(session, module->start, &symbol), EXU_RESULT_OK); /* its ELF header */
  assert_null(symbol.name.data);
  assert_int_equal(symbol.address, module->start);
  assert_int_equal(exu_session_symbol_at(session, 0, &symbol), EXU_RESULT_NOT_FOUND);
  assert_int_equal(exu_session_symbol_at(session, UINT64_MAX, &symbol), EXU_RESULT_NOT_FOUND);

  assert_int_equal(exu_session_find_symbol(session, -1, "small_core_create", &found), EXU_RESULT_OK);
  assert_int_equal(found, here);
  assert_int_equal(exu_session_find_symbol(session, symbol.module, "small_core_create", &found), EXU_RESULT_OK);
  assert_int_equal(found, here);
  assert_int_equal(exu_session_find_symbol(session, -1, "getpid", &found), EXU_RESULT_OK);
  assert_int_equal(found, in_libc);
  assert_int_equal(exu_session_find_symbol(session, symbol.module, "getpid", &found), EXU_RESULT_NOT_FOUND);
  assert_int_equal(exu_session_find_symbol(session, -1, "no_such_symbol", &found), EXU_RESULT_NOT_FOUND);
  assert_int_equal(found, in_libc); /* untouched */
  assert_int_equal(exu_session_find_symbol(session, (int32_t)report->module_count, "main", &found), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_find_symbol(session, -2, "main", &found), EXU_RESULT_MISUSE);

  assert_int_equal(exu_session_read(session, (uintptr_t)&variable, &number, sizeof number, &consistent), EXU_RESULT_OK);
  assert_int_equal(number, 0x1122334455667788);
  assert_false(consistent); /* it was never stopped */
  exu_report_destroy(report);
  exu_session_close(session);
}

/* A child that repeats on its stack, and in a page that nobody reads for a report, what it is told. */
struct told {
  atomic_uint_fast64_t told;
  atomic_uint_fast64_t repeated;
  uintptr_t on_stack;
  uintptr_t on_heap;
};

static pid_t start_repeater(struct told *told) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  volatile uint64_t on_stack = 0;
  volatile uint64_t *on_heap = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  told->on_stack = (uintptr_t)&on_stack;
  told->on_heap = (uintptr_t)on_heap;
  for (;;) {
    on_stack = *on_heap = atomic_load(&told->told);
    atomic_store(&told->repeated, on_stack);
    usleep(1000);
  }
}

static void tell(struct told *told, uint64_t number) {
  atomic_store(&told->told, number);
  for (int i = 0; i < 10000 && atomic_load(&told->repeated) != number; i++) usleep(1000);
  assert_int_equal(atomic_load(&told->repeated), number);
}

static void test_of_a_live_process_only_what_was_copied_while_it_was_stopped_is_of_that_moment(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL;
  uint64_t number = 0;
  bool consistent = false;
  struct told *told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(told != MAP_FAILED);
  const pid_t child = start_repeater(told);
  tell(told, 1);
  assert_int_equal(exu_session_open_process(child, NULL, &session), EXU_RESULT_OK);
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
  assert_true(report->pause_us >= 0);
  tell(told, 2);
  assert_int_equal(exu_session_read(session, told->on_stack, &number, sizeof number, &consistent), EXU_RESULT_OK);
  assert_int_equal(number, 1);
  assert_true(consistent);
  assert_int_equal(exu_session_read(session, told->on_heap, &number, sizeof number, &consistent), EXU_RESULT_OK);
  assert_int_equal(number, 2);
  assert_false(consistent);
  tell(told, 3); /* once read it stays */
  assert_int_equal(exu_session_read(session, told->on_heap, &number, sizeof number, NULL), EXU_RESULT_OK);
  assert_int_equal(number, 2);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  assert_int_equal(exu_session_read(session, told->on_heap, &number, sizeof number, NULL), EXU_RESULT_OK);
  assert_int_not_equal(exu_session_read(session, told->on_heap + PAGE, &number, sizeof number, NULL), EXU_RESULT_OK);
  exu_report_destroy(report);
  exu_session_close(session);
  munmap(told, PAGE);
}

/* ---- A program that has children of its own ---------------------------------------------------------------------- */

enum { CHILDREN = 8, WORKERS = 8 };

/* What waitpid(-1) told. */
struct waiter {
  pid_t process; /* that is looked at: the last one to end */
  int statuses[CHILDREN];
  pid_t children[CHILDREN];
  size_t reaped;
  bool process_died;
  bool wrong; /* something ended that was nobody's, or twice */
};

static void *wait_for_any(void *context) {
  struct waiter *waiter = context;
  while (!waiter->process_died) {
    int status;
    const pid_t pid = waitpid(-1, &status, 0);
    if (pid < 0) break;
    if (WIFSTOPPED(status)) continue; /* of the thread that is looked at: none of its business */
    bool known = false;
    if (pid == waiter->process) known = waiter->process_died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    for (size_t i = 0; i < CHILDREN; i++) {
      if (waiter->children[i] != pid || waiter->statuses[i] != -1) continue;
      waiter->statuses[i] = status;
      waiter->reaped++;
      known = true;
    }
    waiter->wrong |= !known;
  }
  return NULL;
}

static void *sleep_for_ever(void *nothing) {
  for (;;) pause();
  return nothing;
}

static pid_t start_sleepers(void) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (size_t i = 1; i < WORKERS; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, sleep_for_ever, NULL) != 0) _exit(1);
  }
  sleep_for_ever(NULL);
  _exit(1);
}

static void test_a_program_may_wait_for_any_child_while_a_process_is_looked_at(void **state) {
  (void)state;
#ifdef __SANITIZE_ADDRESS__
  /* A child has the sanitizer's shadow memory, too: gigabytes, which are searched for a Python. */
  print_message("skipped: with AddressSanitizer the search of a child's memory takes minutes\n");
  skip();
#endif
  enum { REPORTS = 5 };
  struct waiter waiter = {.process = start_sleepers()};
  sigset_t before, after;
  pthread_t thread;
  for (size_t i = 0; i < CHILDREN; i++) {
    waiter.statuses[i] = -1;
    waiter.children[i] = fork();
    if (waiter.children[i] == 0) {
      usleep((useconds_t)(i * 20000));
      _exit((int)i);
    }
  }
  usleep(20000);
  assert_int_equal(pthread_create(&thread, NULL, wait_for_any, &waiter), 0);
  assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
  for (int i = 0; i < REPORTS; i++) {
    struct exu_session *session = NULL;
    struct exu_options options = EXU_OPTIONS_DEFAULT;
    options.native_all = true;
    struct exu_report *report =
        explain_and_close(exu_session_open_process(waiter.process, &options, &session), &session);
    assert_int_equal(report->thread_count, WORKERS);
    assert_false(has_diagnostic(report, "thread-not-stopped"));
    for (size_t k = 0; k < report->thread_count; k++) assert_true(report->threads[k].frame_count > 0);
    /* In the order in which they were started. */
    for (size_t k = 1; k < report->thread_count; k++) assert_true(report->threads[k - 1].tid < report->threads[k].tid);
    exu_report_destroy(report);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int number = 1; number <= SIGRTMAX; number++)
      assert_int_equal(sigismember(&after, number), sigismember(&before, number));
  }
  usleep(CHILDREN * 20000);
  kill(waiter.process, SIGKILL);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(waiter.reaped, CHILDREN);
  assert_true(waiter.process_died && !waiter.wrong);
  for (size_t i = 0; i < CHILDREN; i++) {
    assert_true(WIFEXITED(waiter.statuses[i]));
    assert_int_equal(WEXITSTATUS(waiter.statuses[i]), i);
  }
}

/* ---- Mistakes of the caller -------------------------------------------------------------------------------------- */

static void test_null_is_an_error_and_nothing_is_stored(void **state) {
  (void)state;
  int something;
  struct exu_session *session = (struct exu_session *)&something;
  assert_int_equal(exu_session_open_core(NULL, NULL, &session), EXU_RESULT_MISUSE);
  assert_null(session);
  assert_int_equal(exu_session_open_core("core", NULL, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_process(1, NULL, NULL), EXU_RESULT_MISUSE);
  for (int64_t pid = -1; pid <= 0; pid++) {
    session = (struct exu_session *)&something;
    assert_int_equal(exu_session_open_process(pid, NULL, &session), EXU_RESULT_MISUSE);
    assert_null(session);
  }
  session = (struct exu_session *)&something;
  assert_int_equal(exu_session_open_fd(-1, NULL, &session), EXU_RESULT_MISUSE);
  assert_null(session);
  assert_int_equal(exu_session_open_fd(0, NULL, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_memory(NULL, 1, NULL, &session), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_memory(&something, SIZE_MAX, NULL, &session), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_memory(&something, 1, NULL, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_reader(NULL, NULL, 1, NULL, &session), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_reader(read_core, NULL, UINT64_MAX, NULL, &session), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_open_reader(read_core, NULL, 1, NULL, NULL), EXU_RESULT_MISUSE);
  assert_null(session);
  struct exu_report *report = (struct exu_report *)&something;
  assert_int_equal(exu_session_explain(NULL, &report), EXU_RESULT_MISUSE);
  assert_null(report);
  struct exu_symbol symbol;
  uint64_t address;
  assert_int_equal(exu_session_read(NULL, 0, &something, 1, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_symbol_at(NULL, 0, &symbol), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_find_symbol(NULL, -1, "main", &address), EXU_RESULT_MISUSE);
  exu_session_cancel(NULL);
  exu_session_close(NULL);
  exu_report_destroy(NULL);
  exu_report_compare(NULL, NULL);
  exu_report_relate(NULL, 0);
  exu_report_relate(NULL, 1);
  exu_report_relate(&report, 1);
  assert_false(exu_write_json(NULL, stdout));
  assert_false(exu_write_text(NULL, NULL, stdout));
}

static void test_a_session_explains_once(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  struct exu_report *report = NULL, *again = NULL;
  assert_int_equal(exu_session_open_core("/nonexistent/core", NULL, &session), EXU_RESULT_OK);
  assert_int_equal(exu_session_explain(session, NULL), EXU_RESULT_MISUSE); /* which changes nothing */
  assert_int_equal(exu_session_explain(session, &report), EXU_RESULT_OK);
  assert_int_equal(exu_session_explain(session, &again), EXU_RESULT_MISUSE);
  assert_null(again);
  assert_int_equal(exu_session_read(session, 0, NULL, 1, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_symbol_at(session, 0, NULL), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_find_symbol(session, -1, NULL, &(uint64_t){0}), EXU_RESULT_MISUSE);
  assert_int_equal(exu_session_find_symbol(session, -1, "main", NULL), EXU_RESULT_MISUSE);
  exu_report_destroy(report); /* before its session */
  exu_session_close(session);
}

static void test_a_session_may_be_closed_before_it_explains(void **state) {
  (void)state;
  struct exu_session *session = NULL;
  assert_int_equal(exu_session_open_core("/nonexistent/core", NULL, &session), EXU_RESULT_OK);
  exu_session_close(session);
}

static void test_every_result_has_a_text_and_so_has_none(void **state) {
  (void)state;
#define ASSERT_TEXT(constant, text) assert_string_equal(exu_result_text(constant), text);
  EXU_RESULTS(ASSERT_TEXT)
#undef ASSERT_TEXT
  assert_non_null(exu_result_text((enum exu_result)1000));
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

/* An older caller's structure is smaller: what follows it in memory is not read. */
static void test_options_of_a_smaller_size_have_defaults_for_the_rest(void **state) {
  (void)state;
  struct small_core core;
  small_core_create(&core);
  for (size_t size = sizeof(size_t); size <= sizeof(struct exu_options); size += sizeof(size_t)) {
    struct exu_options *options = malloc(size); /* of this size: a sanitizer sees what is read beyond */
    const struct exu_options defaults = EXU_OPTIONS_DEFAULT;
    struct exu_session *session = NULL;
    assert_non_null(options);
    memcpy(options, &defaults, size);
    *(size_t *)(void *)options = size;
    struct exu_report *report = explain_and_close(exu_session_open_core(core.file.path, options, &session), &session);
    free(options);
    assert_is_small_core(report, &core);
    exu_report_destroy(report);
  }
  small_core_destroy(&core);
}

static void test_members_of_a_smaller_size_count_and_those_behind_do_not(void **state) {
  (void)state;
  struct exu_options options = EXU_OPTIONS_DEFAULT;
  struct exu_session *session = NULL;
  options.search_count = 1; /* without an array: counts only if it is inside */
  options.size = offsetof(struct exu_options, search_count);
  assert_int_equal(exu_session_open_core("core", &options, &session), EXU_RESULT_OK);
  exu_session_close(session);
  options.size += sizeof options.search_count;
  assert_int_equal(exu_session_open_core("core", &options, &session), EXU_RESULT_MISUSE);
}

static void test_options_of_an_impossible_size_are_refused(void **state) {
  (void)state;
  const size_t sizes[] = {0, 1, sizeof(size_t) - 1, sizeof(size_t) + 1, sizeof(struct exu_options) - 1};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct exu_options options = EXU_OPTIONS_DEFAULT;
    struct exu_session *session = NULL;
    options.size = sizes[i];
    assert_int_equal(exu_session_open_core("core", &options, &session), EXU_RESULT_MISUSE);
    assert_null(session);
  }
}

/* A newer caller may use this library as long as it asks for nothing that is not known here. */
static void test_options_of_a_larger_size_are_taken_when_the_rest_is_zero(void **state) {
  (void)state;
  struct {
    struct exu_options options;
    uint64_t newer;
  } larger = {.options = EXU_OPTIONS_DEFAULT};
  struct exu_session *session = NULL;
  larger.options.size = sizeof larger;
  assert_int_equal(exu_session_open_core("core", &larger.options, &session), EXU_RESULT_OK);
  exu_session_close(session);
  larger.newer = 1;
  assert_int_equal(exu_session_open_core("core", &larger.options, &session), EXU_RESULT_MISUSE);
  assert_null(session);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_core_is_opened_by_its_path),
      cmocka_unit_test(test_a_core_is_opened_by_a_descriptor_that_stays_as_it_is),
      cmocka_unit_test(test_a_descriptor_of_no_regular_file_is_said),
      cmocka_unit_test(test_a_core_is_opened_from_memory),
      cmocka_unit_test(test_memory_that_ends_early_is_a_truncated_core),
      cmocka_unit_test(test_a_core_is_opened_by_a_function_that_reads_whatever_pieces_it_gives),
      cmocka_unit_test(test_a_function_that_fails_makes_no_report_of_a_core),
      cmocka_unit_test(test_a_core_that_cannot_be_read_is_not_called_another_file),
      cmocka_unit_test(test_a_core_that_is_not_there_is_a_report_that_says_so),
      cmocka_unit_test(test_a_live_process_is_opened_by_its_id),
      cmocka_unit_test(test_what_was_cancelled_before_it_began_reads_no_thread_and_says_so),
      cmocka_unit_test(test_a_report_may_be_cancelled_wherever_it_is),
      cmocka_unit_test(test_a_report_ends_when_its_time_is_over),
      cmocka_unit_test(test_a_report_with_little_memory_says_what_is_missing),
      cmocka_unit_test(test_memory_of_a_core_is_read_or_it_is_said_why_not),
      cmocka_unit_test(test_of_a_core_that_cannot_be_opened_nothing_is_read_or_found),
      cmocka_unit_test(test_symbols_of_a_process_are_found_by_address_and_by_name),
      cmocka_unit_test(test_of_a_live_process_only_what_was_copied_while_it_was_stopped_is_of_that_moment),
      cmocka_unit_test(test_a_program_may_wait_for_any_child_while_a_process_is_looked_at),
      cmocka_unit_test(test_null_is_an_error_and_nothing_is_stored),
      cmocka_unit_test(test_a_session_explains_once),
      cmocka_unit_test(test_a_session_may_be_closed_before_it_explains),
      cmocka_unit_test(test_every_result_has_a_text_and_so_has_none),
      cmocka_unit_test(test_options_of_a_smaller_size_have_defaults_for_the_rest),
      cmocka_unit_test(test_members_of_a_smaller_size_count_and_those_behind_do_not),
      cmocka_unit_test(test_options_of_an_impossible_size_are_refused),
      cmocka_unit_test(test_options_of_a_larger_size_are_taken_when_the_rest_is_zero),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
