# SPDX-License-Identifier: Apache-2.0
# A thread that Python did not create calls Python: it dies, or it waits while the main thread dies.
# arguments: dies waits
import ctypes
import sys
import threading
import time

import extensions
import record
from extensions import mark, through

ready = threading.Event()


def py_last(number):
    with mark('py_last'):
        if sys.argv[1] == 'dies':
            extensions.die()
        ready.set()
        time.sleep(1000)


def py_foreign(number):
    with mark('py_foreign'):
        record._tids[record.get_ident()] = record.native_id()
        through('exv_b', py_last)


def py_main(number):
    with mark('py_main'):
        if sys.argv[1] == 'dies':
            time.sleep(1000)
        ready.wait()
        time.sleep(0.2)
        extensions.die()


create = ctypes.cast(ctypes.CDLL(None).pthread_create, ctypes.c_void_p)
extensions.library.exv_thread(extensions.callback(py_foreign), create)
through('exv_a', py_main)
