# SPDX-License-Identifier: Apache-2.0
# C++ calls Python: from a method, a template, a catch block, a destructor while an exception flies.
# arguments: exv_cpp exv_cpp_template exv_cpp_catch exv_cpp_unwinding
import sys

import extensions
from extensions import mark

library = extensions.load('libexv_cpp.so')


def py_last(number):
    with mark('py_last'):
        extensions.die()


def py_inner(number):
    with mark('py_inner'):
        getattr(library, sys.argv[1])(extensions.callback(py_last), 1)


def py_outer():
    with mark('py_outer'):
        library.exv_cpp_catch(extensions.callback(py_inner), 1)


py_outer()
