# SPDX-License-Identifier: Apache-2.0
# Free-threaded only: the main thread computes inside of a critical section of a dict, and others want to change that.
import ctypes
import sys

import hang
import record

if getattr(sys, '_is_gil_enabled', lambda: True)():
    record.not_applicable('this interpreter has a GIL')
released, held = hang.library(), hang.library(ctypes.PyDLL)
spin = held.hang_raise_and_spin


class Key:
    def __hash__(self):
        return 1

    def __eq__(self, other):
        spin()  # one line


table = {Key(): 1}


def change():
    released.hang_wait_flag()
    table.update({1: 2})


def remove():
    released.hang_wait_flag()
    table.pop(1, None)


for function in (change, remove):
    hang.start(function, function.__name__)
    hang.waits(function.__name__, 'py-mutex', table, says=['critical section of dict'])
hang.waits('MainThread', 'running')
hang.beyond(Key.__eq__, Key.__eq__.__code__.co_firstlineno + 1)
hang.hang(table.__setitem__, (Key(), 2))
