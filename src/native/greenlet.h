/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks that greenlets share. The greenlets of a thread (gevent, eventlet, SQLAlchemy) run on one C stack in turn: a
 * switch copies away what is on it (slp_switch). A greenlet's own part ends at the frame of the function that started
 * it, g_initialstub; further out lies what other greenlets have left there, which has called nothing of this one. The
 * main greenlet of a thread has no such frame: its stack is the thread's.
 */
#ifndef EXUVIA_NATIVE_GREENLET_H
#define EXUVIA_NATIVE_GREENLET_H

#include "native/unwind.h"

/* What a place in the code tells of the stack that it is found on. */
enum exu_greenlet_place {
  EXU_GREENLET_NONE,
  EXU_GREENLET_FIRST,     /* a call that g_initialstub makes in the new greenlet: its frame is the greenlet's first */
  EXU_GREENLET_UNCERTAIN, /* g_initialstub, in the new greenlet or still in the one that starts it */
  EXU_GREENLET_SWITCH, /* between two greenlets: neither the stack nor the thread state is certain to be of one of them */
};

/* Is this a module whose functions are worth asking for? */
bool exu_greenlet_module(const struct exu_binary *module);

/* Of an address in such a module: a return address minus one. */
enum exu_greenlet_place exu_greenlet_place(const struct exu_unwinder *unwinder, struct exu_binary *module,
                                           uint64_t address);

#endif
