# A process to attach to: THREADS threads, each DEPTH Python frames deep in Event.wait, and a main thread of MAIN frames
# that reads the clock as fast as it can. FILE holds two 64-bit numbers that it shares with the bench: the largest gap
# between two readings so far, in nanoseconds, which the bench sets back to 0; and 1 once all threads are there.
import mmap
import sys
import threading
import time

THREADS, DEPTH, MAIN = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

ready = threading.Semaphore(0)
stop = threading.Event()


def f(n, label="hello", data=(1, 2, 3), table={"a": 1, "b": [1, 2]}):
    local = [n] * 3
    if n == 0:
        ready.release()
        stop.wait()
        return
    f(n - 1)


def spin(n, shared, clock, label="hello", data=(1, 2, 3), table={"a": 1, "b": [1, 2]}):
    local = [n] * 3
    if n > 0:
        spin(n - 1, shared, clock)
    last = clock()
    while True:
        now = clock()
        if now - last > shared[0]:
            shared[0] = now - last
        last = now


def allow_anyone():
    """Where Yama lets only ancestors trace (ptrace_scope 1): the tools are siblings."""
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope") as file:
            if file.read().strip() != "1":
                return
    except OSError:
        return
    import ctypes
    PR_SET_PTRACER, ANY = 0x59616D61, ctypes.c_ulong(-1)
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY, 0, 0, 0)


allow_anyone()
sys.setrecursionlimit(100000)
# A thread's frames: _bootstrap, _bootstrap_inner, run, f as often as it takes, Event.wait, Condition.wait.
for i in range(THREADS):
    threading.Thread(target=f, args=(DEPTH - 6,), name="w%d" % i, daemon=True).start()
for i in range(THREADS):
    ready.acquire()
time.sleep(0.3)
with open(sys.argv[4], "r+b") as file:
    shared = memoryview(mmap.mmap(file.fileno(), 16)).cast("q")
shared[1] = 1
spin(MAIN - 2, shared, time.monotonic_ns)
