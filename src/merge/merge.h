/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging: which native frame runs which Python frames. Pure functions over small arrays; everything about processes
 * and interpreters is decided elsewhere.
 *
 * Native frames and activations are innermost first. An activation is what one call of the interpreter's eval loop
 * executes: one or more Python frames, the outermost of which is its entry. Its eval frame is the native frame of that
 * call.
 */
#ifndef EXUVIA_MERGE_MERGE_H
#define EXUVIA_MERGE_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exu_merge_native {
  uint64_t sp;       /* the frame's memory is [sp, cfa) */
  uint64_t cfa;      /* 0: unknown, unwinding ended here */
  uint64_t function; /* identity of the function, or of its part where it is unsymbolized; 0: unknown */
  uint32_t size;     /* of the code of that; 0: unknown, UINT32_MAX: that or more */
  bool unsymbolized; /* no symbol covers it: parts of one function differ, and may be the eval loop all the same */
  bool eval_name;    /* a symbol says that this is the eval loop, or a part that was split off it */
  bool bare;         /* it runs only frames that do not exist for Python yet, or no more: it has no activation */
};

struct exu_merge_stack {
  const struct exu_merge_native *frames;
  size_t count;
  const size_t *gaps; /* ascending indexes of frames right inside of which frames are missing; at most `count` */
  size_t gap_count;
  bool complete; /* unwinding reached the thread's start */
};

enum { EXU_MERGE_NO_EVAL_FRAME = -1 };

struct exu_merge_activation {
  uint64_t marker;    /* address on the C stack inside the eval frame; 0: none (before 3.10, or lost) */
  uint64_t pointer;   /* address of the activation's frame object, which the eval frame keeps (before 3.10) */
  uint32_t index;     /* the caller's number for it: activations are put into another order */
  uint32_t chain;     /* thread state that it belongs to; activations of one come together, innermost first */
  uint32_t group;     /* runtime that it belongs to: see exu_merge_groups */
  int32_t eval_frame; /* index of the native frame, or EXU_MERGE_NO_EVAL_FRAME */
  uint32_t link;      /* used inside */
  bool compiled;      /* of compiled code: no call of the eval loop runs it */
};

/* How eval frames were found. */
enum exu_merge_rule {
  EXU_MERGE_FAILED,     /* no activation has an eval frame */
  EXU_MERGE_BY_MARKER,  /* the marker lies in the eval frame's memory */
  EXU_MERGE_BY_POINTER, /* the eval frame keeps the activation's frame object, and no other function fits as well */
  EXU_MERGE_BY_NAME,    /* the symbol of the eval loop decided */
};

struct exu_merge_result {
  enum exu_merge_rule rule;
  bool order_known; /* how the activations of several chains interleave */
};

/*
 * 3.10 and later: the eval frame of an activation is the native frame whose memory contains the marker. Eval frames
 * that would be out of order are taken away again: a marker that lies is not believed. Puts the activations of several
 * chains into one order.
 */
struct exu_merge_result exu_merge_by_marker(const struct exu_merge_stack *stack,
                                            struct exu_merge_activation *activations, size_t activation_count);

/* Does the native frame keep the pointer, in a register or in its memory? */
typedef bool exu_merge_keeps(void *context, size_t native, uint64_t pointer);

/*
 * Before 3.10: every activation is one frame object, and there are as many calls of one and the same function, the eval
 * loop, in the same order, each of which keeps its frame object. Functions that always call the eval loop, or are
 * called by it, may keep it too: of those that fit alike the one that is larger by far is the eval loop, or none. Puts
 * the activations of several chains into one order. *questions is how often `keeps` may be asked, and is counted down:
 * when it becomes 0, nothing was found.
 */
struct exu_merge_result exu_merge_by_pointer(const struct exu_merge_stack *stack,
                                             struct exu_merge_activation *activations, size_t activation_count,
                                             exu_merge_keeps *keeps, void *context, size_t *questions);

/*
 * Activations of several groups, each of which comes together, has its eval frames and its order: put them into one
 * order by their eval frames, else by their markers. Eval frames that would be out of order are taken away again. Says
 * whether the order is known.
 */
bool exu_merge_groups(struct exu_merge_activation *activations, size_t activation_count);

enum exu_merge_kind {
  EXU_MERGE_NATIVE,     /* index of a native frame */
  EXU_MERGE_EVAL_FRAME, /* index of a native frame that is an eval frame; its activation comes right before it */
  EXU_MERGE_ACTIVATION, /* position of an activation in `activations` */
  EXU_MERGE_GAP,        /* native frames are missing here */
  EXU_MERGE_ALONE,      /* the eval loop that comes next has no activation: Python frames are missing */
  EXU_MERGE_COMPILED,   /* the activations that come next are of compiled code */
};

struct exu_merge_item {
  enum exu_merge_kind kind;
  uint32_t index;
};

/* Room that `items` needs. */
size_t exu_merge_room(const struct exu_merge_stack *stack, size_t activation_count);

/*
 * Put native frames and activations into one order. Every native frame and every activation is there exactly once, both
 * in their own order; activations come right before their eval frames. Activations without an eval frame come where
 * their marker says, at a gap of the native frames if there is one, and always between gaps of their own. A call of the
 * eval loop that has no activation is said to be alone, but for the innermost, which may have begun just now or be
 * about to return, and those that are bare; not where activations without an eval frame may be its own. Activations of
 * compiled code have no eval frame: they come where others without one would, behind a remark instead of a gap. Returns
 * the number of items.
 */
size_t exu_merge(const struct exu_merge_stack *stack, const struct exu_merge_activation *activations,
                 size_t activation_count, struct exu_merge_item *items);

#endif
