# SPDX-License-Identifier: Apache-2.0
# A signal handler of C runs Python, on the thread's stack or on one of its own.
# arguments: same_stack other_stack nested
import signal
import sys

import extensions
from extensions import mark, through


def py_last(number):
    with mark('py_last'):
        extensions.die()


def py_nested(number):
    with mark('py_nested'):
        through('exv_raise', py_in_handler, signal.SIGUSR2, 0)


def py_in_handler(number):
    with mark('py_in_handler'):
        through('exv_b', py_last)


def py_outer(number):
    with mark('py_outer'):
        how = sys.argv[1]
        through('exv_raise', py_nested if how == 'nested' else py_in_handler, signal.SIGUSR1, int(how == 'other_stack'))


through('exv_a', py_outer)
