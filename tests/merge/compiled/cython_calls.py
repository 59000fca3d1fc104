# SPDX-License-Identifier: Apache-2.0
# Python calls a generator of Cython, which calls Python.
import sys

import extensions
from extensions import mark

sys.path.insert(0, extensions.DIRECTORY)
import exvcython


def py_last(number):
    with mark('py_last'):
        extensions.die()


def py_outer():
    with mark('py_outer'):
        calling = exvcython.ExvCython()
        calling.function = py_last
        return list(calling)


py_outer()
