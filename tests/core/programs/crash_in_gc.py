# SPDX-License-Identifier: Apache-2.0
# Death inside the garbage collector: finalizers and weak reference callbacks.
# arguments: del weakref automatic
import gc
import sys
import weakref

import record


class Cycle(object):
    def __init__(self):
        self.me = self


class Finalized(object):
    def __del__(self):
        record.die()


def callback(reference):
    record.die()


def collect(kind):
    if kind == 'automatic':
        gc.set_threshold(1, 1, 1)
        kept = []
        for _ in range(100000):
            kept.append(([], {}))
    else:
        gc.collect()


gc.disable()
if sys.argv[1] == 'weakref':
    target = Cycle()
    reference = weakref.ref(target, callback)
else:
    # The finalizer is not part of the cycle, or 2.7 would not collect it.
    target = Cycle()
    target.held = Finalized()
del target
gc.enable()
collect(sys.argv[1])
