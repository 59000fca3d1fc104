# Core A: 1 thread of 20 Python frames (the module and 19 calls), then os.abort().
import os


def f(n, label="hello", data=(1, 2, 3), table={"a": 1, "b": [1, 2]}):
    local = [n] * 3
    if n == 0:
        os.abort()
    f(n - 1)


f(18)
