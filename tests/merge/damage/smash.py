# SPDX-License-Identifier: Apache-2.0
# A C function writes garbage over its own frame and its callers', then crashes. What is written is the second half of
# the argument. The first says how far: `no` is the undamaged twin, `rbp` only its saved rbp, `return` its return
# address too, `callers` also the frames that called it, `eval` all up to the known function outside of the eval loop that called it.
# arguments: no-0 rbp-41 return-41 return-code callers-code eval-0
import ctypes
import sys

import extensions
from extensions import mark, through

library = extensions.load('libexv_damage.so')
library.exv_smash.argtypes = [ctypes.c_int, ctypes.c_void_p]
FAR, WITH = sys.argv[1].split('-')
WORDS = {'no': 0, 'rbp': 1, 'return': 2, 'callers': 16, 'eval': -1}[FAR]
GARBAGE = {'0': 0, '41': 0x4141414141414141, 'code': ctypes.cast(library.exv_decoy, ctypes.c_void_p).value + 16}[WITH]


def py_smash(number):
    with mark('py_smash'):
        extensions.crash(library.exv_smash, (WORDS, GARBAGE), ['exv_smash'])


def py_inner(number):
    with mark('py_inner'):
        return sorted([1], key=lambda item: library.exv_outer(extensions.callback(py_smash), 1))


def py_outer(number):
    with mark('py_outer'):
        return through('exv_b', py_inner)


through('exv_a', py_outer)
