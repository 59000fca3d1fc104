/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why the kernel does not let this program read or stop a process, in one line with what to do: ptrace(2), "Ptrace
 * access mode checking". The kernel only says EPERM; what follows asks it for the facts that its rules are about.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/guard.h"
#include "process/live_private.h"
#include "process/task_list.h"

enum { CAP_SYS_PTRACE_BIT = 19 }; /* linux/capability.h */

/* The lines of /proc/PID/status that the rules are about. */
struct status {
  bool known;
  uint64_t uids[3]; /* real, effective, saved */
  uint64_t gids[3];
  uint64_t permitted; /* capabilities */
  uint64_t effective;
  int tracer;  /* 0: none */
  int seccomp; /* 2: it runs under a filter of system calls */
};

static struct status read_status(const char *process) {
  struct status status = {0};
  char text[8192];
  EXU_GUARD(fd) int directory = open(process, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0 || exu_proc_read(directory, "status", text, sizeof text) <= 0) return status;
  /* The name of the process, in the first line, has its newlines escaped. */
  for (char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
    uint64_t *uids = status.uids, *gids = status.gids;
    sscanf(line, "\nUid: %" SCNu64 " %" SCNu64 " %" SCNu64, &uids[0], &uids[1], &uids[2]);
    sscanf(line, "\nGid: %" SCNu64 " %" SCNu64 " %" SCNu64, &gids[0], &gids[1], &gids[2]);
    sscanf(line, "\nCapPrm: %" SCNx64, &status.permitted);
    sscanf(line, "\nCapEff: %" SCNx64, &status.effective);
    sscanf(line, "\nTracerPid: %d", &status.tracer);
    sscanf(line, "\nSeccomp: %d", &status.seccomp);
  }
  status.known = true;
  return status;
}

static int yama_scope(void) {
  char text[16];
  EXU_GUARD(fd) int directory = open("/proc/sys/kernel/yama", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0 || exu_proc_read(directory, "ptrace_scope", text, sizeof text) <= 0) return 0;
  return atoi(text);
}

static bool all_are(const uint64_t ids[3], uint64_t id) { return ids[0] == id && ids[1] == id && ids[2] == id; }

static void name_user(uint64_t uid, char *text, size_t size) {
  char buffer[1024];
  struct passwd entry, *found = NULL;
  if (getpwuid_r((uid_t)uid, &entry, buffer, sizeof buffer, &found) == 0 && found)
    snprintf(text, size, "%s", entry.pw_name);
  else
    snprintf(text, size, "uid %" PRIu64, uid);
}

static bool traced(pid_t pid, int tracer, struct exu_error *error) {
  char path[32], name[64] = "";
  snprintf(path, sizeof path, "/proc/%d", tracer);
  EXU_GUARD(fd) int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ssize_t size = directory >= 0 ? exu_proc_read(directory, "comm", name, sizeof name) : 0;
  if (size > 0 && name[size - 1] == '\n') name[size - 1] = '\0';
  return exu_fail(
      error, EXU_IO,
      "process %d is already traced by process %d%s%s%s, and there can be only one tracer: end that one, or "
      "use --no-stop",
      (int)pid, tracer, *name ? " (" : "", name, *name ? ")" : "");
}

static bool other_user(pid_t pid, const struct status *theirs, struct exu_error *error) {
  char user[128], own[128];
  name_user(theirs->uids[1], user, sizeof user);
  name_user(geteuid(), own, sizeof own);
  if (all_are(theirs->uids, geteuid()) && all_are(theirs->gids, theirs->gids[1]))
    return exu_fail(error, EXU_IO,
                    "process %d has the group %" PRIu64 ", and this program %u: run exuvia with that group or as root",
                    (int)pid, theirs->gids[1], (unsigned)getegid());
  if (!all_are(theirs->uids, theirs->uids[1]) || !all_are(theirs->gids, theirs->gids[1]))
    return exu_fail(error, EXU_IO, "process %d runs with changed credentials (setuid or setgid): run exuvia as root",
                    (int)pid);
  return exu_fail(error, EXU_IO, "process %d belongs to %s, and this is %s: run exuvia as %s%s", (int)pid, user, own,
                  user, theirs->uids[1] == 0 ? "" : " or as root");
}

static bool other_rights(pid_t pid, struct exu_error *error) {
  return exu_fail(
      error, EXU_IO,
      "process %d is another user's or has more rights, and this program lacks CAP_SYS_PTRACE: run exuvia as "
      "root with that capability (a container: --cap-add=SYS_PTRACE)",
      (int)pid);
}

static bool scoped(pid_t pid, int scope, struct exu_error *error) {
  if (scope >= 3)
    return exu_fail(error, EXU_IO,
                    "process %d cannot be read: kernel.yama.ptrace_scope is 3, which forbids it to "
                    "everybody until the next boot; take a core instead (kill -ABRT, gcore cannot either)",
                    (int)pid);
  if (scope == 2)
    return exu_fail(error, EXU_IO,
                    "process %d cannot be read: kernel.yama.ptrace_scope is 2: run exuvia as root (it "
                    "needs CAP_SYS_PTRACE)",
                    (int)pid);
  return exu_fail(error, EXU_IO,
                  "process %d cannot be read: kernel.yama.ptrace_scope is 1, which allows only a "
                  "process's ancestors: run exuvia as root, or set it to 0 (sysctl kernel.yama.ptrace_scope=0)",
                  (int)pid);
}

/* PF_KTHREAD in the flags, field 9 of /proc/PID/stat (linux/sched.h), which everybody may read. */
static bool is_kernel_thread(const char *process) {
  enum { PF_KTHREAD = 0x00200000 };
  char text[512];
  unsigned flags;
  EXU_GUARD(fd) int directory = open(process, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0 || exu_proc_read(directory, "stat", text, sizeof text) <= 0) return false;
  const char *end = strrchr(text, ')');
  return end && sscanf(end, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && (flags & PF_KTHREAD);
}

/* The first namespace maps all user ids to themselves: user_namespaces(7). */
static bool in_user_namespace(void) {
  char text[128];
  uint64_t inside = 0, outside = 0, count = UINT32_MAX;
  EXU_GUARD(fd) int directory = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0 && exu_proc_read(directory, "uid_map", text, sizeof text) > 0)
    sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside, &count);
  return inside != 0 || outside != 0 || count != UINT32_MAX;
}

/*
 * No rule of the kernel's own was found. Its files in /proc say EACCES, and ptrace(2), which is tried when its memory
 * could be opened, EPERM: that is not a matter of rights.
 */
static bool otherwise(pid_t pid, int reason, bool filtered, struct exu_error *error) {
  if (reason == EPERM && filtered)
    return exu_fail(error, EXU_IO,
                    "process %d cannot be stopped: a seccomp filter forbids this program to use ptrace (a container: "
                    "--security-opt seccomp=unconfined); or use --no-stop",
                    (int)pid);
  if (reason == EACCES && in_user_namespace())
    return exu_fail(error, EXU_IO,
                    "process %d cannot be read: it is not in the user namespace of this program: run exuvia outside "
                    "of that, as root",
                    (int)pid);
  return exu_fail(error, EXU_IO, "process %d cannot be %s: %s; a security module (SELinux, AppArmor) may forbid it%s",
                  (int)pid, reason == EPERM ? "stopped" : "read", strerror(reason),
                  reason == EPERM ? "; try --no-stop" : ": see the system's log");
}

bool exu_live_proc_is_own(struct exu_error *error) {
  char text[32];
  ssize_t size = readlink("/proc/self", text, sizeof text - 1);
  text[size > 0 ? size : 0] = '\0';
  if (size > 0 && atoi(text) == (int)getpid()) return true;
  struct stat link;
  if (lstat("/proc/self", &link) != 0)
    return exu_fail(error, EXU_IO, "/proc is not mounted: a process cannot be read without it");
  return exu_fail(
      error, EXU_IO,
      "/proc shows the processes of another pid namespace than this program's: mount it anew (mount -t proc "
      "proc /proc), or run exuvia in that one");
}

bool exu_live_hidden(pid_t pid, int reason, struct exu_error *error) {
  if (reason == ENOENT && kill(pid, 0) != 0 && errno == ESRCH)
    return exu_fail(error, EXU_NOT_FOUND, "there is no process %d", (int)pid);
  if (reason != ENOENT && reason != EPERM && reason != EACCES)
    return exu_fail(error, EXU_IO, "process %d cannot be read: %s", (int)pid, strerror(reason));
  return exu_fail(
      error, EXU_IO,
      "process %d is hidden: /proc is mounted with hidepid: run exuvia as the user of the process or as root",
      (int)pid);
}

bool exu_live_refused(pid_t pid, int reason, struct exu_error *error) {
  char process[32];
  struct stat owner;
  snprintf(process, sizeof process, "/proc/%d", (int)pid);
  if (access(process, F_OK) != 0) return exu_fail(error, EXU_NOT_FOUND, "process %d has ended", (int)pid);
  if (is_kernel_thread(process))
    return exu_fail(error, EXU_UNSUPPORTED, "process %d is a thread of the kernel: it has no memory of its own",
                    (int)pid);
  if (reason == ESRCH || reason == ENOENT) return exu_fail(error, EXU_NOT_FOUND, "process %d is ending", (int)pid);
  if (reason != EPERM && reason != EACCES)
    return exu_fail(error, EXU_IO, "process %d cannot be read: %s", (int)pid, strerror(reason));
  if (pid == getpid()) return exu_fail(error, EXU_IO, "process %d is this program itself", (int)pid);

  struct status theirs = read_status(process), ours = read_status("/proc/self");
  bool capable = ours.effective >> CAP_SYS_PTRACE_BIT & 1;
  if (theirs.known && theirs.tracer) return traced(pid, theirs.tracer, error);
  const uint64_t uid = geteuid(), gid = getegid();
  bool other = theirs.known && (!all_are(theirs.uids, uid) || !all_are(theirs.gids, gid));
  if (!capable && other && uid != 0) return other_user(pid, &theirs, error);
  if (!capable && yama_scope() > 0) return scoped(pid, yama_scope(), error);
  if (!capable && (other || (theirs.permitted & ~ours.permitted))) return other_rights(pid, error);
  /* All but the directory itself are root's then: fs/proc/base.c, task_dump_owner. */
  snprintf(process, sizeof process, "/proc/%d/mem", (int)pid);
  if (!capable && stat(process, &owner) == 0 && owner.st_uid != uid)
    return exu_fail(error, EXU_IO,
                    "process %d is not dumpable (prctl PR_SET_DUMPABLE, or a program file that cannot be "
                    "read): run exuvia as root",
                    (int)pid);
  if (yama_scope() >= 3) return scoped(pid, yama_scope(), error);
  return otherwise(pid, reason, ours.seccomp == 2, error);
}
