/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native frames from the unwinding tables of the modules. libdwfl does the work, over our own address space: it never
 * sees the core (its own reader takes bytes that were not saved from the neighbouring segment).
 */
#ifndef EXUVIA_NATIVE_UNWIND_H
#define EXUVIA_NATIVE_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/map.h"
#include "binary/module.h"
#include "process/process.h"

/*
 * Frames of one thread at most; and of all threads of a process, of which the innermost EXU_NATIVE_FRAMES_FREE of each
 * do not count: one deep stack leaves enough for the others.
 */
enum { EXU_NATIVE_FRAMES_MAX = 1000 * 1000, EXU_NATIVE_FRAMES_FREE = 128 };

struct exu_native_place;

struct exu_native_frame {
  uint64_t pc;
  uint64_t sp; /* stack pointer while this frame ran; the callee's CFA */
  /*
   * Stack pointer of the caller: the frame's memory is [sp, cfa). 0 for the last frame, whose caller is not known;
   * equal to sp where frames are missing after this one.
   */
  uint64_t cfa;
  struct exu_native_place *place; /* what lies there; answered by exu_symbolize */
  uint64_t kept[2]; /* pointers of exu_unwinder_watch that callee-saved registers held while this frame ran */
  bool exact;       /* pc is the instruction that runs or was interrupted; else it is a return address */
  bool signal;      /* made by the kernel to run a signal handler, which is its callee; it interrupted its caller */
  bool by_frame_pointer; /* found by its callee's frame pointer, for want of unwinding information */
};

enum exu_unwind_end {
  EXU_UNWIND_START,    /* the thread's first frame was reached */
  EXU_UNWIND_GREENLET, /* the first frame of the greenlet that runs: what lies further out belongs to others */
  EXU_UNWIND_SWITCH,   /* the thread is switching greenlets: whose frames come next is not certain */
  EXU_UNWIND_NO_CODE,  /* pc lies in no module */
  EXU_UNWIND_NO_CFI,   /* the module has no unwinding information for pc, or its file is missing */
  EXU_UNWIND_STACK,    /* the stack is not readable, or damaged: it leads back or nowhere */
  EXU_UNWIND_BUDGET,
  EXU_UNWIND_OVER,      /* the limits of the work on the process were reached */
  EXU_UNWIND_UNCERTAIN, /* a greenlet was being started: further out its own frames may follow, or those of others */
};

/* Is every frame there that belongs to the stack? */
static inline bool exu_unwind_is_whole(enum exu_unwind_end end) {
  return end == EXU_UNWIND_START || end == EXU_UNWIND_GREENLET;
}

/* Does unwinding end here because what comes next is not (or not for certain) of this stack? */
static inline bool exu_unwind_is_boundary(enum exu_unwind_end end) {
  return end == EXU_UNWIND_GREENLET || end == EXU_UNWIND_SWITCH || end == EXU_UNWIND_UNCERTAIN;
}

/* Zero-initialised is empty. May be used again for another thread. */
struct exu_native_stack {
  struct {
    struct exu_native_frame *items; /* innermost first; malloc'ed */
    size_t count;
    size_t capacity; /* which is reserved in `arena` */
  } frames;
  struct exu_arena *arena;
  enum exu_unwind_end end;
  size_t frame_pointer_steps;
  size_t signals; /* handlers on a stack of their own */
};

void exu_native_stack_deinit(struct exu_native_stack *stack);

struct exu_unwinder;
struct exu_jit_images;

/* NULL without memory. Borrows everything; opens files as they are needed. */
struct exu_unwinder *exu_unwinder_create(const struct exu_process *process, struct exu_modules *modules,
                                         struct exu_arena *arena);
void exu_unwinder_destroy(struct exu_unwinder *unwinder); /* NULL is allowed */

/* The code made at run time that it came across: borrowed. */
struct exu_jit_images *exu_unwinder_jit(struct exu_unwinder *unwinder);

/* Pointers to look for in registers; NULL: none. Borrowed until the next call. */
void exu_unwinder_watch(struct exu_unwinder *unwinder, const struct exu_map *pointers);

/* The Python frames of a thread state, which tell whose stack it is where a greenlet is being started. */
struct exu_unwind_python {
  bool known; /* all of them were read */
  size_t frames;
  uint64_t outermost; /* the highest of their markers on the C stack; 0: they have none (before 3.10) */
};

/* Of the thread that is unwound next. */
void exu_unwinder_python(struct exu_unwinder *unwinder, const struct exu_unwind_python *python);

/*
 * Unwind a thread from its registers, at most `limit` frames (0: as many as there may be). What `stack` held is
 * forgotten. False only without memory.
 */
bool exu_unwind(struct exu_unwinder *unwinder, const struct exu_os_thread *thread, uint64_t limit,
                struct exu_native_stack *stack);

/*
 * Unwinding broke: go on at an older frame which is known to contain the address markers[which] of the stack. That
 * frame is found by the return address of its callee below the marker, and believed only if unwinding from there
 * agrees: the frame contains the marker, its own return address follows a call of its function, and at least two more
 * frames follow, or the thread's start. All markers, ascending, lie in calls of one function, which must be this one
 * too. Where neither this nor the call tells which function it is, no other must fit. Sets *resumed, and then frames
 * are missing before the first one that was added. False only without memory.
 */
bool exu_unwind_resume(struct exu_unwinder *unwinder, const uint64_t *markers, size_t count, size_t which,
                       struct exu_native_stack *stack, bool *resumed);

/* Did exu_unwind_resume do all that it may do for one process? Then it finds nothing any more. */
bool exu_unwinder_gave_up(const struct exu_unwinder *unwinder);

#endif
