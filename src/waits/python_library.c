/* SPDX-License-Identifier: Apache-2.0 */
#include "waits/python_library.h"

#include <string.h>

#include "base/str.h"
#include "python/frame/value_stack.h"
#include "python/object/dict.h"
#include "python/object/int.h"
#include "python/object/str.h"
#include "python/object/types.h"
#include "waits/evidence.h"
#include "waits/python_join.h"
#include "waits/python_lock.h"

static const char threading[] = "threading.py", bootstrap[] = "<frozen importlib._bootstrap>";
static const char synchronize[] = "multiprocessing/synchronize.py", queues[] = "multiprocessing/queues.py",
                  process[] = "multiprocessing/process.py", pool[] = "multiprocessing/pool.py";
static const char futures[] = "concurrent/futures/_base.py", event_loop[] = "asyncio/base_events.py";
#define BIT(kind) (1u << (kind))
/* What a wait is before its frames are looked at. */
enum {
  LOCK = BIT(EXU_WAIT_LOCK),
  CONDITION = BIT(EXU_WAIT_CONDITION),
  SEMAPHORE = BIT(EXU_WAIT_SEMAPHORE),
  SHARED = LOCK | BIT(EXU_WAIT_RLOCK) | SEMAPHORE,
  CALL = BIT(EXU_WAIT_SYSCALL),
};

/* More has to be true than that a function of this name waits with what was seen so far. */
typedef bool check_callback(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_wait *wait);

static bool attribute_is(struct exu_py *py, uint64_t object, const char *name, uint64_t expected) {
  uint64_t value;
  return exu_py_attribute(py, object, name, &value) && value == expected;
}

/*
 * Condition.wait sleeps on a lock of its own, `waiter`, until it is notified. After that it may sleep once more, to
 * take the Condition's lock again: that is a wait for a lock.
 */
static bool check_condition(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_wait *wait) {
  uint64_t waiter;
  (void)self;
  return exu_py_local(py, frame, "waiter", &waiter) && waiter == wait->lock;
}

static void set_owner(struct exu_py *py, struct exu_wait *wait, uint64_t object, const char *attribute) {
  uint64_t owner, ident;
  if (!exu_py_attribute(py, object, attribute, &owner) || !exu_py_int(py, owner, &ident) || ident == 0) return;
  wait->owner_ident = ident;
  wait->owner_evidence = exu_evidence_of(
      py->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_ATTRIBUTE, .name = exu_string_of(attribute)});
}

/* The RLock that is written in Python: 2.7's only one, threading._PyRLock later. */
static bool check_rlock(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_wait *wait) {
  bool old = py->runtime->build.version.major < 3;
  (void)frame;
  if (!attribute_is(py, self, old ? "_RLock__block" : "_block", wait->lock)) return false;
  set_owner(py, wait, self, old ? "_RLock__owner" : "_owner");
  return true;
}

/*
 * importlib's locks, one for each module that is being imported. `lock` protects the object itself, `wakeup` is what
 * others wait for.
 */
static bool check_import(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_wait *wait) {
  (void)frame;
  if (!attribute_is(py, self, "wakeup", wait->lock)) return false;
  set_owner(py, wait, self, "owner");
  return true;
}

/* 3.4 to 3.12: a lock that the thread state holds. */
static bool check_tstate_lock(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self,
                              struct exu_wait *wait) {
  (void)frame;
  return attribute_is(py, self, "_tstate_lock", wait->lock);
}

static bool is_semaphore_of(struct exu_py *py, uint64_t self, const char *name, const struct exu_wait *wait) {
  uint64_t semaphore;
  if (!exu_py_attribute(py, self, name, &semaphore)) return false;
  return semaphore == wait->address || attribute_is(py, semaphore, "_semlock", wait->lock);
}

/* The Condition of multiprocessing waits for a semaphore of its own. */
static bool check_shared_condition(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self,
                                   struct exu_wait *wait) {
  (void)frame;
  return is_semaphore_of(py, self, "_wait_semaphore", wait);
}

/* When there is room, 2.7 takes other locks in the same function. */
static bool check_full(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_wait *wait) {
  (void)frame;
  return is_semaphore_of(py, self, "_sem", wait);
}

static bool check_future(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_wait *wait) {
  (void)frame;
  return attribute_is(py, self, "_condition", wait->address);
}

/* concurrent.futures.wait and as_completed: functions with many Futures and one Event. */
static bool check_waiter(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_wait *wait) {
  uint64_t waiter;
  (void)self;
  return exu_py_local(py, frame, "waiter", &waiter) && attribute_is(py, waiter, "event", wait->address);
}

/* Nothing is ready: `_ready` is a deque, whose size is where a tuple has it. */
static bool check_loop(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_wait *wait) {
  uint64_t ready, size;
  (void)frame;
  (void)wait;
  return exu_py_attribute(py, self, "_ready", &ready) &&
         exu_string_is(exu_py_type_name(py, ready), "collections.deque") &&
         exu_py_get(py, ready, py->runtime->layout.var_size, &size) && size == 0;
}

static bool set_child(struct exu_py *py, uint64_t object, struct exu_wait *wait) {
  uint64_t pid, number;
  if (!exu_py_attribute(py, object, "pid", &pid) || !exu_py_int(py, pid, &number)) return false;
  if (number == 0 || number > INT32_MAX) return false;
  wait->child = (int64_t)number;
  return true;
}

static bool check_process(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_wait *wait) {
  uint64_t popen, name;
  (void)frame;
  if (!exu_py_attribute(py, self, "_popen", &popen) || !set_child(py, popen, wait)) return false;
  if (exu_py_attribute(py, self, "_name", &name) && exu_py_text(py, name, &wait->child_name) != EXU_PY_TEXT_OK) {
    wait->child_name = (struct exu_string){NULL, 0};
  }
  return true;
}

static bool check_popen(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_wait *wait) {
  (void)frame;
  return set_child(py, self, wait);
}

/* What a function waits with: kinds, and what that makes the wait. Frames are tried from the innermost outwards. */
static const struct step {
  const char *file, *function, *type; /* no type: a function, not a method */
  unsigned with;                      /* BITs of the kind so far */
  enum exu_wait_kind kind;
  check_callback *check;
  enum exu_wait_detail detail; /* what that says of the object */
} steps[] = {
    {threading, "wait", "Condition", LOCK, EXU_WAIT_CONDITION, check_condition, EXU_DETAIL_NONE},
    {threading, "wait", "_Condition", LOCK, EXU_WAIT_CONDITION, check_condition, EXU_DETAIL_NONE},
    {threading, "wait_for", "Condition", CONDITION, EXU_WAIT_CONDITION, NULL, EXU_DETAIL_NONE},
    {threading, "wait", "Event", CONDITION, EXU_WAIT_EVENT, NULL, EXU_DETAIL_NONE},
    {threading, "wait", "_Event", CONDITION, EXU_WAIT_EVENT, NULL, EXU_DETAIL_NONE},
    {threading, "acquire", "Semaphore", CONDITION, EXU_WAIT_SEMAPHORE, NULL, EXU_DETAIL_NONE},
    {threading, "acquire", "_Semaphore", CONDITION, EXU_WAIT_SEMAPHORE, NULL, EXU_DETAIL_NONE},
    {threading, "_enter", "Barrier", CONDITION, EXU_WAIT_BARRIER, NULL, EXU_DETAIL_NONE},
    {threading, "_wait", "Barrier", CONDITION, EXU_WAIT_BARRIER, NULL, EXU_DETAIL_NONE},
    {threading, "wait", "Barrier", BIT(EXU_WAIT_BARRIER), EXU_WAIT_BARRIER, NULL, EXU_DETAIL_NONE},
    {threading, "acquire", "_RLock", LOCK, EXU_WAIT_RLOCK, check_rlock, EXU_DETAIL_NONE},
    {threading, "_acquire_restore", "_RLock", LOCK, EXU_WAIT_RLOCK, check_rlock, EXU_DETAIL_NONE},
    {threading, "_wait_for_tstate_lock", "Thread", LOCK, EXU_WAIT_JOIN, check_tstate_lock, EXU_DETAIL_NONE},
    /* 2.7's waits for a Condition. Since 3.13 nothing of this is written in Python. */
    {threading, "join", "Thread", CONDITION | BIT(EXU_WAIT_JOIN), EXU_WAIT_JOIN, NULL, EXU_DETAIL_NONE},
    {"queue.py", "get", "Queue", CONDITION, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_EMPTY},
    {"queue.py", "put", "Queue", CONDITION, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_FULL},
    {"queue.py", "join", "Queue", CONDITION, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_UNFINISHED},
    {"queue.py", "get", "_PySimpleQueue", SEMAPHORE, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_EMPTY},
    {"Queue.py", "get", "Queue", CONDITION, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_EMPTY},
    {"Queue.py", "put", "Queue", CONDITION, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_FULL},
    {"Queue.py", "join", "Queue", CONDITION, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_UNFINISHED},
    {bootstrap, "acquire", "_ModuleLock", LOCK, EXU_WAIT_IMPORT_LOCK, check_import, EXU_DETAIL_NONE},
    /* multiprocessing: posix semaphores in shared memory, whose holder may be another process; pipes. */
    {synchronize, "__enter__", "Lock", SHARED, EXU_WAIT_LOCK, NULL, EXU_DETAIL_NONE},
    {synchronize, "__enter__", "RLock", SHARED, EXU_WAIT_RLOCK, NULL, EXU_DETAIL_NONE},
    {synchronize, "__enter__", "Semaphore", SHARED, EXU_WAIT_SEMAPHORE, NULL, EXU_DETAIL_NONE},
    {synchronize, "wait", "Condition", SHARED, EXU_WAIT_CONDITION, check_shared_condition, EXU_DETAIL_NONE},
    {synchronize, "wait_for", "Condition", CONDITION, EXU_WAIT_CONDITION, NULL, EXU_DETAIL_NONE},
    {synchronize, "wait", "Event", CONDITION, EXU_WAIT_EVENT, NULL, EXU_DETAIL_NONE},
    {queues, "get", "Queue", SHARED, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_READER},
    {queues, "get", "Queue", CALL, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_NONE},
    {queues, "put", "Queue", SHARED, EXU_WAIT_QUEUE, check_full, EXU_DETAIL_FULL},
    {queues, "join", "JoinableQueue", CONDITION, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_UNFINISHED},
    {queues, "get", "SimpleQueue", SHARED, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_READER},
    {queues, "get", "SimpleQueue", CALL, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_NONE},
    {queues, "put", "SimpleQueue", SHARED, EXU_WAIT_QUEUE, NULL, EXU_DETAIL_WRITER},
    {process, "join", "BaseProcess", CALL, EXU_WAIT_CHILD, check_process, EXU_DETAIL_NONE},
    {process, "join", "Process", CALL, EXU_WAIT_CHILD, check_process, EXU_DETAIL_NONE}, /* 2.7 */
    {"subprocess.py", "wait", "Popen", CALL, EXU_WAIT_CHILD, check_popen, EXU_DETAIL_NONE},
    /* Results. */
    {pool, "wait", "ApplyResult", CONDITION | BIT(EXU_WAIT_EVENT), EXU_WAIT_FUTURE, NULL, EXU_DETAIL_NONE},
    {pool, "get", "ApplyResult", BIT(EXU_WAIT_FUTURE), EXU_WAIT_FUTURE, NULL, EXU_DETAIL_NONE},
    {pool, "next", "IMapIterator", CONDITION, EXU_WAIT_FUTURE, NULL, EXU_DETAIL_NEXT},
    {futures, "result", "Future", CONDITION, EXU_WAIT_FUTURE, check_future, EXU_DETAIL_NONE},
    {futures, "exception", "Future", CONDITION, EXU_WAIT_FUTURE, check_future, EXU_DETAIL_NONE},
    {futures, "wait", NULL, BIT(EXU_WAIT_EVENT), EXU_WAIT_FUTURE, check_waiter, EXU_DETAIL_NONE},
    {futures, "as_completed", NULL, BIT(EXU_WAIT_EVENT), EXU_WAIT_FUTURE, check_waiter, EXU_DETAIL_NONE},
    {event_loop, "_run_once", "BaseEventLoop", CALL, EXU_WAIT_EVENT_LOOP, check_loop, EXU_DETAIL_NONE},
};

static bool is_file(struct exu_string path, const char *name) {
  const size_t size = strlen(name);
  if (!exu_string_ends(path, name)) return false;
  return path.size == size || path.data[path.size - size - 1] == '/';
}

bool exu_py_is_function(const struct exu_py_frame *frame, const char *file, const char *function) {
  return frame->code->valid && exu_string_is(frame->code->function, function) && is_file(frame->code->file, file);
}

static void tell(struct exu_py *py, const struct exu_py_frame *frame, struct exu_wait *wait) {
  struct exu_evidence seen = {.kind = EXU_EVIDENCE_FRAME, .place = exu_py_place(frame), .object = wait->address};
  if (seen.object) seen.type = wait->type;
  exu_evidence_add(py->arena, &wait->evidence, seen);
}

static const struct step *matching(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self,
                                   struct exu_wait *wait) {
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    const struct step *step = &steps[i];
    if (!(step->with & BIT(wait->kind)) || !exu_py_is_function(frame, step->file, step->function)) continue;
    if (step->type && !exu_py_is_a(py, self, step->type)) continue;
    if (!step->check || step->check(py, frame, self, wait)) return step;
  }
  return NULL;
}

/* What lies between a system call and those who know what it is good for. */
static bool passes_on(const struct exu_py_frame *frame) {
  static const char *const files[] = {"selectors.py", "multiprocessing/connection.py",
                                      "multiprocessing/forking.py", /* 2.7 */
                                      "multiprocessing/popen_fork.py", "multiprocessing/popen_forkserver.py"};
  static const char *const waits[] = {"_wait", "_wait_pidfd", "_try_wait", "_eintr_retry_call"};
  if (!frame->code->valid) return false;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    if (is_file(frame->code->file, files[i])) return true;
  }
  for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
    if (exu_py_is_function(frame, "subprocess.py", waits[i])) return true;
  }
  return false;
}

/* Classes of multiprocessing have the names of those of threading and queue. */
static struct exu_string type_name(struct exu_py *py, const struct step *step, uint64_t self) {
  static const char multiprocessing[] = "multiprocessing";
  static const struct exu_string future = EXU_STRING("Future");
  if (!step->type) return future;
  struct exu_string type = exu_py_type_name(py, self);
  if (strncmp(step->file, multiprocessing, sizeof multiprocessing - 1) != 0 || !type.data) return type;
  return exu_arena_printf(py->arena, "%s.%.*s", multiprocessing, (int)type.size, type.data);
}

static void take(struct exu_py *py, const struct exu_py_frame *frame, const struct step *step, uint64_t self,
                 struct exu_wait *wait) {
  uint64_t object = step->type ? self : 0;
  bool same = wait->address == object && wait->kind == step->kind;
  if (wait->kind != step->kind) wait->detail = step->detail; /* what is known of the same lock stays */
  wait->kind = step->kind;
  wait->address = object;
  wait->type = type_name(py, step, self);
  if (!same) tell(py, frame, wait);
  if (wait->kind == EXU_WAIT_JOIN) exu_py_joined_thread(py, self, wait);
}

void exu_py_wait_in_library(struct exu_py *py, const struct exu_py_frame *frames, size_t count,
                            const struct exu_py_sleep *sleep, struct exu_wait *wait) {
  enum { DEPTH_MAX = 8 };
  if (count == 0) return;
  if (exu_py_is_function(&frames[0], threading, "join")) exu_py_wait_for_handle(py, &frames[0], sleep, wait);
  if (exu_py_is_function(&frames[0], threading, "_shutdown")) exu_py_wait_at_shutdown(py, &frames[0], sleep, wait);
  for (size_t i = 0; i < count && i < DEPTH_MAX; i++) {
    uint64_t self;
    if (wait->kind == EXU_WAIT_SYSCALL && passes_on(&frames[i])) continue;
    if (!exu_py_first_argument(py, &frames[i], &self)) return;
    const struct step *step = matching(py, &frames[i], self, wait);
    if (!step) return;
    take(py, &frames[i], step, self, wait);
  }
}

bool exu_py_is_in(const struct exu_py_code *code, const char *file) { return is_file(code->file, file); }

bool exu_py_is_threading(const struct exu_py_code *code) { return exu_py_is_in(code, threading); }

bool exu_py_is_work(const struct exu_py_frame *frame) {
  return exu_py_is_function(frame, "concurrent/futures/thread.py", "run");
}

bool exu_py_in_condition_wait(struct exu_py *py, const struct exu_py_frame *frame, uint64_t *condition) {
  if (!exu_py_is_function(frame, threading, "wait") || !exu_py_first_argument(py, frame, condition)) return false;
  return exu_py_is_a(py, *condition, "Condition") || exu_py_is_a(py, *condition, "_Condition");
}

bool exu_py_condition_lock(struct exu_py *py, uint64_t condition, uint64_t *lock) {
  return exu_py_attribute(py, condition, py->runtime->build.version.major < 3 ? "_Condition__lock" : "_lock", lock);
}
