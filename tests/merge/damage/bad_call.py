# SPDX-License-Identifier: Apache-2.0
# C calls through a pointer that is NULL, or leads into the heap or to nothing: a library, or an extension module.
# arguments: library-null library-wild module-null module-heap
import ctypes
import sys

import extensions
import record
from extensions import mark, through

WHO, WHERE = sys.argv[1].split('-')
heap = ctypes.create_string_buffer(b'\x90' * 64)
ADDRESS = {'null': 0, 'heap': ctypes.addressof(heap), 'wild': 0x123456789000}[WHERE]
with open('address', 'w') as file:
    file.write(hex(ADDRESS).rstrip('L'))
if WHO == 'module':
    sys.path.insert(0, extensions.DIRECTORY)
    try:
        import exvmodule
    except ImportError as problem:
        record.not_applicable(str(problem))
    known, function, argument = 'exv_ext_bad_call', exvmodule.bad_call, ADDRESS
else:
    known, function = 'exv_bad_call', extensions.load('libexv_damage.so').exv_bad_call
    argument = ctypes.c_void_p(ADDRESS)


def py_bad(number):
    with mark('py_bad'):
        extensions.crash(function, (argument,), [known])


def py_generator(number):
    with mark('py_generator'):
        yield through('exv_b', py_bad)


def py_outer(number):
    with mark('py_outer'):
        return sum(py_generator(number))


through('exv_a', py_outer)
