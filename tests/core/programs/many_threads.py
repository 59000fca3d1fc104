# SPDX-License-Identifier: Apache-2.0
# 500 threads.
import threading
import time

import record


def work(number):
    if number % 3:
        nested(number)
    time.sleep(1000)


def nested(number):
    time.sleep(1000)


threading.stack_size(256 * 1024)
for number in range(500):
    record.start(work, 'worker %d' % number, (number,))
record.die()
