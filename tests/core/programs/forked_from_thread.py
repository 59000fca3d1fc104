# SPDX-License-Identifier: Apache-2.0
# A child forked by a worker thread: that thread is now the process's first.
import os
import threading
import time

import record


def block():
    time.sleep(1000)


def fork():
    pid = os.fork()
    if pid == 0:
        record._tids.clear()
        record.die()
    os.waitpid(pid, 0)
    os._exit(0)


record.start(block, 'another')
record.start(fork, 'forks').join()
