# SPDX-License-Identifier: Apache-2.0
# The main thread computes and never lets go of the GIL; the others want it back.
# arguments: python c
import ctypes
import sys

import hang

released, held = hang.library(), hang.library(ctypes.PyDLL)
raise_flag = held.hang_raise


def wait():
    released.hang_wait_flag()


def compute():
    raise_flag()
    while True: pass  # one line


for number in range(3):
    hang.start(wait, 'waits %d' % number)
    hang.waits('waits %d' % number, 'gil', owner='MainThread', says=[
        'which runs ' + ('compute (busy.py:' if sys.argv[1] == 'python' else 'hang_raise_and_spin (libhang.c:')])
hang.waits('MainThread', 'running')
if hasattr(sys, 'setcheckinterval') and not hasattr(sys, 'setswitchinterval'):
    sys.setcheckinterval(1 << 30)
if sys.argv[1] == 'python':
    hang.beyond(compute, compute.__code__.co_firstlineno + 2)
    hang.hang(compute, ())
else:
    hang.hang(held.hang_raise_and_spin, ())
