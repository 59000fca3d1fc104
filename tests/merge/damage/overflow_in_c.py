# SPDX-License-Identifier: Apache-2.0
# A C function calls itself until the stack is used up: of the main thread, of a thread of C, of a thread of Python.
# arguments: main foreign thread
import ctypes
import sys
import time

import extensions
import record
from extensions import mark, through

library = extensions.load('libexv_damage.so')
library.exv_overflow.argtypes = [ctypes.c_void_p, ctypes.c_int]


def py_overflow(number):
    with mark('py_overflow'):
        counter = extensions.shared_counter()
        extensions.crash(library.exv_overflow, (ctypes.addressof(counter), 1), [])


def py_inner(number):
    with mark('py_inner'):
        record._tids[record.get_ident()] = record.native_id()
        through('exv_b', py_overflow)


def py_outer():
    with mark('py_outer'):
        through('exv_a', py_inner)


if sys.argv[1] == 'main':
    py_outer()
elif sys.argv[1] == 'thread':
    record.start(py_outer)
else:
    create = ctypes.cast(ctypes.CDLL(None).pthread_create, ctypes.c_void_p)
    extensions.library.exv_thread(extensions.callback(py_inner), create)
time.sleep(1000)
