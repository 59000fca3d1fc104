# SPDX-License-Identifier: Apache-2.0
# Threads at rest, then the process stops itself, for a debugger to make a core of it; run by test_core_kinds.py.
import threading

import record as written

event = threading.Event()


def wait(depth):
    if depth:
        return wait(depth - 1)
    event.wait()


for number in range(5):
    written.start(wait, "waits-%d" % number, (number * 3,))


def main():
    written.die('SIGSTOP')


main()
