# Cores B and C: THREADS threads, each DEPTH Python frames deep in Event.wait; then the main thread aborts.
# With a third argument, that many GiB are mapped and hardly touched: the core is as large, and sparse.
import mmap
import os
import sys
import threading
import time

THREADS, DEPTH = int(sys.argv[1]), int(sys.argv[2])
SPARSE_GIB = int(sys.argv[3]) if len(sys.argv) > 3 else 0
MAP_NORESERVE = 0x4000  # the mmap module of older Pythons has no name for it
STEP = 1 << 30

ready = threading.Semaphore(0)
stop = threading.Event()


def f(n, label="hello", data=(1, 2, 3), table={"a": 1, "b": [1, 2]}):
    local = [n] * 3
    if n == 0:
        ready.release()
        stop.wait()
        return
    f(n - 1)


if SPARSE_GIB:
    area = mmap.mmap(-1, SPARSE_GIB << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
    if hasattr(area, "madvise"):
        area.madvise(mmap.MADV_NOHUGEPAGE)  # a touched byte is to cost one page, not 2 MiB
    for offset in range(0, len(area), STEP):
        area[offset] = 1

sys.setrecursionlimit(100000)
# A worker's frames: _bootstrap, _bootstrap_inner, run, f as often as it takes, Event.wait, Condition.wait.
for i in range(THREADS):
    threading.Thread(target=f, args=(DEPTH - 6,), name="w%d" % i, daemon=True).start()
for i in range(THREADS):
    ready.acquire()
time.sleep(0.3)
os.abort()
