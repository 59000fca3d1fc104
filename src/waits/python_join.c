/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/python_join.h"

#include "base/str.h"
#include "python/frame/value_stack.h"
#include "python/object/dict.h"
#include "python/object/int.h"
#include "python/object/types.h"
#include "waits/python_lock.h"

void exu_py_joined_thread(struct exu_py *py, uint64_t thread, struct exu_py_wait *wait) {
  const char *name = py->runtime->build.version.major < 3 ? "_Thread__ident" : "_ident";
  uint64_t object, value;
  if (exu_py_attribute(py, thread, name, &object) && exu_py_int(py, object, &value)) {
    wait->owner_ident = value;
    wait->owner_evidence =
        exu_arena_printf(py->arena, "attribute %s of the Thread at 0x%llx", name, (unsigned long long)thread);
  }
  /* 3.8 and later */
  if (exu_py_attribute(py, thread, "_native_id", &object) && exu_py_int(py, object, &value) && value <= INT32_MAX) {
    wait->owner_tid = (int64_t)value;
  }
}

static void set_join(struct exu_py *py, const struct exu_py_frame *frame, const char *how, uint64_t address,
                     struct exu_py_wait *wait) {
  struct exu_string text = exu_py_frame_text(py, frame);
  wait->kind = EXU_WAIT_JOIN;
  wait->evidence = exu_arena_printf(py->arena, "%s 0x%llx; %.*s", how, (unsigned long long)address, (int)text.size,
                                    text.data ? text.data : "");
}

/* ---- Handles, since 3.13 ----------------------------------------------------------------------------------------- */

/* Bytes of glibc's struct pthread (about 0x900) that the kernel may be asked to wake up pthread_join at. */
enum { PTHREAD_SIZE = 4096 };

void exu_py_wait_for_handle(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_py_sleep *sleep,
                            struct exu_py_wait *wait) {
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
    set_join(py, frame, "parked on the event of the thread's handle at", handle, wait);
  } else if (!sleep->parked && exu_py_get(py, handle, layout->thread_handle_ident, &ident) && ident != 0 &&
             sleep->futex >= ident && sleep->futex - ident < PTHREAD_SIZE) {
    set_join(py, frame, "pthread_join of", ident, wait);
  }
}

/* The handle that the thread is parked on: an entry of a list, whose neighbours point back at it. */
static void shutdown_handle(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_py_sleep *sleep,
                            struct exu_py_wait *wait) {
  const struct exu_layout *layout = &py->runtime->layout;
  if (!sleep->parked || !exu_py_has(layout->thread_handle_exiting)) return;
  uint64_t handle = sleep->parked - layout->thread_handle_exiting.offset;
  uint64_t node = handle + layout->thread_handle_node.offset, next, back, ident;
  if (!exu_py_word(py, node, &next) || !exu_py_plausible(next) || !exu_py_word(py, next + 8, &back) || back != node) {
    return;
  }
  if (!exu_py_get(py, handle, layout->thread_handle_ident, &ident) || ident == 0) return;
  set_join(py, frame, "parked on the event of the thread handle at", handle, wait);
  wait->owner_ident = ident;
  wait->owner_evidence =
      exu_arena_printf(py->arena, "ident of the thread handle at 0x%llx", (unsigned long long)handle);
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

static void shutdown_lock(struct exu_py *py, const struct exu_py_frame *frame, struct exu_py_wait *wait) {
  const struct exu_layout *layout = &py->runtime->layout;
  struct lookup lookup = {.py = py, .lock = wait->lock};
  bool current = exu_py_has(layout->iframe_globals);
  uint64_t globals, active;
  if (!exu_py_get(py, frame->address, current ? layout->iframe_globals : layout->frame_globals, &globals)) return;
  if (!exu_py_dict_get(py, globals, "_active", &active)) return;
  exu_py_dict_each(py, active, match_thread, &lookup);
  if (!lookup.thread) return;
  struct exu_string evidence = wait->evidence;
  set_join(py, frame, "the lock is that of the Thread at", lookup.thread, wait);
  if (evidence.data && wait->evidence.data) {
    wait->evidence = exu_arena_printf(py->arena, "%.*s; %.*s", (int)evidence.size, evidence.data,
                                      (int)wait->evidence.size, wait->evidence.data);
  }
  wait->object = lookup.thread;
  wait->type = exu_py_type_name(py, lookup.thread);
  exu_py_joined_thread(py, lookup.thread, wait);
}

void exu_py_wait_at_shutdown(struct exu_py *py, const struct exu_py_frame *frame, const struct exu_py_sleep *sleep,
                             struct exu_py_wait *wait) {
  if (wait->kind == EXU_WAIT_LOCK) {
    shutdown_lock(py, frame, wait);
  } else if (wait->kind == EXU_WAIT_UNKNOWN || wait->kind == EXU_WAIT_PYMUTEX) {
    shutdown_handle(py, frame, sleep, wait);
  }
}
