# SPDX-License-Identifier: Apache-2.0
# A child of a threaded process wants a lock that a thread of its parent held when it forked. That thread does not exist
# here. It has no other thread: a new one could get the stack, and so the ident, of the one that is gone, and pass for
# it. Locks that processes share: of a thread that is gone, and of the one that forked, which has the same ident in both.
# arguments: lock rlock shared shared-main
import inspect
import multiprocessing
import os
import signal
import sys
import threading
import time

import hang
import record

plain, recursive = threading.Lock(), threading.RLock()
try:
    context = multiprocessing.get_context('fork') if hasattr(multiprocessing, 'get_context') else multiprocessing
    shared = context.RLock() if sys.argv[1].startswith('shared') else recursive
except OSError as error:
    record.not_applicable('no shared semaphores here, there may be no /dev/shm: %s' % error)


def holder():
    with plain:
        with recursive:
            if sys.argv[1] == 'shared':
                shared.acquire()
            hang.passed('held')
            time.sleep(3600)


def want():
    with shared:
        pass


def child_of_shared():
    says = 'owner unknown; it is held by no thread of this process'
    if sys.argv[1] == 'shared':
        hang.waits('MainThread', 'rlock', shared._semlock, types=['RLock'], says=[says])
        hang.hang(shared.acquire, ())
    hang.start(want, 'wants')
    hang.waits('wants', 'rlock', shared, taken='MainThread', says=['taken by acquire() in "MainThread"'])
    hang.hang()


def child():
    signal.alarm(600)
    record._tids.clear()
    hang._tids.clear()
    if shared is not recursive:
        child_of_shared()
    kind = sys.argv[1]
    lock = plain if kind == 'lock' else recursive
    hang.waits('MainThread', kind, lock, gone=True)
    if hasattr(lock.acquire, '__func__'):
        # 2.7's RLock is written in Python.
        lines, start = inspect.getsourcelines(lock.acquire)
        found = [number for number, line in enumerate(lines) if '__block.acquire(' in line]
        hang.beyond(lock.acquire, start + found[0])
    hang.hang(lock.acquire, ())


def main():
    if sys.argv[1] == 'shared-main':
        shared.acquire()
    else:
        hang.start(holder, 'of the parent')
        hang.after('held')
    record.settle()
    pid = os.fork()
    if pid == 0:
        child()
    os.waitpid(pid, 0)
    os._exit(0)


main()
