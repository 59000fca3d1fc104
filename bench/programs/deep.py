# One thread, as many calls deep as the argument says, then os.abort().
import os
import sys

sys.setrecursionlimit(10**7)


def f(n):
    if n == 0:
        os.abort()
    f(n - 1)


f(int(sys.argv[1]))
