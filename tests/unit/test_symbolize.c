/* SPDX-License-Identifier: Apache-2.0 */
/* Where names and lines come from: this program's own, taken from it and put into separate files. */
#include <elf.h>
#include <link.h>
#include <lzma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "binary/modules.h"
#include "files.h"
#include "native/demangle.h"
#include "native/symbolize.h"

static const char SELF[] = "/proc/self/exe";

struct process {
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_options options;
  const char *search[1];
  struct exu_process process;
  struct exu_modules modules;
  struct exu_binary module;
  struct exu_symbolizer symbolizer;
  char *scratch, *program;
};

enum { TRIPLE_LINE = __LINE__ + 1 };
__attribute__((noinline)) static int triple(int number) { return number * 3 + 1; }

static int find_base(struct dl_phdr_info *info, size_t size, void *base) {
  (void)size;
  *(uint64_t *)base = info->dlpi_addr;
  return 1; /* the program comes first */
}

static struct exu_build_id id_of(const char *path) {
  struct exu_elf_file *file = exu_elf_file_open(path, NULL);
  assert_non_null(file);
  struct exu_build_id id = exu_elf_file_build_id(file);
  exu_elf_file_close(file);
  return id;
}

/* The process has a copy of this program without symbols. */
static int set_up(void **state) {
  struct process *process = calloc(1, sizeof *process);
  exu_arena_init(&process->arena, 64 << 20);
  exu_diagnostics_init(&process->diagnostics, &process->arena);
  process->scratch = scratch_create();
  process->program = path_in(process->scratch, "program");
  run_command("strip -o '%s' '/proc/%d/exe'", process->program, (int)getpid());
  process->search[0] = process->scratch;
  process->options = (struct exu_options){.search = process->search, .search_count = 1};
  process->process.arch = exu_arch_find(EM_X86_64, ELFCLASS64, ELFDATA2LSB);
  uint64_t base = 0;
  dl_iterate_phdr(find_base, &base);
  process->module = (struct exu_binary){.path = {process->program, strlen(process->program)},
                                        .start = base,
                                        .end = base + (1 << 30),
                                        .bias = base,
                                        .has_header = true,
                                        .build_id = id_of(SELF)};
  process->modules = (struct exu_modules){.items = &process->module,
                                          .count = 1,
                                          .process = &process->process,
                                          .diagnostics = &process->diagnostics,
                                          .options = &process->options,
                                          .arena = &process->arena};
  process->symbolizer = (struct exu_symbolizer){.modules = &process->modules,
                                                .arena = &process->arena,
                                                .process = &process->process,
                                                .lines = true,
                                                .patient = true};
  *state = process;
  return process->module.build_id.size > 1 ? 0 : -1;
}

static int tear_down(void **state) {
  struct process *process = *state;
  exu_symbolizer_deinit(&process->symbolizer);
  exu_modules_deinit(&process->modules);
  scratch_remove(process->scratch);
  free(process->program);
  exu_arena_deinit(&process->arena);
  free(process);
  return 0;
}

static const struct exu_native_place *place_of(struct process *process, uint64_t address) {
  const struct exu_native_place *place = exu_symbolizer_add(&process->symbolizer, address);
  assert_non_null(place);
  assert_true(exu_symbolize(&process->symbolizer));
  assert_true(place->call_count > 0);
  return place;
}

static const struct exu_native_call *find_triple(struct process *process) {
  const struct exu_native_place *place = place_of(process, (uint64_t)(uintptr_t)triple);
  return &place->calls[place->call_count - 1];
}

static bool is(struct exu_string text, const char *expected) {
  return text.data && text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

/* Put a separate file where its build id says. */
static void separate(struct process *process, bool another_build) {
  struct exu_build_id id = process->module.build_id;
  char name[256];
  int length = snprintf(name, sizeof name, ".build-id/%02x/", id.bytes[0]);
  char *directory = path_in(process->scratch, name);
  for (size_t i = 1; i < id.size; i++)
    length += snprintf(name + length, sizeof name - (size_t)length, "%02x", id.bytes[i]);
  snprintf(name + length, sizeof name - (size_t)length, ".debug");
  char *path = path_in(process->scratch, name);
  run_command("mkdir -p '%s' && objcopy --only-keep-debug '/proc/%d/exe' '%s'", directory, (int)getpid(), path);
  if (another_build) {
    size_t size;
    uint8_t *bytes = read_whole(path, &size), *at = memmem(bytes, size, id.bytes, id.size);
    assert_non_null(at);
    *at ^= 1;
    write_whole(path, bytes, size);
    free(bytes);
  }
  free(directory);
  free(path);
}

static void static_function_of_a_stripped_file_is_unknown(void **state) {
  const struct exu_native_call *call = find_triple(*state);
  assert_null(call->function.data);
  assert_int_equal(call->line, -1);
}

static void separate_file_of_the_build_id_has_name_and_line(void **state) {
  separate(*state, false);
  const struct exu_native_call *call = find_triple(*state);
  assert_true(is(call->function, "triple"));
  assert_int_equal(call->line, TRIPLE_LINE);
}

static void separate_file_of_another_build_is_not_used(void **state) {
  separate(*state, true);
  assert_null(find_triple(*state)->function.data);
}

static void separate_file_serves_where_the_file_itself_is_gone(void **state) {
  struct process *process = *state;
  separate(process, false);
  run_command("rm '%s'", process->program);
  assert_true(is(find_triple(process)->function, "triple"));
  assert_int_equal(process->module.file_state, EXU_FILE_MISSING);
}

static void debug_link_is_followed(void **state) {
  struct process *process = *state;
  run_command(
      "cd '%s' && objcopy --only-keep-debug '/proc/%d/exe' p.debug && objcopy --add-gnu-debuglink=p.debug program",
      process->scratch, (int)getpid());
  assert_true(is(find_triple(process)->function, "triple"));
}

/* The symbols that distributions pack into .gnu_debugdata. */
static void pack_symbols(struct process *process, size_t cut) {
  char *plain = path_in(process->scratch, "plain"), *packed = path_in(process->scratch, "packed");
  run_command("objcopy -g '/proc/%d/exe' '%s' && objcopy --only-keep-debug '%s'", (int)getpid(), plain, plain);
  size_t size, used = 0;
  uint8_t *bytes = read_whole(plain, &size), *out = malloc(size + 4096);
  assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, bytes, size, out, &used, size + 4096), LZMA_OK);
  write_whole(packed, out, used - cut);
  run_command("cd '%s' && objcopy --add-section .gnu_debugdata=packed program", process->scratch);
  free(out);
  free(bytes);
  free(plain);
  free(packed);
}

static void packed_symbols_are_unpacked(void **state) {
  pack_symbols(*state, 0);
  const struct exu_native_call *call = find_triple(*state);
  assert_true(is(call->function, "triple"));
  assert_int_equal(call->line, -1);
}

static void damaged_packed_symbols_are_not_used(void **state) {
  pack_symbols(*state, 100);
  assert_null(find_triple(*state)->function.data);
}

static void address_outside_of_every_symbol_has_no_name(void **state) {
  struct process *process = *state;
  separate(process, false);
  assert_null(place_of(process, process->module.start + 1)->calls[0].function.data);
}

static void names_are_those_of_the_source(void **state) {
  struct process *process = *state;
  static const char *const cases[][2] = {
      {"_ZN3foo3barEiPKc", "foo::bar(int, char const*)"},
      {"_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back(int const&)"},
      {"_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"},
      {"_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"},
      {"PyObject_Call", "PyObject_Call"},
      {"_Py_Dealloc", "_Py_Dealloc"},
      {"_Z", "_Z"},
      {"_ZN3foo", "_ZN3foo"},
      {"_Rubbish", "_Rubbish"},
      {"pthread_create@@GLIBC_2.34", "pthread_create"},
      {"memcpy@GLIBC_2.2.5", "memcpy"},
      {"_ZN3foo3barEv@@VERS_1", "foo::bar()"},
      {"memcpy@plt", "memcpy@plt"},
      {"@VERS", "@VERS"},
      {"_PyRun_File.lto_priv.0", "_PyRun_File"},
      {"f.lto_priv.12.lto_priv.3", "f"},
      {"f.lto_priv.0.cold", "f.cold"},
      {"f.constprop.0.lto_priv.0.isra.0", "f.constprop.0.isra.0"},
      {"f.llvm.12345", "f"},
      {"f.__uniq.99.part.0", "f.part.0"},
      {"f.lto_priv.", "f.lto_priv."},
      {"f.lto_priv.0x", "f.lto_priv.0x"},
      {".lto_priv.0", ".lto_priv.0"},
      {"_ZL1fv.lto_priv.0", "f()"},
      {"_ZL1fv.lto_priv.1.cold", "f() [clone .cold]"},
      {"_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE.llvm.77", "core::fmt::Write::write_fmt"},
      {"", ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct exu_string name = {cases[i][0], strlen(cases[i][0])};
    struct exu_string result = exu_demangle(&process->arena, name);
    if (!is(result, cases[i][1])) fail_msg("%s became %.*s", cases[i][0], (int)result.size, result.data);
  }
}

static void endless_mangled_name_is_left_alone(void **state) {
  struct process *process = *state;
  enum { SIZE = 100 * 1000 };
  char *text = malloc(SIZE + 1);
  memset(text, 'P', SIZE);
  text[SIZE] = '\0';
  memcpy(text, "_Z1f", 4);
  struct exu_string name = {text, SIZE}, result = exu_demangle(&process->arena, name);
  assert_ptr_equal(result.data, text);
  free(text);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(static_function_of_a_stripped_file_is_unknown),
      TEST(separate_file_of_the_build_id_has_name_and_line),
      TEST(separate_file_of_another_build_is_not_used),
      TEST(separate_file_serves_where_the_file_itself_is_gone),
      TEST(debug_link_is_followed),
      TEST(packed_symbols_are_unpacked),
      TEST(damaged_packed_symbols_are_not_used),
      TEST(address_outside_of_every_symbol_has_no_name),
      TEST(names_are_those_of_the_source),
      TEST(endless_mangled_name_is_left_alone),
  };
  return triple(0) == 1 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
