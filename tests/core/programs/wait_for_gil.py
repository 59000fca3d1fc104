# SPDX-License-Identifier: Apache-2.0
"""Threads that compute while the main thread dies: it holds the GIL, and every one of them waits for it.

Writes the kernel's thread ids of the computing threads down, for tests/core/test_gil.py.
"""
import ctypes
import os
import signal
import sys
import threading
import time

SYS_GETTID = {"x86_64": 186, "aarch64": 178}[os.uname()[4]]
tids = []


def end(pid):
    """As soon as it has had the time to get the GIL and to fall asleep with it."""
    for _ in range(600):
        time.sleep(0.1)
        if os.path.exists("truth.json"):
            time.sleep(1.5)
            os.kill(pid, signal.SIGABRT)
            break
    os._exit(0)


if os.fork() == 0:
    end(os.getppid())


def compute():
    tids.append(ctypes.CDLL(None).syscall(SYS_GETTID))
    n = 0
    while True:
        n += 1


for number in range(4):
    thread = threading.Thread(target=compute, name="computes-%d" % number)
    thread.daemon = True
    thread.start()
while len(tids) < 4:
    time.sleep(0.01)
time.sleep(0.3)
# With the GIL: whoever does something in Python has to give it away when asked.
fall_asleep = ctypes.PyDLL(None).sleep
with open("truth.json", "w") as out:
    out.write('{"tids": [%s]}' % ", ".join(map(str, tids)))
# A waiter that wakes up to ask again is not asleep for an instant: let that be rare.
if hasattr(sys, "setswitchinterval"):
    sys.setswitchinterval(0.2)
fall_asleep(60)
