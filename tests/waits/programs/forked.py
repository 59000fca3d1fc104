# SPDX-License-Identifier: Apache-2.0
# A child of a threaded process wants a lock that a thread of its parent held when it forked. That thread does not exist
# here. It has no other thread: a new one could get the stack, and so the ident, of the one that is gone, and pass for
# it.
# arguments: lock rlock
import inspect
import os
import signal
import sys
import threading
import time

import hang
import record

plain, recursive = threading.Lock(), threading.RLock()


def holder():
    with plain:
        with recursive:
            hang.passed('held')
            time.sleep(3600)


def child():
    signal.alarm(600)
    record._tids.clear()
    hang._tids.clear()
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
    hang.start(holder, 'of the parent')
    hang.after('held')
    record.settle()
    pid = os.fork()
    if pid == 0:
        child()
    os.waitpid(pid, 0)
    os._exit(0)


main()
