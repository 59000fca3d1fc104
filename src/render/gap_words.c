/* SPDX-License-Identifier: Apache-2.0 */
/* What a gap between frames says. */
#include "render/words.h"

const char *exu_gap_text(enum exu_gap value) {
  switch (value) {
  case EXU_GAP_NATIVE: return "native frames are missing here";
  case EXU_GAP_PYTHON: return "Python frames are missing here";
  case EXU_GAP_MOVED: return "the thread ran while it was read: its inner frames are left out";
  case EXU_GAP_GREENLET: return "the greenlet's stack ends here";
  case EXU_GAP_LEFT_OUT: return "outer frames left out, as asked for";
  case EXU_GAP_COMPILED: return "these Python frames are compiled code: which native frames run them is not known";
  case EXU_GAP_SWITCH: return "the thread is switching from one greenlet to another";
  case EXU_GAP_SWITCH_PYTHON:
    return "the thread is switching from one greenlet to another: what its Python frames are is not certain";
  }
  return "frames are missing here";
}

void exu_words_gap(struct exu_output *out, const struct exu_thread *thread, enum exu_gap gap) {
  if (gap != EXU_GAP_LEFT_OUT || thread->frames_left_out == 0) {
    exu_out(out, exu_gap_text(gap));
    return;
  }
  exu_out_unsigned(out, thread->frames_left_out);
  exu_out(out, thread->frames_left_out == 1 ? " outer frame" : " outer frames");
  exu_out(out, " left out, as asked for");
}
