# SPDX-License-Identifier: Apache-2.0
"""Threads that compute while the main thread dies: it holds the GIL, and every one of them waits for it.

Writes the kernel's thread ids of the computing threads down, for tests/truth/test_gil.py.
"""
import ctypes
import os
import signal
import sys
import threading
import time

SYS_GETTID = {"x86_64": 186, "aarch64": 178}[os.uname()[4]]
tids = []


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
# A waiter that wakes up to ask again is not asleep for an instant: let that be rare.
if hasattr(sys, "setswitchinterval"):
    sys.setswitchinterval(0.2)
end = time.time() + 0.5
while time.time() < end:
    pass
with open("truth.json", "w") as out:
    out.write('{"tids": [%s]}' % ", ".join(map(str, tids)))
    out.flush()
    os.kill(os.getpid(), signal.SIGABRT)
