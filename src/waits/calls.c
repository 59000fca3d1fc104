/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread does in its system call. */
#include <string.h>

#include "waits/waits_private.h"

/* Only a live process is still there to be asked. */
static const struct exu_descriptor *descriptor_of(struct exu_waits *waits, int64_t fd) {
  if (waits->process->running_pid < 0 || fd < 0) return NULL;
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

static bool waits_for_nothing(const struct exu_seen *seen) {
  const struct exu_call *call = &seen->call;
  if (call->call->class == EXU_CALL_POLL) return call->args[1] == 0;
  return (uint32_t)call->args[0] == 0 || (!call->args[1] && !call->args[2] && !call->args[3]);
}

/*
 * What it does there. A call that does not wait for long, but does now, is one of which only the name tells, and so is
 * one that could wait, but does not.
 */
static enum exu_call_class class_of(const struct exu_seen *seen) {
  enum { F_SETLKW = 7, F_OFD_SETLKW = 38 }; /* asm-generic/fcntl.h */
  const struct exu_system_call *call = seen->call.call;
  const uint64_t command = seen->call.args[1];
  if (!call) return EXU_CALL_OTHER;
  switch (call->class) {
  case EXU_CALL_FUTEX:
    if (seen->in_futex) return EXU_CALL_FUTEX;
    return is_uninterruptible(seen) ? EXU_CALL_OTHER : EXU_CALL_QUICK;
  case EXU_CALL_QUICK: return is_uninterruptible(seen) ? EXU_CALL_OTHER : EXU_CALL_QUICK;
  case EXU_CALL_LOCK:
    if (strcmp(call->name, "fcntl") == 0 && command != F_SETLKW && command != F_OFD_SETLKW) return EXU_CALL_OTHER;
    return EXU_CALL_LOCK;
  case EXU_CALL_POLL:
  case EXU_CALL_SELECT: return waits_for_nothing(seen) ? EXU_CALL_SLEEP : call->class;
  default: return call->class;
  }
}

/* ---- What else is asked ------------------------------------------------------------------------------------------ */

static void find_descriptors(struct exu_waits *waits, struct exu_seen *seen) {
  struct exu_wait *wait = &seen->wait;
  const struct exu_system_call *call = seen->call.call;
  if (call && call->fd >= 0) wait->fd = (int32_t)seen->call.args[call->fd];
  if (wait->fds_in_all == 1) wait->fd = wait->fds[0].fd;
  wait->descriptor = descriptor_of(waits, wait->fd);
  bool polls = wait->call_class == EXU_CALL_POLL || wait->call_class == EXU_CALL_SELECT;
  for (size_t i = 0; polls && i < wait->fd_count; i++) seen->fds[i].descriptor = descriptor_of(waits, seen->fds[i].fd);
}

/* Who took the file lock; only a live process is still there to be asked. */
static void find_lock_holder(struct exu_waits *waits, struct exu_wait *wait) {
  char comm[EXU_COMM_SIZE];
  bool has;
  if (wait->call_class != EXU_CALL_LOCK || !waits->descriptors.arena) return;
  const int64_t pid = exu_descriptor_lock_holder(&waits->descriptors, wait->fd, &has);
  if (pid <= 0) return;
  wait->owner_place = has ? EXU_OWNER_PROCESS : EXU_OWNER_TAKER;
  wait->owner_pid = pid;
  if (has) {
    exu_process_comm(pid, comm);
    wait->owner_comm = exu_arena_string(waits->arena, comm, strlen(comm));
  }
  wait->owner_evidence = exu_evidence_of(waits->arena, (struct exu_evidence){.kind = EXU_EVIDENCE_FILE_LOCK});
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
static void find_wchan(struct exu_waits *waits, struct exu_seen *seen) {
  char wchan[EXU_WCHAN_SIZE];
  const struct exu_os_thread *os = seen->subject.os;
  bool is_known = seen->call.call && seen->wait.call_class != EXU_CALL_OTHER;
  if (is_unstopped(seen)) {
    seen->wait.wchan = os->wchan;
  } else if (!is_known && !os->unstopped && !os->ran && ask_wchan(waits, seen, wchan)) {
    seen->wait.wchan = exu_arena_string(waits->arena, wchan, strlen(wchan));
  }
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

void exu_wait_put_call(struct exu_waits *waits, struct exu_seen *seen) {
  const struct exu_call *call = &seen->call;
  struct exu_wait *wait = &seen->wait;
  wait->system_call = call->number;
  if (call->number < 0) {
    if (!call->running && is_uninterruptible(seen)) wait->wchan = seen->subject.os->wchan;
    return;
  }
  wait->system_call_name = call->call ? call->call->name : NULL;
  memcpy(wait->system_call_arguments, call->args, sizeof wait->system_call_arguments);
  wait->call_class = class_of(seen);
  wait->restarted = call->restarted;
  if (wait->child < 0) wait->child = exu_call_child(call); /* Python may know better */
  if (seen->in_futex) wait->futex = seen->futex.address;
  find_descriptors(waits, seen);
  find_lock_holder(waits, wait);
  find_wchan(waits, seen);
}

void exu_wait_by_call(struct exu_waits *waits, struct exu_seen *seen) {
  struct exu_wait *wait = &seen->wait;
  struct exu_evidence evidence = {.kind = is_unstopped(seen) ? EXU_EVIDENCE_KERNEL : EXU_EVIDENCE_REGISTERS};
  wait->address = wait->futex;
  if (seen->call.running) {
    wait->kind = EXU_WAIT_RUNNING;
    evidence.kind = EXU_EVIDENCE_NO_CALL;
  } else if (wait->system_call < 0) {
    if (!is_uninterruptible(seen)) return;
    wait->kind = EXU_WAIT_KERNEL; /* it has touched a page that is not there yet, say */
    evidence.kind = EXU_EVIDENCE_STATE;
  } else {
    wait->kind = wait->call_class == EXU_CALL_CHILD   ? EXU_WAIT_CHILD
                 : wait->call_class == EXU_CALL_FUTEX ? EXU_WAIT_FUTEX
                 : wait->call_class == EXU_CALL_QUICK ? EXU_WAIT_RUNNING
                                                      : EXU_WAIT_SYSCALL;
  }
  wait->evidence = exu_evidence_of(waits->arena, evidence);
}
