/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread waits for, and who has that. */
#include <string.h>

#include "base/runtime_library.h"
#include "base/str.h"
#include "render/escape.h"
#include "render/words.h"

/* What is told, and how much of it. */
struct telling {
  struct exu_output *out;
  const struct exu_report *report; /* NULL: the wait is that of another process */
  size_t thread;                   /* of the report */
  enum exu_form form;
  bool inside; /* in the sentence of another thread: what that one's owner does is not told, too */
};

static const struct exu_thread *thread_of(const struct exu_report *report, int64_t index) {
  return report && index >= 0 && (uint64_t)index < report->thread_count ? &report->threads[index] : NULL;
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static void put_quoted(struct exu_output *out, struct exu_string name) {
  exu_out_char(out, '"');
  exu_out_escaped(out, name, EXU_ESCAPE_QUOTED, EXU_NAME_SHOWN);
  exu_out_char(out, '"');
}

static void put_number(struct exu_output *out, const char *before, int64_t number, const char *after) {
  exu_out(out, before);
  exu_out_signed(out, number);
  exu_out(out, after);
}

void exu_words_thread(struct exu_output *out, struct exu_string name, int64_t tid) {
  if (name.size == 0) {
    put_number(out, "thread ", tid, "");
    return;
  }
  put_quoted(out, name);
  if (tid >= 0) put_number(out, " (", tid, ")");
}

void exu_words_pool(struct exu_output *out, const struct exu_pool *pool) {
  exu_out_escaped(out, pool->type.data ? pool->type : EXU_STRING_OF("executor"), 0, EXU_NAME_SHOWN);
  exu_out_char(out, ' ');
  if (pool->name.size > 0) {
    put_quoted(out, pool->name);
  } else {
    exu_out_hex(out, pool->address);
  }
}

/* What it is called when its type is not known, or says less. */
static const char *default_type(enum exu_wait_kind kind) {
  switch (kind) {
  case EXU_WAIT_LOCK: return "Lock";
  case EXU_WAIT_RLOCK: return "RLock";
  case EXU_WAIT_CONDITION: return "Condition";
  case EXU_WAIT_SEMAPHORE: return "Semaphore";
  case EXU_WAIT_EVENT: return "Event";
  case EXU_WAIT_BARRIER: return "Barrier";
  case EXU_WAIT_QUEUE: return "Queue";
  case EXU_WAIT_FUTURE: return "Future";
  case EXU_WAIT_EVENT_LOOP: return "event loop";
  case EXU_WAIT_IMPORT_LOCK: return "import lock";
  case EXU_WAIT_MUTEX: return "mutex";
  case EXU_WAIT_RWLOCK: return "read-write lock";
  case EXU_WAIT_COND: return "condition variable";
  case EXU_WAIT_ONCE: return "initialisation";
  case EXU_WAIT_PYMUTEX: return "PyMutex";
  case EXU_WAIT_FUTEX: return "futex";
  default: return "object";
  }
}

/* Classes of locks say no more than their kind does, but for those with a module in front. */
static bool has_own_type(enum exu_wait_kind kind, struct exu_string type) {
  if (type.size == 0) return false;
  if (kind == EXU_WAIT_LOCK || kind == EXU_WAIT_RLOCK) return memchr(type.data, '.', type.size) != NULL;
  return kind == EXU_WAIT_CONDITION || kind == EXU_WAIT_SEMAPHORE || kind == EXU_WAIT_EVENT ||
         kind == EXU_WAIT_BARRIER || kind == EXU_WAIT_QUEUE || kind == EXU_WAIT_FUTURE || kind == EXU_WAIT_PYMUTEX;
}

/* "an Event", "an RLock" */
static bool takes_an(struct exu_string type) {
  return exu_string_is(type, "RLock") || strchr("aeiouAEIOU", type.data[0]);
}

/* "RLock 0x7f12", "a Lock" when its address is unknown. */
static void put_thing(struct exu_output *out, const struct exu_wait *wait, enum exu_wait_kind kind) {
  if (kind == EXU_WAIT_GIL) {
    exu_out(out, "the GIL");
    if (!wait->gil_of.data) return;
    exu_out(out, " of Python ");
    exu_out_escaped(out, wait->gil_of, 0, EXU_NAME_SHOWN);
    return;
  }
  bool own = has_own_type(kind, wait->type);
  struct exu_string type = own ? wait->type : exu_string_of(default_type(kind));
  if (wait->address == 0) {
    exu_out(out, takes_an(type) ? "an " : "a ");
  } else if (kind == EXU_WAIT_PYMUTEX && own) {
    exu_out(out, "the critical section of ");
  } else if (kind == EXU_WAIT_LOCK && exu_string_starts(type, "io.")) {
    exu_out(out, "the lock of ");
  }
  exu_out_escaped(out, type, 0, EXU_NAME_SHOWN);
  if (wait->address == 0) return;
  exu_out_char(out, ' ');
  exu_out_hex(out, wait->address);
}

/* ---- Owners ------------------------------------------------------------------------------------------------------ */

/* What the owner has to do with it. */
static const char *relation(enum exu_wait_kind kind) {
  switch (kind) {
  case EXU_WAIT_RWLOCK: return " held for writing by ";
  case EXU_WAIT_FUTURE: return " computed by ";
  default: return " held by ";
  }
}

/* " taken by `with` in \"worker-1\" (11) or by acquire() in \"worker-2\" (12)" */
static void put_takers(const struct telling *telling, const struct exu_wait *wait) {
  struct exu_output *out = telling->out;
  for (size_t i = 0; i < wait->taker_count; i++) {
    const struct exu_taker *taker = &wait->takers[i];
    const struct exu_thread *thread = thread_of(telling->report, (int64_t)taker->thread);
    exu_out(out, i ? " or by " : taker->by_name ? " probably taken by " : " taken by ");
    exu_out(out, exu_words_taken_by(taker->by));
    exu_out(out, " in ");
    if (taker->thread == telling->thread) {
      exu_out(out, "itself");
    } else if (thread) {
      exu_words_thread(out, thread->name, thread->tid);
    }
  }
}

static const char *words_of(enum exu_wait_detail detail) {
  switch (detail) {
  case EXU_DETAIL_EMPTY: return "it is empty";
  case EXU_DETAIL_FULL: return "it is full";
  case EXU_DETAIL_UNFINISHED: return "task_done was not called for every item";
  case EXU_DETAIL_READER: return "another reader has its lock, or ended with it";
  case EXU_DETAIL_WRITER: return "another writer has its lock, or ended with it";
  case EXU_DETAIL_ELSEWHERE: return "it is held by no thread of this process";
  default: return NULL;
  }
}

static void put_process(struct exu_output *out, const struct exu_wait *wait) {
  if (wait->owner_tid != wait->owner_pid) put_number(out, "thread ", wait->owner_tid, " of ");
  put_number(out, "process ", wait->owner_pid, " (");
  exu_out_escaped(out, wait->owner_comm, 0, EXU_NAME_SHOWN);
  exu_out_char(out, ')');
}

static void put_owner(const struct telling *telling, const struct exu_wait *wait) {
  struct exu_output *out = telling->out;
  switch (wait->owner_place) {
  case EXU_OWNER_THREAD:
    if (wait->owner >= 0 && (uint64_t)wait->owner == telling->thread) {
      exu_out(out, "itself");
    } else {
      exu_words_thread(out, wait->owner_name, wait->owner_tid);
    }
    break;
  case EXU_OWNER_PROCESS: put_process(out, wait); break;
  case EXU_OWNER_OUTSIDE:
    put_number(out, "thread ", wait->owner_tid, ", which is not of this process (processes share it)");
    break;
  case EXU_OWNER_NOWHERE:
    if (wait->owner_tid < 0) {
      exu_out(out, "a thread that does not exist in this process (copied by fork?)");
    } else {
      put_number(out, "thread ", wait->owner_tid, ", which does not exist in this process (copied by fork?)");
    }
    break;
  case EXU_OWNER_TAKER: /* of a file lock: see exu_words_call */
  case EXU_OWNER_UNKNOWN: break;
  }
}

/* " held by \"worker-1\" (11)", and what else can be said of an owner. */
static void put_holder(const struct telling *telling, const struct exu_wait *wait, enum exu_wait_kind kind) {
  struct exu_output *out = telling->out;
  const char *why = words_of(wait->detail);
  if (wait->owner_place != EXU_OWNER_UNKNOWN) {
    exu_out(out, relation(kind));
    put_owner(telling, wait);
  } else if (wait->taker_count > 0) {
    put_takers(telling, wait);
  } else {
    exu_out(out, " (owner unknown");
    if (why) exu_out(out, "; ");
    if (why) exu_out(out, why);
    exu_out_char(out, ')');
  }
}

void exu_words_edge(struct exu_output *out, const struct exu_report *report, size_t thread, size_t owner) {
  const struct exu_wait *wait = report->threads[thread].wait;
  const struct exu_thread *other = &report->threads[owner];
  if (!wait) return;
  const enum exu_wait_kind kind = wait->kind == EXU_WAIT_STOPPED ? wait->resumes_as : wait->kind;
  exu_out(out, "waits for ");
  if (kind != EXU_WAIT_JOIN) {
    put_thing(out, wait, kind);
    if (wait->owner_place == EXU_OWNER_UNKNOWN && wait->taker_count == 1) {
      exu_out(out, wait->takers[0].by_name ? " probably taken by " : " taken by ");
      exu_out(out, exu_words_taken_by(wait->takers[0].by));
      exu_out(out, " in ");
    } else {
      exu_out(out, relation(kind));
    }
  }
  if (owner == thread) {
    exu_out(out, "itself");
  } else {
    exu_words_thread(out, other->name, other->tid);
  }
  if (kind == EXU_WAIT_JOIN) exu_out(out, " to end");
}

/* ---- The holder of the GIL --------------------------------------------------------------------------------------- */

/*
 * The file that a native call is in, when it is one of the program's own: not of the interpreter, nor of its extension
 * modules, nor of the libraries that work for everybody. Unknown else.
 */
static struct exu_string own_module(const struct exu_report *report, const struct exu_thread *thread,
                                    const struct exu_frame *frame) {
  static const char dynload[] = "/lib-dynload/";
  const struct exu_string none = {NULL, 0};
  if (thread->runtime < 0 || (size_t)thread->runtime >= report->runtime_count) return none;
  if (frame->module < 0 || (size_t)frame->module >= report->module_count) return none;
  const struct exu_string path = report->modules[frame->module].path;
  if (frame->module == report->runtimes[thread->runtime].module || !path.data || exu_is_runtime_library(path))
    return none;
  return memmem(path.data, path.size, dynload, sizeof dynload - 1) ? none : path;
}

/* "f (x.py:12)" for a call that tells something, "f (nat.so)" without a line. False: it tells nothing. */
static bool find_place(const struct exu_report *report, const struct exu_thread *thread, const struct exu_frame *frame,
                       struct exu_place *place) {
  *place = (struct exu_place){frame->function, frame->file, frame->position.line};
  if (!frame->function.data) return false;
  if (frame->kind == EXU_FRAME_PYTHON) return frame->file.data != NULL;
  if (frame->kind != EXU_FRAME_NATIVE || frame->eval) return false;
  struct exu_string module = own_module(report, thread, frame);
  if (!module.data) return false;
  if (!frame->file.data) *place = (struct exu_place){frame->function, module, 0};
  return true;
}

/* Where it is: what a thread was started by, in threading.py, says little. False: nothing tells. */
static bool find_inner_place(const struct exu_report *report, const struct exu_thread *thread,
                             struct exu_place *place) {
  bool found = false;
  for (size_t i = 0; i < thread->frame_count; i++) {
    const struct exu_frame *frame = &thread->frames[i];
    struct exu_place here;
    bool threading = exu_string_ends(frame->file, "/threading.py");
    if (!find_place(report, thread, frame, &here) || (found && threading)) continue;
    *place = here;
    found = true;
    if (!threading) break;
  }
  return found;
}

static void put_wait(const struct telling *telling, const struct exu_wait *wait, enum exu_wait_kind kind);

static void put_waits(const struct telling *telling, const char *behind) {
  exu_words_verb(telling->out, telling->form, "waits", "waiting");
  exu_out(telling->out, behind);
}

static void put_call(const struct telling *telling, const struct exu_wait *wait, enum exu_form form) {
  exu_words_call(telling->out, wait, telling->report ? telling->report->pid : -1, form);
}

/* ", which runs f (x.py:12)", ", which, in f (x.py:12), reads from fd 3 (read)" */
static void put_doing(const struct telling *telling, size_t holder) {
  const struct exu_report *report = telling->report;
  const struct exu_thread *thread = &report->threads[holder];
  const struct exu_wait *wait = thread->wait;
  struct exu_output *out = telling->out;
  struct exu_place place;
  const bool placed = find_inner_place(report, thread, &place);
  enum exu_wait_kind kind = !wait ? EXU_WAIT_UNKNOWN : wait->kind == EXU_WAIT_STOPPED ? wait->resumes_as : wait->kind;
  if (kind != EXU_WAIT_RUNNING && kind != EXU_WAIT_UNKNOWN) {
    exu_out(out, ", which");
    if (placed) exu_out(out, ", in ");
    if (placed) exu_words_place(out, &place);
    exu_out(out, placed ? ", " : " ");
    put_wait(&(struct telling){out, report, holder, EXU_FORM_FINITE, true}, wait, kind);
  } else if (placed) {
    exu_out(out, ", which runs ");
    exu_words_place(out, &place);
  }
}

static void put_gil(const struct telling *telling, const struct exu_wait *wait) {
  put_waits(telling, " for ");
  put_thing(telling->out, wait, EXU_WAIT_GIL);
  if (wait->owner_place == EXU_OWNER_UNKNOWN) return;
  exu_out(telling->out, relation(EXU_WAIT_GIL));
  put_owner(telling, wait);
  if (thread_of(telling->report, wait->owner) && !telling->inside) put_doing(telling, (size_t)wait->owner);
}

/* ---- Waits ------------------------------------------------------------------------------------------------------- */

/* "Waiting for Condition 0x7f12 to be notified" */
static void put_event(const struct telling *telling, const struct exu_wait *wait, enum exu_wait_kind kind,
                      const char *event) {
  put_waits(telling, " for ");
  put_thing(telling->out, wait, kind);
  exu_out(telling->out, event);
}

static void put_join(const struct telling *telling, const struct exu_wait *wait) {
  struct exu_output *out = telling->out;
  put_waits(telling, " for ");
  if (wait->owner_place == EXU_OWNER_THREAD) {
    put_owner(telling, wait);
    exu_out(out, " to end");
  } else if (wait->owner_place == EXU_OWNER_NOWHERE && wait->owner_tid >= 0) {
    put_number(out, "thread ", wait->owner_tid, " to end, which does not exist in this process");
  } else {
    exu_out(out, "a thread to end");
  }
}

/* "Waiting for child process "Process-1" (pid 12) to end" when Python knows it. */
static void put_child(const struct telling *telling, const struct exu_wait *wait) {
  struct exu_output *out = telling->out;
  if (wait->detail != EXU_DETAIL_PYTHON) {
    put_call(telling, wait, telling->form);
    return;
  }
  put_waits(telling, " for child process ");
  if (wait->child_name.size > 0) {
    put_quoted(out, wait->child_name);
    put_number(out, " (pid ", wait->child, ")");
  } else {
    exu_out_signed(out, wait->child);
  }
  exu_out(out, " to end");
}

static void put_future(const struct telling *telling, const struct exu_wait *wait) {
  struct exu_output *out = telling->out;
  if (wait->detail == EXU_DETAIL_NEXT) {
    put_waits(telling, " for the next item of ");
    put_thing(out, wait, EXU_WAIT_FUTURE);
    return;
  }
  put_event(telling, wait, EXU_WAIT_FUTURE, " to be done");
  if (wait->owner_place == EXU_OWNER_THREAD) {
    exu_out(out, ", which ");
    put_owner(telling, wait);
    exu_out(out, " computes");
  } else if (wait->pool) {
    exu_out(out, wait->detail == EXU_DETAIL_PARTS_QUEUED ? ", part of which" : ", which");
    exu_out(out, " has not been started: it is in the queue of ");
    exu_words_pool(out, wait->pool);
  }
}

/* "Waiting for Queue 0x7f12 (it is empty)"; the queues of multiprocessing are pipes. */
static void put_queue(const struct telling *telling, const struct exu_wait *wait) {
  struct exu_output *out = telling->out;
  const char *why = words_of(wait->detail);
  put_event(telling, wait, EXU_WAIT_QUEUE, "");
  if (!why && (wait->futex || wait->system_call < 0)) return;
  exu_out(out, " (");
  if (why) {
    exu_out(out, why);
  } else {
    put_call(telling, wait, telling->form == EXU_FORM_TITLE ? EXU_FORM_PARTICIPLE : telling->form);
  }
  exu_out_char(out, ')');
}

static void put_loop(const struct telling *telling, const struct exu_wait *wait) {
  const bool finite = telling->form == EXU_FORM_FINITE;
  exu_words_verb(telling->out, telling->form, "is idle", "idle");
  exu_out(telling->out, ": no task of event loop ");
  exu_out_hex(telling->out, wait->address);
  exu_out(telling->out, finite ? " can run; it " : " can run; ");
  put_call(telling, wait, finite ? EXU_FORM_FINITE : EXU_FORM_PARTICIPLE);
}

static void put_rwlock(const struct telling *telling, const struct exu_wait *wait) {
  struct exu_output *out = telling->out;
  put_event(telling, wait, EXU_WAIT_RWLOCK, "");
  if (wait->detail == EXU_DETAIL_READ_LOCKED) {
    exu_out(out, wait->readers > 1 ? ", held for reading more than once" : ", held for reading");
  } else {
    put_holder(telling, wait, EXU_WAIT_RWLOCK);
  }
}

static void put_barrier(const struct telling *telling, const struct exu_wait *wait) {
  struct exu_output *out = telling->out;
  if (wait->detail != EXU_DETAIL_PTHREAD) {
    put_event(telling, wait, EXU_WAIT_BARRIER, "");
  } else if (wait->parties == 0) {
    put_waits(telling, " at a barrier");
  } else {
    put_waits(telling, " at barrier ");
    exu_out_hex(out, wait->address);
    put_number(out, " (", wait->arrived, " of ");
    put_number(out, "", wait->parties, " threads have come)");
  }
}

static void put_address(struct exu_output *out, const char *before, uint64_t address, const char *after) {
  exu_out(out, before);
  exu_out_hex(out, address);
  exu_out(out, after);
}

static void put_in_function(struct exu_output *out, const struct exu_wait *wait) {
  exu_out(out, " (");
  exu_out_escaped(out, wait->function, 0, EXU_NAME_SHOWN);
  exu_out_char(out, ')');
}

static void put_lock(const struct telling *telling, const struct exu_wait *wait, enum exu_wait_kind kind) {
  struct exu_output *out = telling->out;
  if (wait->detail == EXU_DETAIL_PYTHON_LOCK) {
    put_waits(telling, " for a lock of Python, whose semaphore is ");
    exu_out_hex(out, wait->futex);
    put_in_function(out, wait);
    return;
  }
  put_event(telling, wait, kind, "");
  put_holder(telling, wait, kind);
}

static void put_futex(const struct telling *telling, const struct exu_wait *wait) {
  struct exu_output *out = telling->out;
  switch (wait->detail) {
  case EXU_DETAIL_SEMAPHORE:
    put_waits(telling, " for POSIX semaphore ");
    exu_out_hex(out, wait->address);
    put_in_function(out, wait);
    break;
  case EXU_DETAIL_LIBC_LOCK:
    put_waits(telling, " for a lock of the C library, ");
    exu_out_hex(out, wait->address);
    exu_out(out, " (owner unknown)");
    break;
  default: put_call(telling, wait, telling->form);
  }
}

/* Of a kind that a call says nothing more of: with its owner, if there is one. */
static void put_other(const struct telling *telling, const struct exu_wait *wait, enum exu_wait_kind kind) {
  put_event(telling, wait, kind, "");
  if (wait->owner_place != EXU_OWNER_UNKNOWN) put_holder(telling, wait, kind);
}

static void put_kernel(const struct telling *telling, const struct exu_wait *wait) {
  struct exu_output *out = telling->out;
  exu_words_verb(out, telling->form, "sleeps", "sleeping");
  exu_out(out, " in the kernel");
  if (!wait->wchan.data) return;
  exu_out(out, "'s ");
  exu_out_escaped(out, wait->wchan, 0, EXU_NAME_SHOWN);
}

static void put_wait(const struct telling *telling, const struct exu_wait *wait, enum exu_wait_kind kind) {
  struct exu_output *out = telling->out;
  switch (kind) {
  case EXU_WAIT_UNKNOWN:
  case EXU_WAIT_STOPPED: break;
  case EXU_WAIT_RUNNING:
    if (wait->system_call < 0) {
      exu_words_verb(out, telling->form, "is running", "running");
      exu_out(out, ", in no system call");
      break;
    }
    __attribute__((fallthrough));
  case EXU_WAIT_SYSCALL: put_call(telling, wait, telling->form); break;
  case EXU_WAIT_KERNEL: put_kernel(telling, wait); break;
  case EXU_WAIT_CHILD: put_child(telling, wait); break;
  case EXU_WAIT_GIL: put_gil(telling, wait); break;
  case EXU_WAIT_LOCK:
  case EXU_WAIT_RLOCK:
  case EXU_WAIT_IMPORT_LOCK:
  case EXU_WAIT_MUTEX:
  case EXU_WAIT_PYMUTEX: put_lock(telling, wait, kind); break;
  case EXU_WAIT_RWLOCK: put_rwlock(telling, wait); break;
  case EXU_WAIT_CONDITION: put_event(telling, wait, kind, " to be notified"); break;
  case EXU_WAIT_EVENT: put_event(telling, wait, kind, " to be set"); break;
  case EXU_WAIT_COND: put_event(telling, wait, kind, " to be signalled"); break;
  case EXU_WAIT_BARRIER: put_barrier(telling, wait); break;
  case EXU_WAIT_QUEUE: put_queue(telling, wait); break;
  case EXU_WAIT_FUTURE: put_future(telling, wait); break;
  case EXU_WAIT_EVENT_LOOP: put_loop(telling, wait); break;
  case EXU_WAIT_JOIN: put_join(telling, wait); break;
  case EXU_WAIT_ONCE:
    put_waits(telling, " for the initialisation ");
    exu_out(out, wait->detail == EXU_DETAIL_GUARD ? "of a static variable (guard " : "by pthread_once (");
    put_address(out, "", wait->address, "), which is under way");
    break;
  case EXU_WAIT_FUTEX: put_futex(telling, wait); break;
  case EXU_WAIT_SEMAPHORE: put_other(telling, wait, kind); break;
  }
}

static void put_all(const struct telling *telling, const struct exu_wait *wait) {
  struct exu_output *out = telling->out;
  if (wait->kind != EXU_WAIT_STOPPED) {
    put_wait(telling, wait, wait->kind);
    return;
  }
  exu_words_verb(out, telling->form, "is stopped", "stopped");
  exu_out(out, " by ");
  if (wait->stop_name) {
    exu_out(out, wait->stop_name);
  } else if (wait->stop_signal == 0) {
    exu_out(out, "a signal");
  } else {
    put_number(out, "signal ", wait->stop_signal, "");
  }
  if (wait->resumes_as == EXU_WAIT_RUNNING || wait->resumes_as == EXU_WAIT_UNKNOWN) return;
  struct telling rest = *telling;
  if (rest.form == EXU_FORM_TITLE) rest.form = EXU_FORM_PARTICIPLE;
  exu_out(out, ", and ");
  put_wait(&rest, wait, wait->resumes_as);
}

void exu_words_wait(struct exu_output *out, const struct exu_report *report, size_t thread, enum exu_form form) {
  const struct exu_wait *wait = report->threads[thread].wait;
  if (wait) put_all(&(struct telling){out, report, thread, form, false}, wait);
}

void exu_words_wait_elsewhere(struct exu_output *out, const struct exu_wait *wait, enum exu_form form) {
  put_all(&(struct telling){out, NULL, SIZE_MAX, form, true}, wait);
}

void exu_words_wait_inside(struct exu_output *out, const struct exu_report *report, size_t thread) {
  const struct exu_wait *wait = report->threads[thread].wait;
  if (!wait) return;
  put_wait(&(struct telling){out, report, thread, EXU_FORM_FINITE, false}, wait,
           wait->kind == EXU_WAIT_STOPPED ? wait->resumes_as : wait->kind);
}
