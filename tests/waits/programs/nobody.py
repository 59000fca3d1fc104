# SPDX-License-Identifier: Apache-2.0
# Hangs for ever that are no deadlock, and waits that only look like one: which of them is the argument.
import ctypes
import platform
import signal
import sys
import threading
import time
try:
    import queue
except ImportError:
    import Queue as queue

import hang

how = sys.argv[1]
c = ctypes.CDLL(None)


def forever():
    time.sleep(3600)


def empty():
    hang.hang(queue.Queue().get, ())


def unfinished():
    left = queue.Queue()
    left.put(1)
    worker = hang.start(left.get, 'worker')
    worker.join()
    hang.hang(left.join, ())


def joined():
    never = threading.Event()
    worker = hang.start(never.wait, 'worker')
    hang.hang(worker.join, ())


def joined_of_a_lost_lock():
    """While another thread runs."""
    mutex = ctypes.create_string_buffer(128)
    address = ctypes.c_void_p(ctypes.addressof(mutex) + -ctypes.addressof(mutex) % 64)
    hang.start(c.pthread_mutex_lock, 'ended', address).join()
    hang.start(forever, 'runs')
    worker = hang.start(c.pthread_mutex_lock, 'worker', address)
    hang.hang(worker.join, ())


def barrier():
    late = threading.Barrier(3)
    hang.start(late.wait, 'came')
    hang.hang(late.wait, ())


def somebody_runs():
    hang.start(forever, 'runs')
    hang.hang(queue.Queue().get, ())


def time_limit():
    hang.hang(queue.Queue().get, (True, 3600))


def handler():
    signal.signal(signal.SIGTERM, lambda *_: None)
    hang.hang(threading.Event().wait, ())


def own_lock():
    """A lock of the program's own, for futex(2) of x86-64 or aarch64; what lies behind its word looks like an owner,
    and what lies before it like a condition variable."""
    words = (ctypes.c_uint32 * 32)()
    start = -ctypes.addressof(words) % 8 // 4 + 12
    words[start - 10], words[start - 6], words[start - 1] = 2, 2, 8
    words[start], words[start + 2], words[start + 3] = 2, 4, 1
    call = 202 if platform.machine() == 'x86_64' else 98
    hang.hang(c.syscall, (call, ctypes.byref(words, 4 * start), 128, 2, None))


def guard():
    """A static variable of C++: a thread initialises it and wants the GIL."""
    variable = ctypes.create_string_buffer(16)
    address = ctypes.c_void_p(ctypes.addressof(variable) + -ctypes.addressof(variable) % 8)

    def initialise():
        ctypes.CDLL('libstdc++.so.6').__cxa_guard_acquire(address)
        hang.passed('initialises')
        hang.library().hang_wait_flag()

    hang.start(initialise, 'initialises')
    hang.after('initialises')
    hang.hang(hang.library(ctypes.PyDLL).hang_raise_and_call,
              (ctypes.CDLL('libstdc++.so.6').__cxa_guard_acquire, address))


globals()[how]()
