# SPDX-License-Identifier: Apache-2.0
# Many threads, each waiting deep inside its own mixture of C and Python, while the main thread dies. By another signal
# if it gets one as its argument.
import sys
import threading
import time

import extensions
import record
from extensions import mark, through

NAMES = ['exv_a', 'exv_b', 'exv_large', 'exv_dynamic']
started = []
lock = threading.Lock()
lock.acquire()


def py_wait(number):
    with mark('py_wait'):
        started.append(number)
        if number % 2:
            time.sleep(1000)
        lock.acquire()


def py_level(number, levels):
    with mark('py_level'):
        if levels == 0:
            return py_wait(number)
        if (number + levels) % 3 == 0:
            return sorted([1], key=lambda item: py_level(number, levels - 1))
        return through(NAMES[(number + levels) % 4], lambda _: py_level(number, levels - 1))


for number in range(10):
    record.start(py_level, 'worker', (number, number))
while len(started) < 10:
    time.sleep(0.01)
through('exv_a', lambda number: extensions.die(*sys.argv[1:]))
