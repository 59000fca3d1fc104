# SPDX-License-Identifier: Apache-2.0
# The main thread waits for a mutex that a thread without Python keeps; three more of those wait for work. A second
# Python thread waits for a lock.
import ctypes
import json
import os
import threading
import time

here = os.path.dirname(os.path.abspath(__file__))
library = ctypes.CDLL(os.path.join(here, "libhang.so"))
before = set(os.listdir("/proc/self/task"))
library.hang_start_pool(ctypes.CDLL(None).pthread_create, 3)
native = set(int(tid) for tid in set(os.listdir("/proc/self/task")) - before)
owner = library.hang_tid(0)
lock = threading.Lock()
lock.acquire()


class Waiter(threading.Thread):
    def run(self):
        lock.acquire()


for thread in (threading.Thread(target=lock.acquire), Waiter()):
    thread.daemon = True
    thread.start()
time.sleep(0.1)
with open(os.path.join(os.getcwd(), "new.json"), "w") as record:
    json.dump({"pid": os.getpid(), "owner": owner, "workers": sorted(native - set([owner]))}, record)
os.rename("new.json", "truth.json")
library.hang_lock(0)
