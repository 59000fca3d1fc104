# One thread with a stack of 64 MiB, of as many Python frames as the argument says, then os.abort().
import os
import sys
import threading

OUTER = 3  # Thread._bootstrap, Thread._bootstrap_inner, Thread.run


def f(n):
    if n == 0:
        os.abort()
    f(n - 1)


sys.setrecursionlimit(10**7)
threading.stack_size(64 << 20)
thread = threading.Thread(target=f, args=(int(sys.argv[1]) - OUTER - 1,))
thread.start()
thread.join()
