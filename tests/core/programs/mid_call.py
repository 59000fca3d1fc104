# SPDX-License-Identifier: Apache-2.0
# Two runs of the eval loop, the inner one called by C. test_mid_call.py changes the core.
import ctypes

import record

get = ctypes.pythonapi.PyThreadState_Get
get.restype = ctypes.c_void_p
with open('tstate', 'w') as out:
    out.write(str(get()))


def inner(number):
    record.die()
    return number


def outer():
    return sorted([1], key=inner)


outer()
