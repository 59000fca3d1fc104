# SPDX-License-Identifier: Apache-2.0
# A worker thread dies while the main thread waits for it.
# arguments: SIGABRT SIGSEGV-read SIGSEGV-write
import sys

import record


def work(depth):
    if depth:
        return work(depth - 1)
    record.die(sys.argv[1])


def wait(thread):
    thread.join()


wait(record.start(work, 'worker', (3,)))
