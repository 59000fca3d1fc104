# A small program of every version that dies with a few threads, calls through C and names in other scripts.
# SCRATCH is memory for structures that a test makes up. It is aligned, saved, and never touched by the interpreter.
# -*- coding: utf-8 -*-
import ctypes
import os
import sys
import threading

threading.stack_size(256 * 1024)
SCRATCH = ctypes.create_string_buffer(b"EXUVIA-SCRATCH-BEGINS-HERE" + b"\0" * (1 << 20))
NAME = "worker-%d" if sys.version_info < (3,) else u"\u0440\u0430\u0431-%d"
ready = threading.Semaphore(0)
never = threading.Lock()
never.acquire()


def wait(depth):
    if depth:
        wait(depth - 1)
    ready.release()
    never.acquire()


def descend(depth, data=(1, 2, 3)):
    if depth == 0:
        os.abort()
    sorted([2, 1], key=lambda one: descend(depth - 1))


for number in range(2):
    thread = threading.Thread(target=wait, args=(number + 2,), name=NAME % number)
    thread.daemon = True
    thread.start()
for number in range(2):
    ready.acquire()
descend(4)
