# SPDX-License-Identifier: Apache-2.0
# Python calls a generator of Cython, which calls Python.
import sys

import landmarks
from landmarks import mark

sys.path.insert(0, landmarks.DIRECTORY)
import exvcython


def py_last(number):
    with mark('py_last'):
        landmarks.die()


def py_outer():
    with mark('py_outer'):
        calling = exvcython.ExvCython()
        calling.function = py_last
        return list(calling)


py_outer()
