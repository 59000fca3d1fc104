# SPDX-License-Identifier: Apache-2.0
# A thread that no signal and no debugger can interrupt, beside some that sleep; run by test_robust.py.
import time

import hang

library = hang.library()


def stuck():
    library.hang_vfork()
    with open('released', 'w'):
        pass
    time.sleep(3600)


hang.start(stuck, 'stuck')
hang.start(time.sleep, 'sleeps', 3600)
hang.hang()
