# SPDX-License-Identifier: Apache-2.0
# A crash inside C, called from a generator, called from C.
# arguments: generator recursion method
import sys

import extensions
from extensions import mark, through


def py_generator():
    with mark('py_generator'):
        yield through('exv_b', py_crash)


def py_crash(number):
    with mark('py_crash'):
        extensions.crash()


def py_sum(number):
    with mark('py_sum'):
        return sum(py_generator())


def py_recursion(number):
    with mark('py_recursion'):
        if number < 30:
            return py_recursion(number + 1) + 1
        return through('exv_b', py_crash)


class Thing(object):
    def py_method(self, number, *rest, **more):
        with mark('py_method'):
            return [through('exv_b', py_crash) for _ in [1]]


STARTS = {'generator': py_sum, 'recursion': py_recursion, 'method': lambda number: Thing().py_method(1, 2, three=3)}
through('exv_a', STARTS[sys.argv[1]])
