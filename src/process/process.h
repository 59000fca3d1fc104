/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes and threads of a process that died or hangs. Knows nothing of Python. */
#ifndef EXUVIA_PROCESS_PROCESS_H
#define EXUVIA_PROCESS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/access.h"
#include "arch/arch.h"
#include "base/arena.h"
#include "base/diagnostics.h"
#include "base/error.h"
#include "base/limits.h"
#include "exuvia/exuvia.h"
#include "memory/space.h"

struct exu_os_thread {
  int64_t tid;
  struct exu_registers registers;
  bool crashed;           /* process->scene is its */
  struct exu_string comm; /* the kernel's name for it; cores keep it for the main thread only */
  int64_t cpu_us;         /* live: processor time used; -1 unknown */
  /*
   * Live, without registers: an address inside of what pthread_self() points to, the C library's descriptor of the
   * thread, where glibc keeps the list that get_robust_list(2) tells; 0: unknown.
   */
  uint64_t in_descriptor;
  /*
   * Live: it did not stop in time. Its memory is what it was when it entered the kernel or lost the processor, but the
   * registers are unknown, unless it stopped later.
   */
  bool unstopped;
  char state;              /* of an unstopped one then: the letter of /proc/PID/stat */
  struct exu_string wchan; /* of an unstopped one then: the kernel's function that it slept in */
  uint64_t slices;         /* live, not stopped: how often it has been given a processor */
  bool ran;                /* live, not stopped: it ran while the process was read */
};

/*
 * How far behind the start of a thread's descriptor in_descriptor may be; descriptors are smaller, and do not overlap.
 */
enum { EXU_DESCRIPTOR_MAX = 4096 };

struct exu_live;

/* A mapped file, as NT_FILE or /proc/PID/maps has it. */
struct exu_file_mapping {
  uint64_t start;
  uint64_t end;
  uint64_t offset; /* in bytes into the file */
  struct exu_string path;
};

struct exu_auxv {
  uint64_t phdr;  /* AT_PHDR, of the main program; 0: unknown, as for all here */
  uint64_t entry; /* AT_ENTRY */
  uint64_t base;  /* AT_BASE, of the dynamic linker */
  uint64_t vdso;  /* AT_SYSINFO_EHDR */
  uint64_t page_size;
};

/* The moment that a process died of: what exu_crash says, with its thread and registers. */
struct exu_scene {
  struct exu_os_thread *thread;   /* whose fault or call it was; NULL: nobody's, or it is not certain */
  struct exu_registers registers; /* of that thread when it happened, which may be before a handler ran */
  enum exu_access access;         /* what is known of the address without the instruction; UNKNOWN: nothing */
  struct exu_os_thread *sender;   /* the process sent the signal to itself, in this thread; NULL: not known */
  uint64_t stack_bytes_left;      /* of all stacks, that may still be looked at for signal handlers */
  bool given_up;                  /* not all memory was looked at in which the frame of a handler may lie */
};

struct exu_process;

/*
 * What a process that is still there can do, and one of which a file is left cannot: NULL operations do nothing, and
 * answer what is said here. Call them through the functions below.
 */
struct exu_process_ops {
  bool (*pause)(struct exu_process *process, struct exu_arena *arena, struct exu_error *error);
  void (*capture_stacks)(struct exu_process *process);
  void (*resume)(struct exu_process *process);
  void (*read_late)(struct exu_process *process);
  bool (*sample)(struct exu_process *process, struct exu_arena *arena, struct exu_error *error);
  void (*check_samples)(struct exu_process *process);
  bool (*has_slept)(const struct exu_process *process, const struct exu_os_thread *thread); /* true */
  void (*describe_threads)(struct exu_process *process, struct exu_arena *arena);
  void (*invalidate)(const struct exu_process *process);
  bool (*is_consistent)(const struct exu_process *process, uint64_t address);                     /* true */
  int (*open_mapping)(const struct exu_process *process, const struct exu_file_mapping *mapping); /* -1 */
  const char *(*root)(const struct exu_process *process);                                         /* NULL */
  void (*close)(struct exu_process *process);
};

struct exu_process {
  const struct exu_process_ops *ops; /* NULL: of a core, which can do nothing */
  const struct exu_arch *arch;
  struct exu_space *space;
  struct exu_limits *limits; /* of the work on it; borrowed, NULL: none */
  uint64_t bytes;            /* size of the core file */
  bool truncated;
  uint64_t missing_bytes;

  int64_t pid;                 /* -1 unknown */
  int64_t running_pid;         /* it is still there to be asked, as /proc/running_pid; -1: it is not */
  bool died;                   /* false: it is certain that it lived when it was read, or its core was written */
  bool sampled;                /* it ran while it was read: what belongs together may be of several moments */
  struct exu_string comm;      /* of the main thread */
  struct exu_string arguments; /* as the kernel kept them: 80 bytes at most in a core, joined by blanks */
  struct exu_auxv auxv;
  struct exu_string directory; /* live: its working directory, below its root; unknown in a core */
  int64_t sources_as_of;       /* see exu_report.sources_as_of */

  struct exu_os_thread *threads; /* in the core's order */
  size_t thread_count;
  struct exu_file_mapping *mappings; /* sorted by start */
  size_t mapping_count;
  struct exu_crash *crash;    /* NULL: no signal */
  struct exu_scene scene;     /* of the crash */
  uint32_t tid_in_descriptor; /* offset of the kernel's id in a thread's descriptor; 0: unknown, or not needed */
  bool first_died;            /* the first thread is the one that the signal was delivered to */
  bool keeps_calls;           /* the registers of threads tell which system call they are in */

  struct exu_live *live; /* of the process that is still there: private to its operations */
  int64_t pause_us;      /* live: for how long it was stopped; -1: it was not */
  bool stopped;          /* live: a signal had stopped it before (SIGSTOP, ...): */
  int stop_signal;       /* by which one; 0 unknown */
};

/*
 * Open a core file. On success the caller owns *process (exu_process_close). On failure (not a core, an unsupported
 * machine, no permission) *process is not touched. Damage is reported through `diagnostics`.
 */
bool exu_process_open_core(const char *path, struct exu_arena *arena, struct exu_diagnostics *diagnostics,
                           struct exu_process *process, struct exu_error *error);

/*
 * The same from a descriptor, which is borrowed until the process is closed, or from any source, which is taken over.
 */
bool exu_process_open_fd(int fd, struct exu_arena *arena, struct exu_diagnostics *diagnostics,
                         struct exu_process *process, struct exu_error *error);
bool exu_process_open_source(struct exu_source core, struct exu_arena *arena, struct exu_diagnostics *diagnostics,
                             struct exu_process *process, struct exu_error *error);

/* Release what open took. The arena keeps the rest. A zeroed process is allowed. */
void exu_process_close(struct exu_process *process);

/*
 * Stop the process, read anew what was read while it ran, and fill in its threads with their registers. Threads that
 * did not stop in time are marked. On failure it runs on.
 */
bool exu_process_pause(struct exu_process *process, struct exu_arena *arena, struct exu_error *error);

/* Copy the used part of every thread's stack. While the process is stopped. */
void exu_process_capture_stacks(struct exu_process *process);

/*
 * Let the process go on. Sets process->pause_us, and says when it has run already. What is read of its changing memory
 * from now on is not consistent with the registers.
 */
void exu_process_resume(struct exu_process *process);

/*
 * After exu_process_resume: the registers and the stacks of threads that stopped only now, for want of a processor;
 * they have run no instruction since the others were stopped. Those of which nothing is to be had are said.
 */
void exu_process_read_late_threads(struct exu_process *process);

/*
 * Instead of a pause: fill in the threads, and of the registers what the kernel tells of a thread that sleeps: the
 * system call, the stack pointer and the pc. What was read before is forgotten.
 */
bool exu_process_sample(struct exu_process *process, struct exu_arena *arena, struct exu_error *error);

/* After reading without a pause: set `ran` of the threads that did not sleep all the time since exu_process_sample. */
void exu_process_check_samples(struct exu_process *process);

/* Has the thread slept, and done nothing else, ever since? What was read of it since was so all the while. */
bool exu_process_has_slept(const struct exu_process *process, const struct exu_os_thread *thread);

/* Threads' names and the processor time that they have used, as they are now. */
void exu_process_describe_threads(struct exu_process *process, struct exu_arena *arena);

/* Forget what was read of the memory that changes, to read it anew. */
void exu_process_invalidate(const struct exu_process *process);

/*
 * Does the memory at this address go with the registers: was it read while the process was stopped, or never changes?
 */
bool exu_process_is_consistent(const struct exu_process *process, uint64_t address);

/* The file behind a mapping, also when it has no name any more. A descriptor, or -1. */
int exu_process_open_mapping(const struct exu_process *process, const struct exu_file_mapping *mapping);

/*
 * A path on this machine for the root directory of the process; NULL when it is this process's own, or nobody's any
 * more. Lives as long as the process.
 */
const char *exu_process_root(const struct exu_process *process);

/* The file mapping that contains the address, or NULL. */
const struct exu_file_mapping *exu_process_mapping(const struct exu_process *process, uint64_t address);

/* Read words of the machine, as far as that is possible: how many were read. */
size_t exu_process_read_words(const struct exu_process *process, uint64_t address, uint64_t *words, size_t count);

/* Likewise, the first `capacity` words, at most, of what lies between two addresses. */
size_t exu_process_read_words_between(const struct exu_process *process, uint64_t start, uint64_t end, uint64_t *words,
                                      size_t capacity);

/* Is the work on it to end now, with what there is? What takes long asks. */
static inline bool exu_process_is_over(const struct exu_process *process) {
  return exu_limits_reached(process->limits);
}

#endif
