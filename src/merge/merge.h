/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splicing: which native frame runs which Python frames. Pure functions over small arrays; everything about targets
 * and interpreters is decided elsewhere.
 *
 * Native frames and runs are innermost first. A run is what one call of the interpreter's eval loop executes: one or
 * more Python frames, the outermost of which is its entry. Its host is the native frame of that call.
 */
#ifndef EXUVIA_MERGE_MERGE_H
#define EXUVIA_MERGE_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exu_merge_native {
  uint64_t sp;       /* the frame's memory is [sp, cfa) */
  uint64_t cfa;      /* 0: unknown, unwinding ended here */
  uint64_t function; /* identity of the function, or of its part where it is nameless; 0: unknown */
  uint32_t size;     /* of the code of that; 0: unknown, UINT32_MAX: that or more */
  bool nameless;     /* no symbol covers it: parts of one function differ, and may be the eval loop all the same */
  bool eval_name;    /* a symbol says that this is the eval loop, or a part that was split off it */
  bool bare;         /* it runs only frames that do not exist for Python yet, or no more: it has no run */
};

struct exu_merge_stack {
  const struct exu_merge_native *frames;
  size_t count;
  const size_t *gaps; /* ascending indexes of frames right inside of which frames are missing; at most `count` */
  size_t gap_count;
  bool complete; /* unwinding reached the thread's start */
};

enum { EXU_MERGE_NO_HOST = -1 };

struct exu_merge_run {
  uint64_t marker;  /* address on the C stack inside the host; 0: none (before 3.10, or lost) */
  uint64_t pointer; /* address of the run's frame object, which the host keeps (before 3.10) */
  uint32_t index;   /* the caller's number for it: runs are put into another order */
  uint32_t chain;   /* thread state that it belongs to; runs of one come together, innermost first */
  uint32_t group;   /* runtime that it belongs to: see exu_merge_groups */
  int32_t host;     /* index of the native frame, or EXU_MERGE_NO_HOST */
  uint32_t link;    /* used inside */
  bool compiled;    /* of compiled code: no call of the eval loop runs it */
};

/* How hosts were found. */
enum exu_merge_rule {
  EXU_MERGE_FAILED,     /* no run has a host */
  EXU_MERGE_BY_MARKER,  /* the marker lies in the host's memory */
  EXU_MERGE_BY_POINTER, /* the host keeps the run's frame object, and no other function fits as well */
  EXU_MERGE_BY_NAME,    /* the symbol of the eval loop decided */
};

struct exu_merge_result {
  enum exu_merge_rule rule;
  bool order_known; /* how the runs of several chains interleave */
};

/*
 * 3.10 and later: the host of a run is the native frame whose memory contains the marker. Hosts that would be out of
 * order are taken away again: a marker that lies is not believed. Puts the runs of several chains into one order.
 */
struct exu_merge_result exu_merge_by_marker(const struct exu_merge_stack *stack, struct exu_merge_run *runs,
                                            size_t run_count);

/* Does the native frame keep the pointer, in a register or in its memory? */
typedef bool exu_merge_keeps(void *context, size_t native, uint64_t pointer);

/*
 * Before 3.10: every run is one frame object, and there are as many calls of one and the same function, the eval loop,
 * in the same order, each of which keeps its frame object. Functions that always call the eval loop, or are called by
 * it, may keep it too: of those that fit alike the one that is larger by far is the eval loop, or none. Puts the runs
 * of several chains into one order.
 */
struct exu_merge_result exu_merge_by_pointer(const struct exu_merge_stack *stack, struct exu_merge_run *runs,
                                             size_t run_count, exu_merge_keeps *keeps, void *context);

/*
 * Runs of several groups, each of which comes together, has its hosts and its order: put them into one order by their
 * hosts, else by their markers. Hosts that would be out of order are taken away again. Says whether the order is known.
 */
bool exu_merge_groups(struct exu_merge_run *runs, size_t run_count);

enum exu_merge_kind {
  EXU_MERGE_NATIVE,   /* index of a native frame */
  EXU_MERGE_HOST,     /* index of a native frame that is a host; its run comes right before it */
  EXU_MERGE_RUN,      /* position of a run in `runs` */
  EXU_MERGE_GAP,      /* native frames are missing here */
  EXU_MERGE_ALONE,    /* the eval loop that comes next has no run: Python frames are missing */
  EXU_MERGE_COMPILED, /* the runs that come next are of compiled code */
};

struct exu_merge_item {
  enum exu_merge_kind kind;
  uint32_t index;
};

/* Room that `items` needs. */
size_t exu_merge_room(const struct exu_merge_stack *stack, size_t run_count);

/*
 * Put native frames and runs into one order. Every native frame and every run is there exactly once, both in their own
 * order; runs come right before their hosts. Runs without a host come where their marker says, at a gap of the native
 * frames if there is one, and always between gaps of their own. A call of the eval loop that has no run is said
 * to be alone, but for the innermost, which may have begun just now or be about to return, and those that are bare; not
 * where runs without a host may be its own. Runs of compiled code have no host: they come where others without one would, behind
 * a remark instead of a gap. Returns the number of items.
 */
size_t exu_merge(const struct exu_merge_stack *stack, const struct exu_merge_run *runs, size_t run_count,
                 struct exu_merge_item *items);

#endif
