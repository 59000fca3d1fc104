# SPDX-License-Identifier: Apache-2.0
"""Calls of the eval loop, one in the other through C, as many as are asked for; markers.c lies about where they are."""
import ctypes
import sys


def down(n):
    if n:
        max([n - 1], key=down)
    else:
        library = ctypes.CDLL(sys.argv[1])
        pythonapi = ctypes.pythonapi
        pythonapi.PyThreadState_Get.restype = ctypes.c_void_p
        around = ctypes.cast(pythonapi.PyEval_EvalCode, ctypes.c_void_p)
        library.lie(ctypes.c_void_p(pythonapi.PyThreadState_Get()), around)


sys.setrecursionlimit(10000)
down(int(sys.argv[2]))
