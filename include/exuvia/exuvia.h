/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exuvia: explain what a Python process left behind.
 *
 * The whole public interface: the report (plain structs), the calls that make one, and the calls that print one.
 * The command line uses nothing else.
 *
 *     struct exu_options options = EXU_OPTIONS_DEFAULT;
 *     struct exu_session *session = NULL;
 *     struct exu_report *report = NULL;
 *     if (exu_session_open_core("core", &options, &session) != EXU_RESULT_OK) ...
 *     if (exu_session_explain(session, &report) != EXU_RESULT_OK) ...
 *     exu_write_text(report, &text_options, stdout);
 *     exu_report_destroy(report);
 *     exu_session_close(session);
 *
 * Everything that a report points to lives exactly as long as the report. The library never prints (except to the
 * stream that a writer is given), never exits, never touches the network and writes no files, except as
 * exu_options.debuginfod says. Different sessions may be used in different threads at the same time; one session, and
 * the report that it made, in one thread at a time, but for exu_session_cancel.
 */
#ifndef EXUVIA_EXUVIA_H
#define EXUVIA_EXUVIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EXU_API __attribute__((visibility("default")))
#else
#define EXU_API
#endif

#define EXU_VERSION "0.1.0"
#define EXU_SCHEMA "exuvia-report/1"

/*
 * Every enumeration of the report is one list of X(constant, word), which also makes its function exu_..._name: the
 * word that JSON has for it; NULL where that is null, and for a value that is none of the enumeration's. Words are
 * static.
 */
#define EXU_ENUMERATOR(constant, word) constant,

/*
 * Text. Bytes that are not NUL-terminated and may contain NUL. The encoding is UTF-8, with one extension: a lone
 * surrogate of the process's string (U+D800..U+DFFF) is kept as its three-byte form, so that no information is lost;
 * writers escape it. `data == NULL` means unknown; an empty string has a non-NULL `data` and `size == 0`.
 */
struct exu_string {
  const char *data;
  size_t size;
};

/* A truth value that may be unknown. */
enum exu_tristate { EXU_NO = 0, EXU_YES = 1, EXU_UNKNOWN = -1 };
EXU_API const char *exu_tristate_name(enum exu_tristate value);

#define EXU_FRAME_KINDS(X)                                                                                             \
  X(EXU_FRAME_PYTHON, "python")                                                                                        \
  X(EXU_FRAME_NATIVE, "native")                                                                                        \
  /* a remark between its neighbours, `gap`: mostly that frames are missing here */                                    \
  X(EXU_FRAME_GAP, "gap")

enum exu_frame_kind { EXU_FRAME_KINDS(EXU_ENUMERATOR) };
EXU_API const char *exu_frame_kind_name(enum exu_frame_kind value);

/* What a frame of the kind EXU_FRAME_GAP says. */
#define EXU_GAPS(X)                                                                                                    \
  X(EXU_GAP_NATIVE, "native-missing") /* native frames are missing */                                                  \
  /* Python frames are missing: an eval loop runs here that none of the thread state's belong to */                    \
  X(EXU_GAP_PYTHON, "python-missing")                                                                                  \
  X(EXU_GAP_MOVED, "moved")             /* the thread ran while it was read: its inner frames are left out */          \
  X(EXU_GAP_GREENLET, "greenlet-start") /* nothing is missing: the stack of the greenlet that runs begins here */      \
  X(EXU_GAP_LEFT_OUT, "left-out")       /* outer frames are left out, as exu_options.max_frames asked for */           \
  /* nothing is missing: compiled Python code, of whose frames no native frame is known to run which */                \
  X(EXU_GAP_COMPILED, "compiled-code")                                                                                 \
  /* the thread is switching greenlets: which of them the native frames here belong to is not known */                 \
  X(EXU_GAP_SWITCH, "greenlet-switch")                                                                                 \
  X(EXU_GAP_SWITCH_PYTHON, "greenlet-switch-python") /* likewise, nor what its Python frames are */

enum exu_gap { EXU_GAPS(EXU_ENUMERATOR) };
EXU_API const char *exu_gap_name(enum exu_gap value);

/* The same in words, for people. Never NULL, also for a value that is none of the enumeration's. Static. */
EXU_API const char *exu_gap_text(enum exu_gap value);

/* Source positions are 1-based lines and 0-based UTF-8 byte columns (PEP 657); -1 means unknown. */
struct exu_position {
  int32_t line;
  int32_t end_line;
  int32_t column;
  int32_t end_column;
};

/*
 * One frame. Python frames use `function`, `qualname`, `file`, `position`, `entry`, `interpreter`; native frames use
 * the rest, and `file` and `position.line` when debug information has them.
 */
struct exu_frame {
  enum exu_frame_kind kind : 8;
  enum exu_gap gap : 8; /* of a gap: what it says. Nothing else belongs to it */
  bool entry;   /* Python: the outermost frame of one run of the interpreter's eval loop, the one that C called */
  bool eval;    /* native: a run of the eval loop, whose Python frames come right before it (with native_all only) */
  bool signal;  /* native: the frame that the kernel made to run a signal handler */
  bool inlined; /* native: an inlined call, it shares its physical frame with the next one */
  int32_t interpreter;        /* Python: the id of the interpreter, as in exu_interpreter.id; -1 unknown */
  int32_t first_line;         /* Python: where its code begins in `file`, co_firstlineno; 0 unknown */
  int32_t runtime;            /* Python: index into exu_report.runtimes; ids are those of interpreters of one runtime */
  int32_t module;             /* native: index into exu_report.modules, or -1 */
  struct exu_string function; /* Python: co_name. Native: demangled name, unknown when no symbol covers the pc */
  struct exu_string qualname; /* Python: co_qualname, unknown before 3.11 */
  struct exu_string file;
  struct exu_position position;
  uint64_t address; /* Python: of the frame in the process. Native: the pc */
  uint64_t offset;  /* native: pc - start of the function, or of the module when the function is unknown */
  const struct exu_string *symbol; /* native: of a function that Cython compiled, its name in the file; else NULL */
};

#define EXU_GIL_STATES(X)                                                                                              \
  X(EXU_GIL_UNKNOWN, "unknown")                                                                                        \
  X(EXU_GIL_NONE, "none")                                                                                              \
  X(EXU_GIL_HOLDS, "holds")                                                                                            \
  X(EXU_GIL_WAITS, "waits")

enum exu_gil { EXU_GIL_STATES(EXU_ENUMERATOR) };
EXU_API const char *exu_gil_name(enum exu_gil value);

/* What told which native frame runs which Python frames. */
#define EXU_MERGED_BY(X)                                                                                               \
  X(EXU_MERGED_BY_NONE, NULL) /* nothing did, or there was nothing to merge: no native frames, no Python frames */     \
  /* 3.10 and later: an address on the C stack that the eval loop leaves */                                            \
  X(EXU_MERGED_BY_STACK_ADDRESS, "stack-address")                                                                      \
  /* before 3.10: the eval loop's native frame keeps the address of its Python frame */                                \
  X(EXU_MERGED_BY_FRAME_POINTER, "frame-pointer")                                                                      \
  X(EXU_MERGED_BY_SYMBOL, "symbol") /* before 3.10: only the symbol of the eval loop told */

enum exu_merged_by { EXU_MERGED_BY(EXU_ENUMERATOR) };
EXU_API const char *exu_merged_by_name(enum exu_merged_by value);

/* What a thread waits for. The order is of no importance; unknown is an answer. */
#define EXU_WAIT_KINDS(X)                                                                                              \
  X(EXU_WAIT_UNKNOWN, "unknown")                                                                                       \
  X(EXU_WAIT_RUNNING, "running")     /* it is in no system call: nothing holds it up */                                \
  X(EXU_WAIT_SYSCALL, "system-call") /* in the kernel, for none of the reasons below: see the system call */           \
  /* asleep in the kernel, as that says, and nothing tells of a system call: for a page (live only) */                 \
  X(EXU_WAIT_KERNEL, "kernel")                                                                                         \
  X(EXU_WAIT_CHILD, "child")     /* for another process to end */                                                      \
  X(EXU_WAIT_STOPPED, "stopped") /* the whole process is stopped by a signal (live only) */                            \
  X(EXU_WAIT_GIL, "gil")                                                                                               \
  X(EXU_WAIT_LOCK, "lock") /* threading.Lock */                                                                        \
  X(EXU_WAIT_RLOCK, "rlock")                                                                                           \
  X(EXU_WAIT_CONDITION, "condition")                                                                                   \
  X(EXU_WAIT_SEMAPHORE, "semaphore") /* threading.Semaphore, BoundedSemaphore */                                       \
  X(EXU_WAIT_EVENT, "event")                                                                                           \
  X(EXU_WAIT_BARRIER, "barrier")                                                                                       \
  X(EXU_WAIT_QUEUE, "queue")                                                                                           \
  /* a result of concurrent.futures or of a multiprocessing.Pool; who works on it is the owner */                      \
  X(EXU_WAIT_FUTURE, "future")                                                                                         \
  X(EXU_WAIT_EVENT_LOOP, "event-loop") /* asyncio: for events, and none of the loop's tasks can run */                 \
  X(EXU_WAIT_JOIN, "join")             /* for another thread to end: that one is the owner */                          \
  X(EXU_WAIT_IMPORT_LOCK, "import-lock")                                                                               \
  X(EXU_WAIT_MUTEX, "mutex")             /* pthread_mutex_t */                                                         \
  X(EXU_WAIT_RWLOCK, "read-write-lock")  /* pthread_rwlock_t */                                                        \
  X(EXU_WAIT_COND, "condition-variable") /* pthread_cond_t */                                                          \
  /* an initialisation that another thread runs: of a static variable of C++, or by pthread_once */                    \
  X(EXU_WAIT_ONCE, "once")                                                                                             \
  X(EXU_WAIT_PYMUTEX, "py-mutex") /* 3.13 on: a mutex of the interpreter's own or, free-threaded, that of an object */ \
  X(EXU_WAIT_FUTEX, "futex")      /* futex(2), and nothing tells for what */

enum exu_wait_kind { EXU_WAIT_KINDS(EXU_ENUMERATOR) };
EXU_API const char *exu_wait_kind_name(enum exu_wait_kind value);

/* What a system call does, where that is known better than by its name. */
#define EXU_CALL_CLASSES(X)                                                                                            \
  X(EXU_CALL_OTHER, NULL) /* only its name, or its number, tells */                                                    \
  X(EXU_CALL_READ, "read")                                                                                             \
  X(EXU_CALL_WRITE, "write")                                                                                           \
  X(EXU_CALL_ACCEPT, "accept")                                                                                         \
  X(EXU_CALL_CONNECT, "connect")                                                                                       \
  X(EXU_CALL_POLL, "poll")                                                                                             \
  X(EXU_CALL_SELECT, "select")                                                                                         \
  X(EXU_CALL_EPOLL, "epoll")                                                                                           \
  X(EXU_CALL_SLEEP, "sleep")                                                                                           \
  X(EXU_CALL_CHILD, "child")                                                                                           \
  X(EXU_CALL_SIGNAL, "signal")  /* it waits for a signal */                                                            \
  X(EXU_CALL_LOCK, "file-lock") /* it waits for one */                                                                 \
  X(EXU_CALL_SYNC, "sync")                                                                                             \
  X(EXU_CALL_OPEN, "open")                                                                                             \
  X(EXU_CALL_CLOSE, "close")                                                                                           \
  X(EXU_CALL_FUTEX, "futex")                                                                                           \
  X(EXU_CALL_IPC, "ipc")     /* semaphores and messages of System V and POSIX */                                       \
  X(EXU_CALL_AIO, "aio")     /* it waits for input and output that was started before */                               \
  X(EXU_CALL_QUICK, "quick") /* never sleeps for long: the thread was caught in passing */

enum exu_call_class { EXU_CALL_CLASSES(EXU_ENUMERATOR) };
EXU_API const char *exu_call_class_name(enum exu_call_class value);

/* What is known of the object that is waited for, beyond its kind. */
#define EXU_WAIT_DETAILS(X)                                                                                            \
  X(EXU_DETAIL_NONE, NULL)                                                                                             \
  X(EXU_DETAIL_EMPTY, "empty")               /* a queue: it takes an item */                                           \
  X(EXU_DETAIL_FULL, "full")                 /* a queue: it puts one */                                                \
  X(EXU_DETAIL_UNFINISHED, "unfinished")     /* a queue: task_done() was not called for every item */                  \
  X(EXU_DETAIL_READER, "other-reader")       /* a queue of processes: another reader has its lock, or ended with it */ \
  X(EXU_DETAIL_WRITER, "other-writer")       /* likewise */                                                            \
  X(EXU_DETAIL_ELSEWHERE, "other-process")   /* a lock of processes: it is held by no thread of this one */            \
  X(EXU_DETAIL_QUEUED, "queued")             /* a Future that no thread has begun with: see `pool` */                  \
  X(EXU_DETAIL_PARTS_QUEUED, "parts-queued") /* the same of some of the parts of a result */                           \
  X(EXU_DETAIL_NEXT, "next-item")            /* an iterator over results: only the next one of them */                 \
  X(EXU_DETAIL_READ_LOCKED, "read-locked")   /* a pthread_rwlock_t that is held for reading: see `readers` */          \
  X(EXU_DETAIL_SEMAPHORE, "posix-semaphore") /* a futex: that of a sem_t */                                            \
  X(EXU_DETAIL_PYTHON_LOCK, "semaphore")     /* a lock of which only its semaphore, `futex`, is known */               \
  X(EXU_DETAIL_LIBC_LOCK, "c-library")       /* a futex: that of a lock of the C library's own */                      \
  X(EXU_DETAIL_GUARD, "static-variable")     /* an initialisation: of a static variable of C++ */                      \
  X(EXU_DETAIL_PTHREAD, "pthread")           /* an initialisation by pthread_once, a pthread_barrier_t */              \
  X(EXU_DETAIL_PYTHON, "python")             /* a child process that an object of Python tells of */

enum exu_wait_detail { EXU_WAIT_DETAILS(EXU_ENUMERATOR) };
EXU_API const char *exu_wait_detail_name(enum exu_wait_detail value);

/* Where the owner of what is waited for is. */
#define EXU_OWNER_PLACES(X)                                                                                            \
  X(EXU_OWNER_UNKNOWN, NULL)      /* there is none, or nothing records who it is */                                    \
  X(EXU_OWNER_THREAD, "thread")   /* a thread of the process, which may be left out of the report */                   \
  X(EXU_OWNER_PROCESS, "process") /* another process: see `owner_pid` */                                               \
  X(EXU_OWNER_TAKER, "taker") /* likewise; but another one may have the descriptor that it took the file lock with */  \
  X(EXU_OWNER_OUTSIDE, "outside") /* no thread of the process, but processes share it */                               \
  X(EXU_OWNER_NOWHERE, "nowhere") /* it does not exist in this process (any more): copied by fork(2), perhaps */

enum exu_owner_place { EXU_OWNER_PLACES(EXU_ENUMERATOR) };
EXU_API const char *exu_owner_place_name(enum exu_owner_place value);

/* A line of code. */
struct exu_place {
  struct exu_string function;
  struct exu_string file;
  int32_t line; /* 0 or less: unknown */
};

/* What tells of a wait, its owner, or a hang; in quotes the members of struct exu_evidence that belong to it. */
#define EXU_EVIDENCE_KINDS(X)                                                                                          \
  /* ---- of the system call ---- */                                                                                   \
  X(EXU_EVIDENCE_REGISTERS, "registers")    /* the call and its arguments lie in the registers */                      \
  X(EXU_EVIDENCE_NO_CALL, "no-system-call") /* the registers are those of a thread in none */                          \
  X(EXU_EVIDENCE_KERNEL, "kernel")          /* the kernel tells of the call and its arguments */                       \
  X(EXU_EVIDENCE_STATE, "kernel-state")     /* the kernel says that it is in state D */                                \
  X(EXU_EVIDENCE_STOPPED, "stopped")        /* the kernel says that the process is stopped */                          \
  X(EXU_EVIDENCE_RAN, "ran")                /* nothing does: the thread ran while it was read */                       \
  /* ---- of Python's objects ---- */                                                                                  \
  X(EXU_EVIDENCE_FUTEX_OF, "futex-of")         /* the futex `address` is the semaphore of the `type` at `object` */    \
  X(EXU_EVIDENCE_PARKED, "parked-on")          /* parked on `address`, which belongs to the `type` at `object` */      \
  X(EXU_EVIDENCE_LOCAL, "local-variable")      /* that is the local variable `name` of `place` */                      \
  X(EXU_EVIDENCE_CALL, "call")                 /* that is on the value stack of `place`, which makes a call */         \
  X(EXU_EVIDENCE_STREAM, "standard-stream")    /* that is in sys.`name` */                                             \
  X(EXU_EVIDENCE_BOUNDED, "bounded-semaphore") /* the same is true of a BoundedSemaphore of 1 */                       \
  X(EXU_EVIDENCE_FRAME, "frame")               /* `place` is a method of the `type` at `object`, a function when 0 */  \
  X(EXU_EVIDENCE_IMPORT_LOCK, "import-lock")   /* `address` is the import lock of the interpreter */                   \
  X(EXU_EVIDENCE_PYMUTEX, "py-mutex")          /* parked on the PyMutex at `address`, which is locked */               \
  X(EXU_EVIDENCE_POLLS, "polls")               /* asks again and again for the lock at `object` */                     \
  X(EXU_EVIDENCE_HANDLE, "thread-handle")      /* parked on the event of the thread handle at `object` */              \
  X(EXU_EVIDENCE_JOIN, "pthread-join")         /* pthread_join of `object` */                                          \
  X(EXU_EVIDENCE_THREAD_LOCK, "thread-lock")   /* the lock is that of the Thread at `object` */                        \
  X(EXU_EVIDENCE_QUEUED, "queued")             /* it, or a part of it, is an item of the queue of `pool` */            \
  X(EXU_EVIDENCE_GIL, "gil-condition")         /* it sleeps on the condition variable of the GIL, futex `address` */   \
  /* ---- of the C library's ---- */                                                                                   \
  X(EXU_EVIDENCE_MUTEX, "mutex-word")          /* a pthread_mutex_t, whose word is `number`; in `name` */              \
  X(EXU_EVIDENCE_RWLOCK, "rwlock")             /* a pthread_rwlock_t; in `name` */                                     \
  X(EXU_EVIDENCE_FUNCTION, "function")         /* futex(2) in `name` */                                                \
  X(EXU_EVIDENCE_TID_RECORD, "thread-id")      /* pthread_join: the record of that thread's id */                      \
  X(EXU_EVIDENCE_STATE_RECORD, "thread-state") /* likewise, of its state */                                            \
  /* ---- of an owner ---- */                                                                                          \
  X(EXU_EVIDENCE_ATTRIBUTE, "attribute")            /* attribute `name` of it, or of the `type` at `object` */         \
  X(EXU_EVIDENCE_MEMBER, "member")                  /* `name` in the `type` at `object` */                             \
  X(EXU_EVIDENCE_IMPORT_OWNER, "import-lock-owner") /* the interpreter records who holds its import lock */            \
  X(EXU_EVIDENCE_NAMES, "names-owner")              /* the `type` names thread `number` as its owner */                \
  X(EXU_EVIDENCE_PTHREAD, "struct-pthread")         /* the futex lies in its struct pthread */                         \
  X(EXU_EVIDENCE_PTHREAD_TID, "struct-pthread-id")  /* likewise, and holds its id */                                   \
  X(EXU_EVIDENCE_GIL_HOLDER, "gil-holder")          /* the interpreter says that its thread state has the GIL */       \
  X(EXU_EVIDENCE_GIL_STATE, "gil-thread-state")     /* likewise, that the thread state at `address` has it */          \
  X(EXU_EVIDENCE_FILE_LOCK, "file-lock")            /* the kernel says who took the lock (/proc/locks) */              \
  X(EXU_EVIDENCE_COMPUTES, "computes")              /* `place` computes the result */                                  \
  /* ---- of a hang ---- */                                                                                            \
  X(EXU_EVIDENCE_NO_SUCH_THREAD, "no-such-thread") /* no thread of the process is that owner */                        \
  X(EXU_EVIDENCE_NO_HOLDER, "no-holder")           /* no thread of the process has it */                               \
  X(EXU_EVIDENCE_NEVER_ENDS, "never-ends")         /* the thread that has to end waits for ever itself */              \
  /* every thread sleeps in futex(2), without a time limit, on memory that no other process wakes it at, and the */    \
  /* word there is still the one that it expects */                                                                    \
  X(EXU_EVIDENCE_ALL_ASLEEP, "all-asleep")                                                                             \
  /* all of these processes slept in these calls at the same time, without a time limit, and whoever could let them */ \
  /* go on is one of them */                                                                                           \
  X(EXU_EVIDENCE_PROCESSES, "processes")                                                                               \
  /* likewise, as far as processes can be looked into: one that cannot be may be able to, too */                       \
  X(EXU_EVIDENCE_SEEN_PROCESSES, "seen-processes")                                                                     \
  X(EXU_EVIDENCE_NAMED, "has-a-name") /* what they share has a name, by which others can open it */

enum exu_evidence_kind { EXU_EVIDENCE_KINDS(EXU_ENUMERATOR) };
EXU_API const char *exu_evidence_kind_name(enum exu_evidence_kind value);

/* One thing that was seen. Numbers are 0 and strings unknown where they are not, or do not belong to it. */
struct exu_evidence {
  enum exu_evidence_kind kind;
  uint64_t address, object, number;
  struct exu_string type, name;
  struct exu_place place;
  const struct exu_evidence *next; /* NULL: this is the last one */
};

#define EXU_WAYS_TAKEN(X)                                                                                              \
  X(EXU_TAKEN_BY_WITH, "with")                                                                                         \
  X(EXU_TAKEN_BY_ACQUIRE, "acquire") /* acquire(), and it is released in a `finally` */                                \
  X(EXU_TAKEN_BY_EXIT_STACK, "exit-stack")                                                                             \
  X(EXU_TAKEN_BY_COUNT, "count") /* acquire(), as this process counts: after fork(2), so does the other one */

enum exu_taken_by { EXU_WAYS_TAKEN(EXU_ENUMERATOR) };
EXU_API const char *exu_taken_by_name(enum exu_taken_by value);

/*
 * A thread whose frames tell that it took a lock and is to release it. The lock itself records nobody: it may have been
 * released since, and taken again, by whoever has a reference to it. Or, of a lock that processes share, the thread
 * that this process counts as its holder: a copy of the process counts the same.
 */
struct exu_taker {
  size_t thread; /* index into exu_report.threads */
  enum exu_taken_by by;
  struct exu_place place;
  bool kept;    /* the thread itself has run nothing since that could have released it */
  bool by_name; /* acquire() of a global or an attribute, which may have been another lock then */
};

/* A pool of threads: a ThreadPoolExecutor, a multiprocessing.pool.ThreadPool. */
struct exu_pool {
  struct exu_string type;
  struct exu_string name; /* what its threads are called after; unknown or empty when they are not */
  uint64_t address;       /* of it or, when that is unknown, of its queue */
  bool jobs;              /* what it computes are results of multiprocessing; else Futures */
};

/* What a file descriptor is; in quotes the members of struct exu_descriptor that belong to it. */
#define EXU_DESCRIPTOR_KINDS(X)                                                                                        \
  X(EXU_DESCRIPTOR_FILE, "file")     /* of a file system, by its path: `name` */                                       \
  X(EXU_DESCRIPTOR_FIFO, "fifo")     /* likewise, `other_pid` and what follows it */                                   \
  X(EXU_DESCRIPTOR_PIPE, "pipe")     /* `inode`, `other_pid` and what follows it */                                    \
  X(EXU_DESCRIPTOR_TCP, "tcp")       /* `inode`, `state`, `local`, `remote` */                                         \
  X(EXU_DESCRIPTOR_UDP, "udp")       /* likewise */                                                                    \
  X(EXU_DESCRIPTOR_UNIX, "unix")     /* `inode`, `state`, `name`, unless it has none */                                \
  X(EXU_DESCRIPTOR_SOCKET, "socket") /* another one, or it is not known which: `inode` */                              \
  X(EXU_DESCRIPTOR_EPOLL, "epoll")   /* `watched` and what follows it */                                               \
  X(EXU_DESCRIPTOR_EVENTFD, "eventfd")                                                                                 \
  X(EXU_DESCRIPTOR_TIMERFD, "timerfd")                                                                                 \
  X(EXU_DESCRIPTOR_SIGNALFD, "signalfd")                                                                               \
  X(EXU_DESCRIPTOR_INOTIFY, "inotify")                                                                                 \
  X(EXU_DESCRIPTOR_PIDFD, "pidfd")                                                                                     \
  X(EXU_DESCRIPTOR_OTHER, "other") /* what the kernel calls it: `name` */

enum exu_descriptor_kind { EXU_DESCRIPTOR_KINDS(EXU_ENUMERATOR) };
EXU_API const char *exu_descriptor_kind_name(enum exu_descriptor_kind value);

/* The states of TCP, in the order of the kernel's numbers (net/tcp_states.h). Other sockets have three of them. */
#define EXU_SOCKET_STATES(X)                                                                                           \
  X(EXU_SOCKET_STATE_UNKNOWN, NULL)                                                                                    \
  X(EXU_SOCKET_ESTABLISHED, "established") /* UDP, Unix: connected */                                                  \
  X(EXU_SOCKET_SYN_SENT, "syn-sent")                                                                                   \
  X(EXU_SOCKET_SYN_RECV, "syn-recv")                                                                                   \
  X(EXU_SOCKET_FIN_WAIT1, "fin-wait1")                                                                                 \
  X(EXU_SOCKET_FIN_WAIT2, "fin-wait2")                                                                                 \
  X(EXU_SOCKET_TIME_WAIT, "time-wait")                                                                                 \
  X(EXU_SOCKET_CLOSE, "close") /* UDP, Unix: not connected */                                                          \
  X(EXU_SOCKET_CLOSE_WAIT, "close-wait")                                                                               \
  X(EXU_SOCKET_LAST_ACK, "last-ack")                                                                                   \
  X(EXU_SOCKET_LISTEN, "listen") /* Unix, too */                                                                       \
  X(EXU_SOCKET_CLOSING, "closing")                                                                                     \
  X(EXU_SOCKET_NEW_SYN_RECV, "new-syn-recv")

enum exu_socket_state { EXU_SOCKET_STATES(EXU_ENUMERATOR) };
EXU_API const char *exu_socket_state_name(enum exu_socket_state value);

/* One end of a TCP or UDP socket. */
struct exu_socket_end {
  struct exu_string address; /* "127.0.0.1", "::1"; unknown: there is no such end, it is not connected */
  uint16_t port;
};

/* What a file descriptor of a live process is. What does not belong to its kind is 0 and unknown. */
struct exu_descriptor {
  enum exu_descriptor_kind kind;
  /*
   * All bytes of it. Of a deleted file the kernel adds " (deleted)" to the path. That of an abstract Unix socket begins
   * with a NUL (unix(7)).
   */
  struct exu_string name;
  uint64_t inode; /* 0 unknown */
  enum exu_socket_state state;
  struct exu_socket_end local, remote;
  int64_t other_pid; /* a process, not this one, that has the other end, perhaps not the only; -1: none found */
  struct exu_string other_comm; /* its name; unknown or empty when it has ended */
  bool other_self;              /* this process has the other end as well */
  const int64_t *watched;       /* descriptors: some of them, when there are many */
  size_t watched_count;
  size_t watched_in_all;
};

/* A file descriptor that a system call waits on. */
struct exu_wait_fd {
  int64_t fd;
  const struct exu_descriptor *descriptor; /* what it is; NULL: unknown, as it is in a core */
};

/*
 * What one thread waits for, how that is known, and who could let it go on: facts, of which exu_write_wait makes a
 * sentence.
 */
struct exu_wait {
  enum exu_wait_kind kind;
  enum exu_wait_kind resumes_as; /* EXU_WAIT_STOPPED: its kind but for that; else unknown */
  int32_t stop_signal;           /* EXU_WAIT_STOPPED: by which signal; 0 unknown */
  const char *stop_name;         /* "SIGSTOP"; NULL for a number without a name */
  enum exu_wait_detail detail;
  const struct exu_evidence *evidence; /* what was seen that tells; NULL: nothing */
  uint64_t address;            /* of the Python object, or the pthread object, or the futex; 0: none, or unknown */
  struct exu_string type;      /* of the Python object: "RLock", "multiprocessing.Queue"; unknown when there is none */
  uint64_t lock;               /* the Python lock that it sleeps on, which may be inside of that object; 0 unknown */
  uint64_t futex;              /* the address that it sleeps on in futex(2); 0: it is in no such call */
  bool shared;                 /* what it waits for is shared between processes */
  struct exu_string function;  /* of the C library or the interpreter, that it waits in; unknown: none that tells */
  struct exu_string gil_of;    /* the version of the Python whose GIL it is, where there are several */
  const struct exu_pool *pool; /* EXU_DETAIL_QUEUED, EXU_DETAIL_PARTS_QUEUED */
  uint32_t readers;            /* EXU_DETAIL_READ_LOCKED: how often it is held */
  uint32_t arrived, parties;   /* a pthread_barrier_t: how many threads have come, and have to; 0 unknown */

  /* Who holds it (who has to end, for EXU_WAIT_JOIN): index into exu_report.threads, -1: nobody or unknown. */
  int64_t owner;
  enum exu_owner_place owner_place;
  int64_t owner_tid;            /* -1 unknown. May be known although the thread is not in the report: it has ended */
  uint64_t owner_ident;         /* pthread_self() of it, where Python records that; 0: it does not */
  struct exu_string owner_name; /* of a thread in the report */
  int64_t owner_pid;            /* EXU_OWNER_PROCESS, EXU_OWNER_TAKER; else -1 */
  struct exu_string owner_comm; /* the name of that process; unknown or empty when it has ended */
  const struct exu_evidence *owner_evidence; /* where the owner is recorded, or why it is certain */

  /* While the owner is unknown: who took it, as far as frames tell. Some of them, when there are many. */
  const struct exu_taker *takers;
  size_t taker_count;

  int64_t system_call;          /* its number; -1: in none, or unknown */
  const char *system_call_name; /* NULL: unknown */
  uint64_t system_call_arguments[6];
  enum exu_call_class call_class;
  bool restarted;                          /* it was interrupted, and goes on */
  int64_t timeout_us;                      /* in microseconds; -1: it has none, or that is unknown */
  int64_t fd;                              /* the file descriptor that it waits on; -1: none, or several */
  const struct exu_descriptor *descriptor; /* what that is; NULL: unknown, as it is in a core */
  const struct exu_wait_fd *fds;           /* of poll(2) and select(2): some of them, when there are many */
  size_t fd_count;
  size_t fds_in_all;
  struct exu_string path;       /* of open(2); unknown: it is another call, or was not readable */
  struct exu_string wchan;      /* live: the function of the kernel that it sleeps in, where the call tells less */
  bool asleep;                  /* until another thread of its process wakes it, without a time limit */
  uint64_t shared_futex;        /* it sleeps there until who shares that memory wakes it, without a time limit; 0: no */
  int64_t child;                /* pid of the process that it waits for; -1: none in particular, or unknown */
  struct exu_string child_name; /* what the program calls that; unknown when it has no name */
};

/* How certain it is that a thread has what another one waits for. */
#define EXU_PROOFS(X)                                                                                                  \
  X(EXU_PROOF_CERTAIN, "certain") /* it is recorded, or follows */                                                     \
  X(EXU_PROOF_KEPT, "kept")       /* it took it and cannot have released it itself; other code could have */           \
  X(EXU_PROOF_LEAD, "taken")      /* it took it, and has run code since that could have released it */

enum exu_proof { EXU_PROOFS(EXU_ENUMERATOR) };
EXU_API const char *exu_proof_name(enum exu_proof value);

/*
 * Threads each of which waits for something that the next one holds, or took; the last one waits for the first. Or all
 * threads of a pool, which wait for what only they could do.
 */
struct exu_deadlock {
  bool certain;                /* false: it is none when one of the locks was released after its taker took it */
  bool timed;                  /* one of the threads waits with a time limit: it will go on then */
  enum exu_proof proof;        /* the weakest of its threads' */
  bool all_asleep;             /* no thread of the process can run, so that none releases anything */
  const struct exu_pool *pool; /* NULL: it is a circle */
  bool indirect;               /* of a pool: some wait for threads that wait for it */
  const size_t *threads;       /* indexes into exu_report.threads */
  size_t thread_count;
};

/*
 * Why threads wait for ever although they are in no circle. By what the first of them waits for,
 * where no thread is left that could let another one go on.
 */
#define EXU_HANG_KINDS(X)                                                                                              \
  X(EXU_HANG_LOST_OWNER, "lost-owner") /* what holds it is not in this process: lost at fork, or it has ended */       \
  X(EXU_HANG_JOIN, "join")             /* for the end of a thread that waits for ever */                               \
  X(EXU_HANG_QUEUE, "queue")                                                                                           \
  X(EXU_HANG_BARRIER, "barrier")                                                                                       \
  X(EXU_HANG_RWLOCK, "read-write-lock")                                                                                \
  X(EXU_HANG_ONCE, "once")               /* an initialisation that is run once, by another thread */                   \
  X(EXU_HANG_CHILD, "child")             /* several processes, see exu_report_relate: for the end of one that hangs */ \
  X(EXU_HANG_PIPE, "pipe")               /* likewise: all who have the other end of a pipe hang */                     \
  X(EXU_HANG_SOCKET, "socket")           /* likewise: all who have the other end of a socket hang */                   \
  X(EXU_HANG_SHARED_LOCK, "shared-lock") /* likewise: a lock that another process holds, or all who share it hang */   \
  X(EXU_HANG_NOBODY, "nobody-left")      /* something else */

enum exu_hang_kind { EXU_HANG_KINDS(EXU_ENUMERATOR) };
EXU_API const char *exu_hang_kind_name(enum exu_hang_kind value);

/* One of several processes that wait for each other. */
struct exu_hang_process {
  int64_t pid;
  struct exu_string comm;
  const struct exu_wait *wait; /* of the thread that waits for the next process; its owner is no index here */
};

/* Threads that no thread of the process can ever let go on. */
struct exu_hang {
  enum exu_hang_kind kind;
  const struct exu_evidence *evidence;
  /*
   * False: unless the process has a handler for a signal that comes and lets them go on; of several processes: unless
   * another one has what they share, which could not be seen of all, or opens it: a FIFO or memory that has a name. The
   * evidence says which: EXU_EVIDENCE_SEEN_PROCESSES, EXU_EVIDENCE_NAMED.
   */
  bool certain;
  bool all_asleep;       /* every thread of the process sleeps until another one wakes it: `threads` are all */
  const size_t *threads; /* indexes into exu_report.threads */
  size_t thread_count;
  const struct exu_hang_process *processes; /* each waits for the next one: some of them, when there are many */
  size_t process_count;                     /* 0: it is a hang within the process */
};

struct exu_thread {
  int64_t tid; /* the kernel's thread id; -1: a Python thread state without a thread of the operating system */
  struct exu_string name; /* the threading module's name */
  struct exu_string comm; /* the kernel's name; cores keep it for the main thread only */
  int32_t interpreter;    /* id of the interpreter of its (innermost) thread state, -1: none */
  int32_t runtime;        /* of that: index into exu_report.runtimes, -1: none */
  bool main;              /* the thread whose tid is the process id */
  bool python;            /* has a Python thread state */
  bool python_unknown;    /* nothing tells whether it has one: python is false */
  bool unplaced;          /* tid is -1 because it is not known which thread, if any, runs this thread state */
  bool crashed;           /* what the process died of was its fault or its call, for certain */
  enum exu_gil gil;
  /* did native unwinding reach the start of the thread, or of the greenlet; unknown when it was not asked for */
  enum exu_tristate native_complete;
  enum exu_merged_by merged_by;
  bool frames_complete;        /* every Python frame of the thread was read */
  const struct exu_wait *wait; /* NULL: it was not looked at (a thread state without a thread, an old report) */
  /* With exu_report_compare: since the report before, has it moved? */
  enum exu_tristate moved;
  int64_t cpu_us; /* live: processor time that it has used since it started, in microseconds; -1 unknown */
  const struct exu_frame *frames; /* most recent call first */
  size_t frame_count;
  size_t frames_left_out; /* outer ones, as exu_options.max_frames asked for */
};

struct exu_interpreter {
  int64_t id;       /* as Python numbers them, each runtime for itself; -1 unknown */
  size_t runtime;   /* index into exu_report.runtimes */
  uint64_t address; /* of its PyInterpreterState */
  enum exu_tristate gc_collecting;
  int64_t gil_holder; /* who holds its GIL, which it may share: index into exu_report.threads; -1: nobody, or unknown */
};

#define EXU_MODULE_FILES(X)                                                                                            \
  X(EXU_FILE_UNCHECKED, NULL)    /* nobody asked for it */                                                             \
  X(EXU_FILE_MATCHED, "matched") /* build ids are equal; without any, headers, dynamic section and constants are */    \
  X(EXU_FILE_MISMATCHED, "mismatched") /* a file is there but it is another build */                                   \
  X(EXU_FILE_MISSING, "missing")       /* no file at that path, in the sysroot or the search directories */            \
  X(EXU_FILE_DELETED, "deleted")       /* the process had a file that was already deleted or replaced: "(deleted)" */  \
  X(EXU_FILE_UNVERIFIED, "unverified") /* a file is there, but nothing proves that it is the same */                   \
  X(EXU_FILE_CORE, "core")             /* only the image in the core is used */

enum exu_module_file { EXU_MODULE_FILES(EXU_ENUMERATOR) };
EXU_API const char *exu_module_file_name(enum exu_module_file value);

#define EXU_SYMBOL_KINDS(X)                                                                                            \
  X(EXU_SYMBOLS_UNKNOWN, NULL)                                                                                         \
  X(EXU_SYMBOLS_NONE, "none")                                                                                          \
  X(EXU_SYMBOLS_DYNSYM, "dynsym")                                                                                      \
  X(EXU_SYMBOLS_SYMTAB, "symtab")                                                                                      \
  X(EXU_SYMBOLS_DWARF, "dwarf")

enum exu_symbols { EXU_SYMBOL_KINDS(EXU_ENUMERATOR) };
EXU_API const char *exu_symbols_name(enum exu_symbols value);

struct exu_module {
  struct exu_string path;
  struct exu_string build_id; /* lower-case hex; unknown when the process did not keep it */
  uint64_t start;             /* first mapped address */
  uint64_t end;               /* one past the last mapped address */
  enum exu_module_file file;
  enum exu_symbols symbols;
};

/*
 * Something that was missing, damaged or uncertain. `code` is a stable kebab-case word for programs; `message` is
 * for people. `tid` is -1 when the whole process is meant. A diagnostic with `incomplete` set is why the outcome is
 * EXU_OUTCOME_PARTIAL; the others only inform.
 */
struct exu_diagnostic {
  const char *code;
  struct exu_string message;
  int64_t tid;
  bool incomplete;
};

/* What the thread that crashed was doing with the address. */
#define EXU_CRASH_ACCESSES(X)                                                                                          \
  X(EXU_CRASH_ACCESS_UNKNOWN, NULL) /* nothing proves it, or it was no fault of memory */                              \
  X(EXU_CRASH_READS, "read")                                                                                           \
  X(EXU_CRASH_WRITES, "write")                                                                                         \
  X(EXU_CRASH_EXECUTES, "execute")

enum exu_crash_access { EXU_CRASH_ACCESSES(EXU_ENUMERATOR) };
EXU_API const char *exu_crash_access_name(enum exu_crash_access value);

/* What lies at the address of a crash; in quotes the members of struct exu_crash_place that belong to it. */
#define EXU_CRASH_PLACES(X)                                                                                            \
  X(EXU_CRASH_AT_UNKNOWN, NULL)                                                                                        \
  X(EXU_CRASH_AT_NOTHING, "no-mapping")                                                                                \
  X(EXU_CRASH_AT_FILE, "file") /* `path` */                                                                            \
  /* just below the stack of thread `tid`, which crashed at the end of it: probably a stack overflow */                \
  X(EXU_CRASH_BELOW_STACK, "below-stack") /* nothing is mapped there */                                                \
  X(EXU_CRASH_AT_GUARD_PAGE, "guard-page")                                                                             \
  X(EXU_CRASH_AT_STACK, "stack") /* of thread `tid` */                                                                 \
  X(EXU_CRASH_AT_VDSO, "vdso")                                                                                         \
  X(EXU_CRASH_AT_RESERVED, "reserved-memory") /* of no file, without any access */                                     \
  X(EXU_CRASH_AT_ANONYMOUS, "anonymous-memory")

enum exu_crash_place_kind { EXU_CRASH_PLACES(EXU_ENUMERATOR) };
EXU_API const char *exu_crash_place_kind_name(enum exu_crash_place_kind value);

struct exu_crash_place {
  enum exu_crash_place_kind kind;
  struct exu_string path;
  const char *protection; /* "r-x", of what is mapped there; NULL unknown */
  int64_t tid;            /* -1: none belongs to it */
};

/* A mapped file that the process could not get a page of. */
struct exu_crash_file {
  struct exu_string path;    /* of the process; unknown: it was nothing like that */
  uint64_t position;         /* of the fault, in bytes from the start of the file */
  uint64_t mapped_from;      /* the part that was mapped around it: where that starts in the file, */
  uint64_t mapped_bytes;     /* and how long it is */
  int64_t length;            /* of the file that has this path on this machine now, or below the sysroot; -1 unknown */
  enum exu_tristate changed; /* was that changed after the core was last written? */
};

/*
 * What a process died of: facts, of which exu_write_crash makes a sentence. When a signal handler ran for it and a
 * signal (often the same) was raised again, this is what the handler ran for, if that is certain.
 */
struct exu_crash {
  int32_t signal;
  const char *name; /* "SIGSEGV"; NULL for a number without a name */
  bool has_code;
  int32_t code;
  const char *code_name; /* "SEGV_MAPERR", NULL when unknown */
  bool has_address;
  uint64_t address; /* the fault address, or the address of the faulting instruction for SIGFPE and SIGILL */
  struct exu_crash_place place; /* what lies there; of an unknown kind when there is no address */
  enum exu_crash_access access; /* of a fault of memory */
  /* A fault of memory without an address, for which the crashed thread's stack had no room for a signal handler. */
  bool stack_full;
  int64_t system_call;     /* SIGSYS: the number of the call that the crashed thread made; -1 unknown */
  int64_t sender_pid;      /* -1 unknown or not sent by a process */
  int64_t sender_uid;      /* the same */
  int64_t tid;             /* of the thread that crashed; -1: none, or it is not certain which */
  int32_t raised_signal;   /* what the process then raised itself, and ended of; 0: nothing is known of it */
  const char *raised_name; /* as `name` */
  bool raised_by_handler;  /* a signal handler raised it, in the thread that crashed */
  /* A handler raised `signal` in this thread; what that ran for is not certain; 0: nothing is known of a handler. */
  int64_t handler_tid;
  struct exu_crash_file file;
  struct exu_string
      message; /* SIGABRT: the last that glibc said before it aborted a process; unknown: nothing is known */
};

#define EXU_WAYS_FOUND(X)                                                                                              \
  X(EXU_FOUND_BY_NONE, NULL)                                                                                           \
  X(EXU_FOUND_BY_SYMBOL, "symbol")                                                                                     \
  X(EXU_FOUND_BY_SECTION, "section")                                                                                   \
  X(EXU_FOUND_BY_COOKIE, "cookie")                                                                                     \
  X(EXU_FOUND_BY_THREAD_POINTER, "thread-pointer")

enum exu_found_by { EXU_WAYS_FOUND(EXU_ENUMERATOR) };
EXU_API const char *exu_found_by_name(enum exu_found_by value);
#define EXU_LAYOUTS_FROM(X)                                                                                            \
  X(EXU_LAYOUT_NONE, NULL)                                                                                             \
  X(EXU_LAYOUT_DEBUG_OFFSETS, "debug-offsets")                                                                         \
  X(EXU_LAYOUT_DWARF, "dwarf")                                                                                         \
  X(EXU_LAYOUT_TABLE, "table")

enum exu_layout_from { EXU_LAYOUTS_FROM(EXU_ENUMERATOR) };
EXU_API const char *exu_layout_from_name(enum exu_layout_from value);

/* A runtime: one initialised copy of CPython. */
struct exu_python {
  struct exu_string version; /* "3.13.0", with its suffix: "3.15.0b2" */
  enum exu_tristate debug;
  enum exu_tristate free_threaded;
  uint64_t runtime; /* address of _PyRuntime; 0 unknown, or there is none (before 3.7) */
  enum exu_found_by found_by;
  enum exu_layout_from layout_from;
  enum exu_tristate finalizing; /* the interpreter was shutting down */
  int32_t module;               /* that it is in: index into exu_report.modules, or -1 */
};

#define EXU_SOURCE_KINDS(X)                                                                                            \
  X(EXU_SOURCE_CORE, "core")                                                                                           \
  X(EXU_SOURCE_LIVE, "live")                                                                                           \
  X(EXU_SOURCE_PACKED, "packed")

enum exu_source_kind { EXU_SOURCE_KINDS(EXU_ENUMERATOR) };
EXU_API const char *exu_source_kind_name(enum exu_source_kind value);

/* How an explanation ended; the values are the exit statuses of the command line. */
enum exu_outcome {
  EXU_OUTCOME_COMPLETE = 0, /* everything that was asked for is in the report */
  EXU_OUTCOME_PARTIAL = 1,  /* shown, but something was missing or damaged: see the diagnostics */
  EXU_OUTCOME_NOTHING = 2,  /* no Python stack can be shown; what is known of the crash is in the report */
};

struct exu_report {
  enum exu_outcome outcome;

  /* source */
  enum exu_source_kind source_kind;
  struct exu_string source_path; /* of the core; unknown when it was not opened by a path */
  uint64_t source_bytes;         /* size of the core; 0 of a live process */
  bool source_truncated;
  uint64_t source_missing_bytes; /* how much of a truncated core is not there */
  int64_t pause_us;              /* live: for how long it was stopped in all, in microseconds; -1: it was not */

  /* process */
  int64_t pid;                 /* -1 unknown */
  const char *root;            /* live: a path on this machine for its root directory; NULL: this machine's */
  struct exu_string directory; /* live: its working directory, below its root; unknown in a core */
  /*
   * A source file that has changed since need not be the one that ran, in nanoseconds since 1970: when the live process
   * started, or what it was forked from, as long as that lives; when the core was last written. 0 unknown.
   */
  int64_t sources_as_of;
  struct exu_string executable; /* the main program, as the process names it; may be unknown */
  struct exu_string arguments;  /* joined by blanks: a core has 80 bytes of them at most; may be unknown */
  const char *arch;             /* as `uname -m` says: "x86_64"; NULL: the process could not be opened */

  const struct exu_crash *crash;   /* NULL: no signal (a core of a healthy process) */
  const struct exu_python *python; /* the first of `runtimes`. NULL: no Python found, a diagnostic says why */

  const struct exu_python *runtimes; /* every one that runs: nearly always one */
  size_t runtime_count;
  const struct exu_interpreter *interpreters;
  size_t interpreter_count;
  /*
   * In the order of the core, where the kernel writes first the thread that the signal was delivered to, or of
   * /proc/PID/task: oldest first. Behind them, by their interpreters, thread states without a thread (tid -1).
   */
  const struct exu_thread *threads;
  size_t thread_count;
  size_t threads_left_out; /* as exu_options.max_threads asked for */
  const struct exu_deadlock *deadlocks;
  size_t deadlock_count;
  const struct exu_hang *hangs;
  size_t hang_count;
  const struct exu_module *modules;
  size_t module_count;
  const struct exu_diagnostic *diagnostics;
  size_t diagnostic_count;
};

/*
 * What a session is to do. The first member tells which version of this structure the caller was compiled with: members
 * are only ever added at its end, and those that an older caller lacks have their defaults. What it points to is
 * borrowed until the session is closed.
 */
struct exu_options {
  size_t size;               /* sizeof(struct exu_options): EXU_OPTIONS_DEFAULT sets it */
  const char *executable;    /* the main program, instead of the path that the core names; NULL: the core's */
  const char *sysroot;       /* prefix for every path of the process; NULL: none */
  const char *const *search; /* directories to look for binaries in, by file name */
  size_t search_count;
  /*
   * Of each thread the innermost Python frames, with the native ones among and inside of them; of a thread without
   * Python the innermost native ones. 0: no limit but the built-in budget.
   */
  uint64_t max_frames;
  uint64_t max_threads; /* 0: no limit but the built-in budget */
  bool python_only;     /* no native frames: the stacks are not unwound, which costs nothing then */
  bool native_all;      /* all native frames: also of threads without Python, and the interpreter's own */
  bool check_modules;   /* compare every module's file with the core (costs an open per module) */
  /*
   * Ask the servers in the environment variable DEBUGINFOD_URLS for files that this machine lacks, for at most 20
   * seconds (or DEBUGINFOD_MAXTIME, if set) in all. libdebuginfod, which must be installed, keeps what it gets in its
   * cache.
   */
  bool debuginfod;
  bool no_stop; /* a live process: read it while it runs */
  /*
   * How long exu_session_explain may take, in milliseconds; 0: no limit. Soon after, it returns a report of what there
   * is by then, with the diagnostic `time-limit`; a live process goes on at once.
   */
  uint64_t time_limit_ms;
  /*
   * How much memory the report and what leads to it may take, in bytes; 0: 256 MiB. What does not fit is left out, with
   * the diagnostic `memory-budget`. Beside it there are tables of a size of their own (a few MiB, more for a million
   * frames), what libdw holds of the files that it reads, and of a live process the pages that are copied each time that
   * it is stopped: up to three times as much, but 640 MiB at most.
   */
  size_t memory_limit;
};

#define EXU_OPTIONS_DEFAULT                                                                                            \
  { sizeof(struct exu_options), NULL, NULL, NULL, 0, 0, 0, false, false, false, false, false, 0, 0 }

/*
 * What a call of a session answers. Everything but OK leaves the session as it was, and nothing in what was to be
 * stored.
 */
#define EXU_RESULTS(X)                                                                                                 \
  X(EXU_RESULT_OK, "no error")                                                                                         \
  /* a mistake of the caller's: NULL, an impossible value, options of no known size, a call out of its order */        \
  X(EXU_RESULT_MISUSE, "an argument is not valid, or the call does not belong here")                                   \
  X(EXU_RESULT_NO_MEMORY, "not enough memory")                                                                         \
  X(EXU_RESULT_UNMAPPED, "the process has no memory there")                                                            \
  X(EXU_RESULT_NOT_SAVED, "the core does not have that memory, nor a file that is proved to be the same")              \
  X(EXU_RESULT_READ_FAILED, "the memory cannot be read")                                                               \
  X(EXU_RESULT_NOT_FOUND, "there is no such symbol")

enum exu_result { EXU_RESULTS(EXU_ENUMERATOR) };

/* In words, for people. Never NULL, also for a value that is none of the enumeration's. Static. */
EXU_API const char *exu_result_text(enum exu_result value);

/* A core or a live process that is to be explained. */
struct exu_session;

/*
 * A session of a core file. Nothing is opened yet: exu_session_explain does, and what is wrong with the file is said in
 * its report. `options` may be NULL. On success the caller owns *session (exu_session_close); else that is NULL.
 */
EXU_API enum exu_result exu_session_open_core(const char *path, const struct exu_options *options,
                                              struct exu_session **session);

/*
 * The same for a core that has no path, or another one: its report's source_path is unknown. What is given here is
 * borrowed until the session is closed, and must not change before.
 *
 * A descriptor of a regular file that is open for reading. Its position is as it was after each call.
 */
EXU_API enum exu_result exu_session_open_fd(int fd, const struct exu_options *options, struct exu_session **session);

/* A core in memory: `size` bytes, at most PTRDIFF_MAX. */
EXU_API enum exu_result exu_session_open_memory(const void *bytes, size_t size, const struct exu_options *options,
                                                struct exu_session **session);

/*
 * Store up to `size` bytes of the core from `offset` on; returns how many, 0 only where there are no more, or -1 when
 * they cannot be read. It is only called within calls of its session, and must not use that.
 */
typedef int64_t exu_read_function(void *context, uint64_t offset, void *buffer, size_t size);

/* A core of `size` bytes (at most INT64_MAX) that the caller's function reads, in pieces and in any order. */
EXU_API enum exu_result exu_session_open_reader(exu_read_function *read, void *context, uint64_t size,
                                                const struct exu_options *options, struct exu_session **session);

/*
 * A session of a live process, by its process id (above 0) as this process sees it. As exu_session_open_core otherwise.
 */
EXU_API enum exu_result exu_session_open_process(int64_t pid, const struct exu_options *options,
                                                 struct exu_session **session);

/*
 * Explain it: once in a session. Stores a report for exu_report_destroy, also when nothing can be read, whose
 * diagnostics then say why: exu_report.outcome. The report may outlive the session.
 *
 * A live process is stopped for as long as its stacks and Python's structures are copied (exu_report.pause_us), and
 * goes on as before while the report is made; with options.no_stop it is not stopped at all, and only Python frames are
 * shown. Where nothing is missing but of threads that were running, in the middle of something that cannot be followed
 * (a C++ exception on its way, a call that has not begun), it is stopped and read once more: about once in a thousand
 * times of a busy process. The report is the second one when that lacks nothing, else the first; pause_us is the sum,
 * and limits are for both together.
 *
 * What stopping one does to the calling program, until this returns: a thread traces (ptrace(2)); SIGTSTP, SIGTTIN and
 * SIGTTOU are blocked in the calling thread; SIGCHLD may be sent to the program. It waits for those thread ids alone
 * that it traces. Who waits for any child meanwhile (waitpid(-1), also in a handler of SIGCHLD) may be told of such ids
 * that they stopped (WIFSTOPPED), which is to be ignored and takes nothing away from the report.
 */
EXU_API enum exu_result exu_session_explain(struct exu_session *session, struct exu_report **report);

/*
 * Read memory of the process, after exu_session_explain and until the session is closed: all `size` bytes or nothing;
 * EXU_RESULT_UNMAPPED, _NOT_SAVED or _READ_FAILED is about the first byte that is missing, and then the buffer may hold
 * anything. What a core did not keep is read from a file only where its build id proves it to be the same.
 *
 * A live process runs on. What was copied while it was stopped, the stacks and what Python frames were read of, is as it
 * was then. Everything else is copied when it is first read, here or while the report is made, and stays as it was at
 * that moment. *consistent, unless it is NULL, says whether all of these bytes are as they were when the stacks were
 * read: always, in a core; never with options.no_stop. When the process has ended, nothing new can be read.
 */
EXU_API enum exu_result exu_session_read(struct exu_session *session, uint64_t address, void *buffer, size_t size,
                                         bool *consistent);

/* What lies at an address of a module. */
struct exu_symbol {
  struct exu_string name; /* as the linker has it, not demangled; unknown: no symbol covers the address */
  uint64_t address;       /* where it begins in the process; with an unknown name: where the module does */
  int32_t module;         /* index into exu_report.modules */
};

/*
 * The function at an address, after exu_session_explain: EXU_RESULT_NOT_FOUND when no module lies there. A return address
 * may lie behind the last instruction of its function: ask for the byte before it. The name lives until the session is
 * closed, with all answers so far. Each new address takes a pass over the module's symbols.
 */
EXU_API enum exu_result exu_session_symbol_at(struct exu_session *session, uint64_t address, struct exu_symbol *symbol);

/*
 * The address in the process of a function or variable, by its name as the linker has it, after exu_session_explain. In
 * the module of that index into exu_report.modules; -1: in all of them, the main program first, the others by their
 * address. A global symbol wins over local ones of its module. For a function that is chosen at run time (IFUNC) it is
 * the address of what chooses. Thread-local variables have no address.
 */
EXU_API enum exu_result exu_session_find_symbol(struct exu_session *session, int32_t module, const char *name,
                                                uint64_t *address);

/*
 * Let exu_session_explain return soon with a report of what there is by then, which has the diagnostic `cancelled`; a
 * live process goes on at once. Before exu_session_explain: that then reads nothing but what opens it; after it: without
 * effect. May be called in any thread and in a signal handler, also while another call uses the session, until
 * exu_session_close begins. NULL is allowed. (What the kernel does not answer is waited for all the same: a file on a
 * server that is gone, a read function that does not return.)
 */
EXU_API void exu_session_cancel(struct exu_session *session);

/* Close what it opened. NULL is allowed. */
EXU_API void exu_session_close(struct exu_session *session);

/*
 * Fill in exu_thread.moved of a report of a live process from an earlier one of the same process: a thread has moved
 * when its stack is another one or it used the processor in between. Threads that the earlier one lacks stay unknown.
 * NULL is allowed, and does nothing.
 */
EXU_API void exu_report_compare(struct exu_report *report, const struct exu_report *earlier);

/*
 * Add to the hangs of each of these reports, of live processes that are still there, those in which several of them are
 * involved: a child that is waited for and waits itself, a pipe both of whose ends wait, a lock that another process
 * holds. Only what the processes still do, all at the same time, counts. With a NULL among them nothing is done.
 */
EXU_API void exu_report_relate(struct exu_report *const *reports, size_t count);

/* NULL is allowed. */
EXU_API void exu_report_destroy(struct exu_report *report);

struct exu_text_options {
  bool color;
  bool source;  /* show source lines from files of this machine, where nothing tells that they are not those that ran */
  bool verbose; /* also modules, addresses and informing diagnostics */
  /*
   * Also the stacks of threads without Python that no other thread waits for, and every frame on a line of its own: for
   * a report that was made with exu_options.native_all.
   */
  bool native_all;
  const char *sysroot; /* where source files are, with the paths that the process had; NULL: exu_report.root */
};

/*
 * Write a report for people. Control characters of the process's strings are escaped. `options` may be NULL: none of
 * them. Returns false, with errno, on a write error, and for a report or a stream that is NULL (EINVAL).
 */
EXU_API bool exu_write_text(const struct exu_report *report, const struct exu_text_options *options, FILE *out);

/* Write a report as JSON, schema EXU_SCHEMA, ending with a newline. Returns false as exu_write_text does. */
EXU_API bool exu_write_json(const struct exu_report *report, FILE *out);

/*
 * Write one sentence, without its subject and without a newline, of what a thread of the report waits for: "Waiting
 * for RLock 0x7f12 held by \"worker-2\" (22345)"; nothing when nothing is known. And the whole sentence of
 * exu_report.deadlocks[index] or .hangs[index]. What names have that a terminal would act upon is escaped. They return
 * false as exu_write_text does, and for an index that is none.
 */
EXU_API bool exu_write_wait(const struct exu_report *report, size_t thread, FILE *out);
EXU_API bool exu_write_deadlock(const struct exu_report *report, size_t index, FILE *out);
EXU_API bool exu_write_hang(const struct exu_report *report, size_t index, FILE *out);

/* The same of exu_report.crash: "Segmentation fault reading address 0x10 (near NULL) in thread 22345". */
EXU_API bool exu_write_crash(const struct exu_report *report, FILE *out);

/* The version of the library that is linked, like EXU_VERSION. Static. */
EXU_API const char *exu_version(void);

#ifdef __cplusplus
}
#endif

#endif
