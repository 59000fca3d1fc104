# SPDX-License-Identifier: Apache-2.0
# A loop that is hot enough for a compiler; the last of its calls dies. Only in the loop `native` is that call like the
# others for the interpreter, so that compiled code is on the stack.
# arguments: function callback generator native
import sys

import extensions
from extensions import mark, through

LAST = 20000


def py_last(number):
    with mark('py_last'):
        extensions.die()


def step(number):
    if number == LAST - 1:
        through('exv_b', py_last)
    return number & 1


def items():
    for number in range(LAST):
        yield number


def py_loop(number):
    with mark('py_loop'):
        total = 0
        if sys.argv[1] == 'function':
            for item in range(LAST):
                total += step(item)
        elif sys.argv[1] == 'callback':
            total = sum(map(step, range(LAST)))
        elif sys.argv[1] == 'native':
            only, pointer = extensions.library.exv_only, extensions.callback(py_last)
            for item in range(LAST):
                total += only(pointer, item, LAST - 1)
        else:
            for item in items():
                total += step(item)
        return total & 1


through('exv_a', py_loop)
