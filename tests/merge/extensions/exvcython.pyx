# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3
"""Python calls this, and this calls Python; compiled to C, with the lines of this file."""


cdef object exv_cython_inner(object function, int number):
    if number > 0:
        return exv_cython_inner(function, number - 1)  # again
    return function(number)  # out


def exv_cython(function):  # wrapper
    cdef object result = exv_cython_inner(function, 2)  # in
    return result


class ExvCython:
    def __iter__(self):
        for item in (1, 2):
            yield exv_cython(self.function)  # generator
