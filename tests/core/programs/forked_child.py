# SPDX-License-Identifier: Apache-2.0
# A child of a threaded parent dies: only the thread that forked is left.
import os
import time

import record


def block():
    time.sleep(1000)


def child():
    record.start(block, 'of the child')
    record.die()


def main():
    for number in range(3):
        record.start(block, 'of the parent %d' % number)
    record.settle()
    pid = os.fork()
    if pid == 0:
        record._tids.clear()
        child()
    os.waitpid(pid, 0)
    os._exit(0)


main()
