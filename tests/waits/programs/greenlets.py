# SPDX-License-Identifier: Apache-2.0
"""Greenlets that share a C stack. Sleeps in the one that `how` says, having written down who called whom in it.

arguments: started resumed shallow nested main starting traced thread
"""

import json
import os
import sys
import threading
import time

import greenlet


def rest():
    """Called where the thread comes to rest: the frames of the greenlet that runs, the innermost first."""
    names, frame = [], sys._getframe()
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    current = greenlet.getcurrent()
    document = {"pid": os.getpid(), "thread": threading.current_thread().name, "functions": names,
                "main": current.parent is None}
    with open("ready.part", "w") as file:
        json.dump(document, file)
    os.rename("ready.part", "ready")
    time.sleep(3600)


def through_c(n, function):
    """`function`, called by C code which many frames of C and Python call."""
    if n:
        return max([1], key=lambda _: through_c(n - 1, function))
    return function()


def started():
    greenlet.greenlet(rest).switch()


def suspended_at(n, m):
    """A greenlet that was started at one depth of the stack and is resumed at another."""
    main = greenlet.getcurrent()

    def body():
        main.switch()
        rest()

    child = greenlet.greenlet(body)
    through_c(n, lambda: list(map(lambda _: child.switch(), [1])))
    through_c(m, lambda: sorted([1], key=lambda _: child.switch()))


def resumed():
    suspended_at(3, 0)


def shallow():
    suspended_at(0, 3)


def nested():
    inner = greenlet.greenlet(lambda: through_c(1, rest))
    outer = greenlet.greenlet(lambda: sorted([3, 1, 2], key=lambda n: inner.switch() if n == 1 else n))
    outer.switch()


def main():
    """The main greenlet goes on after others have run where its frames are now."""
    child = greenlet.greenlet(lambda: through_c(3, greenlet.getcurrent().parent.switch))
    child.switch()
    through_c(2, rest)


def starting():
    """The attribute `run` is found by Python code, before the stack is that of the new greenlet."""
    class Late(greenlet.greenlet):
        def __getattribute__(self, name):
            if name == "run":
                rest()
            return greenlet.greenlet.__getattribute__(self, name)

    through_c(1, Late().switch)


def traced():
    """A trace function that the new greenlet calls before anything else."""
    def trace(event, pair):
        if event == "switch" and pair[1].parent is not None:
            rest()

    greenlet.settrace(trace)
    greenlet.greenlet(lambda: None).switch()


def thread():
    threading.Thread(target=resumed, name="switcher").start()
    time.sleep(3600)


globals()[sys.argv[1]]()
