# THREADS threads, each of LEVELS levels of Python and C calling each other: f is called by map, map by sorted, sorted by
# f. All but the last wait in the innermost f; the last one aborts.
import os
import sys
import threading

THREADS, LEVELS = int(sys.argv[1]), int(sys.argv[2])
ready = threading.Semaphore(0)
stop = threading.Event()


def f(n):
    if n > 0:
        return sorted(map(f, [n - 1]))
    if threading.current_thread().name == "last":
        os.abort()
    ready.release()
    stop.wait()


sys.setrecursionlimit(100000)
threading.stack_size(1 << 20)
for i in range(THREADS - 2):
    threading.Thread(target=f, args=(LEVELS,), daemon=True).start()
for i in range(THREADS - 2):
    ready.acquire()
last = threading.Thread(target=f, args=(LEVELS,), name="last", daemon=True)
last.start()
last.join()
