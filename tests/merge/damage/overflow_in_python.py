# SPDX-License-Identifier: Apache-2.0
# Python calls itself until the C stack is used up: directly (up to 3.10), through C (up to 3.13, which count the calls,
# later versions measure the stack), through C frames that are too large for what is kept in reserve (all versions).
# arguments: plain sorted large
import sys
import threading

import extensions
import record
from extensions import mark, through

counter = extensions.shared_counter()


def py_plain(number):
    counter.value = number
    py_plain(number + 1)


def py_sorted(number):
    counter.value = number
    sorted([number + 1], key=py_sorted)


def py_large(number):
    counter.value = number
    library.exv_large(again, number + 1)


library = extensions.library
again = extensions.callback(py_large)
DOWN = {'plain': py_plain, 'sorted': py_sorted, 'large': py_large}[sys.argv[1]]


def py_start(number):
    with mark('py_start'):
        try:
            return extensions.write_before('SIGSEGV', sys._getframe()), DOWN(1)
        except RecursionError:
            pass
    record.not_applicable('this version stops the recursion')


def py_outer():
    with mark('py_outer'):
        through('exv_b', py_start)


if sys.version_info >= (3, 11) and sys.argv[1] == 'plain':
    record.not_applicable('a call of Python does not use the C stack')
sys.setrecursionlimit(1 << 30)
if sys.argv[1] == 'large':
    py_outer()  # below the main thread's stack much more than a page is free
else:
    threading.stack_size(1 << 19)
    record.start(py_outer).join()
