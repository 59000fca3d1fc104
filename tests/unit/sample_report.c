/* SPDX-License-Identifier: Apache-2.0 */
#include "sample_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the three above */
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- full ---- */

static const struct exu_frame crashed_frames[] = {
    {.function = TEXT("strike"),
     .qualname = TEXT("Anvil.strike"),
     .file = TEXT("/srv/app.py"),
     .position = {8, 8, 19, 39},
     .address = 0x7f0000001000},
    {.function = TEXT("main"),
     .qualname = TEXT("main"),
     .file = TEXT("/srv/app.py"),
     .position = {13, 15, 13, 5},
     .entry = true,
     .address = 0x7f0000001100},
    {.kind = EXU_FRAME_NATIVE,
     .function = TEXT("_PyObject_Call"),
     .file = TEXT("Objects/call.c"),
     .position = {300, -1, -1, -1},
     .address = 0x401234,
     .offset = 0x34,
     .inlined = true,
     .interpreter = -1},
    {.kind = EXU_FRAME_NATIVE,
     .function = TEXT("qsort"),
     .address = 0x401300,
     .offset = 0x10,
     .module = 0,
     .position = {-1, -1, -1, -1},
     .interpreter = -1},
    {.kind = EXU_FRAME_NATIVE,
     .address = 0x401400,
     .offset = 0x1400,
     .module = 0,
     .position = {-1, -1, -1, -1},
     .interpreter = -1},
    {.kind = EXU_FRAME_NATIVE, .address = 0x12, .module = -1, .position = {-1, -1, -1, -1}, .interpreter = -1},
    {.kind = EXU_FRAME_NATIVE,
     .signal = true,
     .function = TEXT("__restore_rt"),
     .address = 0x7f0000100010,
     .module = 1,
     .position = {-1, -1, -1, -1},
     .interpreter = -1},
    {.kind = EXU_FRAME_NATIVE,
     .function = TEXT("pool::Queue<int>::pop()"),
     .file = TEXT("/build/pool-1.2/src/queue.hpp"),
     .position = {-1, -1, -1, -1},
     .address = 0x7f0000300020,
     .offset = 0x20,
     .module = 3,
     .interpreter = -1},
    {.function = TEXT("<module>"),
     .qualname = TEXT("<module>"),
     .file = TEXT("/srv/app.py"),
     .position = {18, 18, 0, 6},
     .entry = true,
     .interpreter = 1,
     .address = 0x7f0000001200},
    {.kind = EXU_FRAME_NATIVE,
     .eval = true,
     .function = TEXT("_PyEval_EvalFrameDefault"),
     .file = TEXT("./Python/ceval.c"),
     .position = {4769, -1, -1, -1},
     .address = 0x401500,
     .offset = 0x500,
     .interpreter = -1},
};

static const struct exu_frame waiting_frames[] = {
    {.function = TEXT("wait"),
     .qualname = TEXT("Condition.wait"),
     .file = TEXT("/usr/lib/python3.13/threading.py"),
     .position = {359, 359, 12, 28},
     .address = 0x7f0000002000},
    {.function = TEXT("<lambda>"),
     .qualname = TEXT("Pool.start.<locals>.<lambda>"),
     .file = TEXT("pool.py"),
     .position = {20, -1, -1, -1},
     .entry = true,
     .address = 0x7f0000002100},
};

static const struct exu_frame spinning_frames[] = {
    {.kind = EXU_FRAME_GAP, .position = {-1, -1, -1, -1}, .interpreter = -1, .module = -1},
    {.function = TEXT("spin"),
     .qualname = TEXT("Renamed.other"),
     .file = TEXT("<string>"),
     .position = {1, 1, 0, 1},
     .entry = true,
     .interpreter = 1,
     .address = 0x7f0000003000},
};

#define WAITING(id, title)                                                                                             \
  {                                                                                                                    \
    .tid = id, .name = TEXT(title), .python = true, .gil = EXU_GIL_WAITS, .native_complete = EXU_UNKNOWN,              \
    .frames_complete = true, .frames = waiting_frames, .frame_count = COUNT(waiting_frames)                            \
  }

static const struct exu_thread full_threads[] = {
    WAITING(101, "worker-1"),
    WAITING(102, "worker-2"),
    {.tid = 100,
     .name = TEXT("MainThread"),
     .comm = TEXT("python3"),
     .main = true,
     .python = true,
     .crashed = true,
     .gil = EXU_GIL_HOLDS,
     .native_complete = EXU_YES,
     .merged_by = EXU_MERGED_BY_STACK_ADDRESS,
     .frames_complete = true,
     .frames = crashed_frames,
     .frame_count = COUNT(crashed_frames)},
    {.tid = 110,
     .comm = TEXT("grpc"),
     .interpreter = -1,
     .gil = EXU_GIL_NONE,
     .native_complete = EXU_NO,
     .frames_complete = true},
    WAITING(103, "worker-3"),
    WAITING(104, "worker-4"),
    WAITING(105, "worker-5"),
    WAITING(106, "worker-6"),
    WAITING(107, "worker-7"),
    {.tid = 111,
     .name = TEXT("sub"),
     .interpreter = 1,
     .python = true,
     .gil = EXU_GIL_HOLDS,
     .native_complete = EXU_NO,
     .merged_by = EXU_MERGED_BY_SYMBOL,
     .frames = spinning_frames,
     .frame_count = COUNT(spinning_frames)},
    {.tid = 112, .interpreter = 1, .python = true, .gil = EXU_GIL_UNKNOWN, .native_complete = EXU_UNKNOWN},
    {.tid = -1,
     .name = TEXT("ghost"),
     .python = true,
     .gil = EXU_GIL_NONE,
     .native_complete = EXU_UNKNOWN,
     .frames_complete = true},
};

static const struct exu_module full_modules[] = {
    {TEXT("/usr/bin/python3.13"), TEXT("0123456789abcdef0123456789abcdef01234567"), 0x400000, 0x900000,
     EXU_FILE_MATCHED, EXU_SYMBOLS_DYNSYM},
    {TEXT("/lib/libm.so.6"), TEXT("aa"), 0x7f0000100000, 0x7f0000200000, EXU_FILE_MISMATCHED, EXU_SYMBOLS_SYMTAB},
    {TEXT("/lib/libz.so.1"), TEXT("bb"), 0x7f0000200000, 0x7f0000300000, EXU_FILE_MISSING, EXU_SYMBOLS_NONE},
    {TEXT("/srv/_x.so (deleted)"), TEXT("cc"), 0x7f0000300000, 0x7f0000400000, EXU_FILE_DELETED, EXU_SYMBOLS_DWARF},
    {TEXT("/srv/_y.so"), UNKNOWN_TEXT, 0x7f0000400000, 0x7f0000500000, EXU_FILE_UNVERIFIED, EXU_SYMBOLS_UNKNOWN},
    {TEXT("[vdso]"), TEXT("dd"), 0x7fff00000000, UINT64_MAX, EXU_FILE_CORE, EXU_SYMBOLS_UNKNOWN},
    {TEXT("/srv/_z.so"), TEXT("ee"), 0, 0x1000, EXU_FILE_UNCHECKED, EXU_SYMBOLS_UNKNOWN},
};

static const struct exu_diagnostic full_diagnostics[] = {
    {"frame-unreadable", TEXT("a frame at 0x10 is not in the core"), 111, true},
    {"core-truncated", TEXT("12,345 bytes of the core are missing"), -1, true},
    {"frame-unreadable", TEXT("a frame at 0x20 is not in the core"), 112, true},
    {"module-mismatched", TEXT("/lib/libm.so.6 is another build"), -1, false},
};

static const struct exu_interpreter full_interpreters[] = {
    {0, 0, 0x7f0000004000, EXU_YES, 0}, {1, 0, 0x7f0000005000, EXU_NO, -1}, {-1, 0, 0x7f0000006000, EXU_UNKNOWN, -1}};

static const struct exu_crash full_crash = {.signal = 11,
                                            .name = "SIGSEGV",
                                            .has_code = true,
                                            .code = 1,
                                            .code_name = "SEGV_MAPERR",
                                            .has_address = true,
                                            .address = 0x10,
                                            .place = {.kind = EXU_CRASH_AT_NOTHING, .tid = -1},
                                            .access = EXU_CRASH_READS,
                                            .system_call = -1,
                                            .sender_pid = 100,
                                            .sender_uid = 0,
                                            .tid = 100,
                                            .raised_signal = 6,
                                            .raised_name = "SIGABRT",
                                            .handler_tid = 101,
                                            .file = {.path = TEXT("/data/x.bin"),
                                                     .position = 8192,
                                                     .mapped_from = 4096,
                                                     .mapped_bytes = 65536,
                                                     .length = 4096,
                                                     .changed = EXU_NO},
                                            .message = TEXT("double free or corruption (out)")};

static const struct exu_python full_python = {.version = TEXT("3.13.0"),
                                              .debug = EXU_YES,
                                              .free_threaded = EXU_YES,
                                              .runtime = 0x8a0000,
                                              .found_by = EXU_FOUND_BY_SYMBOL,
                                              .layout_from = EXU_LAYOUT_DEBUG_OFFSETS,
                                              .finalizing = EXU_YES,
                                              .module = 0};

const struct exu_report sample_full = {.source_kind = EXU_SOURCE_CORE,
                                       .source_path = TEXT("/var/crash/core.100"),
                                       .source_bytes = 26404864,
                                       .source_truncated = true,
                                       .source_missing_bytes = 12345,
                                       .pid = 100,
                                       .executable = TEXT("/usr/bin/python3.13"),
                                       .arguments = TEXT("python3 app.py --serve"),
                                       .arch = "x86_64",
                                       .crash = &full_crash,
                                       .python = &full_python,
                                       .runtimes = &full_python,
                                       .runtime_count = 1,
                                       .interpreters = full_interpreters,
                                       .interpreter_count = COUNT(full_interpreters),
                                       .threads = full_threads,
                                       .thread_count = COUNT(full_threads),
                                       .modules = full_modules,
                                       .module_count = COUNT(full_modules),
                                       .diagnostics = full_diagnostics,
                                       .diagnostic_count = COUNT(full_diagnostics)};

/* ---- unknown ---- */

static const struct exu_frame unknown_frames[] = {
    {.position = {-1, -1, -1, -1}, .interpreter = -1, .module = -1},
    {.kind = EXU_FRAME_NATIVE, .position = {-1, -1, -1, -1}, .interpreter = -1, .module = 99, .address = 0x1},
    {.kind = EXU_FRAME_GAP, .position = {-1, -1, -1, -1}, .interpreter = -1, .module = -1},
};
static const struct exu_wait unknown_wait = {
    .owner = -1, .owner_tid = -1, .owner_pid = -1, .system_call = -1, .timeout_us = -1, .fd = -1, .child = -1};
static const struct exu_thread unknown_threads[] = {
    {.tid = -1,
     .interpreter = -1,
     .runtime = -1,
     .native_complete = EXU_UNKNOWN,
     .moved = EXU_UNKNOWN,
     .cpu_us = -1,
     .unplaced = true,
     .wait = &unknown_wait,
     .frames = unknown_frames,
     .frame_count = COUNT(unknown_frames)},
    {.tid = 7,
     .python_unknown = true,
     .interpreter = -1,
     .runtime = -1,
     .crashed = true,
     .native_complete = EXU_UNKNOWN,
     .moved = EXU_UNKNOWN,
     .cpu_us = -1},
};
static const struct exu_module unknown_modules[] = {{.start = 0, .end = 0}};
static const struct exu_crash unknown_crash = {
    .signal = 99, .system_call = -1, .sender_pid = -1, .sender_uid = -1, .tid = -1};
static const struct exu_python unknown_python = {
    .debug = EXU_UNKNOWN, .free_threaded = EXU_UNKNOWN, .finalizing = EXU_UNKNOWN, .module = -1};
static const struct exu_interpreter unknown_interpreters[] = {{-1, 0, 0, EXU_UNKNOWN, -1}};

const struct exu_report sample_unknown = {.source_kind = EXU_SOURCE_LIVE,
                                          .pause_us = -1,
                                          .pid = -1,
                                          .crash = &unknown_crash,
                                          .python = &unknown_python,
                                          .runtimes = &unknown_python,
                                          .runtime_count = 1,
                                          .interpreters = unknown_interpreters,
                                          .interpreter_count = 1,
                                          .threads = unknown_threads,
                                          .thread_count = COUNT(unknown_threads),
                                          .modules = unknown_modules,
                                          .module_count = 1};

/* ---- live ---- */

static const struct exu_frame stuck_frames[] = {
    {.function = TEXT("stuck"), .file = TEXT("hang.py"), .position = {12, -1, -1, -1}, .entry = true, .address = 0x10},
};

static const struct exu_evidence in_wait = {.kind = EXU_EVIDENCE_FRAME,
                                            .place = {TEXT("acquire"), TEXT("/usr/lib/python3.11/threading.py"), 160},
                                            .type = TEXT("RLock"),
                                            .object = 0x7f12};
static const struct exu_evidence in_local = {.kind = EXU_EVIDENCE_LOCAL,
                                             .name = TEXT("lock"),
                                             .place = {TEXT("stuck"), TEXT("/home/hang.py"), 12},
                                             .next = &in_wait};
static const struct exu_evidence sleeps_on_rlock = {
    .kind = EXU_EVIDENCE_FUTEX_OF, .address = 0x7f0010, .object = 0x7f12, .type = TEXT("RLock"), .next = &in_local};
static const struct exu_evidence rlock_owner = {
    .kind = EXU_EVIDENCE_MEMBER, .name = TEXT("owner"), .object = 0x7f12, .type = TEXT("RLock")};
static const struct exu_evidence mutex_word = {.kind = EXU_EVIDENCE_MUTEX, .number = 2};
static const struct exu_evidence mutex_owner = {
    .kind = EXU_EVIDENCE_NAMES, .type = TEXT("pthread_mutex_t"), .number = 501};
static const struct exu_evidence in_registers = {.kind = EXU_EVIDENCE_REGISTERS};
static const struct exu_evidence owner_is_gone = {.kind = EXU_EVIDENCE_NO_SUCH_THREAD};

static const struct exu_wait waits_for_rlock = {.kind = EXU_WAIT_RLOCK,
                                                .evidence = &sleeps_on_rlock,
                                                .address = 0x7f12,
                                                .type = TEXT("RLock"),
                                                .owner = 3,
                                                .owner_tid = 503,
                                                .lock = 0x7f12,
                                                .futex = 0x7f0010,
                                                .owner_place = EXU_OWNER_THREAD,
                                                .owner_ident = 0x7f00aa00,
                                                .owner_name = TEXT("worker-2"),
                                                .owner_pid = -1,
                                                .owner_evidence = &rlock_owner,
                                                .call_class = EXU_CALL_FUTEX,
                                                .timeout_us = -1,
                                                .system_call = 202,
                                                .system_call_name = "futex",
                                                .fd = -1,
                                                .child = -1};
static const struct exu_wait waits_for_mutex = {.kind = EXU_WAIT_MUTEX,
                                                .evidence = &mutex_word,
                                                .address = 0x5510,
                                                .owner = 1,
                                                .owner_tid = 501,
                                                .futex = 0x5510,
                                                .owner_place = EXU_OWNER_THREAD,
                                                .owner_name = TEXT("worker-1"),
                                                .owner_pid = -1,
                                                .owner_evidence = &mutex_owner,
                                                .call_class = EXU_CALL_FUTEX,
                                                .timeout_us = -1,
                                                .system_call = 202,
                                                .system_call_name = "futex",
                                                .fd = -1,
                                                .child = -1};
static const struct exu_descriptor connected_socket = {.kind = EXU_DESCRIPTOR_TCP,
                                                       .inode = 4242,
                                                       .state = EXU_SOCKET_ESTABLISHED,
                                                       .local = {TEXT("127.0.0.1"), 4000},
                                                       .remote = {TEXT("127.0.0.1"), 5000},
                                                       .other_pid = -1};
static const struct exu_wait reads_from_socket = {.kind = EXU_WAIT_SYSCALL,
                                                  .evidence = &in_registers,
                                                  .owner = -1,
                                                  .owner_tid = -1,
                                                  .owner_pid = -1,
                                                  .call_class = EXU_CALL_READ,
                                                  .system_call_arguments = {5, 0x7f00, 1},
                                                  .timeout_us = -1,
                                                  .system_call = 45,
                                                  .system_call_name = "recvfrom",
                                                  .fd = 5,
                                                  .descriptor = &connected_socket,
                                                  .child = -1};
static const struct exu_wait waits_for_child = {.kind = EXU_WAIT_CHILD,
                                                .owner = -1,
                                                .owner_tid = -1,
                                                .owner_pid = -1,
                                                .call_class = EXU_CALL_CHILD,
                                                .timeout_us = -1,
                                                .system_call = 61,
                                                .system_call_name = "wait4",
                                                .fd = -1,
                                                .child = 77};
static const struct exu_wait waits_for_the_dead = {.kind = EXU_WAIT_MUTEX,
                                                   .address = 0x5520,
                                                   .owner = -1,
                                                   .owner_tid = 9,
                                                   .owner_pid = -1,
                                                   .owner_place = EXU_OWNER_NOWHERE,
                                                   .call_class = EXU_CALL_FUTEX,
                                                   .timeout_us = -1,
                                                   .system_call = 202,
                                                   .system_call_name = "futex",
                                                   .fd = -1,
                                                   .child = -1};

/* A wait of which only the kind is known. */
#define BARE(word, kind_of_wait)                                                                                       \
  static const struct exu_wait word##_wait = {.kind = EXU_WAIT_##kind_of_wait,                                         \
                                              .owner = -1,                                                             \
                                              .owner_tid = -1,                                                         \
                                              .owner_pid = -1,                                                         \
                                              .system_call = -1,                                                       \
                                              .timeout_us = -1,                                                        \
                                              .fd = -1,                                                                \
                                              .child = -1}
BARE(running, RUNNING);
BARE(stopped, STOPPED);
BARE(gil, GIL);
static const struct exu_taker lock_takers[] = {
    {.thread = 1, .by = EXU_TAKEN_BY_WITH, .place = {TEXT("f"), TEXT("/home/x.py"), 3}, .kept = true},
    {.thread = 3, .by = EXU_TAKEN_BY_ACQUIRE, .place = {TEXT("g"), TEXT("/home/x.py"), 9}, .by_name = true},
};
static const struct exu_wait lock_wait = {.kind = EXU_WAIT_LOCK,
                                          .owner = -1,
                                          .owner_tid = -1,
                                          .owner_pid = -1,
                                          .timeout_us = -1,
                                          .takers = lock_takers,
                                          .taker_count = COUNT(lock_takers),
                                          .system_call = -1,
                                          .fd = -1,
                                          .child = -1};
BARE(condition, CONDITION);
BARE(semaphore, SEMAPHORE);
BARE(event, EVENT);
BARE(barrier, BARRIER);
BARE(queue, QUEUE);
BARE(join, JOIN);
BARE(import, IMPORT_LOCK);
BARE(cond, COND);
BARE(pymutex, PYMUTEX);
BARE(futex, FUTEX);

#define STUCK(id, title, why)                                                                                          \
  {                                                                                                                    \
    .tid = id, .name = TEXT(title), .python = true, .native_complete = EXU_UNKNOWN, .frames_complete = true,           \
    .moved = EXU_UNKNOWN, .cpu_us = -1, .wait = why, .frames = stuck_frames, .frame_count = COUNT(stuck_frames)        \
  }

static const struct exu_thread live_threads[] = {
    {.tid = 500,
     .name = TEXT("MainThread"),
     .main = true,
     .python = true,
     .native_complete = EXU_UNKNOWN,
     .frames_complete = true,
     .moved = EXU_NO,
     .cpu_us = 250000,
     .wait = &reads_from_socket,
     .frames = stuck_frames,
     .frame_count = COUNT(stuck_frames)},
    STUCK(501, "worker-1", &waits_for_rlock),
    {.tid = 502, .comm = TEXT("helper"), .interpreter = -1, .moved = EXU_YES, .cpu_us = 0, .frames_complete = true},
    STUCK(503, "worker-2", &waits_for_mutex),
    STUCK(504, "idle-1", &queue_wait),
    STUCK(505, "idle-2", &queue_wait),
    STUCK(506, "idle-3", &event_wait),
    STUCK(507, "idle-4", NULL),
    STUCK(508, "parent", &waits_for_child),
    STUCK(509, "forked", &waits_for_the_dead),
    STUCK(510, "a", &running_wait),
    STUCK(511, "b", &stopped_wait),
    STUCK(512, "c", &gil_wait),
    STUCK(513, "d", &lock_wait),
    STUCK(514, "e", &condition_wait),
    STUCK(515, "f", &semaphore_wait),
    STUCK(516, "g", &barrier_wait),
    STUCK(517, "h", &join_wait),
    STUCK(518, "i", &import_wait),
    STUCK(519, "j", &cond_wait),
    STUCK(520, "k", &pymutex_wait),
    STUCK(521, "l", &futex_wait),
};

static const size_t live_circle[] = {1, 3};
static const struct exu_deadlock live_deadlocks[] = {
    {.certain = true, .threads = live_circle, .thread_count = COUNT(live_circle)}};

static const size_t live_forked[] = {9};
static const struct exu_hang live_hangs[] = {{.kind = EXU_HANG_LOST_OWNER,
                                              .evidence = &owner_is_gone,
                                              .certain = true,
                                              .threads = live_forked,
                                              .thread_count = COUNT(live_forked)}};

const struct exu_report sample_live = {.source_kind = EXU_SOURCE_LIVE,
                                       .pause_us = 1234,
                                       .pid = 500,
                                       .arguments = TEXT("python3 hang.py"),
                                       .threads = live_threads,
                                       .thread_count = COUNT(live_threads),
                                       .deadlocks = live_deadlocks,
                                       .deadlock_count = COUNT(live_deadlocks),
                                       .hangs = live_hangs,
                                       .hang_count = COUNT(live_hangs)};

/* ---- evil ---- */

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define THOUSAND HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED

static const struct exu_frame evil_frames[] = {
    {.function = TEXT("new\nline\ttab\rreturn"),
     .file = TEXT("a.py\", line 1, in f\n  File \"b.py"),
     .position = {1, -1, -1, -1}},
    {.function = TEXT("escape\x1b[31mred\x7f\x07 nul\0end"), .file = TEXT("back\\slash"), .position = {2, -1, -1, -1}},
    {.function = TEXT(
         "c1 \xc2\x9b bidi \xe2\x80\xae isolate \xe2\x81\xa6 bom \xef\xbb\xbf tag \xf3\xa0\x80\x81 line \xe2\x80\xa8"),
     .file = TEXT("surrogates \xed\xa0\x80 \xed\xb3\xbf"),
     .position = {3, -1, -1, -1}},
    {.function = TEXT("invalid \xff \x80 \xc0\xaf \xe0\x80\xaf \xf5\x80\x80\x80 \xf0\x9f\x98"),
     .file = TEXT("/caf\xe9.py"),
     .position = {4, -1, -1, -1}},
    {.function = TEXT("\xd0\xa4\xd1\x83\xd0\xbd\xd0\xba\xd1\x86\xd0\xb8\xd1\x8f"),
     .qualname = TEXT("\xe9\x96\xa2\xe6\x95\xb0.\xf0\x9d\x93\x95"),
     .file = TEXT("\xed\x8c\x8c\xec\x9d\xbc.py"),
     .position = {2147483647, -1, -1, -1}},
    {.function = TEXT(THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND), .file = TEXT(""), .position = {6, -1, -1, -1}},
    {.function = TEXT(""), .qualname = TEXT(""), .file = TEXT("/" THOUSAND), .position = {0, -1, -1, -1}},
    {.kind = EXU_FRAME_NATIVE,
     .function = TEXT("f<\"\x1b[2J\">(\n)"),
     .file = TEXT("./a\".c\", line 1, in f\n  File \"b"),
     .position = {7, -1, -1, -1},
     .address = 0x10,
     .module = -1},
    {.kind = EXU_FRAME_GAP, .gap = EXU_GAP_LEFT_OUT, .module = -1},
};
static const struct exu_evidence evil_evidence = {
    .kind = EXU_EVIDENCE_LOCAL, .name = TEXT("\xff\n`"), .place = {TEXT("f\0g\x1b[2J"), TEXT("/\n/\x9b.py"), -1}};
static const struct exu_taker evil_takers[] = {{.thread = 99, .place = {.line = 1}},
                                               {.thread = 1, .place = {.line = 0}}};
static const struct exu_wait evil_wait = {.kind = EXU_WAIT_QUEUE,
                                          .evidence = &evil_evidence,
                                          .detail = EXU_DETAIL_FULL,
                                          .type = TEXT("Que\x1b[2Jue"),
                                          .address = 1,
                                          .owner = 99,
                                          .owner_tid = -1,
                                          .owner_place = EXU_OWNER_THREAD,
                                          .owner_name = TEXT("\"\n\0\x1b[2J"),
                                          .owner_pid = -1,
                                          .takers = evil_takers,
                                          .taker_count = COUNT(evil_takers),
                                          .system_call = -1,
                                          .timeout_us = -1,
                                          .fd = -1,
                                          .child = -1};
static const struct exu_thread evil_threads[] = {
    {.wait = &evil_wait,
     .tid = 1,
     .name = TEXT("\" (crashed)\n\x1b]0;title\x07"),
     .comm = TEXT("co\xffmm"),
     .python = true,
     .frames_complete = true,
     .frames = evil_frames,
     .frame_count = COUNT(evil_frames)},
    {.tid = 2, .comm = TEXT("] \x1b[2J"), .frames_complete = true},
};
static const struct exu_diagnostic evil_diagnostics[] = {
    {"name-unreadable", TEXT("the name \x1b[2J of\nit"), -1, true}};

const struct exu_report sample_evil = {.source_kind = EXU_SOURCE_PACKED,
                                       .source_path = TEXT("core\n\xff"),
                                       .pid = 1,
                                       .arguments = TEXT("py\x1b[2J \n\xfe"),
                                       .executable = TEXT("/bin/\x1b\""),
                                       .threads = evil_threads,
                                       .thread_count = COUNT(evil_threads),
                                       .diagnostics = evil_diagnostics,
                                       .diagnostic_count = 1};

/* ---- nothing ---- */

static const struct exu_diagnostic nothing_diagnostics[] = {
    {"source-unreadable", TEXT("cannot open: No such file or directory"), -1, true}};

const struct exu_report sample_nothing = {.source_kind = EXU_SOURCE_CORE,
                                          .source_path = TEXT("core"),
                                          .pid = -1,
                                          .diagnostics = nothing_diagnostics,
                                          .diagnostic_count = 1};

/* ---- golden files ---- */

char *printed(sample_writer *write, const void *context, size_t *size) {
  char *data = NULL;
  FILE *memory = open_memstream(&data, size);
  assert_non_null(memory);
  assert_true(write(memory, context));
  assert_int_equal(fclose(memory), 0);
  return data;
}

/* Not by strstr: under AddressSanitizer every call of it measures the whole rest. */
size_t count_lines(const char *text, const char *beginning) {
  size_t count = 0, size = strlen(beginning);
  for (const char *at = text; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
    count += strncmp(at, beginning, size) == 0;
  }
  return count;
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) fail_msg("cannot open %s", path);
  char *data = malloc(1 << 20);
  assert_non_null(data);
  *size = fread(data, 1, 1 << 20, file);
  fclose(file);
  return data;
}

void assert_golden(const char *name, sample_writer *write, const void *context) {
  char path[256];
  snprintf(path, sizeof path, "data/%s", name);
  size_t size, expected_size;
  char *data = printed(write, context, &size);
  if (getenv("EXUVIA_UPDATE_GOLDEN")) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
  }
  char *expected = read_file(path, &expected_size);
  if (size != expected_size || memcmp(data, expected, size) != 0) {
    fail_msg("%s is not what was written:\n%.*s", path, (int)size, data);
  }
  free(expected);
  free(data);
}
