/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/python_join.h"

#include "base/str.h"
#include "python/frame/value_stack.h"
#include "python/object/dict.h"
#include "python/object/int.h"
#include "python/object/types.h"
#include "waits/evidence.h"
#include "waits/python_lock.h"

void exu_py_joined_thread(struct exu_py *py, uint64_t thread, struct exu_wait *wait) {
  const char *name = py->runtime->build.version.major < 3 ? "_Thread__ident" : "_ident";
  uint64_t object, value;
  if (exu_py_attribute(py, thread, name, &object) && exu_py_int(py, object, &value)) {
    wait->owner_ident = value;
    wait->owner_evidence = exu_evidence_of(py->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_ATTRIBUTE,
                                                                            .name = exu_string_of(name),
                                                                            .type = EXU_STRING_OF("Thread"),
                                                                            .object = thread});
  }
  /* 3.8 and later */
  if (exu_py_attribute(py, thread, "_native_id", &object) && exu_py_int(py, object, &value) && value <= INT32_MAX) {
    wait->owner_tid = (int64_t)value;
  }
}

static void set_join(struct exu_py *py, const struct exu_py_frame *frame, enum exu_evidence_kind how, uint64_t object,
                     struct exu_wait *wait) {
  wait->kind = EXU_WAIT_JOIN;
  exu_evidence_add(py->arena, &wait->evidence, (struct exu_evidence){.kind = how, .object = object});
  exu_evidence_add(py->arena, &wait->evidence,
                   (struct exu_evidence){.kind = EXU_EVIDENCE_FRAME, .place = exu_py_place(frame)});
}

/* ---- Handles, since 3.13 ----------------------------------------------------------------------------------------- */

/* Bytes of glibc's struct pthread (about 0x900) that the kernel may be asked to wake up pthread_join at. */
enum { PTHREAD_SIZE = 4096 };

void exu_py_wait_for_handle(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_py_sleep *sleep,
                            struct exu_wait *wait) {
  const struct exu_layout *layout = &py->runtime->layout;
  uint64_t thread, object, handle, ident;
  if (!exu_py_has(layout->thread_handle) || !exu_py_first_argument(py, frame, &thread)) return;
  if (!exu_py_is_a(py, thread, "Thread")) return;
  if (!exu_py_attribute(py, thread, "_os_thread_handle", &object) && /* 3.14 on */
      !exu_py_attribute(py, thread, "_handle", &object)) {
    return;
  }
  if (!exu_string_is(exu_py_type_name(py, object), "_thread._ThreadHandle")) return;
  if (!exu_py_get(py, object, layout->thread_handle, &handle)) return;
  if (sleep->parked && sleep->parked == handle + layout->thread_handle_exiting.offset) {
    wait->evidence = NULL;
    set_join(py, frame, EXU_EVIDENCE_HANDLE, handle, wait);
  } else if (!sleep->parked && exu_py_get(py, handle, layout->thread_handle_ident, &ident) && ident != 0 &&
             sleep->futex >= ident && sleep->futex - ident < PTHREAD_SIZE) {
    wait->evidence = NULL;
    set_join(py, frame, EXU_EVIDENCE_JOIN, ident, wait);
  }
}

/* The handle that the thread is parked on: an entry of a list, whose neighbours point back at it. */
static void shutdown_handle(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_py_sleep *sleep,
                            struct exu_wait *wait) {
  const struct exu_layout *layout = &py->runtime->layout;
  if (!sleep->parked || !exu_py_has(layout->thread_handle_exiting)) return;
  uint64_t handle = sleep->parked - layout->thread_handle_exiting.offset;
  uint64_t node = handle + layout->thread_handle_node.offset, next, back, ident;
  if (!exu_py_word(py, node, &next) || !exu_py_plausible(next) || !exu_py_word(py, exu_py_at(py, next, 1), &back) ||
      back != node) {
    return;
  }
  if (!exu_py_get(py, handle, layout->thread_handle_ident, &ident) || ident == 0) return;
  wait->evidence = NULL;
  set_join(py, frame, EXU_EVIDENCE_HANDLE, handle, wait);
  wait->owner_ident = ident;
  wait->owner_evidence = exu_evidence_of(py->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_MEMBER,
                                                                          .name = EXU_STRING_OF("ident"),
                                                                          .type = EXU_STRING_OF("thread handle"),
                                                                          .object = handle});
}

/* ---- Locks of thread states, 3.8 to 3.12 ------------------------------------------------------------------------- */

struct lookup {
  struct exu_py *py;
  uint64_t lock;
  uint64_t thread;
};

static bool match_thread(void *context, uint64_t key, uint64_t value) {
  struct lookup *lookup = context;
  uint64_t lock;
  (void)key;
  if (!exu_py_attribute(lookup->py, value, "_tstate_lock", &lock) || lock != lookup->lock) return true;
  lookup->thread = value;
  return false;
}

static void shutdown_lock(struct exu_py *py, const struct exu_py_frame *frame, struct exu_wait *wait) {
  const struct exu_layout *layout = &py->runtime->layout;
  struct lookup lookup = {.py = py, .lock = wait->lock};
  bool current = exu_py_has(layout->iframe_globals);
  uint64_t globals, active;
  if (!exu_py_get(py, frame->address, current ? layout->iframe_globals : layout->frame_globals, &globals)) return;
  if (!exu_py_dict_get(py, globals, "_active", &active)) return;
  exu_py_dict_each(py, active, match_thread, &lookup);
  if (!lookup.thread) return;
  set_join(py, frame, EXU_EVIDENCE_THREAD_LOCK, lookup.thread, wait);
  wait->address = lookup.thread;
  wait->type = exu_py_type_name(py, lookup.thread);
  exu_py_joined_thread(py, lookup.thread, wait);
}

void exu_py_wait_at_shutdown(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_py_sleep *sleep,
                             struct exu_wait *wait) {
  if (wait->kind == EXU_WAIT_LOCK) {
    shutdown_lock(py, frame, wait);
  } else if (wait->kind == EXU_WAIT_UNKNOWN || wait->kind == EXU_WAIT_PYMUTEX) {
    shutdown_handle(py, frame, sleep, wait);
  }
}
