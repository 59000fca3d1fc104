# SPDX-License-Identifier: Apache-2.0
"""Ten calls deep, every other one through C, and five more threads."""

import threading
import time


def down(n):
    if n == 0:
        open("ready", "w").close()
        time.sleep(3600)
    elif n % 2:
        down(n - 1)
    else:
        max([n - 1], key=down)


for _ in range(5):
    thread = threading.Thread(target=time.sleep, args=(3600,))
    thread.daemon = True
    thread.start()
down(9)
