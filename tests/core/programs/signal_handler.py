# SPDX-License-Identifier: Apache-2.0
# Death in a signal handler that is written in Python, and in a handler that interrupted a handler.
import os
import signal
import time

import record


def second(number, frame):
    record.die()


def first(number, frame):
    signal.signal(signal.SIGUSR2, second)
    os.kill(os.getpid(), signal.SIGUSR2)
    for _ in range(20):
        time.sleep(0.01)


def wait():
    while True:
        time.sleep(0.01)


signal.signal(signal.SIGALRM, first)
signal.setitimer(signal.ITIMER_REAL, 0.05)
wait()
