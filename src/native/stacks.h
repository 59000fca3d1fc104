/* SPDX-License-Identifier: Apache-2.0 */
/* The native stacks of a process: unwound thread by thread, then symbolized all at once. */
#ifndef EXUVIA_NATIVE_STACKS_H
#define EXUVIA_NATIVE_STACKS_H

#include "base/diagnostics.h"
#include "native/symbolize.h"
#include "native/unwind.h"

struct exu_native {
  struct exu_unwinder *unwinder;
  struct exu_symbolizer symbolizer;
  struct exu_arena *arena;
  struct exu_diagnostics *diagnostics;
  struct exu_native_stack stack;   /* used again for every thread */
  struct exu_unwind_python python; /* of the thread at hand, as the markers */
  const uint64_t *markers;
  size_t marker_count;
  size_t large_bytes;                          /* of these, reserved in the arena: */
  EXU_VECTOR(struct exu_native_frame *) large; /* stacks that were too large to be copied into the arena */
  EXU_VECTOR(size_t) gaps;                     /* of the thread at hand */
  struct exu_map
      by_sp; /* stack pointer -> the stack that was unwound from there last, if the thread has no Python frames */
  size_t frames_left; /* that the process may still have, beyond those of each thread that do not count */
  bool gave_up;       /* that no more is looked for behind gaps was said */
  bool lacks_files;   /* frames that are needed are missing for want of a module's file */
};

struct exu_native_thread {
  const struct exu_native_frame *frames; /* innermost first */
  size_t count;
  enum exu_unwind_end end; /* EXU_UNWIND_START, _GREENLET: the first frame was reached, perhaps over gaps */
  const size_t *gaps;      /* ascending indexes of frames before which others are missing */
  size_t gap_count;
  size_t frame_pointer_steps; /* frames that were found by frame pointers */
};

/* False without memory. */
bool exu_native_init(struct exu_native *native, const struct exu_process *process, struct exu_modules *modules,
                     struct exu_arena *arena, struct exu_diagnostics *diagnostics);
void exu_native_deinit(struct exu_native *native);

/*
 * For the next exu_native_thread: addresses on the thread's stack, ascending, each of which lies in a frame of the eval
 * loop. Where unwinding breaks, it goes on at the next of them. Borrowed until then.
 */
void exu_native_markers(struct exu_native *native, const uint64_t *markers, size_t count);

/* Of the next exu_native_thread, whose Python frames tell whose stack it is where a greenlet is being started. */
void exu_native_python(struct exu_native *native, const struct exu_unwind_python *python);

/*
 * Unwind one thread. `watched` are pointers to look for in its registers, or NULL. The frames' places are filled in by
 * exu_native_symbolize. Frames live as long as `native`; threads with equal registers share them. What is missing of a
 * thread that was not asked for (`needed` is false) does not make the report incomplete. False without memory.
 */
bool exu_native_thread(struct exu_native *native, const struct exu_os_thread *os, const struct exu_map *watched,
                       bool needed, struct exu_native_thread *thread);

bool exu_native_symbolize(struct exu_native *native);

#endif
