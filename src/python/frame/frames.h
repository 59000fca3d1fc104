/* SPDX-License-Identifier: Apache-2.0 */
/* The Python frames of one thread state, innermost first. */
#ifndef EXUVIA_PYTHON_FRAME_FRAMES_H
#define EXUVIA_PYTHON_FRAME_FRAMES_H

#include "python/frame/code.h"
#include "python/reader.h"

struct exu_py_frame {
  uint64_t address; /* of the PyFrameObject (up to 3.10) or the _PyInterpreterFrame */
  const struct exu_py_code *code;
  struct exu_position position;
  int64_t instruction; /* offset in the bytecode, in bytes; negative: not started, or unknown */
  uint32_t blocks;     /* up to 3.10: blocks (`with`, `try`, ...) that the frame is in */
  bool entry;          /* outermost frame of one run of the eval loop */
  bool compiled;       /* its frame object is not the interpreter's own kind: no eval loop runs it (Nuitka) */
  uint64_t marker; /* of an entry frame since 3.10: the address on the C stack that lies inside its native eval frame;
                      0: none */
};

struct exu_py_stack {
  EXU_VECTOR(struct exu_py_frame) frames;
  EXU_VECTOR(uint64_t) bare; /* markers of runs without a frame: those that are being set up do not exist for Python */
  bool complete; /* the walk ended where the interpreter says that the stack ends, without a frame lost on the way */
};

/*
 * Walk the frames of the thread state at `tstate`; what is wrong is reported for `tid`. At most `limit` frames (0: only
 * the process's budget). Appends to stack->frames, which may be emptied and used again; false only without memory.
 */
bool exu_py_frames(struct exu_py *py, uint64_t tstate, int64_t tid, uint64_t limit, struct exu_py_stack *stack);

/*
 * The frame of a generator that does not run: its address, code, place, and blocks. False: it has none any more, or it
 * cannot be read. Since 3.11 what has ended keeps its frame: the instruction tells (exu_py_at_yield).
 */
bool exu_py_generator_frame(struct exu_py *py, uint64_t generator, struct exu_py_frame *frame);

/*
 * 3.10 and later: an address on the C stack that the thread state runs on, that of the marker of its innermost call of
 * the eval loop; 0: it runs no Python, or that is not known.
 */
uint64_t exu_py_marker(const struct exu_py *py, uint64_t tstate);

/*
 * Before 3.10: the addresses of the innermost frame objects of a thread state, innermost first, `limit` at most.
 * Returns how many there are.
 */
size_t exu_py_frame_objects(const struct exu_py *py, uint64_t tstate, uint64_t *objects, size_t limit);

#endif
