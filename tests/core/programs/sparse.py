# SPDX-License-Identifier: Apache-2.0
# A process that has asked for 50 GiB of memory and uses almost nothing of it; run by test_core_kinds.py.
import mmap
import threading

import record as written

memory = mmap.mmap(-1, 50 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000))
for gigabyte in range(50):
    memory[gigabyte << 30] = 1
event = threading.Event()


def wait(depth):
    if depth:
        return wait(depth - 1)
    event.wait()


for number in range(20):
    written.start(wait, "waits-%d" % number, (150,))
written.die()
