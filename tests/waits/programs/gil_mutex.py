# SPDX-License-Identifier: Apache-2.0
# The classic one of extension modules: a thread has a C library's mutex and wants the GIL; the main thread has the GIL
# and wants the mutex.
import ctypes
import time

import hang

CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int)
released, held = hang.library(), hang.library(ctypes.PyDLL)
released.hang_mutex.restype = ctypes.c_void_p


def progress():
    return 0


callback = CALLBACK(progress)


def worker():
    released.hang_lock_and_call(2, callback)


def bystander():
    released.hang_wait_flag()


hang.start(worker, 'has the mutex')
hang.start(bystander, 'wants the GIL only')
while not released.hang_held(2):
    time.sleep(0.001)
hang.waits('has the mutex', 'gil', owner='MainThread')
hang.waits('wants the GIL only', 'gil', owner='MainThread')
hang.waits('MainThread', 'mutex', address=released.hang_mutex(2), owner='has the mutex')
hang.deadlock('MainThread', 'has the mutex')
hang.hang(held.hang_raise_and_lock, (2,))
