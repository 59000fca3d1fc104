# SPDX-License-Identifier: Apache-2.0
# An extension module: a function, an iterator, a destructor, a thread of its own, and a crash inside it, called from a
# generator, called from C.
# arguments: call next dealloc thread crash
import ctypes
import os
import sys
import time

import extensions
import record
from extensions import mark, through

sys.path.insert(0, extensions.DIRECTORY)
try:
    import exvmodule
except ImportError as problem:
    record.not_applicable(str(problem))

exvmodule.connect(*[ctypes.cast(function, ctypes.c_void_p).value
                    for function in (extensions.library.exv_enter, extensions.library.exv_leave)])


def py_last(*arguments):
    with mark('py_last'):
        extensions.die()


def py_inner():
    with mark('py_inner'):
        if sys.argv[1] == 'thread':
            record._tids[record.get_ident()] = record.native_id()
        through('exv_b', py_last)


def py_generator():
    with mark('py_generator'):
        yield extensions.crash(exvmodule.crash, (8,), ['exv_ext_crash'])


def py_outer():
    with mark('py_outer'):
        if sys.argv[1] == 'next':
            for item in exvmodule.caller(py_inner):
                pass
        elif sys.argv[1] == 'crash':
            through('exv_b', lambda number: sum(py_generator()))
        elif sys.argv[1] == 'dealloc':
            exvmodule.caller(py_inner)
        elif sys.argv[1] == 'thread':
            exvmodule.thread(py_inner)
            time.sleep(1000)
        else:
            exvmodule.call(py_inner)


exvmodule.call(py_outer)
