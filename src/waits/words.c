/* SPDX-License-Identifier: Apache-2.0 */
/* Words for system calls and for things that are waited for. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "waits/waits_private.h"

/* Text that grows in a buffer; what does not fit is left out. */
struct words {
  char text[1024];
  size_t used;
};

__attribute__((format(printf, 2, 3))) static void say(struct words *words, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(words->text + words->used, sizeof words->text - words->used, format, arguments);
  va_end(arguments);
  if (size < 0) return;
  words->used += (size_t)size;
  if (words->used >= sizeof words->text) words->used = sizeof words->text - 1;
}

/* "250 ms", "3600 s" */
static void say_time(struct words *words, int64_t microseconds) {
  if (microseconds < 1000) {
    say(words, "%" PRId64 " us", microseconds);
  } else if (microseconds < 1000000) {
    say(words, "%.4g ms", (double)microseconds / 1e3);
  } else if (microseconds % 1000000 == 0) {
    say(words, "%" PRId64 " s", microseconds / 1000000);
  } else {
    say(words, "%.3f s", (double)microseconds / 1e6);
  }
}

static void say_timeout(struct words *words, const struct exu_seen *seen) {
  if (seen->timeout_us < 0) return;
  say(words, ", at most ");
  say_time(words, seen->timeout_us);
}

static void say_file(struct words *words, struct exu_string file) {
  if (file.data) say(words, ", %.*s", (int)file.size, file.data);
}

/* Only a live process is still there to be asked. */
static struct exu_string file_of(struct exu_waits *waits, int64_t fd) {
  if (waits->process->running_pid < 0 || fd < 0) return (struct exu_string){NULL, 0};
  if (!waits->descriptors.arena) exu_descriptors_init(&waits->descriptors, waits->arena, waits->process->running_pid);
  return exu_descriptor(&waits->descriptors, fd);
}

/* Only the kernel tells of it: it has not stopped. */
static bool is_unstopped(const struct exu_seen *seen) {
  return seen->subject.os->unstopped && !seen->subject.os->registers.valid;
}

/* It sleeps although the call it is in does not wait: for a lock of the kernel, or a device. */
static bool is_uninterruptible(const struct exu_seen *seen) {
  return is_unstopped(seen) && seen->subject.os->state == 'D';
}

/* ---- System calls ------------------------------------------------------------------------------------------------ */

/* "waits for events on 3 descriptors (poll): fd 3, pipe; fd 4, /dev/pts/1; ..." */
static void say_descriptors(struct exu_waits *waits, const struct exu_seen *seen, struct words *words) {
  if (seen->fd_count == 1) {
    say(words, "waits for fd %" PRId32 " (%s", seen->fds[0], seen->call.call->name);
    say_timeout(words, seen);
    say(words, ")");
    say_file(words, file_of(waits, seen->fds[0]));
    return;
  }
  say(words, "waits for events on %zu descriptors (%s", seen->fd_count, seen->call.call->name);
  say_timeout(words, seen);
  say(words, ")");
  for (size_t i = 0; i < seen->fd_count && i < EXU_WAIT_FDS; i++) {
    say(words, "%s fd %" PRId32, i ? ";" : ":", seen->fds[i]);
    say_file(words, file_of(waits, seen->fds[i]));
  }
  if (seen->fd_count > EXU_WAIT_FDS) say(words, "; and %zu more", seen->fd_count - EXU_WAIT_FDS);
}

static void say_sleep(const struct exu_seen *seen, struct words *words) {
  say(words, "sleeps (%s", seen->call.call->name);
  if (seen->timeout_us >= 0) {
    say(words, ", ");
    say_time(words, seen->timeout_us);
  }
  say(words, ")");
}

static bool waits_for_nothing(const struct exu_seen *seen) {
  const struct exu_call *call = &seen->call;
  if (call->call->class == EXU_CALL_POLL) return call->args[1] == 0;
  return (uint32_t)call->args[0] == 0 || (!call->args[1] && !call->args[2] && !call->args[3]);
}

/* A call on one descriptor: "reads from fd 5, socket ..." */
static void say_with_file(const struct exu_wait *wait, struct words *words, const char *doing, const char *name) {
  say(words, "%s fd %" PRId64 " (%s)", doing, wait->fd, name);
  say_file(words, wait->file);
}

static void say_lock_holder(struct exu_waits *waits, const struct exu_wait *wait, struct words *words) {
  char comm[EXU_COMM_SIZE];
  if (!waits->descriptors.arena) return; /* only a live process is still there to be asked */
  int64_t pid = exu_descriptor_lock_holder(&waits->descriptors, wait->fd, comm);
  if (pid == waits->process->pid) {
    say(words, ", held by this process itself");
  } else if (pid > 0 && !comm[0]) {
    say(words, ", held by process %" PRId64 ", which has ended: another one has its descriptor", pid);
  } else if (pid > 0) {
    say(words, ", held by process %" PRId64 " (%s)", pid, comm);
  }
}

/* A call that does not wait for long, but does now, is one of which only the name tells. */
static enum exu_call_class class_of(const struct exu_seen *seen) {
  enum exu_call_class class = seen->call.call->class;
  bool passing = class == EXU_CALL_QUICK || (class == EXU_CALL_FUTEX && !seen->in_futex);
  return passing && is_uninterruptible(seen) ? EXU_CALL_OTHER : class;
}

static void say_call(struct exu_waits *waits, const struct exu_seen *seen, const struct exu_wait *wait,
                     struct words *words) {
  enum { F_SETLKW = 7, F_OFD_SETLKW = 38 }; /* asm-generic/fcntl.h */
  const char *name = seen->call.call->name;
  uint64_t command = seen->call.args[1];
  switch (class_of(seen)) {
  case EXU_CALL_READ: say_with_file(wait, words, "reads from", name); return;
  case EXU_CALL_WRITE: say_with_file(wait, words, "writes to", name); return;
  case EXU_CALL_SYNC: say_with_file(wait, words, "waits until the device has what was written to", name); return;
  case EXU_CALL_CLOSE: say_with_file(wait, words, "closes", name); return;
  case EXU_CALL_CONNECT: say_with_file(wait, words, "waits to be connected on", name); return;
  case EXU_CALL_ACCEPT: say_with_file(wait, words, "waits for a connection on", name); return;
  case EXU_CALL_LOCK:
    if (strcmp(name, "fcntl") == 0 && command != F_SETLKW && command != F_OFD_SETLKW) break;
    say_with_file(wait, words, "waits for a file lock on", name);
    say_lock_holder(waits, wait, words);
    return;
  case EXU_CALL_POLL:
  case EXU_CALL_SELECT:
    if (waits_for_nothing(seen)) {
      say_sleep(seen, words);
    } else if (seen->fd_count > 0) {
      say_descriptors(waits, seen, words);
    } else {
      say(words, "waits for events on descriptors (%s)", name);
    }
    return;
  case EXU_CALL_EPOLL:
    say(words, "waits for events on fd %" PRId64 " (%s", wait->fd, name);
    say_timeout(words, seen);
    say(words, ")");
    say_file(words, wait->file);
    return;
  case EXU_CALL_SLEEP: say_sleep(seen, words); return;
  case EXU_CALL_CHILD:
    say(words, "waits for a child process to end (%s", name);
    if (wait->child >= 0) say(words, ", pid %" PRId64, wait->child);
    say(words, ")");
    return;
  case EXU_CALL_SIGNAL:
    say(words, "waits for a signal (%s", name);
    say_timeout(words, seen);
    say(words, ")");
    return;
  case EXU_CALL_OPEN:
    if (seen->path.data) {
      say(words, "opens the file %.*s (%s)", (int)seen->path.size, seen->path.data, name);
    } else {
      say(words, "opens a file (%s)", name);
    }
    return;
  case EXU_CALL_FUTEX:
    if (seen->in_futex) {
      say(words, "waits for the futex 0x%" PRIx64, seen->futex.address);
    } else {
      say(words, "is running (in the system call %s, which does not wait)", name);
    }
    return;
  case EXU_CALL_IPC: say(words, "waits for a semaphore or a message (%s)", name); return;
  case EXU_CALL_AIO: say(words, "waits for input or output that it started before (%s)", name); return;
  case EXU_CALL_QUICK: say(words, "is running (in the system call %s, which does not wait)", name); return;
  case EXU_CALL_OTHER: break;
  }
  say(words, "is in the system call %s", name);
  if (wait->fd >= 0) {
    say(words, " on fd %" PRId64, wait->fd);
    say_file(words, wait->file);
  }
}

static enum exu_wait_kind kind_of(const struct exu_seen *seen) {
  if (!seen->call.call) return EXU_WAIT_SYSCALL;
  switch (class_of(seen)) {
  case EXU_CALL_CHILD: return EXU_WAIT_CHILD;
  case EXU_CALL_FUTEX: return seen->in_futex ? EXU_WAIT_FUTEX : EXU_WAIT_RUNNING;
  case EXU_CALL_QUICK: return EXU_WAIT_RUNNING;
  default: return EXU_WAIT_SYSCALL;
  }
}

static void put_evidence(struct exu_waits *waits, const struct exu_seen *seen, struct exu_wait *wait) {
  const struct exu_call *call = &seen->call;
  struct words words = {.used = 0};
  say(&words, "%s: %s", is_unstopped(seen) ? "the kernel" : "registers",
      wait->system_call_name ? wait->system_call_name : "system call");
  if (!wait->system_call_name) say(&words, " %" PRId64, wait->system_call);
  for (size_t i = 0; i < 4; i++) say(&words, "%s0x%" PRIx64, i ? ", " : "(", call->args[i]);
  say(&words, ", ...)");
  if (call->restarted) say(&words, ", restarted after an interruption");
  wait->evidence = exu_arena_string(waits->arena, words.text, words.used);
}

/*
 * Where in the kernel a thread sleeps that has been let go again and sleeps in the same call as before, and has not
 * been given a processor meanwhile.
 */
static bool ask_wchan(struct exu_waits *waits, const struct exu_seen *seen, char wchan[EXU_WCHAN_SIZE]) {
  enum { ASKED_MAX = 64 };
  int64_t pid = waits->process->running_pid, tid = seen->subject.os->tid;
  struct exu_task before, after;
  if (pid < 0 || waits->tasks_asked == ASKED_MAX) return false;
  waits->tasks_asked++;
  if (!exu_task(pid, tid, &before) || !exu_task_wchan(pid, tid, wchan) || !exu_task(pid, tid, &after)) return false;
  return before.call == seen->call.number && memcmp(before.arguments, seen->call.args, sizeof before.arguments) == 0 &&
         memcmp(&before, &after, sizeof before) == 0;
}

/* Of calls whose arguments do not tell what it waits for, and of who cannot be stopped. */
static void say_wchan(struct exu_waits *waits, const struct exu_seen *seen, struct words *words) {
  char wchan[EXU_WCHAN_SIZE];
  const struct exu_os_thread *os = seen->subject.os;
  bool is_known = seen->call.call && class_of(seen) != EXU_CALL_OTHER;
  if (is_unstopped(seen)) {
    if (os->wchan.data) say(words, ", asleep in the kernel's %.*s", (int)os->wchan.size, os->wchan.data);
  } else if (!is_known && !os->unstopped && !os->ran && ask_wchan(waits, seen, wchan)) {
    say(words, ", asleep in the kernel's %s", wchan);
  }
}

void exu_wait_in_call(struct exu_waits *waits, const struct exu_seen *seen, struct exu_wait *wait) {
  const struct exu_call *call = &seen->call;
  struct words words = {.used = 0};
  wait->system_call = call->number;
  if (call->running) {
    wait->kind = EXU_WAIT_RUNNING;
    say(&words, "is running, in no system call");
    wait->evidence = exu_arena_printf(waits->arena, "registers: in no system call");
  } else if (call->number >= 0) {
    wait->kind = kind_of(seen);
    wait->system_call_name = call->call ? call->call->name : NULL;
    wait->child = exu_call_child(call);
    memcpy(wait->system_call_arguments, call->args, sizeof wait->system_call_arguments);
    if (call->call && call->call->fd >= 0) wait->fd = (int32_t)call->args[call->call->fd];
    if (seen->fd_count == 1) wait->fd = seen->fds[0];
    wait->file = file_of(waits, wait->fd);
    if (seen->in_futex) wait->address = seen->futex.address;
    if (call->call) {
      say_call(waits, seen, wait, &words);
    } else {
      say(&words, "is in the system call with the number %" PRId64, call->number);
    }
    say_wchan(waits, seen, &words);
    put_evidence(waits, seen, wait);
  } else if (is_uninterruptible(seen)) { /* it has touched a page that is not there yet, say */
    wait->kind = EXU_WAIT_KERNEL;
    struct exu_string wchan = seen->subject.os->wchan;
    say(&words, "sleeps in the kernel%s%.*s", wchan.data ? "'s " : "", (int)wchan.size, wchan.data ? wchan.data : "");
    wait->evidence = exu_arena_printf(waits->arena, "the kernel: state D");
  } else {
    return;
  }
  wait->summary = exu_arena_string(waits->arena, words.text, words.used);
}

/* ---- Things ------------------------------------------------------------------------------------------------------ */

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
  if (kind == EXU_WAIT_LOCK || kind == EXU_WAIT_RLOCK) return memchr(type.data, '.', type.size) != NULL;
  return kind == EXU_WAIT_CONDITION || kind == EXU_WAIT_SEMAPHORE || kind == EXU_WAIT_EVENT ||
         kind == EXU_WAIT_BARRIER || kind == EXU_WAIT_QUEUE || kind == EXU_WAIT_FUTURE;
}

struct exu_string exu_wait_what(struct exu_waits *waits, const struct exu_wait *wait) {
  enum { TYPE_SHOWN = 100 };
  struct words words = {.used = 0};
  const char *type = default_type(wait->kind);
  int size = (int)strlen(type);
  if (wait->type.data && wait->type.size > 0 && wait->type.size <= TYPE_SHOWN && has_own_type(wait->kind, wait->type)) {
    type = wait->type.data;
    size = (int)wait->type.size;
  }
  if (wait->kind == EXU_WAIT_PYMUTEX && wait->type.data && wait->address) {
    size = wait->type.size < TYPE_SHOWN ? (int)wait->type.size : TYPE_SHOWN;
    say(&words, "the critical section of the %.*s 0x%" PRIx64, size, wait->type.data, wait->address);
  } else if (wait->kind == EXU_WAIT_LOCK && wait->address && size > 3 && memcmp(type, "io.", 3) == 0) {
    say(&words, "the lock of the %.*s 0x%" PRIx64, size, type, wait->address);
  } else if (wait->address) {
    say(&words, "the %.*s 0x%" PRIx64, size, type, wait->address);
  } else {
    say(&words, "%s %.*s", strchr("aeiouAEIOU", type[0]) ? "an" : "a", size, type);
  }
  return exu_arena_string(waits->arena, words.text, words.used);
}
