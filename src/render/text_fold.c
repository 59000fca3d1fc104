/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that tell no more together than a line does: how a thread starts, how it waits for what the line under its
 * name says, and functions without names.
 */
#include <string.h>

#include "base/str.h"
#include "render/text.h"

enum { FOLDED_MIN = 3 /* shorter runs of native frames are not worth a line of their own */ };

static bool is_named(const struct exu_frame *frame, const char *const *names, size_t count) {
  for (size_t i = 0; i < count && frame->function.data; i++) {
    const size_t size = strlen(names[i]);
    const struct exu_string name = frame->function;
    if (!exu_string_starts(name, names[i])) continue;
    /* What compilers append to a part or a copy of a function, and digits as in __futex_abstimed_wait_common64. */
    if (name.size == size || name.data[size] == '.' || (name.data[size] >= '0' && name.data[size] <= '9')) return true;
  }
  return false;
}

#define IS_NAMED(frame, names) is_named((frame), (names), sizeof(names) / sizeof *(names))

/* ---- The start of a thread --------------------------------------------------------------------------------------- */

/* Lib/threading.py: Thread._bootstrap and what it calls; with two underscores in 2.7. */
static size_t count_start(const struct exu_thread *thread) {
  static const char *const names[] = {"_bootstrap", "__bootstrap", "_bootstrap_inner", "__bootstrap_inner", "run"};
  const size_t left = thread->frame_count;
  const struct exu_frame *first = &thread->frames[left - 1];
  const struct exu_string file = first->file;
  size_t count = 0;
  if (!IS_NAMED(first, names) || !exu_string_is(exu_base_name(file), "threading.py")) return 0;
  for (; count < 3 && count + 1 < left; count++) {
    const struct exu_frame *frame = first - count;
    if (frame->kind != EXU_FRAME_PYTHON || !exu_string_equal(frame->file, file) || !IS_NAMED(frame, names)) break;
  }
  return count >= 2 ? count : 0;
}

/* ---- The wait for a lock ----------------------------------------------------------------------------------------- */

/* Functions of glibc, musl and CPython that do nothing but wait. */
static const char *const waiting_names[] = {
    "<built-in method __enter__ of _thread.RLock>",
    "<built-in method __enter__ of _thread.lock>",
    "<built-in method acquire of _thread.RLock>",
    "<built-in method acquire of _thread.lock>",
    "<built-in method acquire of thread.lock>",
    "PyCOND_TIMEDWAIT",
    "PyEval_AcquireThread",
    "PyEval_RestoreThread",
    "PyEvent_Wait",
    "PyEvent_WaitTimed",
    "PyThread_acquire_lock",
    "PyThread_acquire_lock_timed",
    "PyThread_acquire_lock_timed_with_retries",
    "_PyMutex_Lock",
    "_PyMutex_LockSlow",
    "_PyMutex_LockTimed",
    "_PyParkingLot_Park",
    "_PyRecursiveMutex_Lock",
    "_PyRecursiveMutex_LockTimed",
    "_PySemaphore_Wait",
    "_PySemaphore_PlatformWait",
    "__futex_abstimed_wait_cancelable",
    "__futex_abstimed_wait_common",
    "__GI___futex_abstimed_wait_cancelable64",
    "__GI___lll_lock_wait",
    "__internal_syscall_cancel",
    "__lll_lock_wait",
    "__lll_lock_wait_private",
    "__new_sem_wait",
    "__new_sem_wait_fast",
    "__new_sem_wait_slow",
    "__pthread_clockjoin_ex",
    "__pthread_cond_wait",
    "__pthread_cond_wait_common",
    "__pthread_mutex_lock",
    "__sem_clockwait",
    "__sem_timedwait",
    "__sem_wait",
    "__syscall_cancel",
    "__syscall_cancel_arch",
    "__syscall_cancel_arch_end",
    "__timedwait",
    "__timedwait_cp",
    "___pthread_cond_wait",
    "___pthread_cond_clockwait",
    "___pthread_cond_timedwait",
    "___pthread_mutex_lock",
    "__syscall_cp_c",
    "acquire_lock",
    "acquire_timed",
    "do_futex_wait",
    "futex_wait",
    "futex_wait_cancelable",
    "lock_PyThread_acquire_lock",
    "lock_acquire",
    "lock_acquire_lock",
    "pthread_cond_clockwait",
    "pthread_cond_timedwait",
    "pthread_cond_wait",
    "pthread_mutex_lock",
    "rlock_acquire",
    "sem_clockwait",
    "sem_timedwait",
    "sem_wait",
    "take_gil",
};

/* For what the line under the thread's name says it waits for, such functions are how. */
static bool is_lock_wait(const struct exu_wait *wait) {
  switch (wait->kind) {
  case EXU_WAIT_LOCK:
  case EXU_WAIT_RLOCK:
  case EXU_WAIT_CONDITION:
  case EXU_WAIT_SEMAPHORE:
  case EXU_WAIT_EVENT:
  case EXU_WAIT_BARRIER:
  case EXU_WAIT_QUEUE:
  case EXU_WAIT_FUTURE:
  case EXU_WAIT_JOIN:
  case EXU_WAIT_IMPORT_LOCK:
  case EXU_WAIT_MUTEX:
  case EXU_WAIT_COND:
  case EXU_WAIT_PYMUTEX:
  case EXU_WAIT_GIL: return true;
  default: return false;
  }
}

/* The function that waits, or one without a name in the library of such a function. */
static bool is_waiting(const struct exu_thread *thread, size_t index, const struct exu_frame *named) {
  const struct exu_frame *frame = &thread->frames[index];
  if (frame->kind != EXU_FRAME_NATIVE || frame->signal) return false;
  return IS_NAMED(frame, waiting_names) || (!frame->function.data && named && frame->module == named->module);
}

/* The innermost frames that only wait: frames[0, count). */
static size_t count_waiting(const struct exu_thread *thread) {
  const struct exu_frame *named = NULL;
  size_t count = 0;
  if (!exu_text_has_wait(thread) || thread->crashed || !is_lock_wait(thread->wait)) return 0;
  while (count < thread->frame_count && is_waiting(thread, count, named)) {
    if (thread->frames[count].function.data) named = &thread->frames[count];
    count++;
  }
  return count >= FOLDED_MIN ? count : 0;
}

/* ---- Functions without names ------------------------------------------------------------------------------------- */

static bool is_unsymbolized(const struct exu_frame *frame) {
  return frame->kind == EXU_FRAME_NATIVE && !frame->function.data && !frame->file.data && frame->module >= 0 &&
         !frame->signal && !frame->eval;
}

static size_t count_unsymbolized(const struct exu_thread *thread, size_t from, size_t to) {
  size_t count = 0;
  while (to - count > from && is_unsymbolized(&thread->frames[to - count - 1]) &&
         thread->frames[to - count - 1].module == thread->frames[to - 1].module)
    count++;
  return count >= FOLDED_MIN ? count : 0;
}

/* ---- Cython's wrappers ------------------------------------------------------------------------------------------- */

/* A wrapper calls the implementation of a `def` function; of a `cpdef` function either calls the one for C. */
static int depth_of(const struct exu_frame *frame) {
  static const char *const prefixes[] = {"__pyx_pw_", "__pyx_pf_", "__pyx_f_"};
  for (int i = 0; i < 3 && frame->symbol; i++) {
    if (exu_string_starts(*frame->symbol, prefixes[i])) return i;
  }
  return -1;
}

bool exu_text_is_wrapper(const struct exu_text_folds *folds, const struct exu_thread *thread, size_t left) {
  if (folds->off || left < 2) return false;
  const struct exu_frame *outer = &thread->frames[left - 1], *inner = &thread->frames[left - 2];
  const int depth = depth_of(outer);
  return depth >= 0 && depth < depth_of(inner) && exu_string_equal(outer->function, inner->function);
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

struct exu_text_folds exu_text_find_folds(const struct exu_text *text, const struct exu_thread *thread) {
  struct exu_text_folds folds = {.off = text->options->verbose || text->options->native_all};
  if (folds.off || thread->frame_count == 0) return folds;
  folds.start = count_start(thread);
  folds.waiting = count_waiting(thread);
  return folds;
}

size_t exu_text_fold(const struct exu_text_folds *folds, const struct exu_thread *thread, size_t left) {
  if (folds->off) return 0;
  if (left == thread->frame_count && folds->start > 0) return folds->start;
  if (left <= folds->waiting) return left == folds->waiting ? left : 0;
  /* Where a thread crashed is shown with its address. */
  const size_t end = thread->crashed && folds->waiting == 0 ? 1 : folds->waiting;
  return left > end ? count_unsymbolized(thread, end, left) : 0;
}

static void put_name(struct exu_text *text, struct exu_string function) {
  if (function.data)
    exu_out_escaped(&text->out, function, 0, EXU_NAME_SHOWN);
  else
    exu_out(&text->out, "??");
}

static void put_module(struct exu_text *text, int32_t index) {
  if (index < 0 || (size_t)index >= text->report->module_count) return;
  struct exu_string name = exu_base_name(text->report->modules[index].path);
  exu_out_escaped(&text->out, name, EXU_ESCAPE_QUOTED, EXU_PATH_SHOWN);
}

void exu_text_folded(struct exu_text *text, const struct exu_text_folds *folds, const struct exu_thread *thread,
                     size_t left, size_t count) {
  const struct exu_frame *outer = &thread->frames[left - 1], *inner = &thread->frames[left - count];
  struct exu_output *out = &text->out;
  exu_out(out, "  ");
  exu_out(out, text->style->dim);
  if (outer->kind == EXU_FRAME_PYTHON) {
    exu_out(out, "[");
    exu_out_grouped(out, count);
    exu_out(out, " calls in threading.py start the thread]");
    exu_out(out, text->style->reset);
    exu_out_char(out, '\n');
    return;
  }
  exu_out(out, "(native) ");
  exu_out(out, text->style->reset);
  exu_out_grouped(out, count);
  if (left == folds->waiting) {
    exu_out(out, " frames that wait, from ");
    put_name(text, outer->function);
    exu_out(out, " to ");
    put_name(text, inner->function);
  } else {
    exu_out(out, " frames without names in ");
    put_module(text, outer->module);
  }
  exu_out_char(out, '\n');
}
