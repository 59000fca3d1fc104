/* SPDX-License-Identifier: Apache-2.0 */
#include "process/system_calls.h"

#include <string.h>

#define CALL(name, class, fd)                                                                                          \
  { name, EXU_CALL_##class, fd, -1, EXU_TIMEOUT_NONE }
#define TIMED(name, class, fd, at, timeout)                                                                            \
  { name, EXU_CALL_##class, fd, at, EXU_TIMEOUT_##timeout }

static const struct exu_system_call calls[EXU_SYS_COUNT] = {
    [EXU_SYS_READ] = CALL("read", READ, 0),
    [EXU_SYS_WRITE] = CALL("write", WRITE, 0),
    [EXU_SYS_PREAD64] = CALL("pread64", READ, 0),
    [EXU_SYS_PWRITE64] = CALL("pwrite64", WRITE, 0),
    [EXU_SYS_READV] = CALL("readv", READ, 0),
    [EXU_SYS_WRITEV] = CALL("writev", WRITE, 0),
    [EXU_SYS_PREADV] = CALL("preadv", READ, 0),
    [EXU_SYS_PWRITEV] = CALL("pwritev", WRITE, 0),
    [EXU_SYS_PREADV2] = CALL("preadv2", READ, 0),
    [EXU_SYS_PWRITEV2] = CALL("pwritev2", WRITE, 0),
    [EXU_SYS_RECVFROM] = CALL("recvfrom", READ, 0),
    [EXU_SYS_RECVMSG] = CALL("recvmsg", READ, 0),
    [EXU_SYS_RECVMMSG] = TIMED("recvmmsg", READ, 0, 4, TIMESPEC),
    [EXU_SYS_SENDTO] = CALL("sendto", WRITE, 0),
    [EXU_SYS_SENDMSG] = CALL("sendmsg", WRITE, 0),
    [EXU_SYS_SENDMMSG] = CALL("sendmmsg", WRITE, 0),
    [EXU_SYS_SENDFILE] = CALL("sendfile", WRITE, 0),
    [EXU_SYS_SPLICE] = CALL("splice", READ, 0),
    [EXU_SYS_TEE] = CALL("tee", READ, 0),
    [EXU_SYS_VMSPLICE] = CALL("vmsplice", WRITE, 0),
    [EXU_SYS_COPY_FILE_RANGE] = CALL("copy_file_range", READ, 0),
    [EXU_SYS_GETDENTS64] = CALL("getdents64", READ, 0),
    [EXU_SYS_ACCEPT] = CALL("accept", ACCEPT, 0),
    [EXU_SYS_ACCEPT4] = CALL("accept4", ACCEPT, 0),
    [EXU_SYS_CONNECT] = CALL("connect", CONNECT, 0),
    [EXU_SYS_POLL] = TIMED("poll", POLL, -1, 2, MILLISECONDS),
    [EXU_SYS_PPOLL] = TIMED("ppoll", POLL, -1, 2, TIMESPEC),
    [EXU_SYS_SELECT] = TIMED("select", SELECT, -1, 4, TIMEVAL),
    [EXU_SYS_PSELECT6] = TIMED("pselect6", SELECT, -1, 4, TIMESPEC),
    [EXU_SYS_EPOLL_WAIT] = TIMED("epoll_wait", EPOLL, 0, 3, MILLISECONDS),
    [EXU_SYS_EPOLL_PWAIT] = TIMED("epoll_pwait", EPOLL, 0, 3, MILLISECONDS),
    [EXU_SYS_EPOLL_PWAIT2] = TIMED("epoll_pwait2", EPOLL, 0, 3, TIMESPEC),
    [EXU_SYS_FUTEX] = TIMED("futex", FUTEX, -1, 3, TIMESPEC),
    [EXU_SYS_FUTEX_WAITV] = CALL("futex_waitv", OTHER, -1),
    [EXU_SYS_NANOSLEEP] = TIMED("nanosleep", SLEEP, -1, 0, TIMESPEC),
    [EXU_SYS_CLOCK_NANOSLEEP] = TIMED("clock_nanosleep", SLEEP, -1, 2, TIMESPEC),
    [EXU_SYS_PAUSE] = CALL("pause", SIGNAL, -1),
    [EXU_SYS_RT_SIGSUSPEND] = CALL("rt_sigsuspend", SIGNAL, -1),
    [EXU_SYS_RT_SIGTIMEDWAIT] = TIMED("rt_sigtimedwait", SIGNAL, -1, 2, TIMESPEC),
    [EXU_SYS_WAIT4] = CALL("wait4", CHILD, -1),
    [EXU_SYS_WAITID] = CALL("waitid", CHILD, -1),
    [EXU_SYS_VFORK] = CALL("vfork", OTHER, -1),
    [EXU_SYS_CLONE] = CALL("clone", OTHER, -1),
    [EXU_SYS_CLONE3] = CALL("clone3", OTHER, -1),
    [EXU_SYS_EXECVE] = CALL("execve", OTHER, -1),
    [EXU_SYS_FLOCK] = CALL("flock", LOCK, 0),
    [EXU_SYS_FCNTL] = CALL("fcntl", LOCK, 0),
    [EXU_SYS_FSYNC] = CALL("fsync", SYNC, 0),
    [EXU_SYS_FDATASYNC] = CALL("fdatasync", SYNC, 0),
    [EXU_SYS_SYNCFS] = CALL("syncfs", SYNC, 0),
    [EXU_SYS_SYNC_FILE_RANGE] = CALL("sync_file_range", SYNC, 0),
    [EXU_SYS_SYNC] = CALL("sync", OTHER, -1),
    [EXU_SYS_MSYNC] = CALL("msync", OTHER, -1),
    [EXU_SYS_OPEN] = CALL("open", OPEN, -1),
    [EXU_SYS_OPENAT] = CALL("openat", OPEN, -1),
    [EXU_SYS_OPENAT2] = CALL("openat2", OPEN, -1),
    [EXU_SYS_CLOSE] = CALL("close", CLOSE, 0),
    [EXU_SYS_IOCTL] = CALL("ioctl", OTHER, 0),
    [EXU_SYS_GETRANDOM] = CALL("getrandom", OTHER, -1),
    [EXU_SYS_SEMOP] = CALL("semop", IPC, -1),
    [EXU_SYS_SEMTIMEDOP] = TIMED("semtimedop", IPC, -1, 3, TIMESPEC),
    [EXU_SYS_MSGRCV] = CALL("msgrcv", IPC, -1),
    [EXU_SYS_MSGSND] = CALL("msgsnd", IPC, -1),
    [EXU_SYS_MQ_TIMEDRECEIVE] = CALL("mq_timedreceive", IPC, 0),
    [EXU_SYS_MQ_TIMEDSEND] = CALL("mq_timedsend", IPC, 0),
    [EXU_SYS_IO_GETEVENTS] = TIMED("io_getevents", AIO, -1, 4, TIMESPEC),
    [EXU_SYS_IO_PGETEVENTS] = TIMED("io_pgetevents", AIO, -1, 4, TIMESPEC),
    [EXU_SYS_IO_URING_ENTER] = CALL("io_uring_enter", AIO, 0),
    [EXU_SYS_RESTART_SYSCALL] = CALL("restart_syscall", OTHER, -1),
    [EXU_SYS_STAT] = CALL("stat", OTHER, -1),
    [EXU_SYS_FSTAT] = CALL("fstat", OTHER, 0),
    [EXU_SYS_LSTAT] = CALL("lstat", OTHER, -1),
    [EXU_SYS_NEWFSTATAT] = CALL("newfstatat", OTHER, -1),
    [EXU_SYS_STATX] = CALL("statx", OTHER, -1),
    [EXU_SYS_FTRUNCATE] = CALL("ftruncate", OTHER, 0),
    [EXU_SYS_FALLOCATE] = CALL("fallocate", OTHER, 0),
    [EXU_SYS_UNLINK] = CALL("unlink", OTHER, -1),
    [EXU_SYS_UNLINKAT] = CALL("unlinkat", OTHER, -1),
    [EXU_SYS_RENAME] = CALL("rename", OTHER, -1),
    [EXU_SYS_RENAMEAT] = CALL("renameat", OTHER, -1),
    [EXU_SYS_RENAMEAT2] = CALL("renameat2", OTHER, -1),
    [EXU_SYS_MMAP] = CALL("mmap", QUICK, -1),
    [EXU_SYS_MUNMAP] = CALL("munmap", QUICK, -1),
    [EXU_SYS_MPROTECT] = CALL("mprotect", QUICK, -1),
    [EXU_SYS_MADVISE] = CALL("madvise", QUICK, -1),
    [EXU_SYS_BRK] = CALL("brk", QUICK, -1),
    [EXU_SYS_SCHED_YIELD] = CALL("sched_yield", QUICK, -1),
    [EXU_SYS_EXIT] = CALL("exit", QUICK, -1),
    [EXU_SYS_EXIT_GROUP] = CALL("exit_group", QUICK, -1),
    [EXU_SYS_KILL] = CALL("kill", QUICK, -1),
    [EXU_SYS_TKILL] = CALL("tkill", QUICK, -1),
    [EXU_SYS_TGKILL] = CALL("tgkill", QUICK, -1),
    [EXU_SYS_RT_SIGQUEUEINFO] = CALL("rt_sigqueueinfo", QUICK, -1),
    [EXU_SYS_RT_TGSIGQUEUEINFO] = CALL("rt_tgsigqueueinfo", QUICK, -1),
    [EXU_SYS_RT_SIGRETURN] = CALL("rt_sigreturn", QUICK, -1),
    [EXU_SYS_RT_SIGACTION] = CALL("rt_sigaction", QUICK, -1),
    [EXU_SYS_RT_SIGPROCMASK] = CALL("rt_sigprocmask", QUICK, -1),
    [EXU_SYS_GETPID] = CALL("getpid", QUICK, -1),
    [EXU_SYS_GETTID] = CALL("gettid", QUICK, -1),
};

const struct exu_system_call *exu_system_call_find(const struct exu_arch *arch, int64_t number) {
  const enum exu_system_call_id id = exu_arch_call(arch, number);
  return id != EXU_SYS_NONE ? &calls[id] : NULL;
}

static enum exu_system_call_id call_of(const struct exu_process *process, int64_t number) {
  return exu_arch_call(process->arch, number);
}

/* ---- restart_syscall(2) ------------------------------------------------------------------------------------------ */

/*
 * The calls that return ERESTART_RESTARTBLOCK: those with a relative timeout, which must not begin anew (futex.c,
 * hrtimer.c, select.c).
 */
static const enum exu_system_call_id restarted[] = {EXU_SYS_FUTEX, EXU_SYS_NANOSLEEP, EXU_SYS_CLOCK_NANOSLEEP,
                                                    EXU_SYS_POLL};

static bool can_restart(const struct exu_process *process, int64_t number) {
  for (size_t i = 0; i < sizeof restarted / sizeof *restarted; i++) {
    if (call_of(process, number) == restarted[i]) return true;
  }
  return false;
}

/*
 * Is the instruction before the pc a system call? Unknown where the code cannot be read, and where it is all zeros, as
 * in files and cores out of which the code was taken.
 */
static enum exu_tristate is_behind_call(const struct exu_process *process, uint64_t pc) {
  static const uint8_t nothing[8] = {0};
  const struct exu_arch *arch = process->arch;
  const size_t size = arch->system_call_size;
  uint8_t code[sizeof nothing];
  if (pc < sizeof code || exu_space_read(process->space, pc - sizeof code, code, sizeof code) != EXU_READABLE)
    return EXU_UNKNOWN;
  if (memcmp(code, nothing, sizeof code) == 0) return EXU_UNKNOWN;
  return memcmp(code + sizeof code - size, arch->system_call_code, size) == 0 ? EXU_YES : EXU_NO;
}

/* The number in the instruction that loads it, which is most often the one before the call. -1: it is another one. */
static int64_t number_in_code(const struct exu_process *process, uint64_t pc) {
  uint8_t code[EXU_CALL_CODE_SIZE];
  if (pc < sizeof code || exu_space_read(process->space, pc - sizeof code, code, sizeof code) != EXU_READABLE)
    return -1;
  return process->arch->call_number_in_code(code);
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
static bool fits(const struct exu_process *process, enum exu_system_call_id id, const uint64_t *args) {
  enum { FUTEX_FLAGS = 0x180, FUTEX_WAIT = 0, FUTEX_WAIT_BITSET = 9, CLOCKS = 12, POLLED_MAX = 65536 };
  if (id == EXU_SYS_FUTEX) {
    uint64_t command = args[1] & ~(uint64_t)FUTEX_FLAGS;
    return (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET) && args[1] != 0 && is_word(process, args[0]) &&
           is_time(process, args[3]);
  }
  if (id == EXU_SYS_CLOCK_NANOSLEEP) return args[0] < CLOCKS && args[1] == 0 && is_time(process, args[2]);
  if (id == EXU_SYS_NANOSLEEP)
    return is_time(process, args[0]) && (args[1] == 0 || (args[1] % 8 == 0 && is_word(process, args[1])));
  return args[2] > 0 && args[2] <= INT32_MAX && args[1] < POLLED_MAX &&
         (args[1] == 0 ? args[0] == 0 : is_polled(process, args[0], args[1]));
}

static int64_t number_by_arguments(const struct exu_process *process, const uint64_t *args) {
  int64_t found = -1;
  for (size_t i = 0; i < sizeof restarted / sizeof *restarted; i++) {
    const int64_t number = exu_arch_call_number(process->arch, restarted[i]);
    if (number < 0 || !fits(process, restarted[i], args)) continue;
    if (found >= 0) return -1;
    found = number;
  }
  return found;
}

void exu_call_look(const struct exu_process *process, const struct exu_registers *registers, struct exu_call *call) {
  *call = (struct exu_call){.number = registers->syscall, .running = registers->outside && registers->valid != 0};
  if (registers->syscall < 0) return;
  memcpy(call->args, registers->syscall_args, sizeof call->args);
  if (call_of(process, call->number) == EXU_SYS_RESTART_SYSCALL) {
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
    if (registers->valid == 0 || !process->arch->keeps_call_number) continue;
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
  const int8_t kept_in = process->arch->call_number_register;
  if (registers->valid == 0 || is_behind_call(process, registers->pc) != EXU_YES) return false;
  const bool kept = kept_in >= 0 && registers->value[kept_in] <= INT16_MAX;
  set_call(process, call, kept ? (int64_t)registers->value[kept_in] : number_in_code(process, registers->pc));
  return call->syscall >= 0;
}

bool exu_call_sends(const struct exu_process *process, const struct exu_registers *registers, int32_t signal,
                    int64_t *tid) {
  /* Where the process, the thread and the signal are among the arguments; -1: nowhere. */
  static const struct {
    enum exu_system_call_id id;
    int8_t process, thread, signal;
  } senders[] = {{EXU_SYS_KILL, 0, -1, 1},
                 {EXU_SYS_TKILL, -1, 0, 1},
                 {EXU_SYS_TGKILL, 0, 1, 2},
                 {EXU_SYS_RT_SIGQUEUEINFO, 0, -1, 1},
                 {EXU_SYS_RT_TGSIGQUEUEINFO, 0, 1, 2}};
  struct exu_registers call;
  if (!call_before(process, registers, &call)) return false;
  const enum exu_system_call_id id = call_of(process, call.syscall);
  for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
    if (id != senders[i].id) continue;
    /* Machines differ in whether a call returns its result in the register of its first argument. */
    bool lost = process->arch->call_arguments[0] == process->arch->call_result;
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
  for (uint64_t pc = address; pc > address - NEAR && pc > NEAR; pc--) {
    const enum exu_system_call_id id = call_of(process, number_in_code(process, pc));
    if (id == EXU_SYS_TKILL || id == EXU_SYS_TGKILL) return true;
  }
  return false;
}

bool exu_call_raises(const struct exu_process *process, const struct exu_registers *registers) {
  struct exu_registers call;
  uint64_t caller;
  enum { SIG_SETMASK = 2 };
  if (!call_before(process, registers, &call) || call_of(process, call.syscall) != EXU_SYS_RT_SIGPROCMASK) return false;
  /*
   * Without its code: who sets a mask, and has then got a signal that was for this thread only, had let none in before.
   */
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
  enum { PATH_SIZE = 4096 }; /* PATH_MAX of linux/limits.h, with the NUL: no file has a longer one */
  const struct exu_string unknown = {NULL, 0};
  char path[PATH_SIZE];
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
  return unknown;
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
