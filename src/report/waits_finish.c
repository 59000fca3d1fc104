/* SPDX-License-Identifier: Apache-2.0 */
/* The second step: reasons, owners and deadlocks, from what was seen, the names of native functions and of threads. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "base/map.h"
#include "report/deadlock.h"
#include "report/waits_native.h"
#include "report/waits_private.h"
#include "target/signal_names.h"

enum { NAME_SHOWN = 200 };

struct finishing {
  struct exu_waits *waits;
  const struct exu_report *report;
  struct exu_thread *threads;
  struct exu_map by_tid;   /* as the process numbers them -> struct exu_seen */
  struct exu_map by_ident; /* pthread_self() -> struct exu_seen */
  struct exu_map names;    /* hash of a name -> a seen thread; a second one marks it as `several` */
};

static const char several;

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

static uint64_t name_key(struct exu_string name) {
  uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
  for (size_t i = 0; i < name.size; i++) hash = (hash ^ (unsigned char)name.data[i]) * 0x100000001b3u;
  return hash | 1;
}

static bool add_name(struct finishing *finishing, struct exu_seen *seen) {
  struct exu_string name = finishing->threads[seen->subject.thread].name;
  bool is_new;
  if (!name.data) return true;
  void **slot = exu_map_insert(&finishing->names, name_key(name), &is_new);
  if (!slot) return false;
  *slot = is_new ? (void *)seen : (void *)&several;
  return true;
}

/* "worker-1" in quotes, with its number when it is not the only one of this name; thread 1234 without one. */
static struct exu_string make_label(const struct finishing *finishing, const struct exu_seen *seen) {
  struct exu_string name = finishing->threads[seen->subject.thread].name;
  long long tid = (long long)seen->subject.os->tid;
  if (!name.data || name.size == 0) return exu_arena_printf(finishing->waits->arena, "thread %lld", tid);
  int size = name.size < NAME_SHOWN ? (int)name.size : NAME_SHOWN;
  void **slot = exu_map_find(&finishing->names, name_key(name));
  if (slot && *slot == &several)
    return exu_arena_printf(finishing->waits->arena, "\"%.*s\" (thread %lld)", size, name.data, tid);
  return exu_arena_printf(finishing->waits->arena, "\"%.*s\"", size, name.data);
}

static bool put_in_map(struct exu_map *map, uint64_t key, struct exu_seen *seen) {
  bool is_new;
  if (key == 0) return true;
  void **slot = exu_map_insert(map, key, &is_new);
  if (slot && is_new) *slot = seen;
  return slot != NULL;
}

static bool index_threads(struct finishing *finishing) {
  struct exu_waits *waits = finishing->waits;
  const struct exu_target *target = waits->target;
  bool elsewhere = target->kind == EXU_SOURCE_LIVE && exu_tid_inside(target->pid, target->pid) != target->pid;
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    const struct exu_registers *registers = &seen->subject.os->registers;
    uint64_t self = registers->has_thread_pointer ? target->arch->pthread_self(registers->thread_pointer) : 0;
    if (elsewhere) seen->tid = exu_tid_inside(target->pid, seen->tid);
    if (seen->tid > 0 && !put_in_map(&finishing->by_tid, (uint64_t)seen->tid, seen)) return false;
    if (!put_in_map(&finishing->by_ident, seen->subject.ident ? seen->subject.ident : self, seen)) return false;
    if (!add_name(finishing, seen)) return false;
  }
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    seen->label = make_label(finishing, seen);
    if (!seen->label.data) return false;
  }
  return true;
}

static struct exu_seen *find(const struct exu_map *map, uint64_t key) {
  void **slot = key ? exu_map_find(map, key) : NULL;
  return slot ? *slot : NULL;
}

/* Threads beyond those that are shown count, too. */
static bool is_thread(const void *context, int64_t tid) {
  const struct finishing *finishing = context;
  const struct exu_target *target = finishing->waits->target;
  if (tid > 0 && find(&finishing->by_tid, (uint64_t)tid)) return true;
  for (size_t i = 0; i < target->thread_count; i++) {
    if (target->threads[i].tid == tid) return true;
  }
  return false;
}

/* ---- Owners ------------------------------------------------------------------------------------------------------ */

static void set_owner(struct exu_wait *wait, const struct exu_seen *owner, int64_t tid, struct exu_string evidence) {
  wait->owner = owner ? (int64_t)owner->subject.thread : -1;
  wait->owner_tid = owner ? owner->subject.os->tid : tid;
  if (wait->owner_tid >= 0) wait->owner_evidence = evidence;
}

/* " held by \"worker-1\"", and what else can be said of an owner. */
static struct exu_string held_by(const struct finishing *finishing, const struct exu_seen *seen,
                                 const struct exu_seen *owner, bool is_known) {
  struct exu_arena *arena = finishing->waits->arena;
  long long tid = (long long)seen->wait->owner_tid;
  const char *state = seen->py.state;
  if (owner == seen) return exu_arena_printf(arena, " held by itself");
  if (owner) return exu_arena_printf(arena, " held by %.*s", (int)owner->label.size, owner->label.data);
  if (!is_known) return exu_arena_printf(arena, " (owner unknown%s%s)", state ? "; " : "", state ? state : "");
  if (tid < 0)
    return exu_arena_printf(arena, " held by a thread that does not exist in this process (copied by fork?)");
  if (is_thread(finishing, tid)) return exu_arena_printf(arena, " held by thread %lld", tid);
  return exu_arena_printf(arena, " held by thread %lld, which does not exist in this process (copied by fork?)", tid);
}

/* The one thread that holds what `seen` waits for by a `with` statement; NULL: none, or several. */
static const struct exu_py_held *held_by_with(const struct finishing *finishing, const struct exu_seen *seen) {
  const struct exu_py_held_list *held = &finishing->waits->held;
  const struct exu_py_held *found = NULL;
  for (size_t i = 0; i < held->items.count; i++) {
    const struct exu_py_held *one = &held->items.items[i];
    if (one->object == 0 || (one->object != seen->py.object && one->object != seen->py.lock)) continue;
    if (one->thread >= finishing->waits->seen.count) continue;
    if (found && found->thread != one->thread) return NULL;
    found = one;
  }
  return found;
}

/* ---- Reasons ----------------------------------------------------------------------------------------------------- */

static struct exu_string join2(struct exu_arena *arena, const char *before, struct exu_string a, struct exu_string b) {
  return exu_arena_printf(arena, "%s%.*s%.*s", before, (int)a.size, a.data ? a.data : "", (int)b.size,
                          b.data ? b.data : "");
}

static struct exu_string word(const char *text) { return (struct exu_string){text, strlen(text)}; }

/* "waits for the child process "Process-1" (pid 12) to end" */
static void say_child(struct finishing *finishing, const struct exu_seen *seen) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_string name = seen->py.name;
  int size = name.size < NAME_SHOWN ? (int)name.size : NAME_SHOWN;
  long long pid = (long long)seen->py.child;
  if (name.data && size > 0) {
    seen->wait->summary =
        exu_arena_printf(arena, "waits for the child process \"%.*s\" (pid %lld) to end", size, name.data, pid);
  } else {
    seen->wait->summary = exu_arena_printf(arena, "waits for the child process %lld to end", pid);
  }
}

/* "waits for the Queue 0x7f12 (it is empty)"; the queues of multiprocessing are pipes. */
static void say_queue(struct finishing *finishing, const struct exu_seen *seen, struct exu_string what) {
  struct exu_string call = seen->in_futex ? (struct exu_string){NULL, 0} : seen->wait->summary;
  struct exu_string why = seen->py.state ? word(seen->py.state) : call;
  struct exu_arena *arena = finishing->waits->arena;
  if (why.data) why = join2(arena, " (", why, word(")"));
  seen->wait->summary = join2(arena, "waits for ", what, why);
}

static void say_python(struct finishing *finishing, struct exu_seen *seen, const struct exu_seen *owner,
                       bool is_known) {
  struct exu_wait *wait = seen->wait;
  struct exu_arena *arena = finishing->waits->arena;
  const struct exu_string none = {NULL, 0};
  struct exu_string what = exu_wait_what(finishing->waits, wait);
  switch (wait->kind) {
  case EXU_WAIT_JOIN:
    if (owner) {
      wait->summary = join2(arena, "waits for ", owner == seen ? word("itself") : owner->label, word(" to end"));
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
  case EXU_WAIT_PYMUTEX:
    seen->what = what;
    wait->summary = join2(arena, "waits for ", what, held_by(finishing, seen, owner, is_known));
    return;
  case EXU_WAIT_CONDITION: wait->summary = join2(arena, "waits for ", what, word(" to be notified")); return;
  case EXU_WAIT_EVENT: wait->summary = join2(arena, "waits for ", what, word(" to be set")); return;
  case EXU_WAIT_CHILD: say_child(finishing, seen); return;
  case EXU_WAIT_FUTURE:
    seen->what = what;
    seen->relation = "computed by";
    wait->summary = join2(arena, "waits for ", what, word(" to be done"));
    if (owner)
      wait->summary = join2(arena, "", wait->summary, join2(arena, ", which ", owner->label, word(" computes")));
    return;
  case EXU_WAIT_EVENT_LOOP:
    wait->summary = exu_arena_printf(arena, "is idle: no task of the event loop 0x%" PRIx64 " can run; it %.*s",
                                     wait->address, (int)wait->summary.size, wait->summary.data);
    return;
  case EXU_WAIT_QUEUE: say_queue(finishing, seen, what); return;
  default:
    seen->what = what;
    wait->summary =
        join2(arena, "waits for ", what, owner || is_known ? held_by(finishing, seen, owner, is_known) : none);
    return;
  }
}

static void explain_by_python(struct finishing *finishing, struct exu_seen *seen) {
  const struct exu_py_wait *py = &seen->py;
  struct exu_wait *wait = seen->wait;
  bool is_held = py->kind == EXU_WAIT_LOCK || py->kind == EXU_WAIT_RLOCK || py->kind == EXU_WAIT_FUTURE;
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
  struct exu_seen *owner = find(&finishing->by_ident, py->owner_ident);
  if (!owner && py->owner_tid > 0) owner = find(&finishing->by_tid, (uint64_t)py->owner_tid);
  struct exu_string evidence = py->owner_evidence;
  if (!is_known && is_held && (held = held_by_with(finishing, seen))) {
    owner = &finishing->waits->seen.items[held->thread];
    evidence = held->evidence;
  }
  set_owner(wait, owner, py->owner_tid > 0 ? py->owner_tid : -1, evidence);
  say_python(finishing, seen, owner, is_known);
}

static void explain_mutex(struct finishing *finishing, struct exu_seen *seen, const struct exu_mutex *mutex,
                          const char *function) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_wait *wait = seen->wait;
  struct exu_seen *owner = mutex->owner_tid > 0 ? find(&finishing->by_tid, (uint64_t)mutex->owner_tid) : NULL;
  wait->kind = EXU_WAIT_MUTEX;
  wait->address = mutex->address;
  wait->evidence = exu_arena_printf(arena, "futex(2) on a pthread_mutex_t whose word is 0x%x%s%s", mutex->word,
                                    function ? ", in " : "", function ? function : "");
  set_owner(wait, owner, mutex->owner_tid,
            exu_arena_printf(arena, "the pthread_mutex_t names thread %lld as its owner", (long long)mutex->owner_tid));
  say_python(finishing, seen, owner, mutex->owner_tid > 0);
}

/*
 * pthread_join(3): glibc sleeps on the joined thread's own record of its id, which lies right above its thread pointer.
 */
static struct exu_seen *joined_thread(const struct finishing *finishing, const struct exu_seen *seen) {
  enum { STRUCT_PTHREAD = 4096 };
  struct exu_seen *owner = find(&finishing->by_tid, seen->futex.expected);
  if (!owner || owner == seen || seen->futex.inherits) return NULL;
  const struct exu_registers *registers = &owner->subject.os->registers;
  uint64_t self = registers->thread_pointer;
  bool inside =
      registers->has_thread_pointer && seen->futex.address > self && seen->futex.address - self < STRUCT_PTHREAD;
  return inside && (int64_t)seen->futex.expected == owner->tid ? owner : NULL;
}

static void explain_join(struct finishing *finishing, struct exu_seen *seen, struct exu_seen *owner) {
  struct exu_arena *arena = finishing->waits->arena;
  seen->wait->kind = EXU_WAIT_JOIN;
  seen->wait->address = 0;
  seen->wait->evidence = exu_arena_printf(arena, "pthread_join: futex(2) on the record of that thread's id");
  set_owner(seen->wait, owner, -1, exu_arena_printf(arena, "the futex lies in its struct pthread and holds its id"));
  say_python(finishing, seen, owner, true);
}

static void say_cond(struct finishing *finishing, struct exu_seen *seen, const struct exu_cond *cond) {
  struct exu_wait *wait = seen->wait;
  wait->kind = EXU_WAIT_COND;
  wait->address = cond->address; /* 0: unknown */
  wait->summary =
      join2(finishing->waits->arena, "waits for ", exu_wait_what(finishing->waits, wait), word(" to be signalled"));
}

/* What memory proves comes first, then what the names of native functions say. */
static void explain_futex(struct finishing *finishing, struct exu_seen *seen) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_wait *wait = seen->wait;
  const char *function = NULL;
  enum exu_native_wait native = exu_native_wait(&finishing->threads[seen->subject.thread], &function);
  struct exu_mutex mutex = exu_mutex_of(&seen->futex, &seen->around, is_thread, finishing);
  struct exu_seen *joined = joined_thread(finishing, seen);
  if (mutex.form != EXU_MUTEX_NOT) {
    explain_mutex(finishing, seen, &mutex, native == EXU_NATIVE_MUTEX ? function : NULL);
    return;
  }
  if (joined) {
    explain_join(finishing, seen, joined);
    return;
  }
  struct exu_cond cond = exu_cond_of(&seen->futex, &seen->around, finishing->waits->target->thread_count);
  if (native == EXU_NATIVE_NONE && cond.is_cond) {
    wait->evidence =
        exu_arena_printf(arena, "futex(2), with the words of a pthread_cond_t around it, which has %u waiter%s",
                         cond.waiters, cond.waiters == 1 ? "" : "s");
    say_cond(finishing, seen, &cond);
    return;
  }
  if (native == EXU_NATIVE_NONE) return;
  wait->evidence = exu_arena_printf(arena, "futex(2) in %s", function);
  switch (native) {
  case EXU_NATIVE_MUTEX:
    wait->kind = EXU_WAIT_MUTEX;
    say_python(finishing, seen, NULL, false);
    break;
  case EXU_NATIVE_COND: say_cond(finishing, seen, &cond); break;
  case EXU_NATIVE_SEMAPHORE:
    wait->summary =
        exu_arena_printf(arena, "waits for the POSIX semaphore 0x%" PRIx64 " (%s)", wait->address, function);
    break;
  case EXU_NATIVE_JOIN:
    wait->kind = EXU_WAIT_JOIN;
    wait->address = 0;
    say_python(finishing, seen, NULL, false);
    break;
  case EXU_NATIVE_LIBC_LOCK:
    wait->summary =
        exu_arena_printf(arena, "waits for a lock of the C library, 0x%" PRIx64 " (owner unknown)", wait->address);
    break;
  case EXU_NATIVE_NONE: break;
  }
}

static void explain(struct finishing *finishing, struct exu_seen *seen) {
  struct exu_wait *wait = seen->wait;
  *wait = (struct exu_wait){.owner = -1, .owner_tid = -1, .system_call = -1, .fd = -1, .child = -1};
  if (seen->subject.os->ran) { /* what was seen may be true no more */
    wait->evidence = exu_arena_printf(finishing->waits->arena, "it ran while it was read");
    return;
  }
  exu_wait_in_call(finishing->waits, seen, wait);
  if (seen->subject.gil == EXU_GIL_WAITS) {
    wait->kind = EXU_WAIT_GIL;
  } else if (seen->py.kind != EXU_WAIT_UNKNOWN) {
    explain_by_python(finishing, seen);
  } else if (seen->in_futex) {
    explain_futex(finishing, seen);
  }
}

/* ---- The GIL ----------------------------------------------------------------------------------------------------- */

/*
 * Who holds the GIL that this thread waits for: of its interpreter or, where several interpreters share one, the only
 * holder.
 */
static struct exu_seen *gil_holder(struct finishing *finishing, const struct exu_seen *seen) {
  struct exu_waits *waits = finishing->waits;
  struct exu_seen *only = NULL;
  size_t holders = 0;
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *one = &waits->seen.items[i];
    if (one->subject.gil != EXU_GIL_HOLDS) continue;
    if (one->subject.interpreter == seen->subject.interpreter) return one;
    only = one;
    holders++;
  }
  return holders == 1 ? only : NULL;
}

/* ", which runs f (x.py:12)", ", which, in f (x.py:12), reads from fd 3 (read)" */
static struct exu_string doing(const struct finishing *finishing, const struct exu_seen *holder) {
  const struct exu_thread *thread = &finishing->threads[holder->subject.thread];
  const struct exu_wait *wait = holder->wait;
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_string place = {"", 0};
  bool waits = wait->kind != EXU_WAIT_RUNNING && wait->summary.data;
  for (size_t i = 0; i < thread->frame_count; i++) {
    const struct exu_frame *frame = &thread->frames[i];
    if (frame->kind != EXU_FRAME_PYTHON || !frame->function.data || !frame->file.data) continue;
    const char *slash = memrchr(frame->file.data, '/', frame->file.size);
    const char *base = slash ? slash + 1 : frame->file.data;
    int size = (int)(frame->file.size - (size_t)(base - frame->file.data));
    place = exu_arena_printf(arena, "%.*s (%.*s:%d)", (int)frame->function.size, frame->function.data, size, base,
                             (int)frame->position.line);
    break;
  }
  if (waits) {
    struct exu_string at = place.size ? join2(arena, ", in ", place, word(", ")) : word(" ");
    return join2(arena, ", which", at, wait->summary);
  }
  return place.size ? join2(arena, ", which runs ", place, word("")) : place;
}

static void explain_gil(struct finishing *finishing, struct exu_seen *seen) {
  struct exu_arena *arena = finishing->waits->arena;
  struct exu_wait *wait = seen->wait;
  struct exu_seen *holder = gil_holder(finishing, seen);
  wait->address = 0;
  seen->what = word("the GIL");
  wait->evidence = exu_arena_printf(arena, "it sleeps on the condition variable of the GIL, futex 0x%" PRIx64,
                                    seen->in_futex ? seen->futex.address : 0);
  if (!holder) {
    wait->summary = word("waits for the GIL");
    return;
  }
  set_owner(wait, holder, -1, exu_arena_printf(arena, "the interpreter says that its thread state has the GIL"));
  wait->summary = join2(arena, "waits for the GIL held by ", holder->label, doing(finishing, holder));
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

/* A process that is stopped by a signal hangs for that reason first; what its threads waited for is still said. */
static void explain_stop(struct finishing *finishing, struct exu_wait *wait) {
  struct exu_arena *arena = finishing->waits->arena;
  int signal = finishing->waits->target->stop_signal;
  const char *name = exu_signal_name(signal);
  struct exu_string stopped = name ? exu_arena_printf(arena, "is stopped by %s", name)
                                   : exu_arena_printf(arena, "is stopped by signal %d", signal);
  bool waited = wait->kind != EXU_WAIT_RUNNING && wait->kind != EXU_WAIT_UNKNOWN && wait->summary.data;
  wait->kind = EXU_WAIT_STOPPED;
  wait->summary = waited ? join2(arena, "", stopped, join2(arena, ", and ", wait->summary, word(""))) : stopped;
  wait->evidence = exu_arena_printf(arena, "the kernel says that the process is stopped");
}

/*
 * Does the wait end by itself? 2.7 waits with a time limit by asking again and again. So does everybody who waits for
 * the GIL, which ends nothing.
 */
static bool is_timed(const struct exu_seen *seen) {
  return seen->wait->kind != EXU_WAIT_GIL && (!seen->in_futex || seen->futex.timed);
}

/* A child that called os.fork() with a lock of multiprocessing believes that it has it. So does its parent. */
static bool is_proved(const struct finishing *finishing, const struct exu_seen *seen) {
  if (!seen->py.shared || seen->wait->owner < 0) return true;
  return !finishing->threads[seen->wait->owner].main;
}

static bool find_deadlocks(struct finishing *finishing, struct exu_report *report) {
  struct exu_waits *waits = finishing->waits;
  if (report->thread_count == 0) return true;
  EXU_GUARD(free) struct exu_edge *edges = calloc(report->thread_count, sizeof *edges);
  if (!edges) return false;
  for (size_t i = 0; i < report->thread_count; i++) edges[i].owner = -1;
  for (size_t i = 0; i < waits->seen.count; i++) {
    const struct exu_seen *seen = &waits->seen.items[i];
    if (seen->subject.thread >= report->thread_count) continue;
    edges[seen->subject.thread] = (struct exu_edge){.owner = is_proved(finishing, seen) ? seen->wait->owner : -1,
                                                    .thread = seen->label,
                                                    .what = seen->what,
                                                    .relation = seen->relation,
                                                    .timed = is_timed(seen)};
  }
  return exu_deadlocks_find(waits->arena, edges, report->thread_count, &report->deadlocks, &report->deadlock_count);
}

static bool finish(struct finishing *finishing, struct exu_report *report) {
  struct exu_waits *waits = finishing->waits;
  struct exu_wait *list = exu_arena_array(waits->arena, waits->seen.count, sizeof *list);
  if (!list || !index_threads(finishing)) return false;
  for (size_t i = 0; i < waits->seen.count; i++) {
    struct exu_seen *seen = &waits->seen.items[i];
    seen->wait = &list[i];
    explain(finishing, seen);
    finishing->threads[seen->subject.thread].wait = seen->wait;
  }
  for (size_t i = 0; i < waits->seen.count; i++) {
    if (waits->seen.items[i].wait->kind == EXU_WAIT_GIL) explain_gil(finishing, &waits->seen.items[i]);
  }
  if (!find_deadlocks(finishing, report)) return false;
  for (size_t i = 0; waits->target->stop_signal && i < waits->seen.count; i++)
    explain_stop(finishing, waits->seen.items[i].wait);
  return !waits->arena->exhausted;
}

bool exu_waits_finish(struct exu_waits *waits, struct exu_report *report, struct exu_thread *threads) {
  struct finishing finishing = {.waits = waits, .report = report, .threads = threads};
  bool memory = finish(&finishing, report);
  exu_map_deinit(&finishing.by_tid);
  exu_map_deinit(&finishing.by_ident);
  exu_map_deinit(&finishing.names);
  return memory;
}
