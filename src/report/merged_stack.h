/* SPDX-License-Identifier: Apache-2.0 */
/* The frames of one thread as the report shows them, from its Python and its native frames. */
#ifndef EXUVIA_REPORT_MERGED_STACK_H
#define EXUVIA_REPORT_MERGED_STACK_H

#include "base/diagnostics.h"
#include "base/map.h"
#include "binary/module.h"
#include "exuvia/exuvia.h"
#include "native/stacks.h"
#include "process/process.h"
#include "python/frame/frames.h"
#include "report/builtins.h"

/* The frames of one thread state: exu_stack_parts.python[first, end), innermost first. */
struct exu_chain {
  size_t first;
  size_t end;
  int32_t interpreter; /* its id */
  uint32_t runtime;    /* index into exu_stack_builder.runtimes; chains of one come together */
};

/* What there is to know of the eval loop of one runtime. */
struct exu_stack_runtime {
  struct exu_py *py;
  int32_t module; /* index of the module that its code is in, or -1 */
  bool by_marker; /* the version leaves markers on the C stack (3.10 and later) */
  bool python2;
};

/*
 * How often native frames of a process are asked whether they keep the pointer of a frame object, and of each thread
 * without being counted: one that lies leaves enough for the others.
 */
enum { EXU_MERGE_QUESTIONS_MAX = 4 * 1000 * 1000, EXU_MERGE_QUESTIONS_FREE = 4 * 1024 };

/* What is the same for all threads of a process. */
struct exu_stack_builder {
  struct exu_arena *arena;
  struct exu_diagnostics *diagnostics;
  const struct exu_process *process;
  const struct exu_modules *modules;
  const struct exu_stack_runtime *runtimes;
  size_t runtime_count;
  uint64_t max_frames;    /* Python frames of a thread that are shown, native ones of a thread without; 0: all */
  bool all;               /* every native frame, not only those that tell something */
  size_t questions_left;  /* of exu_merge_by_pointer, for all threads, beside those that each has anyway */
  struct exu_map classes; /* struct exu_native_call -> enum exu_function_class; release with exu_map_deinit */
  struct exu_builtins builtins;
};

/* What one thread's stack is made of. */
struct exu_stack_parts {
  const struct exu_py_frame *python;
  const struct exu_chain *chains; /* with frames or without */
  size_t chain_count;
  const uint64_t *bare; /* markers of eval loops that no frame belongs to which exists for Python */
  size_t bare_count;
  const struct exu_native_thread *native; /* NULL: Python frames only */
  bool moved;                             /* the thread ran while it was read: frames inside of these are left out */
  bool no_inlines; /* leave out inlined calls, which may be most of a stack: set where all do not fit */
};

/* Fill in the frames of a thread, how they were merged, and its innermost interpreter. False without memory. */
bool exu_build_stack(struct exu_stack_builder *builder, const struct exu_stack_parts *parts, struct exu_thread *thread);

#endif
