/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "elf_builder.h"
#include "files.h"
#include "process/crash.h"
#include "process/notes.h"
#include "process/process.h"

enum { PAGE = 4096, ARENA = 64 << 20 };

struct opened {
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_process process;
  struct exu_error error;
  bool fine;
};

static void open_path(struct opened *opened, const char *path) {
  memset(opened, 0, sizeof *opened);
  exu_arena_init(&opened->arena, ARENA);
  exu_diagnostics_init(&opened->diagnostics, &opened->arena);
  opened->fine = exu_process_open_core(path, &opened->arena, &opened->diagnostics, &opened->process, &opened->error);
  if (opened->fine) return;
  assert_int_not_equal(opened->error.status, EXU_OK);
  assert_true(strlen(opened->error.message) > 0);
  assert_null(strchr(opened->error.message, '\n'));
  assert_null(opened->process.space); /* untouched */
}

static void open_bytes(struct opened *opened, const void *bytes, size_t size) {
  struct nameless_file file = nameless_file(bytes, size);
  open_path(opened, file.path);
  close(file.fd);
}

static void open_built(struct opened *opened, struct core_builder *core) {
  size_t size;
  const uint8_t *bytes = core_builder_finish(core, &size);
  open_bytes(opened, bytes, size);
  core_builder_destroy(core);
}

static void shut(struct opened *opened) {
  exu_process_close(&opened->process);
  exu_arena_deinit(&opened->arena);
}

static void assert_refused(struct opened *opened, enum exu_status status, const char *part) {
  assert_false(opened->fine);
  assert_int_equal(opened->error.status, status);
  if (!strstr(opened->error.message, part)) fail_msg("\"%s\" says nothing of %s", opened->error.message, part);
  shut(opened);
}

static size_t diagnostics_with(const struct opened *opened, const char *code) {
  size_t count = 0;
  for (size_t i = 0; i < opened->diagnostics.list.count; i++)
    count += strcmp(opened->diagnostics.list.items[i].code, code) == 0;
  return count;
}

static void assert_string(struct exu_string string, const char *expected) {
  assert_non_null(string.data);
  assert_int_equal(string.size, strlen(expected));
  assert_memory_equal(string.data, expected, string.size);
}

static const struct core_registers some_registers = {.rax = 1,
                                                     .rbx = 2,
                                                     .rcx = 3,
                                                     .rdx = 4,
                                                     .rsi = 5,
                                                     .rdi = 6,
                                                     .rbp = 7,
                                                     .rsp = 0x7000,
                                                     .rip = 0x1234,
                                                     .fs_base = 0x7f0000001000,
                                                     .orig_rax = 202};

/* A small core with one of everything. */
static struct core_builder *small_core(void) {
  struct core_builder *core = core_builder_create();
  static const struct core_file files[] = {{0x400000, 0x401000, 0, "/bin/x"}, {0x401000, 0x403000, 1, "/bin/x"}};
  core_builder_prstatus(core, 1234, 11, &some_registers);
  core_builder_prpsinfo(core, 1233, "python3", "python3 -c pass ");
  core_builder_siginfo(core, 11, 1, 0x10);
  const uint64_t auxv[] = {3, 0x400040, 6, 4096, 7, 0x7f1000000000, 9, 0x401000, 33, 0x7fff00000000, 0, 0, 3, 5};
  core_builder_note(core, "CORE", 6, auxv, sizeof auxv);
  core_builder_file(core, PAGE, files, 2);
  core_builder_note(core, "LINUX", 0x202, NULL, 36);
  core_builder_prstatus(core, 1233, 0, NULL);
  core_builder_load(core, 0x400000, PAGE, NULL, PAGE, CORE_R);
  core_builder_load(core, 0x401000, 0x2000, NULL, 0, CORE_R | CORE_X);
  core_builder_load(core, 0x7000, PAGE, NULL, PAGE, CORE_R | CORE_W);
  return core;
}

/* Files that are no cores */

static void only_a_regular_file_is_opened(void **state) {
  (void)state;
  struct opened opened;
  char *directory = scratch_create();
  open_path(&opened, directory);
  assert_refused(&opened, EXU_BAD_FORMAT, "directory");
  char *path = path_in(directory, "fifo");
  assert_int_equal(mkfifo(path, 0600), 0);
  open_path(&opened, path); /* must not wait for a writer */
  assert_refused(&opened, EXU_BAD_FORMAT, "no regular file");
  free(path);
  path = path_in(directory, "nothing");
  open_path(&opened, path);
  assert_refused(&opened, EXU_IO, "No such file");
  free(path);
  scratch_remove(directory);
  open_path(&opened, "/dev/zero");
  assert_refused(&opened, EXU_BAD_FORMAT, "no regular file");
}

static void a_file_that_is_no_core_is_refused_with_one_line(void **state) {
  (void)state;
  struct opened opened;
  open_bytes(&opened, "", 0);
  assert_refused(&opened, EXU_BAD_FORMAT, "empty");
  open_bytes(&opened, "Traceback (most recent call last):\n", 35);
  assert_refused(&opened, EXU_BAD_FORMAT, "not an ELF");
  open_bytes(&opened, "\x7f", 1);
  assert_refused(&opened, EXU_BAD_FORMAT, "not an ELF");
  open_bytes(&opened, "\x28\xb5\x2f\xfd\0\0\0\0", 8);
  assert_refused(&opened, EXU_UNSUPPORTED, "zstd");
  open_path(&opened, "/proc/self/exe");
  assert_refused(&opened, EXU_BAD_FORMAT, "executable");
}

static void only_cores_of_known_machines_are_opened(void **state) {
  (void)state;
  struct opened opened;
  static const struct {
    uint8_t class, data;
    uint16_t type, machine;
    enum exu_status status;
    const char *says;
  } cases[] = {
      {1, 1, 4, 3, EXU_UNSUPPORTED, "32-bit little-endian process on machine 3 (i386)"},
      {1, 1, 4, 62, EXU_UNSUPPORTED, "32-bit"},
      {2, 2, 0x400, 0x1600, EXU_UNSUPPORTED, "64-bit big-endian process on machine 22 (s390)"},
      {2, 1, 4, 9999, EXU_UNSUPPORTED, "machine 9999"},
      {9, 1, 4, 62, EXU_BAD_FORMAT, "damaged"},
      {2, 7, 4, 62, EXU_BAD_FORMAT, "damaged"},
      {2, 1, 1, 62, EXU_BAD_FORMAT, "object file"},
      {2, 1, 2, 62, EXU_BAD_FORMAT, "executable"},
      {2, 1, 3, 62, EXU_BAD_FORMAT, "shared library"},
      {2, 1, 77, 62, EXU_BAD_FORMAT, "type 77"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct core_builder *core = small_core();
    core_builder_set_ident(core, cases[i].class, cases[i].data);
    core_builder_set_type(core, cases[i].type, cases[i].machine);
    open_built(&opened, core);
    assert_refused(&opened, cases[i].status, cases[i].says);
  }
}

/* What a core says */

static void a_small_core_gives_all_that_it_holds(void **state) {
  (void)state;
  struct opened opened;
  open_built(&opened, small_core());
  assert_true(opened.fine);
  struct exu_process *process = &opened.process;
  assert_int_equal(opened.diagnostics.list.count, 0);
  assert_false(process->truncated);
  assert_string_equal(process->arch->name, "x86_64");
  assert_int_equal(process->pid, 1233);
  assert_string(process->comm, "python3");
  assert_string(process->arguments, "python3 -c pass");
  assert_int_equal(process->auxv.phdr, 0x400040); /* what follows AT_NULL does not count */
  assert_int_equal(process->auxv.page_size, 4096);
  assert_int_equal(process->auxv.base, 0x7f1000000000);
  assert_int_equal(process->auxv.entry, 0x401000);
  assert_int_equal(process->auxv.vdso, 0x7fff00000000);

  assert_int_equal(process->thread_count, 2);
  assert_int_equal(process->threads[0].tid, 1234);
  assert_true(process->threads[0].crashed);
  assert_int_equal(process->threads[1].tid, 1233);
  assert_false(process->threads[1].crashed);

  assert_int_equal(process->mapping_count, 2);
  assert_int_equal(process->mappings[1].offset, PAGE);
  assert_ptr_equal(process->mappings[0].path.data, process->mappings[1].path.data); /* one copy */
  assert_ptr_equal(exu_process_mapping(process, 0x402fff), &process->mappings[1]);
  assert_null(exu_process_mapping(process, 0x403000));
  assert_null(exu_process_mapping(process, 0x3fffff));

  assert_int_equal(process->crash->signal, 11);
  assert_string_equal(process->crash->name, "SIGSEGV");
  assert_string_equal(process->crash->code_name, "SEGV_MAPERR");
  assert_true(process->crash->has_address);
  assert_int_equal(process->crash->address, 0x10);
  assert_int_equal(process->crash->tid, 1234);
  assert_int_equal(process->crash->sender_pid, -1);

  uint8_t bytes[4];
  assert_int_equal(exu_space_read(process->space, 0x7ffc, bytes, 4), EXU_READABLE);
  assert_memory_equal(bytes, "\xfc\xfd\xfe\xff", 4);
  assert_int_equal(exu_space_read(process->space, 0x401000, bytes, 1), EXU_NOT_SAVED);
  assert_int_equal(exu_space_find(process->space, 0x401000)->prot, EXU_PROT_READ | EXU_PROT_EXEC);
  shut(&opened);
}

static void x86_64_registers_are_in_the_order_of_dwarf(void **state) {
  (void)state;
  struct opened opened;
  open_built(&opened, small_core());
  const struct exu_registers *registers = &opened.process.threads[0].registers;
  static const uint64_t expected[] = {1, 4, 3, 2, 5, 6, 7, 0x7000, 8, 9, 10, 11, 12, 13, 14, 15, 0x1234};
  assert_memory_equal(registers->value, expected, sizeof expected);
  assert_int_equal(registers->valid, (1 << 17) - 1);
  assert_int_equal(registers->pc, 0x1234);
  assert_int_equal(registers->sp, 0x7000);
  assert_true(registers->has_thread_pointer);
  assert_int_equal(registers->thread_pointer, 0x7f0000001000);
  assert_int_equal(opened.process.arch->pthread_self(registers->thread_pointer), 0x7f0000001000);
  assert_int_equal(registers->syscall, 202);
  static const uint64_t arguments[] = {6, 5, 4, 10, 8, 9};
  assert_memory_equal(registers->syscall_args, arguments, sizeof arguments);
  assert_int_equal(opened.process.threads[1].registers.syscall, -1);    /* orig_rax -1: not in a system call */
  assert_false(opened.process.threads[1].registers.has_thread_pointer); /* fs_base 0: not saved */
  shut(&opened);
}

static void aarch64_takes_its_thread_pointer_from_a_note(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  core_builder_set_type(core, 4, 183);
  uint8_t prstatus[392] = {0};
  for (int tid = 1; tid <= 2; tid++) {
    memcpy(prstatus + 32, &tid, 4);
    for (uint64_t i = 0; i < 34; i++) memcpy(prstatus + 112 + 8 * i, &(uint64_t){100 * (uint64_t)tid + i}, 8);
    core_builder_note(core, "CORE", 1, prstatus, sizeof prstatus);
    core_builder_note(core, "LINUX", 0x401, (uint64_t[]){(uint64_t)tid * 0x1000, 7}, 16);
  }
  struct opened opened;
  open_built(&opened, core);
  assert_true(opened.fine);
  assert_string_equal(opened.process.arch->name, "aarch64");
  const struct exu_registers *registers = &opened.process.threads[1].registers;
  assert_int_equal(registers->value[30], 230);
  assert_int_equal(registers->sp, 231);
  assert_int_equal(registers->pc, 232);
  assert_int_equal(registers->thread_pointer, 0x2000);
  assert_int_equal(opened.process.threads[0].registers.thread_pointer, 0x1000);
  assert_int_equal(opened.process.arch->pthread_self(0x2000), 0);
  assert_int_equal(registers->syscall, -1);
  shut(&opened);
}

static void notes_may_be_in_many_segments_and_padded_to_eight(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  enum { THREADS = 300 };
  for (int i = 0; i < THREADS; i++) {
    core_builder_note_segment(core, i % 3 == 0 ? 8 : i % 3 == 1 ? 4 : 0);
    core_builder_note(core, "OWNER", 1, "odd", 3); /* PRSTATUS of somebody else; sizes that need padding */
    core_builder_prstatus(core, 100 + i, 0, NULL);
    core_builder_note(core, "a name that is longer than any known one, by far, and still is followed", 1, "x", 1);
    core_builder_note(core, "", 0, NULL, 0);
  }
  core_builder_load(core, 0x1000, PAGE, NULL, PAGE, CORE_R);
  struct opened opened;
  open_built(&opened, core);
  assert_true(opened.fine);
  assert_int_equal(opened.process.thread_count, THREADS);
  for (int i = 0; i < THREADS; i++) assert_int_equal(opened.process.threads[i].tid, 100 + i);
  assert_null(opened.process.crash); /* no signal: a core of a healthy process */
  assert_false(opened.process.threads[0].crashed);
  assert_int_equal(opened.diagnostics.list.count, 0);
  shut(&opened);
}

static void fifty_thousand_threads_are_read(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  enum { THREADS = 50000 };
  for (int i = 0; i < THREADS; i++) core_builder_prstatus(core, i + 1, 0, NULL);
  struct opened opened;
  open_built(&opened, core);
  assert_true(opened.fine);
  assert_int_equal(opened.process.thread_count, THREADS);
  assert_int_equal(opened.process.threads[THREADS - 1].tid, THREADS);
  shut(&opened);
}

static void too_many_threads_are_said(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  for (int i = 0; i < EXU_THREADS_MAX + 10; i++) core_builder_prstatus(core, i + 1, 0, NULL);
  struct opened opened;
  open_built(&opened, core);
  assert_true(opened.fine);
  assert_int_equal(opened.process.thread_count, EXU_THREADS_MAX);
  assert_int_equal(diagnostics_with(&opened, "too-many-threads"), 1);
  shut(&opened);
}

static void the_siginfo_of_gcore_for_a_healthy_process_is_no_crash(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  core_builder_prstatus(core, 5, 0, NULL);
  core_builder_siginfo(core, 19, 0, 0);
  struct opened opened;
  open_built(&opened, core);
  assert_true(opened.fine);
  assert_null(opened.process.crash);
  shut(&opened);
}

static void the_siginfo_of_another_thread_is_not_the_crash(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  core_builder_prstatus(core, 5, 11, NULL);
  core_builder_siginfo(core, 11, 2, 0x1000);
  core_builder_prstatus(core, 6, 0, NULL);
  core_builder_siginfo(core, 19, 0, 0);
  struct opened opened;
  open_built(&opened, core);
  assert_int_equal(opened.process.crash->signal, 11);
  assert_string_equal(opened.process.crash->code_name, "SEGV_ACCERR");
  shut(&opened);
}

static void a_signal_without_siginfo_has_no_code(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  core_builder_prstatus(core, 5, 6, NULL);
  core_builder_siginfo(core, 11, 1, 0x10); /* not about this signal */
  struct opened opened;
  open_built(&opened, core);
  assert_int_equal(opened.process.crash->signal, 6);
  assert_false(opened.process.crash->has_code);
  assert_false(opened.process.crash->has_address);
  shut(&opened);
}

static void gcore_writes_file_offsets_in_bytes(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  static const struct core_file files[] = {{0x5000, 0x6000, 0x3000, "/b"}, {0x1000, 0x2000, 0, "/a"}};
  core_builder_file(core, 1, files, 2);
  core_builder_prstatus(core, 5, 0, NULL);
  struct opened opened;
  open_built(&opened, core);
  assert_int_equal(opened.process.mapping_count, 2);
  assert_int_equal(opened.process.mappings[0].start, 0x1000); /* sorted */
  assert_int_equal(opened.process.mappings[1].offset, 0x3000);
  shut(&opened);
}

static void a_mapped_file_without_a_segment_is_mapped_and_not_saved(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  static const struct core_file files[] = {{0x1000, 0x4000, 0, "/a"}};
  core_builder_file(core, PAGE, files, 1);
  core_builder_load(core, 0x2000, PAGE, NULL, PAGE, CORE_R | CORE_W);
  struct opened opened;
  open_built(&opened, core);
  uint8_t byte;
  struct exu_space *space = opened.process.space;
  assert_int_equal(exu_space_read(space, 0x1000, &byte, 1), EXU_NOT_SAVED);
  assert_int_equal(exu_space_read(space, 0x2000, &byte, 1), EXU_READABLE);
  assert_int_equal(exu_space_read(space, 0x3fff, &byte, 1), EXU_NOT_SAVED);
  assert_int_equal(exu_space_read(space, 0x4000, &byte, 1), EXU_UNMAPPED);
  assert_int_equal(exu_space_find(space, 0x1000)->prot, EXU_PROT_UNKNOWN);
  assert_int_equal(exu_space_find(space, 0x2000)->prot, EXU_PROT_READ | EXU_PROT_WRITE);
  shut(&opened);
}

static void arguments_fill_all_of_their_eighty_bytes(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  char arguments[81];
  memset(arguments, 'a', 80);
  arguments[80] = 0;
  core_builder_prpsinfo(core, 7, "a_name_of_16_byt", arguments);
  core_builder_prstatus(core, 7, 0, NULL);
  struct opened opened;
  open_built(&opened, core);
  assert_string(opened.process.arguments, arguments);
  assert_string(opened.process.comm, "a_name_of_16_byt");
  shut(&opened);
}

/* Damaged notes */

static void a_file_list_that_lies_about_its_size_is_said_and_skipped(void **state) {
  (void)state;
  static const uint64_t lies[][5] = {
      {UINT64_C(1) << 60, 4096, 0x1000, 0x2000, 0}, /* count */
      {UINT64_MAX, 1, 0, 0, 0},
      {2, 4096, 0x1000, 0x2000, 0},              /* one entry only */
      {1, 4096, 0x1000, 0x2000, 0},              /* no path */
      {1, UINT64_C(1) << 63, 0x1000, 0x2000, 5}, /* the offset overflows; no path either */
  };
  for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
    struct core_builder *core = core_builder_create();
    core_builder_note(core, "CORE", 0x46494c45, lies[i], sizeof lies[i]);
    core_builder_prstatus(core, 5, 11, NULL);
    struct opened opened;
    open_built(&opened, core);
    assert_true(opened.fine);
    assert_int_equal(opened.process.mapping_count, 0);
    assert_int_equal(opened.process.thread_count, 1); /* what follows is still read */
    assert_int_equal(diagnostics_with(&opened, "notes-damaged"), 1);
    assert_true(opened.diagnostics.incomplete);
    shut(&opened);
  }
}

static void a_mapping_that_ends_before_it_starts_is_dropped(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  static const struct core_file files[] = {
      {0x5000, 0x4000, 0, "/b"}, {0x1000, 0x2000, UINT64_MAX, "/c"}, {0x1000, 0x2000, 0, "/a"}};
  core_builder_file(core, PAGE, files, 3);
  struct opened opened;
  open_built(&opened, core);
  assert_int_equal(opened.process.mapping_count, 1);
  assert_string(opened.process.mappings[0].path, "/a");
  assert_int_equal(diagnostics_with(&opened, "notes-damaged"), 1);
  shut(&opened);
}

static void notes_that_are_too_short_keep_what_they_have(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  uint8_t bytes[200] = {0};
  bytes[32] = 77;
  core_builder_note(core, "CORE", 1, bytes, sizeof bytes); /* a tid, but not all registers */
  core_builder_note(core, "CORE", 1, bytes, 20);
  core_builder_note(core, "CORE", 3, bytes, 20);
  core_builder_note(core, "CORE", 6, bytes, 20);
  core_builder_note(core, "CORE", 0x53494749, bytes, 20);
  core_builder_note(core, "CORE", 0x46494c45, bytes, 3);
  core_builder_note(core, "LINUX", 0x401, bytes, 3);
  struct opened opened;
  open_built(&opened, core);
  assert_true(opened.fine);
  assert_int_equal(opened.process.thread_count, 1);
  assert_int_equal(opened.process.threads[0].tid, 77);
  assert_int_equal(opened.process.threads[0].registers.valid, 0);
  assert_int_equal(opened.process.threads[0].registers.syscall, -1);
  assert_int_equal(opened.process.pid, -1);
  assert_int_equal(diagnostics_with(&opened, "notes-damaged"), 1);
  shut(&opened);
}

static void a_note_that_claims_four_gigabytes_ends_the_notes(void **state) {
  (void)state;
  static const uint32_t headers[][3] = {{5, UINT32_MAX, 1}, {UINT32_MAX, 4, 1}, {UINT32_MAX, UINT32_MAX, UINT32_MAX}};
  for (size_t i = 0; i < 3; i++) {
    struct core_builder *core = core_builder_create();
    core_builder_prstatus(core, 5, 0, NULL);
    core_builder_raw_notes(core, headers[i], sizeof headers[i]);
    core_builder_raw_notes(core, "CORE\0\0\0\0", 8);
    core_builder_note_segment(core, 4);
    core_builder_prstatus(core, 6, 0, NULL);
    struct opened opened;
    open_built(&opened, core);
    assert_true(opened.fine);
    assert_int_equal(opened.process.thread_count, 2);
    assert_int_equal(diagnostics_with(&opened, "notes-damaged"), 1);
    shut(&opened);
  }
}

/* Segments */

static void segments_may_come_in_any_order(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  for (uint64_t i = 0; i < 100; i++)
    core_builder_load(core, 0x100000 + (i * 37 % 100) * PAGE, PAGE, NULL, PAGE, CORE_R);
  struct opened opened;
  open_built(&opened, core);
  enum { ALL = 100 * PAGE };
  uint8_t *bytes = malloc(ALL);
  assert_int_equal(exu_space_read(opened.process.space, 0x100000, bytes, ALL), EXU_READABLE);
  for (size_t i = 0; i < ALL; i++)
    if (bytes[i] != (uint8_t)i) fail_msg("byte %zu", i);
  free(bytes);
  assert_int_equal(diagnostics_with(&opened, "no-threads"), 1);
  shut(&opened);
}

static void segments_at_the_end_of_the_address_space_are_clipped(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  core_builder_load(core, UINT64_MAX - PAGE + 1, PAGE, NULL, PAGE, CORE_R);
  core_builder_load(core, 0x1000, UINT64_MAX, NULL, 16, CORE_R);
  core_builder_load(core, UINT64_MAX, 5, NULL, 5, CORE_R);
  struct opened opened;
  open_built(&opened, core);
  assert_true(opened.fine);
  uint8_t byte;
  assert_int_equal(exu_space_read(opened.process.space, UINT64_MAX - 1, &byte, 1), EXU_READABLE);
  assert_int_equal(byte, 0xfe);
  assert_int_equal(exu_space_read(opened.process.space, 0x100f, &byte, 1), EXU_READABLE);
  assert_int_equal(exu_space_read(opened.process.space, 0, &byte, 1), EXU_UNMAPPED);
  assert_int_equal(diagnostics_with(&opened, "segment-damaged"), 1);
  shut(&opened);
}

static void more_saved_than_mapped_is_damage(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  core_builder_load(core, 0x1000, 0x10, NULL, 0x100, CORE_R);
  struct opened opened;
  open_built(&opened, core);
  uint8_t byte;
  assert_int_equal(exu_space_read(opened.process.space, 0x100f, &byte, 1), EXU_READABLE);
  assert_int_equal(exu_space_read(opened.process.space, 0x1010, &byte, 1), EXU_UNMAPPED);
  assert_int_equal(diagnostics_with(&opened, "segment-damaged"), 1);
  shut(&opened);
}

static void offsets_beyond_the_file_are_cut_off_and_counted(void **state) {
  (void)state;
  struct core_builder *core = core_builder_create();
  core_builder_prstatus(core, 5, 0, NULL);
  core_builder_load_at(core, 0x1000, PAGE, 1 << 20, PAGE, CORE_R);
  core_builder_load_at(core, 0x9000, PAGE, UINT64_MAX - 5, PAGE, CORE_R);
  size_t size;
  const uint8_t *bytes = core_builder_finish(core, &size);
  struct opened opened;
  open_bytes(&opened, bytes, size);
  core_builder_destroy(core);
  assert_true(opened.fine);
  assert_true(opened.process.truncated);
  assert_int_equal(opened.process.missing_bytes, UINT64_MAX - size);
  uint8_t byte;
  assert_int_equal(exu_space_read(opened.process.space, 0x1000, &byte, 1), EXU_CUT_OFF);
  assert_int_equal(exu_space_read(opened.process.space, 0x9008, &byte, 1), EXU_CUT_OFF);
  shut(&opened);
}

static void with_pn_xnum_the_number_of_segments_is_in_the_first_section(void **state) {
  (void)state;
  enum { SEGMENTS = 70000 };
  struct core_builder *core = core_builder_create();
  core_builder_prstatus(core, 5, 0, NULL);
  for (uint64_t i = 0; i < SEGMENTS; i++)
    core_builder_load(core, (2 + 2 * (i * 7919 % SEGMENTS)) * PAGE, PAGE, NULL, i % 2 ? 8 : 0, CORE_R);
  size_t size;
  const uint8_t *bytes = core_builder_finish(core, &size);
  struct opened opened;
  for (int cut = 0; cut < 2; cut++) {
    /* The section header is the last thing in the file. Without it, where the notes begin says the same. */
    open_bytes(&opened, bytes, size - (cut ? 64 : 0));
    assert_true(opened.fine);
    size_t count;
    exu_space_regions(opened.process.space, &count);
    assert_int_equal(count, SEGMENTS);
    assert_int_equal(opened.process.truncated, cut != 0);
    assert_int_equal(opened.process.missing_bytes, cut ? 64 : 0);
    shut(&opened);
  }
  core_builder_destroy(core);
}

static void pn_xnum_of_a_small_core_does_not_invent_segments(void **state) {
  (void)state;
  struct core_builder *core = small_core();
  core_builder_force_xnum(core); /* sh_info is less than PN_XNUM: not to be believed */
  struct opened opened;
  open_built(&opened, core);
  if (opened.fine) assert_true(opened.process.truncated);
  shut(&opened);
}

/* Truncation */

static void every_length_of_a_core_is_opened_or_refused_with_a_reason(void **state) {
  (void)state;
  struct core_builder *core = small_core();
  size_t size;
  const uint8_t *bytes = core_builder_finish(core, &size);
  uint64_t memory = core_builder_offset(core, 0);
  size_t opened_count = 0;
  for (size_t length = 0; length < size; length++) {
    struct opened opened;
    open_bytes(&opened, bytes, length);
    if (opened.fine) {
      opened_count++;
      assert_true(opened.process.truncated);
      assert_true(opened.process.missing_bytes > 0);
      if (length >= 64 + 4 * 56) assert_int_equal(opened.process.missing_bytes, size - length);
      assert_int_equal(diagnostics_with(&opened, "core-truncated"), 1);
      if (length >= memory) assert_int_equal(opened.process.thread_count, 2);
      exu_crash_describe(&opened.process);
      uint8_t byte;
      enum exu_fault fault = exu_space_read(opened.process.space, 0x7fff, &byte, 1);
      if (length >= 64 + 4 * 56) assert_int_equal(fault, EXU_CUT_OFF);
    }
    shut(&opened);
  }
  assert_in_range(opened_count, size - 700, size - 64);
  core_builder_destroy(core);
}

static void damaged_bytes_anywhere_never_crash_the_reader(void **state) {
  (void)state;
  struct core_builder *core = small_core();
  size_t size;
  const uint8_t *bytes = core_builder_finish(core, &size);
  uint8_t *copy = malloc(size);
  unsigned seed = 42;
  const size_t head = (size_t)core_builder_offset(core, 0); /* headers and notes: memory has no structure */
  for (int round = 0; round < 3000; round++) {
    memcpy(copy, bytes, size);
    int changes = 1 + rand_r(&seed) % 4;
    for (int i = 0; i < changes; i++) {
      size_t at = (size_t)rand_r(&seed) % head;
      size_t length = rand_r(&seed) % 4 == 0 ? (size_t)rand_r(&seed) % 16 : 1;
      uint8_t value = rand_r(&seed) % 3 == 0 ? 0xff : (uint8_t)rand_r(&seed);
      for (size_t j = at; j < at + length && j < head; j++) copy[j] = value;
    }
    struct opened opened;
    open_bytes(&opened, copy, size);
    if (opened.fine) {
      exu_crash_describe(&opened.process);
      size_t count;
      const struct exu_region *regions = exu_space_regions(opened.process.space, &count);
      uint8_t buffer[300];
      for (size_t i = 0; i < count; i++) exu_space_read_some(opened.process.space, regions[i].start, buffer, 300);
    }
    shut(&opened);
  }
  free(copy);
  core_builder_destroy(core);
}

static void a_core_without_anything_is_refused(void **state) {
  (void)state;
  struct opened opened;
  open_built(&opened, core_builder_create());
  assert_refused(&opened, EXU_BAD_FORMAT, "neither threads nor memory");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_a_regular_file_is_opened),
      cmocka_unit_test(a_file_that_is_no_core_is_refused_with_one_line),
      cmocka_unit_test(only_cores_of_known_machines_are_opened),
      cmocka_unit_test(a_small_core_gives_all_that_it_holds),
      cmocka_unit_test(x86_64_registers_are_in_the_order_of_dwarf),
      cmocka_unit_test(aarch64_takes_its_thread_pointer_from_a_note),
      cmocka_unit_test(notes_may_be_in_many_segments_and_padded_to_eight),
      cmocka_unit_test(fifty_thousand_threads_are_read),
      cmocka_unit_test(too_many_threads_are_said),
      cmocka_unit_test(the_siginfo_of_gcore_for_a_healthy_process_is_no_crash),
      cmocka_unit_test(the_siginfo_of_another_thread_is_not_the_crash),
      cmocka_unit_test(a_signal_without_siginfo_has_no_code),
      cmocka_unit_test(gcore_writes_file_offsets_in_bytes),
      cmocka_unit_test(a_mapped_file_without_a_segment_is_mapped_and_not_saved),
      cmocka_unit_test(arguments_fill_all_of_their_eighty_bytes),
      cmocka_unit_test(a_file_list_that_lies_about_its_size_is_said_and_skipped),
      cmocka_unit_test(a_mapping_that_ends_before_it_starts_is_dropped),
      cmocka_unit_test(notes_that_are_too_short_keep_what_they_have),
      cmocka_unit_test(a_note_that_claims_four_gigabytes_ends_the_notes),
      cmocka_unit_test(segments_may_come_in_any_order),
      cmocka_unit_test(segments_at_the_end_of_the_address_space_are_clipped),
      cmocka_unit_test(more_saved_than_mapped_is_damage),
      cmocka_unit_test(offsets_beyond_the_file_are_cut_off_and_counted),
      cmocka_unit_test(with_pn_xnum_the_number_of_segments_is_in_the_first_section),
      cmocka_unit_test(pn_xnum_of_a_small_core_does_not_invent_segments),
      cmocka_unit_test(every_length_of_a_core_is_opened_or_refused_with_a_reason),
      cmocka_unit_test(damaged_bytes_anywhere_never_crash_the_reader),
      cmocka_unit_test(a_core_without_anything_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
