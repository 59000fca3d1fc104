/* SPDX-License-Identifier: Apache-2.0 */
/* A process that never ran: what a loader would have mapped, and what a kernel would have saved of it. */
#ifndef EXUVIA_TESTS_MAPPED_PROCESS_H
#define EXUVIA_TESTS_MAPPED_PROCESS_H

#include "binary/modules.h"
#include "process/process.h"

enum { PAGE = 4096, MAPPINGS = 64 };

#define BASE UINT64_C(0x7f0000000000)
#define OTHER_BASE UINT64_C(0x7f1000000000)
#define THIRD_BASE UINT64_C(0x7f2000000000)

extern char libc_path[4096]; /* set by find_libc */

struct mapped_process {
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_options options;
  struct exu_process process;
  struct exu_modules modules;
  struct exu_file_mapping mappings[MAPPINGS];
  int fds[MAPPINGS];
  size_t fd_count;
  char *scratch;
};

/* How much of an image is saved: what can be written to and, in the second case, the first page; that page alone. */
enum saved { SAVED_NOTHING, SAVED_HEADER, SAVED_HEADER_ONLY };

/* Copies of a library: another build id; no build id; no build id and a larger .bss. */
enum change { SAME, OTHER_ID, NO_ID, NO_ID_OTHER_LAYOUT };

/* Before the first test. */
void find_libc(void);

/* As cmocka calls them: *state is a struct mapped_process. */
int set_up(void **state);
int tear_down(void **state);

/* A source of the space that reads the file, whose size is stored in *size. */
uint32_t add_file(struct mapped_process *process, const char *file, uint64_t *size);

void add_mapping(struct mapped_process *process, const char *path, uint64_t start, uint64_t end, uint64_t offset);

/* Map `file` as a loader does, with `path` for a name; without a name it gets no file mappings. */
void load(struct mapped_process *process, const char *file, const char *path, uint64_t base, enum saved saved);

/* Map a whole file to read it. */
void map_data(struct mapped_process *process, const char *file, const char *path, uint64_t base);

/* After everything is mapped: find the modules. */
void find(struct mapped_process *process);

size_t diagnostics_of(const struct mapped_process *process, const char *code);

bool path_is(const struct exu_binary *module, const char *path);

/* A copy of this process's C library in the scratch folder; the caller frees the path. */
char *library(const struct mapped_process *process, const char *name, enum change change);

/* Looks for the file of a module, and returns what became of that. */
enum exu_module_file state_of(struct mapped_process *process, size_t index);

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
