/* SPDX-License-Identifier: Apache-2.0 */
#include "python.h"

struct _is {
  struct _is *next;
  struct _ts *tstate_head;
};
struct _ts {
  struct _ts *prev, *next;
  PyInterpreterState *interp;
  PyFrameObject *frame;
  unsigned long thread_id;
};

void *state(PyThreadState *tstate) { return tstate->interp->tstate_head->frame; }
