/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hangs of several processes that wait for each other. A process hangs when each of its threads sleeps until another
 * thread of it wakes it, or waits for processes that all hang.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/diagnostics.h"
#include "base/guard.h"
#include "process/descriptors.h"
#include "process/processes.h"
#include "process/sharers.h"
#include "process/sockets.h"
#include "waits/evidence.h"
#include "waits/waits.h"

enum { PROCESSES_MAX = 256, NAMED = 8 };

/* Seconds in which others are looked for, in all. For whom nobody was does not hang, for what we know, which is said. */
enum { LOOKS_MAX = 10 };

/* A thread that waits for other processes; one of several entries when it polls several descriptors. */
struct outward {
  size_t process, thread; /* indexes: of the report, and in it */
  enum exu_hang_kind kind;
  int64_t fd;  /* of a pipe or a socket */
  bool writes; /* to that */
  bool polls;  /* for that: without a time limit, whatever limit a socket has */
  bool is_fifo;
  struct exu_fifo fifo;          /* which the pipe is, when it has a name */
  struct exu_shared_place place; /* where it sleeps until one who has it mapped wakes it, unless the next is known */
  size_t other;                  /* the process that it waits for, or one of those: an index; SIZE_MAX: not known yet */
  bool one_of_many;              /* any of those: */
  bool has[PROCESSES_MAX];
  enum exu_tristate only; /* ... and no others */
  bool looked;            /* the last two are known */
  bool open;              /* others can join these later: what they share has a name */
  bool unseen;            /* one that cannot be looked into may be one of them, too */
};

struct relating {
  struct exu_report *const *reports;
  struct exu_arena *const *arenas;
  size_t count;
  int64_t *pids;
  bool *hangs; /* by process */
  struct outward *outwards;
  size_t outward_count;
  time_t looks_begun;       /* of CLOCK_MONOTONIC; 0: not yet */
  bool late[PROCESSES_MAX]; /* for whom others were not looked for any more */
};

static size_t index_of(const struct relating *relating, int64_t pid) {
  for (size_t i = 0; i < relating->count; i++) {
    if (relating->pids[i] == pid) return i;
  }
  return SIZE_MAX;
}

static bool is_call(const struct exu_wait *wait, const char *a, const char *b) {
  const char *name = wait->system_call_name;
  return name && (strcmp(name, a) == 0 || strcmp(name, b) == 0);
}

static bool add_outward(struct relating *relating, const struct outward *outward) {
  struct outward *list = reallocarray(relating->outwards, relating->outward_count + 1, sizeof *list);
  if (!list) return false;
  relating->outwards = list;
  list[relating->outward_count++] = *outward;
  return true;
}

static bool is_pipe_or_socket(int64_t pid, struct outward *outward) {
  char link[EXU_LINK_SIZE];
  if (outward->fd < 0 || !exu_process_link(pid, outward->fd, link)) return false;
  bool is_socket = strncmp(link, "socket:[", 8) == 0;
  outward->kind = is_socket ? EXU_HANG_SOCKET : EXU_HANG_PIPE;
  outward->is_fifo = link[0] == '/' && exu_descriptor_fifo(pid, outward->fd, &outward->fifo) == EXU_YES;
  outward->open = outward->is_fifo && !outward->fifo.unlinked;
  return is_socket || outward->is_fifo || strncmp(link, "pipe:[", 6) == 0;
}

/* Every descriptor that it polls is a pipe or a socket that it would read from, and it has no time limit. */
static bool add_polled(struct relating *relating, const struct exu_wait *wait, struct outward *outward) {
  enum { POLLED_MAX = 64 };
  const uint64_t *arguments = wait->system_call_arguments;
  int64_t pid = relating->pids[outward->process];
  struct pollfd polled[POLLED_MAX];
  bool limited = strcmp(wait->system_call_name, "poll") == 0 ? (int32_t)arguments[2] >= 0 : arguments[2] != 0;
  uint64_t count = arguments[1];
  if (limited || count == 0 || count > POLLED_MAX) return false;
  if (!exu_process_read(pid, arguments[0], polled, count * sizeof *polled)) return false;
  outward->polls = true;
  for (uint64_t i = 0; i < count; i++) {
    outward->fd = polled[i].fd;
    if (polled[i].events & ~(POLLIN | POLLPRI | POLLRDHUP | POLLRDNORM | POLLERR | POLLHUP)) return false;
    if (!is_pipe_or_socket(pid, outward) || !add_outward(relating, outward)) return false;
  }
  return true;
}

/* A lock that names its owner lets go on who that says; anything else, who can wake it. */
static bool add_sleeper(struct relating *relating, const struct exu_wait *wait, struct outward *outward) {
  struct exu_other other;
  int64_t pid = relating->pids[outward->process];
  outward->kind = EXU_HANG_SHARED_LOCK;
  if (exu_shared_place(pid, wait->shared_futex, &outward->place) != EXU_YES) return false;
  outward->open = wait->kind != EXU_WAIT_MUTEX && !outward->place.unlinked;
  if (wait->kind != EXU_WAIT_MUTEX) return add_outward(relating, outward);
  if (wait->owner >= 0 || wait->owner_tid <= 0 || exu_tid_inside(pid, pid) != pid) return false;
  if (!exu_process_of_thread(wait->owner_tid, &other) || exu_has_mapped(other.pid, &outward->place) != EXU_YES)
    return false;
  outward->other = index_of(relating, other.pid);
  return outward->other != SIZE_MAX && add_outward(relating, outward);
}

/* Does the thread wait, without a time limit, for other processes, and for what of them? */
static bool add_thread(struct relating *relating, size_t process, size_t thread) {
  const struct exu_wait *wait = relating->reports[process]->threads[thread].wait;
  struct outward outward = {.process = process, .thread = thread, .fd = wait->fd, .other = SIZE_MAX};
  int64_t pid = relating->pids[process];
  if (wait->child > 0 && is_call(wait, "wait4", "waitid")) {
    outward.kind = EXU_HANG_CHILD;
    outward.other = index_of(relating, wait->child);
    return outward.other != SIZE_MAX && exu_process_parent(wait->child) == pid && add_outward(relating, &outward);
  }
  if (wait->shared_futex) return add_sleeper(relating, wait, &outward);
  if (is_call(wait, "poll", "ppoll")) return add_polled(relating, wait, &outward);
  outward.writes = is_call(wait, "write", "writev") || is_call(wait, "sendto", "sendmsg");
  if (!outward.writes && !is_call(wait, "read", "readv") && !is_call(wait, "recvfrom", "recvmsg")) return false;
  return is_pipe_or_socket(pid, &outward) && add_outward(relating, &outward);
}

/* Every thread of the process sleeps or waits for other processes, of which there has to be one. */
static bool add_process(struct relating *relating, size_t process) {
  const struct exu_report *report = relating->reports[process];
  size_t before = relating->outward_count;
  if (report->thread_count == 0 || exu_wait_has_handler(report->pid)) return false;
  if (exu_task_count(report->pid) != report->thread_count) return false;
  for (size_t i = 0; i < report->thread_count; i++) {
    const struct exu_wait *wait = report->threads[i].wait;
    if (!wait || report->threads[i].tid < 0) return false;
    if (!wait->asleep && !add_thread(relating, process, i)) return false;
  }
  return relating->outward_count > before;
}

/* Do only processes of these reports have what it waits for, and which of them? */
static enum exu_tristate find_sharers(const struct relating *relating, struct outward *outward) {
  char link[EXU_LINK_SIZE];
  uint64_t inode;
  int64_t pid = relating->pids[outward->process];
  enum exu_opened access = outward->writes ? EXU_OPENED_READ : EXU_OPENED_WRITE;
  if (outward->kind == EXU_HANG_SHARED_LOCK)
    return exu_sharers_of_memory(&outward->place, relating->pids, relating->count, outward->has);
  if (outward->is_fifo)
    return exu_sharers_of_fifo(&outward->fifo, access, relating->pids, relating->count, outward->has);
  if (!exu_process_link(pid, outward->fd, link)) return EXU_NO;
  if (outward->kind == EXU_HANG_SOCKET) {
    access = EXU_OPENED_ANY;
    if (sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1) return EXU_NO;
    if (!outward->polls && exu_socket_goes_on(pid, outward->fd, outward->writes)) return EXU_NO;
    inode = exu_socket_peer(pid, inode, outward->writes);
    if (inode == 0) return EXU_NO;
    snprintf(link, sizeof link, "socket:[%" PRIu64 "]", inode);
  }
  return exu_sharers_of_file(link, access, relating->pids, relating->count, outward->has);
}

static bool is_same_place(const struct exu_shared_place *a, const struct exu_shared_place *b) {
  return a->major == b->major && a->minor == b->minor && a->inode == b->inode && a->offset == b->offset;
}

static bool is_same_wait(const struct outward *a, const struct outward *b) {
  if (a->kind != b->kind) return false;
  if (a->kind == EXU_HANG_SHARED_LOCK) return is_same_place(&a->place, &b->place);
  return a->process == b->process && a->fd == b->fd && a->writes == b->writes && a->polls == b->polls;
}

static bool is_too_late(struct relating *relating) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (relating->looks_begun == 0) relating->looks_begun = now.tv_sec;
  return now.tv_sec - relating->looks_begun >= LOOKS_MAX;
}

/* As find_sharers, which threads that wait for the same thing share: a look is long. */
static void look_for_sharers(struct relating *relating, struct outward *outward) {
  for (const struct outward *other = relating->outwards; other < outward; other++) {
    if (!other->looked || !is_same_wait(other, outward)) continue;
    memcpy(outward->has, other->has, sizeof outward->has);
    outward->only = other->only;
    return;
  }
  const bool late = is_too_late(relating);
  relating->late[outward->process] |= late;
  outward->only = late ? EXU_NO : find_sharers(relating, outward);
}

/*
 * Who could let those go on that wait for no certain process. Where that is not known, the process does not hang, for
 * what we know; nor when nobody is there: what has no other end is about to say so.
 */
static void find_others(struct relating *relating) {
  for (size_t i = 0; i < relating->outward_count; i++) relating->outwards[i].looked = false;
  for (size_t i = 0; i < relating->outward_count; i++) {
    struct outward *outward = &relating->outwards[i];
    if (!relating->hangs[outward->process] || (outward->other != SIZE_MAX && !outward->one_of_many)) continue;
    look_for_sharers(relating, outward);
    outward->looked = true;
    outward->one_of_many = true;
    outward->other = outward->process; /* itself, unless another one is there */
    outward->unseen = outward->only == EXU_UNKNOWN;
    for (size_t j = 0; outward->only != EXU_NO && j < relating->count; j++) {
      if (outward->has[j] && outward->other == outward->process) outward->other = j;
    }
    if (outward->only == EXU_NO || !outward->has[outward->other]) relating->hangs[outward->process] = false;
  }
}

/* Do all for whom it waits hang? */
static bool is_stuck(const struct relating *relating, const struct outward *outward) {
  if (!outward->one_of_many) return relating->hangs[outward->other];
  for (size_t i = 0; i < relating->count; i++) {
    if (outward->has[i] && !relating->hangs[i]) return false;
  }
  return true;
}

static void find_stuck(struct relating *relating) {
  bool changed = true;
  while (changed) {
    changed = false;
    for (size_t i = 0; i < relating->outward_count; i++) {
      const struct outward *outward = &relating->outwards[i];
      if (!relating->hangs[outward->process] || is_stuck(relating, outward)) continue;
      relating->hangs[outward->process] = false;
      changed = true;
    }
  }
}

/* What a process hangs on may yet be in the hands of others. */
struct doubt {
  bool named;  /* they can open it later */
  bool unseen; /* one that cannot be looked into may have it */
};

/* Adds the doubts of those that it waits for, whom they keep, too. Are there more now? */
static bool add_doubts(const struct relating *relating, const struct outward *outward, struct doubt *doubts) {
  struct doubt *own = &doubts[outward->process];
  struct doubt all = {.named = own->named | outward->open | doubts[outward->other].named,
                      .unseen = own->unseen | outward->unseen | doubts[outward->other].unseen};
  for (size_t i = 0; outward->one_of_many && i < relating->count; i++) {
    all.named |= outward->has[i] && doubts[i].named;
    all.unseen |= outward->has[i] && doubts[i].unseen;
  }
  bool more = all.named != own->named || all.unseen != own->unseen;
  *own = all;
  return more;
}

static void find_doubts(const struct relating *relating, struct doubt *doubts) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < relating->outward_count; i++) {
      const struct outward *outward = &relating->outwards[i];
      if (relating->hangs[outward->process]) changed |= add_doubts(relating, outward, doubts);
    }
  }
}

/*
 * Is the thread still, or again, in the call that its report says? One of those that continue has another number then.
 */
static bool is_same_call(const struct exu_wait *wait, const struct exu_task *task) {
  bool continues = task->call == SYS_restart_syscall && is_call(wait, "poll", "poll");
  return (task->call == wait->system_call || continues) &&
         memcmp(task->arguments, wait->system_call_arguments, sizeof task->arguments) == 0;
}

/*
 * The tasks of those candidates that are `wanted`, in the order of all candidates. Those of which one is not in the
 * call that its report says are wanted no more: false when there were some. `left`: it is in another call, and so has
 * gone on; one in no call may be on its way into that.
 */
static bool sample(const struct relating *relating, const bool *candidates, bool *wanted, bool *left,
                   struct exu_task *tasks) {
  size_t used = 0;
  bool same = true;
  for (size_t i = 0; i < relating->count; i++) {
    const struct exu_report *report = relating->reports[i];
    for (size_t j = 0; candidates[i] && j < report->thread_count; j++) {
      const struct exu_wait *wait = report->threads[j].wait;
      struct exu_task *task = &tasks[used++];
      if (!wanted[i]) continue;
      bool there = exu_task(report->pid, report->threads[j].tid, task);
      if (there && is_same_call(wait, task)) continue;
      wanted[i] = same = false;
      left[i] |= !there || task->call >= 0;
    }
  }
  return same;
}

static const struct outward *first_of(const struct relating *relating, size_t process) {
  for (size_t i = 0; i < relating->outward_count; i++) {
    if (relating->outwards[i].process == process) return &relating->outwards[i];
  }
  return NULL;
}

static struct exu_string copy_string(struct exu_arena *arena, struct exu_string string) {
  return string.data ? exu_arena_string(arena, string.data, string.size) : string;
}

/* NULL: it is unknown, or there is no memory. */
static const struct exu_descriptor *copy_descriptor(struct exu_arena *arena, const struct exu_descriptor *descriptor) {
  struct exu_descriptor *copy = descriptor ? exu_arena_alloc(arena, sizeof *copy) : NULL;
  int64_t *watched = descriptor ? exu_arena_array(arena, descriptor->watched_count, sizeof *watched) : NULL;
  if (!copy || !watched) return NULL;
  *copy = *descriptor;
  struct exu_string *const strings[] = {&copy->name, &copy->local.address, &copy->remote.address, &copy->other_comm};
  for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) *strings[i] = copy_string(arena, *strings[i]);
  for (size_t i = 0; i < copy->watched_count; i++) watched[i] = descriptor->watched[i];
  copy->watched = watched;
  return copy;
}

/* What another process's report says of a wait: without what is of interest there only. NULL without memory. */
static const struct exu_wait *copy_wait(struct exu_arena *arena, const struct exu_wait *wait) {
  struct exu_wait *copy = exu_arena_alloc(arena, sizeof *copy);
  struct exu_wait_fd *fds = exu_arena_array(arena, wait->fd_count, sizeof *fds);
  if (!copy || !fds) return NULL;
  *copy = *wait;
  struct exu_string *const strings[] = {&copy->type,       &copy->function, &copy->gil_of, &copy->owner_name,
                                        &copy->owner_comm, &copy->path,     &copy->wchan,  &copy->child_name};
  for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) *strings[i] = copy_string(arena, *strings[i]);
  for (size_t i = 0; i < wait->fd_count; i++)
    fds[i] = (struct exu_wait_fd){wait->fds[i].fd, copy_descriptor(arena, wait->fds[i].descriptor)};
  copy->descriptor = copy_descriptor(arena, wait->descriptor);
  copy->fds = fds;
  copy->owner = -1;
  copy->evidence = copy->owner_evidence = NULL;
  copy->pool = NULL;
  copy->takers = NULL;
  copy->taker_count = 0;
  return copy;
}

/* From one process to the one that it waits for, until one comes again: their indexes. Marks them as said. */
static size_t follow(const struct relating *relating, size_t process, bool *said, size_t chain[NAMED]) {
  size_t count = 0;
  const struct outward *outward = first_of(relating, process);
  while (outward && count < NAMED && !said[outward->process]) {
    chain[count++] = outward->process;
    said[outward->process] = true;
    outward = first_of(relating, outward->other);
  }
  return count;
}

/* What the report of one of the processes says of them all. */
static const struct exu_hang_process *copy_chain(const struct relating *relating, size_t process, const size_t *chain,
                                                 size_t count) {
  struct exu_arena *arena = relating->arenas[process];
  struct exu_hang_process *list = exu_arena_array(arena, count, sizeof *list);
  for (size_t i = 0; list && i < count; i++) {
    char comm[EXU_COMM_SIZE];
    const struct outward *outward = first_of(relating, chain[i]);
    exu_process_comm(relating->pids[chain[i]], comm);
    list[i] =
        (struct exu_hang_process){.pid = relating->pids[chain[i]],
                                  .comm = exu_arena_string(arena, comm, strlen(comm)),
                                  .wait = copy_wait(arena, relating->reports[chain[i]]->threads[outward->thread].wait)};
    if (!list[i].comm.data || !list[i].wait) return NULL;
  }
  return list;
}

static void add_evidence(struct exu_arena *arena, struct exu_hang *hang, struct doubt doubt) {
  enum exu_evidence_kind processes = doubt.unseen ? EXU_EVIDENCE_SEEN_PROCESSES : EXU_EVIDENCE_PROCESSES;
  exu_evidence_add(arena, &hang->evidence, (struct exu_evidence){.kind = processes});
  if (doubt.named) exu_evidence_add(arena, &hang->evidence, (struct exu_evidence){.kind = EXU_EVIDENCE_NAMED});
}

static bool add_hang(const struct relating *relating, size_t process, struct exu_hang hang, struct doubt doubt) {
  struct exu_report *report = relating->reports[process];
  struct exu_arena *arena = relating->arenas[process];
  struct exu_hang *list = exu_arena_array(arena, report->hang_count + 1, sizeof *list);
  size_t *threads = exu_arena_array(arena, report->thread_count, sizeof *threads);
  if (!list || !threads) return false;
  for (size_t i = 0; i < relating->outward_count; i++) {
    size_t thread = relating->outwards[i].thread;
    if (relating->outwards[i].process != process) continue;
    if (hang.thread_count > 0 && threads[hang.thread_count - 1] == thread) continue;
    threads[hang.thread_count++] = thread;
  }
  hang.threads = threads;
  add_evidence(arena, &hang, doubt);
  if (report->hang_count) memcpy(list, report->hangs, report->hang_count * sizeof *list);
  list[report->hang_count] = hang;
  report->hangs = list;
  report->hang_count++;
  return true;
}

/* Every process that is named has the same hang in its report. */
static bool add_hangs(const struct relating *relating) {
  bool said[PROCESSES_MAX] = {false};
  struct doubt doubts[PROCESSES_MAX] = {{false}};
  find_doubts(relating, doubts);
  for (size_t i = 0; i < relating->count; i++) {
    size_t chain[NAMED];
    if (!relating->hangs[i] || said[i]) continue;
    const size_t count = follow(relating, i, said, chain);
    const bool certain = !doubts[i].named && !doubts[i].unseen;
    for (size_t j = 0; j < count; j++) {
      struct exu_hang hang = {.kind = first_of(relating, i)->kind, .certain = certain, .process_count = count};
      hang.processes = copy_chain(relating, chain[j], chain, count);
      if (!hang.processes || !add_hang(relating, chain[j], hang, doubts[i])) return false;
    }
  }
  return true;
}

/* Have the tasks of those that hang been given no processor between two looks? */
static bool have_slept(const struct relating *relating, const bool *candidates, const struct exu_task *before,
                       const struct exu_task *after) {
  size_t used = 0;
  for (size_t i = 0; i < relating->count; i++) {
    size_t threads = candidates[i] ? relating->reports[i]->thread_count : 0;
    if (relating->hangs[i] && memcmp(&before[used], &after[used], threads * sizeof *before) != 0) return false;
    used += threads;
  }
  return true;
}

/* Those that sleep at the same time. What was stopped for its report may need a moment until it sleeps again. */
static bool find_at_once(struct relating *relating, const bool *candidates, size_t tasks) {
  enum { LOOKS = 9 };
  EXU_GUARD(free) struct exu_task *before = calloc(tasks, sizeof *before);
  EXU_GUARD(free) struct exu_task *after = calloc(tasks, sizeof *after);
  bool left[PROCESSES_MAX] = {false};
  if (!before || !after) return false;
  for (unsigned look = 0; look < LOOKS; look++) {
    for (size_t i = 0; i < relating->count; i++) relating->hangs[i] = candidates[i] && !left[i];
    bool settled = true;
    sample(relating, candidates, relating->hangs, left, before);
    for (size_t i = 0; i < relating->count; i++) settled &= relating->hangs[i] || !candidates[i] || left[i];
    if (settled || look + 1 == LOOKS) {
      find_others(relating);
      find_stuck(relating);
      if (sample(relating, candidates, relating->hangs, left, after) && have_slept(relating, candidates, before, after))
        return add_hangs(relating);
    }
    nanosleep(&(struct timespec){.tv_nsec = 1000000L << look}, NULL);
  }
  return true;
}

static bool relate(struct relating *relating) {
  size_t tasks = 0;
  for (size_t i = 0; i < relating->count; i++) {
    size_t before = relating->outward_count;
    relating->hangs[i] = add_process(relating, i);
    if (!relating->hangs[i]) relating->outward_count = before;
    if (relating->hangs[i]) tasks += relating->reports[i]->thread_count;
  }
  if (tasks == 0) return true;
  EXU_GUARD(free) bool *candidates = calloc(relating->count, sizeof *candidates);
  if (!candidates) return false;
  memcpy(candidates, relating->hangs, relating->count * sizeof *candidates);
  return find_at_once(relating, candidates, tasks);
}

static bool say_late(const struct relating *relating, size_t process) {
  struct exu_report *report = relating->reports[process];
  struct exu_arena *arena = relating->arenas[process];
  struct exu_diagnostics said;
  exu_diagnostics_init(&said, arena);
  exu_info(&said, EXU_DIAGNOSTIC_SHARERS_LIMIT, -1,
           "who else has what process %" PRId64 " waits on was not looked for after %d seconds: whether it hangs with "
           "others is not known",
           report->pid, LOOKS_MAX);
  struct exu_diagnostic *list = exu_arena_array(arena, report->diagnostic_count + said.list.count, sizeof *list);
  if (!list) return false;
  if (report->diagnostic_count) memcpy(list, report->diagnostics, report->diagnostic_count * sizeof *list);
  for (size_t i = 0; i < said.list.count; i++) list[report->diagnostic_count++] = said.list.items[i];
  report->diagnostics = list;
  return true;
}

bool exu_waits_between(struct exu_report *const *reports, struct exu_arena *const *arenas, size_t count) {
  struct relating relating = {
      .reports = reports, .arenas = arenas, .count = count < PROCESSES_MAX ? count : PROCESSES_MAX};
  if (count == 0) return true;
  relating.pids = calloc(relating.count, sizeof *relating.pids);
  relating.hangs = calloc(relating.count, sizeof *relating.hangs);
  for (size_t i = 0; relating.pids && i < relating.count; i++) relating.pids[i] = reports[i]->pid;
  bool memory = relating.pids && relating.hangs && relate(&relating);
  for (size_t i = 0; memory && i < relating.count; i++) memory = !relating.late[i] || say_late(&relating, i);
  free(relating.pids);
  free(relating.hangs);
  free(relating.outwards);
  return memory;
}
