/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of frames of a thread state as it lies in memory, without names and lines: what of a thread that runs can
 * be read so quickly that it is worth to be read again and again.
 */
#ifndef EXUVIA_PYTHON_RUNTIME_CHAIN_H
#define EXUVIA_PYTHON_RUNTIME_CHAIN_H

#include "base/arena.h"
#include "python/reader.h"

struct exu_py_link {
  uint64_t address;     /* of the PyFrameObject (up to 3.10) or the _PyInterpreterFrame */
  uint64_t code;        /* as the frame has it: tagged, or no code object at all, in a shim */
  uint64_t instruction; /* an index up to 3.10, then an address */
  bool moved;           /* it was at another instruction in another reading */
};

struct exu_py_chain {
  EXU_VECTOR(struct exu_py_link) links; /* innermost first */
  bool whole;                           /* it was followed to its end */
};

/*
 * Read the chain anew: what of the process's changing memory was read before is forgotten, and each page of it is read
 * once. chain->links may hold what another call left there. False only without memory.
 */
bool exu_py_chain_read(struct exu_py *py, uint64_t tstate, struct exu_py_chain *chain);

/*
 * How many links, counted from the outermost, another reading has as well, of the same code; 0 unless both are whole.
 * Marks those of `chain` that were at another instruction then.
 */
size_t exu_py_chain_agreement(struct exu_py_chain *chain, const struct exu_py_chain *other);

#endif
