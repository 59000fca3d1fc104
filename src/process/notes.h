/* SPDX-License-Identifier: Apache-2.0 */
/* The notes of a core: what the kernel (or gcore) wrote down about the process and its threads. */
#ifndef EXUVIA_PROCESS_NOTES_H
#define EXUVIA_PROCESS_NOTES_H

#include "base/cursor.h"
#include "process/process.h"
#include "process/siginfo.h"

enum { EXU_THREADS_MAX = 65536 };

/* What the notes of all PT_NOTE segments add up to. */
struct exu_notes {
  const struct exu_source *core; /* borrowed */
  struct exu_process *process;   /* its arch and bytes are set; pid, comm, auxv, ... are filled in here */
  struct exu_arena *arena;
  struct exu_diagnostics *diagnostics;

  EXU_VECTOR(struct exu_os_thread) threads;
  EXU_VECTOR(struct exu_file_mapping) mappings;
  int32_t cursig;             /* pr_cursig of the first thread; 0: none */
  struct exu_siginfo siginfo; /* of the first thread */
  bool process_first;         /* NT_PRPSINFO came before any thread: no kernel wrote that */
  bool damaged;               /* a note could not be read in full */
  uint64_t notes_left;        /* budgets for all segments together */
  uint64_t bytes_left;
};

void exu_notes_init(struct exu_notes *notes, struct exu_process *process, const struct exu_source *core,
                    struct exu_arena *arena, struct exu_diagnostics *diagnostics);

/*
 * Read one PT_NOTE segment of `size` bytes at `offset` of the core. Its notes are padded to 8 bytes when `alignment`
 * is 8, else to 4. Everything that is damaged or cut off is skipped, and said once.
 */
void exu_notes_read(struct exu_notes *notes, uint64_t offset, uint64_t size, uint64_t alignment);

/* Give the process its threads, its sorted mappings and its crash. Returns false without memory. */
bool exu_notes_finish(struct exu_notes *notes);

#endif
