/* SPDX-License-Identifier: Apache-2.0 */
#include "process/system_calls.h"

#include <string.h>

enum { X86_64 = 62, AARCH64 = 183 }; /* e_machine */

#define CALL(name, x86_64, generic, class, fd)                                                                         \
  { name, x86_64, generic, EXU_CALL_##class, fd, -1, EXU_TIMEOUT_NONE }
#define TIMED(name, x86_64, generic, class, fd, at, timeout)                                                           \
  { name, x86_64, generic, EXU_CALL_##class, fd, at, EXU_TIMEOUT_##timeout }

/* Numbers: asm/unistd_64.h of x86-64 and asm-generic/unistd.h of Linux 6.1. A number never gets another meaning. */
static const struct exu_system_call calls[] = {
    CALL("read", 0, 63, READ, 0),
    CALL("write", 1, 64, WRITE, 0),
    CALL("pread64", 17, 67, READ, 0),
    CALL("pwrite64", 18, 68, WRITE, 0),
    CALL("readv", 19, 65, READ, 0),
    CALL("writev", 20, 66, WRITE, 0),
    CALL("preadv", 295, 69, READ, 0),
    CALL("pwritev", 296, 70, WRITE, 0),
    CALL("preadv2", 327, 286, READ, 0),
    CALL("pwritev2", 328, 287, WRITE, 0),
    CALL("recvfrom", 45, 207, READ, 0),
    CALL("recvmsg", 47, 212, READ, 0),
    TIMED("recvmmsg", 299, 243, READ, 0, 4, TIMESPEC),
    CALL("sendto", 44, 206, WRITE, 0),
    CALL("sendmsg", 46, 211, WRITE, 0),
    CALL("sendmmsg", 307, 269, WRITE, 0),
    CALL("sendfile", 40, 71, WRITE, 0),
    CALL("splice", 275, 76, READ, 0),
    CALL("tee", 276, 77, READ, 0),
    CALL("vmsplice", 278, 75, WRITE, 0),
    CALL("copy_file_range", 326, 285, READ, 0),
    CALL("getdents64", 217, 61, READ, 0),
    CALL("accept", 43, 202, ACCEPT, 0),
    CALL("accept4", 288, 242, ACCEPT, 0),
    CALL("connect", 42, 203, CONNECT, 0),
    TIMED("poll", 7, -1, POLL, -1, 2, MILLISECONDS),
    TIMED("ppoll", 271, 73, POLL, -1, 2, TIMESPEC),
    TIMED("select", 23, -1, SELECT, -1, 4, TIMEVAL),
    TIMED("pselect6", 270, 72, SELECT, -1, 4, TIMESPEC),
    TIMED("epoll_wait", 232, -1, EPOLL, 0, 3, MILLISECONDS),
    TIMED("epoll_pwait", 281, 22, EPOLL, 0, 3, MILLISECONDS),
    TIMED("epoll_pwait2", 441, 441, EPOLL, 0, 3, TIMESPEC),
    TIMED("futex", 202, 98, FUTEX, -1, 3, TIMESPEC),
    CALL("futex_waitv", 449, 449, OTHER, -1),
    TIMED("nanosleep", 35, 101, SLEEP, -1, 0, TIMESPEC),
    TIMED("clock_nanosleep", 230, 115, SLEEP, -1, 2, TIMESPEC),
    CALL("pause", 34, -1, SIGNAL, -1),
    CALL("rt_sigsuspend", 130, 133, SIGNAL, -1),
    TIMED("rt_sigtimedwait", 128, 137, SIGNAL, -1, 2, TIMESPEC),
    CALL("wait4", 61, 260, CHILD, -1),
    CALL("waitid", 247, 95, CHILD, -1),
    CALL("vfork", 58, -1, OTHER, -1),
    CALL("clone", 56, 220, OTHER, -1),
    CALL("clone3", 435, 435, OTHER, -1),
    CALL("execve", 59, 221, OTHER, -1),
    CALL("flock", 73, 32, LOCK, 0),
    CALL("fcntl", 72, 25, LOCK, 0),
    CALL("fsync", 74, 82, SYNC, 0),
    CALL("fdatasync", 75, 83, SYNC, 0),
    CALL("syncfs", 306, 267, SYNC, 0),
    CALL("sync_file_range", 277, 84, SYNC, 0),
    CALL("sync", 162, 81, OTHER, -1),
    CALL("msync", 26, 227, OTHER, -1),
    CALL("open", 2, -1, OPEN, -1),
    CALL("openat", 257, 56, OPEN, -1),
    CALL("openat2", 437, 437, OPEN, -1),
    CALL("close", 3, 57, CLOSE, 0),
    CALL("ioctl", 16, 29, OTHER, 0),
    CALL("getrandom", 318, 278, OTHER, -1),
    CALL("semop", 65, 193, IPC, -1),
    TIMED("semtimedop", 220, 192, IPC, -1, 3, TIMESPEC),
    CALL("msgrcv", 70, 188, IPC, -1),
    CALL("msgsnd", 69, 189, IPC, -1),
    CALL("mq_timedreceive", 243, 183, IPC, 0),
    CALL("mq_timedsend", 242, 182, IPC, 0),
    TIMED("io_getevents", 208, 4, AIO, -1, 4, TIMESPEC),
    TIMED("io_pgetevents", 333, 292, AIO, -1, 4, TIMESPEC),
    CALL("io_uring_enter", 426, 426, AIO, 0),
    CALL("restart_syscall", 219, 128, OTHER, -1),
    CALL("stat", 4, -1, OTHER, -1),
    CALL("fstat", 5, 80, OTHER, 0),
    CALL("lstat", 6, -1, OTHER, -1),
    CALL("newfstatat", 262, 79, OTHER, -1),
    CALL("statx", 332, 291, OTHER, -1),
    CALL("ftruncate", 77, 46, OTHER, 0),
    CALL("fallocate", 285, 47, OTHER, 0),
    CALL("unlink", 87, -1, OTHER, -1),
    CALL("unlinkat", 263, 35, OTHER, -1),
    CALL("rename", 82, -1, OTHER, -1),
    CALL("renameat", 264, 38, OTHER, -1),
    CALL("renameat2", 316, 276, OTHER, -1),
    CALL("mmap", 9, 222, QUICK, -1),
    CALL("munmap", 11, 215, QUICK, -1),
    CALL("mprotect", 10, 226, QUICK, -1),
    CALL("madvise", 28, 233, QUICK, -1),
    CALL("brk", 12, 214, QUICK, -1),
    CALL("sched_yield", 24, 124, QUICK, -1),
    CALL("exit", 60, 93, QUICK, -1),
    CALL("exit_group", 231, 94, QUICK, -1),
    CALL("kill", 62, 129, QUICK, -1),
    CALL("tkill", 200, 130, QUICK, -1),
    CALL("tgkill", 234, 131, QUICK, -1),
    CALL("rt_sigqueueinfo", 129, 138, QUICK, -1),
    CALL("rt_tgsigqueueinfo", 297, 240, QUICK, -1),
    CALL("rt_sigreturn", 15, 139, QUICK, -1),
    CALL("rt_sigaction", 13, 134, QUICK, -1),
    CALL("rt_sigprocmask", 14, 135, QUICK, -1),
    CALL("getpid", 39, 172, QUICK, -1),
    CALL("gettid", 186, 178, QUICK, -1),
};

static int16_t number_of(const struct exu_system_call *call, const struct exu_arch *arch) {
  return arch->machine == X86_64 ? call->x86_64 : arch->machine == AARCH64 ? call->generic : (int16_t)-1;
}

const struct exu_system_call *exu_system_call_find(const struct exu_arch *arch, int64_t number) {
  if (number < 0) return NULL;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    if (number_of(&calls[i], arch) == number) return &calls[i];
  }
  return NULL;
}

static bool is_called(const struct exu_process *process, int64_t number, const char *name) {
  const struct exu_system_call *call = exu_system_call_find(process->arch, number);
  return call && strcmp(call->name, name) == 0;
}

/* ---- restart_syscall(2) ------------------------------------------------------------------------------------------ */

/*
 * The calls that return ERESTART_RESTARTBLOCK: those with a relative timeout, which must not begin anew (futex.c,
 * hrtimer.c, select.c).
 */
static const char *const restarted[] = {"futex", "nanosleep", "clock_nanosleep", "poll"};

static bool can_restart(const struct exu_process *process, int64_t number) {
  for (size_t i = 0; i < sizeof restarted / sizeof *restarted; i++) {
    if (is_called(process, number, restarted[i])) return true;
  }
  return false;
}

/*
 * Is the instruction before the pc a system call? Unknown where the code cannot be read, and where it is all zeros, as in
 * files and cores out of which the code was taken.
 */
static enum exu_tristate is_behind_call(const struct exu_process *process, uint64_t pc) {
  static const uint8_t syscall[] = {0x0f, 0x05}, svc[] = {0x01, 0x00, 0x00, 0xd4}, nothing[8] = {0};
  const uint8_t *wanted = process->arch->machine == X86_64 ? syscall : svc;
  const size_t size = process->arch->machine == X86_64 ? sizeof syscall : sizeof svc;
  uint8_t code[sizeof nothing];
  if (pc < sizeof code || exu_space_read(process->space, pc - sizeof code, code, sizeof code) != EXU_READABLE)
    return EXU_UNKNOWN;
  if (memcmp(code, nothing, sizeof code) == 0) return EXU_UNKNOWN;
  return memcmp(code + sizeof code - size, wanted, size) == 0 ? EXU_YES : EXU_NO;
}

/* The number in the instruction that loads it, which is most often the one before the call. -1: it is another one. */
static int64_t number_in_code(const struct exu_process *process, uint64_t pc) {
  uint8_t code[8];
  uint32_t word[2];
  if (pc < sizeof code || exu_space_read(process->space, pc - sizeof code, code, sizeof code) != EXU_READABLE)
    return -1;
  if (process->arch->machine == X86_64) {
    /* mov $imm32,%eax; syscall */
    if (code[6] != 0x0f || code[7] != 0x05 || code[1] != 0xb8) return -1;
    memcpy(word, code + 2, 4);
    return (int64_t)word[0];
  }
  /* mov x8, #imm16; svc #0 */
  memcpy(word, code, sizeof word);
  if (process->arch->machine != AARCH64 || word[1] != 0xd4000001 || (word[0] & 0xffe0001f) != 0xd2800008) return -1;
  return word[0] >> 5 & 0xffff;
}

/* A struct timespec that is a time to wait, or to wait until. */
static bool is_time(const struct exu_process *process, uint64_t address) {
  int64_t time[2];
  return address != 0 && exu_space_read(process->space, address, time, sizeof time) == EXU_READABLE && time[0] >= 0 &&
         time[0] <= INT64_MAX / 1000000 && time[1] >= 0 && time[1] < 1000000000;
}

/* Are these descriptors to poll: small numbers, each with events to wait for? */
static bool is_polled(const struct exu_process *process, uint64_t address, uint64_t count) {
  enum { LOOK_AT = 16, FDS = 1 << 20, EVENTS = 0x3fff }; /* asm-generic/poll.h */
  struct {
    int32_t fd;
    uint16_t events, revents;
  } fds[LOOK_AT];
  uint64_t known = count < LOOK_AT ? count : LOOK_AT;
  if (exu_space_read(process->space, address, fds, known * sizeof *fds) != EXU_READABLE) return false;
  for (uint64_t i = 0; i < known; i++) {
    if (fds[i].fd < -1 || fds[i].fd >= FDS || fds[i].events == 0 || fds[i].events & ~EVENTS) return false;
  }
  return true;
}

static bool is_word(const struct exu_process *process, uint64_t address) {
  uint32_t word;
  return address % 4 == 0 && exu_space_read(process->space, address, &word, sizeof word) == EXU_READABLE;
}

/*
 * Do the arguments fit this one of them? futex wants a command to wait (with flags) and a timeout; clock_nanosleep the
 * small number of a clock; nanosleep's second argument is NULL or where the rest of the time is stored.
 */
static bool fits(const struct exu_process *process, const char *name, const uint64_t *args) {
  enum { FUTEX_FLAGS = 0x180, FUTEX_WAIT = 0, FUTEX_WAIT_BITSET = 9, CLOCKS = 12, POLLED_MAX = 65536 };
  if (strcmp(name, "futex") == 0) {
    uint64_t command = args[1] & ~(uint64_t)FUTEX_FLAGS;
    return (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET) && args[1] != 0 && is_word(process, args[0]) &&
           is_time(process, args[3]);
  }
  if (strcmp(name, "clock_nanosleep") == 0) return args[0] < CLOCKS && args[1] == 0 && is_time(process, args[2]);
  if (strcmp(name, "nanosleep") == 0)
    return is_time(process, args[0]) && (args[1] == 0 || (args[1] % 8 == 0 && is_word(process, args[1])));
  return args[2] > 0 && args[2] <= INT32_MAX && args[1] < POLLED_MAX &&
         (args[1] == 0 ? args[0] == 0 : is_polled(process, args[0], args[1]));
}

static int64_t number_by_arguments(const struct exu_process *process, const uint64_t *args) {
  const struct exu_system_call *found = NULL;
  for (size_t i = 0; i < sizeof restarted / sizeof *restarted; i++) {
    for (size_t j = 0; j < sizeof calls / sizeof *calls; j++) {
      if (strcmp(calls[j].name, restarted[i]) != 0 || number_of(&calls[j], process->arch) < 0) continue;
      if (!fits(process, restarted[i], args)) continue;
      if (found) return -1;
      found = &calls[j];
    }
  }
  return found ? number_of(found, process->arch) : -1;
}

void exu_call_look(const struct exu_process *process, const struct exu_registers *registers, struct exu_call *call) {
  *call = (struct exu_call){.number = registers->syscall, .running = registers->outside && registers->valid != 0};
  if (registers->syscall < 0) return;
  memcpy(call->args, registers->syscall_args, sizeof call->args);
  if (is_called(process, call->number, "restart_syscall")) {
    call->restarted = true;
    call->number = number_in_code(process, registers->pc);
    if (!can_restart(process, call->number)) call->number = number_by_arguments(process, call->args);
    if (call->number < 0) call->number = registers->syscall;
  }
  call->call = exu_system_call_find(process->arch, call->number);
}

/* ---- Which are certain ------------------------------------------------------------------------------------------- */

static void set_call(const struct exu_process *process, struct exu_registers *registers, int64_t number) {
  registers->syscall = number;
  for (size_t i = 0; number >= 0 && i < 6; i++)
    registers->syscall_args[i] = registers->value[process->arch->call_arguments[i]];
}

void exu_calls_check(struct exu_process *process) {
  for (size_t i = 0; i < process->thread_count; i++) {
    struct exu_registers *registers = &process->threads[i].registers;
    if (registers->valid == 0 || process->arch->machine != X86_64) continue;
    if (process->keeps_calls && registers->outside) continue;
    /* A thread that the kernel has begun to run a handler for still has the number of the call that it left for it. */
    enum exu_tristate behind = is_behind_call(process, registers->pc);
    registers->outside = behind == EXU_NO;
    if (process->keeps_calls && behind == EXU_NO) registers->syscall = -1;
    if (!process->keeps_calls)
      set_call(process, registers, behind == EXU_YES ? number_in_code(process, registers->pc) : -1);
  }
}

/* The call that the pc is right behind, whether the thread is in it still or not; false: none, or not known. */
static bool call_before(const struct exu_process *process, const struct exu_registers *registers,
                        struct exu_registers *call) {
  *call = *registers;
  if (registers->syscall >= 0) return true;
  if (registers->outside) return false;
  enum { X8 = 8 };
  if (registers->valid == 0 || is_behind_call(process, registers->pc) != EXU_YES) return false;
  bool in_x8 = process->arch->machine == AARCH64 && registers->value[X8] <= INT16_MAX;
  set_call(process, call, in_x8 ? (int64_t)registers->value[X8] : number_in_code(process, registers->pc));
  return call->syscall >= 0;
}

bool exu_call_sends(const struct exu_process *process, const struct exu_registers *registers, int32_t signal,
                    int64_t *tid) {
  /* Where the process, the thread and the signal are among the arguments; -1: nowhere. */
  static const struct {
    const char *name;
    int8_t process, thread, signal;
  } senders[] = {{"kill", 0, -1, 1},
                 {"tkill", -1, 0, 1},
                 {"tgkill", 0, 1, 2},
                 {"rt_sigqueueinfo", 0, -1, 1},
                 {"rt_tgsigqueueinfo", 0, 1, 2}};
  struct exu_registers call;
  if (!call_before(process, registers, &call)) return false;
  const struct exu_system_call *known = exu_system_call_find(process->arch, call.syscall);
  for (size_t i = 0; known && known->class == EXU_CALL_QUICK && i < sizeof senders / sizeof *senders; i++) {
    if (strcmp(known->name, senders[i].name) != 0) continue;
    /* An aarch64 call returns its result in the register of its first argument. */
    bool lost = process->arch->machine == AARCH64;
    int32_t pid = senders[i].process >= 0 ? (int32_t)call.syscall_args[senders[i].process] : 0;
    int32_t thread = senders[i].thread >= 0 ? (int32_t)call.syscall_args[senders[i].thread] : -1;
    if ((int32_t)call.syscall_args[senders[i].signal] != signal) return false;
    if (lost && senders[i].thread <= 0) return false;
    /* kill(0, ...) is for the whole process group. */
    if (!lost && pid != 0 && pid != process->pid) return false;
    *tid = thread;
    return true;
  }
  return false;
}

/* Does a function that sends a signal to one thread have its system call shortly before this address? */
static bool is_sending_code(const struct exu_process *process, uint64_t address) {
  enum { NEAR = 96 };
  static const char *const names[] = {"tkill", "tgkill"};
  for (uint64_t pc = address; pc > address - NEAR && pc > NEAR; pc--) {
    const struct exu_system_call *call = exu_system_call_find(process->arch, number_in_code(process, pc));
    for (size_t i = 0; call && i < sizeof names / sizeof *names; i++) {
      if (strcmp(call->name, names[i]) == 0) return true;
    }
  }
  return false;
}

bool exu_call_raises(const struct exu_process *process, const struct exu_registers *registers) {
  struct exu_registers call;
  uint64_t caller;
  enum { SIG_SETMASK = 2 };
  if (!call_before(process, registers, &call) || !is_called(process, call.syscall, "rt_sigprocmask")) return false;
  /* Without its code: who sets a mask, and has then got a signal that was for this thread only, had let none in before. */
  if (is_behind_call(process, registers->pc) == EXU_UNKNOWN) return call.syscall_args[0] == SIG_SETMASK;
  if (is_sending_code(process, registers->pc)) return true;
  return exu_space_read(process->space, registers->sp, &caller, sizeof caller) == EXU_READABLE &&
         is_sending_code(process, caller);
}

/* ---- Arguments --------------------------------------------------------------------------------------------------- */

int64_t exu_call_timeout_us(const struct exu_process *process, const struct exu_call *call) {
  enum { TIMER_ABSTIME = 1, FUTEX_WAIT = 0, COMMAND_MASK = 0x7f };
  const struct exu_system_call *info = call->call;
  int64_t time[2], microseconds;
  if (!info || info->timeout == EXU_TIMEOUT_NONE) return -1;
  uint64_t argument = call->args[info->timeout_at];
  if (info->timeout == EXU_TIMEOUT_MILLISECONDS) return (int32_t)argument < 0 ? -1 : (int64_t)(int32_t)argument * 1000;
  if (info->class == EXU_CALL_FUTEX && (call->args[1] & COMMAND_MASK) != FUTEX_WAIT) return -1;
  if (strcmp(info->name, "clock_nanosleep") == 0 && call->args[1] & TIMER_ABSTIME) return -1;
  if (argument == 0 || exu_space_read(process->space, argument, time, sizeof time) != EXU_READABLE) return -1;
  int64_t fraction = info->timeout == EXU_TIMEOUT_TIMESPEC ? time[1] / 1000 : time[1];
  if (time[0] < 0 || fraction < 0 || fraction >= 1000000) return -1;
  if (__builtin_mul_overflow(time[0], (int64_t)1000000, &microseconds)) return -1;
  return __builtin_add_overflow(microseconds, fraction, &microseconds) ? -1 : microseconds;
}

int64_t exu_call_child(const struct exu_call *call) {
  enum { P_PID = 1 };
  if (!call->call || call->call->class != EXU_CALL_CHILD) return -1;
  if (strcmp(call->call->name, "wait4") == 0) return (int32_t)call->args[0] > 0 ? (int32_t)call->args[0] : -1;
  return call->args[0] == P_PID && (int32_t)call->args[1] > 0 ? (int32_t)call->args[1] : -1;
}

/* Word by word, because the text may end right before a page that is not there. */
struct exu_string exu_call_path(const struct exu_process *process, const struct exu_call *call,
                                struct exu_arena *arena) {
  enum { PATH_SHOWN = 512 };
  const struct exu_string unknown = {NULL, 0};
  char path[PATH_SHOWN];
  size_t size = 0;
  if (!call->call || call->call->class != EXU_CALL_OPEN) return unknown;
  uint64_t address = call->args[strcmp(call->call->name, "open") == 0 ? 0 : 1];
  while (size < sizeof path) {
    size_t part = 8 - (address + size) % 8;
    if (part > sizeof path - size) part = sizeof path - size;
    if (exu_space_read(process->space, address + size, path + size, part) != EXU_READABLE) return unknown;
    const char *nul = memchr(path + size, 0, part);
    if (nul) return nul == path ? unknown : exu_arena_string(arena, path, (size_t)(nul - path));
    size += part;
  }
  return exu_arena_string(arena, path, size);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

static size_t add_once(int32_t fd, int32_t *fds, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (fds[i] == fd) return count;
  }
  fds[count] = fd;
  return count + 1;
}

/*
 * One descriptor may be there twice, for reading and for writing; poll(2) ignores those below 0. Among very many they
 * are counted all the same.
 */
static size_t polled(const struct exu_process *process, const struct exu_call *call, int32_t *fds, size_t capacity) {
  enum { LOOKED_AT = 128 };
  struct {
    int32_t fd;
    int16_t events, revents;
  } entries[LOOKED_AT];
  int32_t distinct[LOOKED_AT];
  uint64_t count = call->args[1] < EXU_CALL_FDS_MAX ? call->args[1] : EXU_CALL_FDS_MAX;
  size_t looked_at = count < LOOKED_AT ? (size_t)count : LOOKED_AT, found = 0;
  if (looked_at == 0) return 0;
  if (exu_space_read(process->space, call->args[0], entries, looked_at * sizeof *entries) != EXU_READABLE) return 0;
  for (size_t i = 0; i < looked_at; i++) {
    if (entries[i].fd >= 0) found = add_once(entries[i].fd, distinct, found);
  }
  memcpy(fds, distinct, (found < capacity ? found : capacity) * sizeof *fds);
  return count > LOOKED_AT ? (size_t)count : found;
}

/* A set is as many words of 64 bits as its count of descriptors needs. */
static size_t selected(const struct exu_process *process, const struct exu_call *call, int32_t *fds, size_t capacity) {
  enum { SELECT_MAX = 1024, SETS = 3 };
  uint64_t words[SETS][SELECT_MAX / 64] = {{0}};
  uint64_t limit = (uint32_t)call->args[0] < SELECT_MAX ? (uint32_t)call->args[0] : SELECT_MAX;
  size_t count = 0;
  for (size_t i = 0; i < SETS; i++) {
    if (call->args[1 + i] == 0 || limit == 0) continue;
    if (exu_space_read(process->space, call->args[1 + i], words[i], (limit + 63) / 64 * 8) != EXU_READABLE) return 0;
  }
  for (uint64_t fd = 0; fd < limit; fd++) {
    uint64_t any = words[0][fd / 64] | words[1][fd / 64] | words[2][fd / 64];
    if (!(any >> fd % 64 & 1)) continue;
    if (count < capacity) fds[count] = (int32_t)fd;
    count++;
  }
  return count;
}

size_t exu_call_descriptors(const struct exu_process *process, const struct exu_call *call, int32_t *fds,
                            size_t capacity) {
  if (!call->call) return 0;
  if (call->call->class == EXU_CALL_POLL) return polled(process, call, fds, capacity);
  if (call->call->class == EXU_CALL_SELECT) return selected(process, call, fds, capacity);
  return 0;
}
