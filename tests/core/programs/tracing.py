# SPDX-License-Identifier: Apache-2.0
# Tracing and profiling functions are active, or on the stack.
# arguments: settrace setprofile inside
import sys
import time

import record


def trace(frame, event, argument):
    if sys.argv[1] == 'inside' and frame.f_code.co_name == 'watched' and event == 'line':
        sys.settrace(None)
        inside()
    return trace


def inside():
    record.die()


def watched():
    x = 1
    return x


def work():
    for item in [1, 2]:
        watched()
    record.die()


def main():
    if sys.argv[1] == 'setprofile':
        sys.setprofile(lambda *arguments: None)
    else:
        sys.settrace(trace)
    work()


main()
