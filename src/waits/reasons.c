/* SPDX-License-Identifier: Apache-2.0 */
/* Words for what Python, or the C library, tells of a wait, and who its owner is. */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "waits/waits_private.h"

/* ---- Owners ------------------------------------------------------------------------------------------------------ */

void exu_wait_set_owner(struct exu_wait *wait, const struct exu_seen *owner, int64_t tid, struct exu_string evidence) {
  wait->owner = owner ? (int64_t)owner->subject.thread : -1;
  wait->owner_tid = owner ? owner->subject.os->tid : tid;
  if (wait->owner_tid >= 0) wait->owner_evidence = evidence;
}

/* " taken by `with` in \"worker-1\" or by acquire() in \"worker-2\"" */
static struct exu_string taken_by(const struct exu_finishing *finishing, const struct exu_seen *seen) {
  struct exu_arena *arena = finishing->waits->arena;
  const struct exu_wait *wait = seen->wait;
  struct exu_string text = {"", 0};
  for (size_t i = 0; i < wait->taker_count; i++) {
    const struct exu_taker *taker = &wait->takers[i];
    bool itself = taker->thread == seen->subject.thread;
    struct exu_string name = itself ? exu_wait_word("itself") : exu_wait_label(finishing, taker->thread);
    text = exu_arena_printf(arena, "%.*s %s %s in %.*s", (int)text.size, text.data ? text.data : "",
                            i                ? "or by"
                            : taker->by_name ? "probably taken by"
                                             : "taken by",
                            taker->by, (int)name.size, name.data ? name.data : "");
  }
  return text;
}

/* " held by \"worker-1\"", and what else can be said of an owner. */
static struct exu_string held_by(const struct exu_finishing *finishing, const struct exu_seen *seen,
                                 const struct exu_seen *owner, bool is_known) {
  struct exu_arena *arena = finishing->waits->arena;
  long long tid = (long long)seen->wait->owner_tid;
  const char *state = seen->py.state, *held = seen->relation ? seen->relation : "held by";
  struct exu_string other = seen->other;
  if (owner == seen) return exu_arena_printf(arena, " %s itself", held);
  if (owner) return exu_arena_printf(arena, " %s %.*s", held, (int)owner->label.size, owner->label.data);
  if (other.data) return exu_arena_printf(arena, " %s %.*s", held, (int)other.size, other.data);
  if (!is_known && seen->wait->taker_count > 0) return taken_by(finishing, seen);
  if (!is_known) return exu_arena_printf(arena, " (owner unknown%s%s)", state ? "; " : "", state ? state : "");
  if (tid < 0)
    return exu_arena_printf(arena, " %s a thread that does not exist in this process (copied by fork?)", held);
  if (exu_wait_is_thread(finishing, tid)) return exu_arena_printf(arena, " %s thread %lld", held, tid);
  return exu_arena_printf(arena, " %s thread %lld, which does not exist in this process (copied by fork?)", held, tid);
}

/* The next one after `last` (NULL: the first) that concerns what `seen` waits for; NULL: there is none. */
static const struct exu_py_held *next_held(const struct exu_finishing *finishing, const struct exu_seen *seen,
                                           const struct exu_py_held *last) {
  const struct exu_py_held_list *held = &finishing->waits->held;
  for (size_t i = last ? (size_t)(last - held->items.items) + 1 : 0; i < held->items.count; i++) {
    const struct exu_py_held *one = &held->items.items[i];
    if (one->object == 0 || (one->object != seen->py.object && one->object != seen->py.lock)) continue;
    if (one->thread < finishing->waits->seen.count) return one;
  }
  return NULL;
}

/* A Future is computed by one thread. */
static const struct exu_py_held *computed_by(const struct exu_finishing *finishing, const struct exu_seen *seen) {
  const struct exu_py_held *found = next_held(finishing, seen, NULL);
  return found && !next_held(finishing, seen, found) ? found : NULL;
}

/* Those who took a lock that records nobody, each thread once. */
static void set_takers(struct exu_finishing *finishing, struct exu_seen *seen) {
  enum { TAKERS = 8 };
  struct exu_waits *waits = finishing->waits;
  struct exu_taker found[TAKERS];
  size_t count = 0;
  for (const struct exu_py_held *held = next_held(finishing, seen, NULL); held && count < TAKERS;
       held = next_held(finishing, seen, held)) {
    size_t thread = waits->seen.items[held->thread].subject.thread, i = 0;
    while (i < count && found[i].thread != thread) i++;
    if (i < count) continue;
    found[count++] = (struct exu_taker){
        .thread = thread, .by = held->by, .evidence = held->evidence, .kept = held->kept, .by_name = held->by_name};
  }
  struct exu_taker *takers = count > 0 ? exu_arena_array(waits->arena, count, sizeof *takers) : NULL;
  if (!takers) return;
  memcpy(takers, found, count * sizeof *takers);
  seen->wait->takers = takers;
  seen->wait->taker_count = count;
  if (count > 1) return;
  seen->relation =
      exu_arena_printf(waits->arena, "%staken by %s in", takers[0].by_name ? "probably " : "", takers[0].by).data;
}

/* ---- Reasons ----------------------------------------------------------------------------------------------------- */

struct exu_string exu_wait_concat(struct exu_arena *arena, const char *before, struct exu_string a,
                                  struct exu_string b) {
  return exu_arena_printf(arena, "%s%.*s%.*s", before, (int)a.size, a.data ? a.data : "", (int)b.size,
                          b.data ? b.data : "");
}

struct exu_string exu_wait_word(const char *text) {
  return exu_string_of(text);
}

/* "waits for the child process "Process-1" (pid 12) to end" */
static void say_child(struct exu_finishing *finishing, const struct exu_seen *seen) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_string name = seen->py.name;
  int size = name.size < EXU_WAIT_NAME_SHOWN ? (int)name.size : EXU_WAIT_NAME_SHOWN;
  long long pid = (long long)seen->py.child;
  if (name.data && size > 0) {
    seen->wait->summary =
        exu_arena_printf(arena, "waits for the child process \"%.*s\" (pid %lld) to end", size, name.data, pid);
  } else {
    seen->wait->summary = exu_arena_printf(arena, "waits for the child process %lld to end", pid);
  }
}

/* "waits for the Queue 0x7f12 (it is empty)"; the queues of multiprocessing are pipes. */
static void say_queue(struct exu_finishing *finishing, const struct exu_seen *seen, struct exu_string what) {
  struct exu_string call = seen->in_futex ? (struct exu_string){NULL, 0} : seen->wait->summary;
  struct exu_string why = seen->py.state ? exu_wait_word(seen->py.state) : call;
  struct exu_arena *arena = finishing->waits->arena;
  if (why.data) why = exu_wait_concat(arena, " (", why, exu_wait_word(")"));
  seen->wait->summary = exu_wait_concat(arena, "waits for ", what, why);
}

void exu_wait_say(struct exu_finishing *finishing, struct exu_seen *seen, const struct exu_seen *owner, bool is_known) {
  struct exu_wait *wait = seen->wait;
  struct exu_arena *arena = finishing->waits->arena;
  const struct exu_string none = {NULL, 0};
  struct exu_string what = exu_wait_what(finishing->waits, wait);
  switch (wait->kind) {
  case EXU_WAIT_JOIN:
    if (owner) {
      wait->summary = exu_wait_concat(arena, "waits for ", owner == seen ? exu_wait_word("itself") : owner->label,
                                      exu_wait_word(" to end"));
    } else if (wait->owner_tid >= 0) {
      wait->summary = exu_arena_printf(arena, "waits for thread %lld to end, which does not exist in this process",
                                       (long long)wait->owner_tid);
    } else {
      wait->summary = exu_arena_printf(arena, "waits for a thread to end");
    }
    return;
  case EXU_WAIT_LOCK:
  case EXU_WAIT_RLOCK:
  case EXU_WAIT_IMPORT_LOCK:
  case EXU_WAIT_MUTEX:
  case EXU_WAIT_RWLOCK:
  case EXU_WAIT_PYMUTEX:
    seen->what = what;
    wait->summary = exu_wait_concat(arena, "waits for ", what, held_by(finishing, seen, owner, is_known));
    return;
  case EXU_WAIT_CONDITION:
    wait->summary = exu_wait_concat(arena, "waits for ", what, exu_wait_word(" to be notified"));
    return;
  case EXU_WAIT_EVENT: wait->summary = exu_wait_concat(arena, "waits for ", what, exu_wait_word(" to be set")); return;
  case EXU_WAIT_CHILD: say_child(finishing, seen); return;
  case EXU_WAIT_FUTURE:
    seen->what = what;
    seen->relation = "computed by";
    wait->summary = exu_wait_concat(arena, "waits for ", what, exu_wait_word(" to be done"));
    if (owner) {
      wait->summary = exu_wait_concat(arena, "", wait->summary,
                                      exu_wait_concat(arena, ", which ", owner->label, exu_wait_word(" computes")));
    } else if (seen->queued_in) {
      wait->summary = exu_wait_concat(arena, "", wait->summary,
                                      exu_wait_word(", which has not been started: it is in the queue of "));
      wait->summary = exu_wait_concat(arena, "", wait->summary, exu_wait_pool_name(finishing->waits, seen->queued_in));
      wait->evidence = exu_wait_concat(arena, "", wait->evidence, exu_wait_word("; it is an item of that queue"));
    }
    return;
  case EXU_WAIT_EVENT_LOOP:
    wait->summary = exu_arena_printf(arena, "is idle: no task of the event loop 0x%" PRIx64 " can run; it %.*s",
                                     wait->address, (int)wait->summary.size, wait->summary.data);
    return;
  case EXU_WAIT_QUEUE: say_queue(finishing, seen, what); return;
  default:
    seen->what = what;
    wait->summary = exu_wait_concat(arena, "waits for ", what,
                                    owner || is_known ? held_by(finishing, seen, owner, is_known) : none);
    return;
  }
}

void exu_wait_by_python(struct exu_finishing *finishing, struct exu_seen *seen) {
  const struct exu_py_wait *py = &seen->py;
  struct exu_wait *wait = seen->wait;
  bool is_lock = py->kind == EXU_WAIT_LOCK || py->kind == EXU_WAIT_RLOCK;
  bool is_known = py->owner_tid > 0 || py->owner_ident != 0;
  const struct exu_py_held *held;
  wait->kind = py->kind;
  if (py->kind == EXU_WAIT_CHILD) {
    wait->child = py->child;
  } else {
    wait->address = py->object || py->kind == EXU_WAIT_FUTURE ? py->object : py->lock;
    wait->type = py->type;
  }
  if (py->evidence.data) wait->evidence = py->evidence;
  struct exu_seen *owner = exu_wait_find(&finishing->by_ident, py->owner_ident);
  if (!owner && py->owner_tid > 0) owner = exu_wait_find(&finishing->by_tid, (uint64_t)py->owner_tid);
  struct exu_string evidence = py->owner_evidence;
  if (!is_known && is_lock && !py->shared) set_takers(finishing, seen);
  if (!is_known && py->kind == EXU_WAIT_FUTURE && (held = computed_by(finishing, seen))) {
    owner = &finishing->waits->seen.items[held->thread];
    evidence = held->evidence;
  }
  exu_wait_set_owner(wait, owner, py->owner_tid > 0 ? py->owner_tid : -1, evidence);
  bool records = py->kind == EXU_WAIT_LOCK || py->kind == EXU_WAIT_RLOCK || py->kind == EXU_WAIT_IMPORT_LOCK ||
                 py->kind == EXU_WAIT_PYMUTEX;
  seen->lost = records && is_known && !owner && !py->shared && !exu_wait_is_thread(finishing, py->owner_tid);
  exu_wait_say(finishing, seen, owner, is_known);
}
