/* SPDX-License-Identifier: Apache-2.0 */
#include "python/waits_library.h"

#include <string.h>

#include "python/dict.h"
#include "python/number.h"
#include "python/types.h"
#include "python/value_stack.h"
#include "python/waits_join.h"
#include "python/waits_lock.h"

static const char threading[] = "threading.py", bootstrap[] = "<frozen importlib._bootstrap>";
#define BIT(kind) (1u << (kind))

/* More has to be true than that a function of this name waits with what was seen so far. */
typedef bool check_callback(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self,
                            struct exu_py_wait *wait);

static bool attribute_is(struct exu_py *py, uint64_t object, const char *name, uint64_t expected) {
  uint64_t value;
  return exu_py_attribute(py, object, name, &value) && value == expected;
}

/*
 * Condition.wait sleeps on a lock of its own, `waiter`, until it is notified. After that it may sleep once more, to
 * take the Condition's lock again: that is a wait for a lock.
 */
static bool check_condition(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self,
                            struct exu_py_wait *wait) {
  uint64_t waiter;
  (void)self;
  return exu_py_local(py, frame, "waiter", &waiter) && waiter == wait->lock;
}

static void set_owner(struct exu_py *py, struct exu_py_wait *wait, uint64_t object, const char *attribute) {
  uint64_t owner, ident;
  if (!exu_py_attribute(py, object, attribute, &owner) || !exu_py_int(py, owner, &ident) || ident == 0) return;
  wait->owner_ident = ident;
  wait->owner_evidence = exu_arena_printf(py->arena, "its attribute %s", attribute);
}

/* The RLock that is written in Python: 2.7's only one, threading._PyRLock later. */
static bool check_rlock(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_py_wait *wait) {
  bool old = py->build.version.major < 3;
  (void)frame;
  if (!attribute_is(py, self, old ? "_RLock__block" : "_block", wait->lock)) return false;
  set_owner(py, wait, self, old ? "_RLock__owner" : "_owner");
  return true;
}

/*
 * importlib's locks, one for each module that is being imported. `lock` protects the object itself, `wakeup` is what
 * others wait for.
 */
static bool check_import(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self, struct exu_py_wait *wait) {
  (void)frame;
  if (!attribute_is(py, self, "wakeup", wait->lock)) return false;
  set_owner(py, wait, self, "owner");
  return true;
}

/* 3.4 to 3.12: a lock that the thread state holds. */
static bool check_tstate_lock(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self,
                              struct exu_py_wait *wait) {
  (void)frame;
  return attribute_is(py, self, "_tstate_lock", wait->lock);
}

/* What a function waits with: kinds, and what that makes the wait. Frames are tried from the innermost outwards. */
static const struct step {
  const char *file, *function, *type;
  unsigned with; /* BITs of the kind so far */
  enum exu_wait_kind kind;
  check_callback *check;
} steps[] = {
    {threading, "wait", "Condition", BIT(EXU_WAIT_LOCK), EXU_WAIT_CONDITION, check_condition},
    {threading, "wait", "_Condition", BIT(EXU_WAIT_LOCK), EXU_WAIT_CONDITION, check_condition},
    {threading, "wait_for", "Condition", BIT(EXU_WAIT_CONDITION), EXU_WAIT_CONDITION, NULL},
    {threading, "wait", "Event", BIT(EXU_WAIT_CONDITION), EXU_WAIT_EVENT, NULL},
    {threading, "wait", "_Event", BIT(EXU_WAIT_CONDITION), EXU_WAIT_EVENT, NULL},
    {threading, "acquire", "Semaphore", BIT(EXU_WAIT_CONDITION), EXU_WAIT_SEMAPHORE, NULL},
    {threading, "acquire", "_Semaphore", BIT(EXU_WAIT_CONDITION), EXU_WAIT_SEMAPHORE, NULL},
    {threading, "_enter", "Barrier", BIT(EXU_WAIT_CONDITION), EXU_WAIT_BARRIER, NULL},
    {threading, "_wait", "Barrier", BIT(EXU_WAIT_CONDITION), EXU_WAIT_BARRIER, NULL},
    {threading, "wait", "Barrier", BIT(EXU_WAIT_BARRIER), EXU_WAIT_BARRIER, NULL},
    {threading, "acquire", "_RLock", BIT(EXU_WAIT_LOCK), EXU_WAIT_RLOCK, check_rlock},
    {threading, "_acquire_restore", "_RLock", BIT(EXU_WAIT_LOCK), EXU_WAIT_RLOCK, check_rlock},
    {threading, "_wait_for_tstate_lock", "Thread", BIT(EXU_WAIT_LOCK), EXU_WAIT_JOIN, check_tstate_lock},
    /* 2.7's waits for a Condition. Since 3.13 nothing of this is written in Python. */
    {threading, "join", "Thread", BIT(EXU_WAIT_CONDITION) | BIT(EXU_WAIT_JOIN), EXU_WAIT_JOIN, NULL},
    {"queue.py", "get", "Queue", BIT(EXU_WAIT_CONDITION), EXU_WAIT_QUEUE, NULL},
    {"queue.py", "put", "Queue", BIT(EXU_WAIT_CONDITION), EXU_WAIT_QUEUE, NULL},
    {"queue.py", "join", "Queue", BIT(EXU_WAIT_CONDITION), EXU_WAIT_QUEUE, NULL},
    {"queue.py", "get", "_PySimpleQueue", BIT(EXU_WAIT_SEMAPHORE), EXU_WAIT_QUEUE, NULL},
    {"Queue.py", "get", "Queue", BIT(EXU_WAIT_CONDITION), EXU_WAIT_QUEUE, NULL},
    {"Queue.py", "put", "Queue", BIT(EXU_WAIT_CONDITION), EXU_WAIT_QUEUE, NULL},
    {"Queue.py", "join", "Queue", BIT(EXU_WAIT_CONDITION), EXU_WAIT_QUEUE, NULL},
    /* multiprocessing: posix semaphores in shared memory, whose holder may be another process. */
    {"multiprocessing/synchronize.py", "__enter__", "Lock", BIT(EXU_WAIT_SEMAPHORE), EXU_WAIT_LOCK, NULL},
    {"multiprocessing/synchronize.py", "__enter__", "RLock", BIT(EXU_WAIT_SEMAPHORE), EXU_WAIT_RLOCK, NULL},
    {"multiprocessing/synchronize.py", "__enter__", "Semaphore", BIT(EXU_WAIT_SEMAPHORE), EXU_WAIT_SEMAPHORE, NULL},
    {"multiprocessing/queues.py", "get", "Queue", BIT(EXU_WAIT_LOCK) | BIT(EXU_WAIT_SEMAPHORE), EXU_WAIT_QUEUE, NULL},
    {"multiprocessing/queues.py", "put", "Queue", BIT(EXU_WAIT_LOCK) | BIT(EXU_WAIT_SEMAPHORE), EXU_WAIT_QUEUE, NULL},
    {"multiprocessing/queues.py", "get", "SimpleQueue", BIT(EXU_WAIT_LOCK), EXU_WAIT_QUEUE, NULL},
    {bootstrap, "acquire", "_ModuleLock", BIT(EXU_WAIT_LOCK), EXU_WAIT_IMPORT_LOCK, check_import},
};

static bool is_file(struct exu_string path, const char *name) {
  size_t size = strlen(name);
  if (!path.data || path.size < size || memcmp(path.data + path.size - size, name, size) != 0) return false;
  return path.size == size || path.data[path.size - size - 1] == '/';
}

static bool is_function(const struct exu_py_frame *frame, const char *file, const char *function) {
  return frame->code->valid && exu_py_string_is(frame->code->function, function) && is_file(frame->code->file, file);
}

static void say(struct exu_py *py, const struct exu_py_frame *frame, struct exu_py_wait *wait) {
  struct exu_string text = exu_py_frame_text(py, frame);
  if (!text.data || !wait->evidence.data) return;
  wait->evidence = exu_arena_printf(py->arena, "%.*s; %.*s of the %.*s at 0x%llx", (int)wait->evidence.size,
                                    wait->evidence.data, (int)text.size, text.data, (int)wait->type.size,
                                    wait->type.data ? wait->type.data : "", (unsigned long long)wait->object);
}

static const struct step *matching(struct exu_py *py, const struct exu_py_frame *frame, uint64_t self,
                                   struct exu_py_wait *wait) {
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    const struct step *step = &steps[i];
    if (!(step->with & BIT(wait->kind)) || !is_function(frame, step->file, step->function)) continue;
    if (!exu_py_is_a(py, self, step->type)) continue;
    if (!step->check || step->check(py, frame, self, wait)) return step;
  }
  return NULL;
}

void exu_py_wait_in_library(struct exu_py *py, const struct exu_py_frame *frames, size_t count,
                            const struct exu_py_sleep *sleep, struct exu_py_wait *wait) {
  enum { DEPTH_MAX = 8 };
  if (count == 0) return;
  if (is_function(&frames[0], threading, "join")) exu_py_wait_for_handle(py, &frames[0], sleep, wait);
  if (is_function(&frames[0], threading, "_shutdown")) exu_py_wait_at_shutdown(py, &frames[0], sleep, wait);
  for (size_t i = 0; i < count && i < DEPTH_MAX; i++) {
    uint64_t self;
    if (!exu_py_first_argument(py, &frames[i], &self)) return;
    const struct step *step = matching(py, &frames[i], self, wait);
    if (!step) return;
    bool same = wait->object == self && wait->kind == step->kind;
    wait->kind = step->kind;
    wait->object = self;
    wait->type = exu_py_type_name(py, self);
    if (!same) say(py, &frames[i], wait);
    if (wait->kind == EXU_WAIT_JOIN) exu_py_joined_thread(py, self, wait);
  }
}

bool exu_py_is_threading(const struct exu_py_code *code) { return is_file(code->file, threading); }

bool exu_py_in_condition_wait(struct exu_py *py, const struct exu_py_frame *frame, uint64_t *condition) {
  if (!is_function(frame, threading, "wait") || !exu_py_first_argument(py, frame, condition)) return false;
  return exu_py_is_a(py, *condition, "Condition") || exu_py_is_a(py, *condition, "_Condition");
}

bool exu_py_condition_lock(struct exu_py *py, uint64_t condition, uint64_t *lock) {
  return exu_py_attribute(py, condition, py->build.version.major < 3 ? "_Condition__lock" : "_lock", lock);
}
