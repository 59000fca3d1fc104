/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the drivers of bad input share: a private copy of a core that is damaged and repaired again and again, the
 * report of the intact core as the truth, and a watchdog.
 */
#ifndef EXUVIA_TESTS_HOSTILE_H
#define EXUVIA_TESTS_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exuvia/exuvia.h"
#include "python/reader.h"
#include "python/runtime/threads.h"

/* A core in anonymous memory (a memfd), opened by its path like any other. */
struct scene {
  int fd;
  char path[64];
  const uint8_t *pristine; /* the whole file as it was, mapped read-only */
  uint64_t size;
  struct exu_report *truth;
  enum exu_outcome truth_outcome;
  bool native; /* unwind and merge, too; the truth is of Python frames only */
};

/* Ends the process with a message when the core cannot be had or is not explained completely. */
void scene_open(struct scene *scene, const char *core);
void scene_close(struct scene *scene);

/* Damage, and its undoing. Bytes beyond the end of the file are ignored. */
void scene_write(struct scene *scene, uint64_t offset, const void *bytes, uint64_t size);
void scene_restore(struct scene *scene, uint64_t offset, uint64_t size);

/* Explain the core as it is now and print the report both ways, under the watchdog; `what` is said when that fires. */
enum exu_outcome scene_explain(struct scene *scene, const char *what, struct exu_report **report);

/* ---- Comparing ---- */

bool same_string(struct exu_string a, struct exu_string b);

/* Does the frame say only what the intact frame says? What is unknown agrees with anything. */
bool frame_agrees(const struct exu_frame *frame, const struct exu_frame *truth);

/* Is every frame of the thread a frame of the intact thread, in the same order? */
bool frames_are_subset(const struct exu_thread *thread, const struct exu_thread *truth);

/* The intact thread that this one is: by its tid, or by its frames when it has lost that. NULL: there is none. */
const struct exu_thread *find_truth(const struct scene *scene, const struct exu_thread *thread);

bool has_diagnostic(const struct exu_report *report, const char *code);
void print_diagnostics(const struct exu_report *report);

/* ---- Inside: where the structures of the interpreter lie in the intact core ---- */

struct place {
  uint64_t address; /* in the process; 0: a part of the file only */
  uint64_t offset;  /* in the file */
  uint64_t size;
  const char *what;
};

enum { PLACES_MAX = 4096 };

struct inside {
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_process process;
  struct exu_modules modules;
  struct exu_py py;
  struct exu_py_threads threads;
  struct place places[PLACES_MAX];
  size_t place_count;
};

void inside_open(struct inside *inside, const struct scene *scene);
void inside_close(struct inside *inside);

/* The offset in the core of a saved byte of the process; UINT64_MAX when it is not saved. */
uint64_t inside_offset(const struct inside *inside, uint64_t address);

/* A word of the intact target, 0 when it cannot be read. */
uint64_t inside_field(const struct inside *inside, uint64_t address, struct exu_field field);

/* ---- Everything else ---- */

/* Compiled with a sanitizer: memory use says nothing. */
extern const bool is_sanitized;

/* Largest resident size of this process so far, in KiB. */
long max_rss_kib(void);

/* True when memory stayed within what is allowed; says so when not. */
bool memory_is_fine(void);

/* Well-formed JSON in UTF-8, one value? */
bool json_is_valid(const char *text, size_t size);

/* The drivers; each returns the exit status. */
int run_corrupt(int count, char **arguments);
int run_truncate(int count, char **arguments);
int run_mutations(int count, char **arguments);
int run_limits(int count, char **arguments);

#endif
