# SPDX-License-Identifier: Apache-2.0
# 100,000 frames in one thread.
import sys
import threading

import record

DEPTH = 100000


def even(depth):
    if depth == 0:
        return record.die()
    return odd(depth - 1)


def odd(depth):
    return even(
        depth - 1)


def main():
    even(DEPTH)


sys.setrecursionlimit(DEPTH + 1000)
# Before 3.11 every Python call also takes C stack, in debug builds up to some kilobytes.
threading.stack_size(2 << 30 if hasattr(sys, 'gettotalrefcount') else 1 << 30)
record.start(main, 'deep').join()
