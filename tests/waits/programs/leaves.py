# SPDX-License-Identifier: Apache-2.0
# Runs in code that nobody can follow: until the process has been stopped once, or for ever.
# arguments: leaves stays
import ctypes
import os
import sys
import time


def enter():
    ctypes.CDLL('./libleaves.so').spin_until_stopped(sys.argv[1] == 'leaves')


while not os.path.exists('libleaves.so'): time.sleep(0.01)
open('ready', 'w').close()
enter()
while True: pass  # one line
