# SPDX-License-Identifier: Apache-2.0
# Runs in code that nobody can follow: until the process has been stopped once, or for ever. Once it has left there is a file "left".
# arguments: leaves stays
# A second argument: below how many calls.
import ctypes
import os
import sys
import time


def enter():
    ctypes.CDLL('./libleaves.so').spin_until_stopped(sys.argv[1] == 'leaves')
    open('left', 'w').close()
    while True: pass  # one line


def below(depth):
    below(depth - 1) if depth else enter()


sys.setrecursionlimit(1000000)
while not os.path.exists('libleaves.so'): time.sleep(0.01)
open('ready', 'w').close()
below(int(sys.argv[2]))
