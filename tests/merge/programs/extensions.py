# SPDX-License-Identifier: Apache-2.0
"""The known function library for programs, and the end: write down the trails, then what every thread is doing, then die.

Runs on Python 2.7 and 3.6 and later.  Every function whose name is put on the trail does so whenever it is called::

    def py_one(number):
        with mark('py_one'):
            ...
"""
import ctypes
import json
import mmap
import os
import sys

import record

DIRECTORY = os.path.dirname(os.path.abspath(__file__))
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
_keep = []


def load(name):
    path = os.path.join(DIRECTORY, name)
    if not os.path.exists(path):
        record.not_applicable('there is no %s for this interpreter' % name)
    try:
        return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    except OSError as problem:
        record.not_applicable(str(problem))


library = load('libexv.so')
library.exv_enter.restype = library.exv_leave.restype = None
library.exv_trail.restype = ctypes.c_long


class mark(object):
    def __init__(self, name):
        self.name = name.encode('ascii')

    def __enter__(self):
        library.exv_enter(self.name)

    def __exit__(self, *arguments):
        library.exv_leave()


def callback(function):
    """A pointer to a C function that calls the Python function."""
    def plain(number):
        return function(number) or 0
    pointer = CALLBACK(plain)
    _keep.append(pointer)
    return pointer


def through(name, function, number=1, *more):
    """Call the known function of that name, which calls back."""
    return getattr(library, name)(callback(function), number, *more)


def trails():
    result, text = {}, ctypes.create_string_buffer(1 << 16)
    for number in range(16):
        tid = library.exv_trail(number, text, len(text))
        if tid:
            result[str(tid)] = text.value.decode('ascii').split()
    return result


def write(beyond=(), more=()):
    """`beyond`: known functions that the ending call itself adds to the trail of this thread."""
    found = trails()
    found[str(record.native_id())] = found.get(str(record.native_id()), []) + list(more) + list(beyond)
    with open('trails.json', 'w') as file:
        json.dump(found, file)


def die(how="SIGABRT"):
    record.settle()
    write()
    record.die(how)


def crash(function=library.exv_crash, arguments=(None,), beyond=('exv_crash',)):
    """Die inside a C function, by default the known function exv_crash. `beyond`: what that adds to the trail."""
    record._actions = lambda how: (function, arguments)
    write(beyond)
    record.die('SIGSEGV-exv', ())


def write_before(how, frame):
    """For an end that can write nothing itself: the truth up to this frame of the calling thread."""
    record.settle()
    write()
    record._write(how, frame, [])


def shared_counter():
    """A number that the file `counter` keeps when the process dies."""
    with open('counter', 'w+b') as file:
        file.write(b'\0' * mmap.PAGESIZE)
        file.flush()
        return ctypes.c_long.from_buffer(mmap.mmap(file.fileno(), mmap.PAGESIZE))
