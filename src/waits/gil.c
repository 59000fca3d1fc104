/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that waits for the GIL: who holds it, and what that one does. */
#include <inttypes.h>
#include <string.h>

#include "base/runtime_library.h"
#include "base/str.h"
#include "waits/waits_private.h"

/* Who holds the GIL that this thread waits for. */
static struct exu_seen *gil_holder(struct exu_finishing *finishing, const struct exu_seen *seen) {
  struct exu_waits *waits = finishing->waits;
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *one = &waits->seen.items[i];
    for (size_t k = 0; k < EXU_WAIT_PARTS && one->subject.gils[k] != 0; k++) {
      if (one->subject.gils[k] == seen->subject.gil) return one;
    }
  }
  return NULL;
}

/*
 * The file that a native call is in, when it is one of the program's own: not of the interpreter, nor of its extension
 * modules, nor of the libraries that work for everybody. Unknown else.
 */
static struct exu_string own_module(const struct exu_seen *seen, const struct exu_frame *frame) {
  static const char dynload[] = "/lib-dynload/";
  const struct exu_string none = {NULL, 0};
  const struct exu_py *py = seen->subject.part_count > 0 ? seen->subject.parts[0].py : NULL;
  if (!py || frame->module < 0 || (size_t)frame->module >= py->modules->count) return none;
  const struct exu_binary *module = &py->modules->items[frame->module];
  if (module == py->runtime->module || !module->path.data || exu_is_runtime_library(module->path)) return none;
  if (memmem(module->path.data, module->path.size, dynload, sizeof dynload - 1)) return none;
  return module->path;
}

/* "f (x.py:12)" for a call that tells something, "f (nat.so)" without a line; unknown for others. */
static struct exu_string place_of(struct exu_arena *arena, const struct exu_seen *seen, const struct exu_frame *frame) {
  struct exu_string file = frame->file;
  if (!frame->function.data) return (struct exu_string){NULL, 0};
  if (frame->kind == EXU_FRAME_NATIVE) {
    struct exu_string module = own_module(seen, frame);
    if (!module.data || frame->eval) return module.data ? (struct exu_string){NULL, 0} : module;
    if (!file.data) file = module;
  } else if (frame->kind != EXU_FRAME_PYTHON || !file.data) {
    return (struct exu_string){NULL, 0};
  }
  const struct exu_string base = exu_base_name(file);
  int size = (int)base.size, name = (int)frame->function.size;
  if (frame->file.data && frame->position.line > 0) {
    return exu_arena_printf(arena, "%.*s (%.*s:%d)", name, frame->function.data, size, base.data,
                            (int)frame->position.line);
  }
  return exu_arena_printf(arena, "%.*s (%.*s)", name, frame->function.data, size, base.data);
}

/* ", which runs f (x.py:12)", ", which, in f (x.py:12), reads from fd 3 (read)" */
static struct exu_string doing(const struct exu_finishing *finishing, const struct exu_seen *holder) {
  const struct exu_thread *thread = &finishing->threads[holder->subject.thread];
  const struct exu_wait *wait = holder->wait;
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_string place = {"", 0};
  bool waits = wait->kind != EXU_WAIT_RUNNING && wait->summary.data;
  for (size_t i = 0; i < thread->frame_count; i++) {
    const struct exu_frame *frame = &thread->frames[i];
    struct exu_string at = place_of(arena, holder, frame);
    if (!at.data || (place.size && exu_string_ends(frame->file, "/threading.py"))) continue;
    place = at;
    if (!exu_string_ends(frame->file, "/threading.py")) break; /* what it was started by says little */
  }
  if (waits) {
    struct exu_string at =
        place.size ? exu_wait_concat(arena, ", in ", place, exu_wait_word(", ")) : exu_wait_word(" ");
    return exu_wait_concat(arena, ", which", at, wait->summary);
  }
  return place.size ? exu_wait_concat(arena, ", which runs ", place, exu_wait_word("")) : place;
}

void exu_wait_for_gil(struct exu_finishing *finishing, struct exu_seen *seen) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_wait *wait = seen->wait;
  struct exu_seen *holder = gil_holder(finishing, seen);
  wait->address = 0;
  const struct exu_string version = seen->subject.gil_of;
  seen->what = version.data ? exu_arena_printf(arena, "the GIL of Python %.*s", (int)version.size, version.data)
                            : exu_wait_word("the GIL");
  wait->evidence = exu_arena_printf(arena, "it sleeps on the condition variable of the GIL, futex 0x%" PRIx64,
                                    seen->in_futex ? seen->futex.address : 0);
  if (!holder && finishing->gil_is_lost) {
    seen->lost = true;
    wait->summary =
        exu_wait_word("waits for the GIL held by a thread that does not exist in this process (copied by fork?)");
    return;
  }
  if (!holder) {
    wait->summary = exu_wait_concat(arena, "waits for ", seen->what, exu_wait_word(""));
    return;
  }
  exu_wait_set_owner(wait, holder, -1,
                     exu_arena_printf(arena, "the interpreter says that its thread state has the GIL"));
  wait->summary = exu_wait_concat(arena, "waits for ", seen->what,
                                  exu_wait_concat(arena, " held by ", holder->label, doing(finishing, holder)));
}
