# SPDX-License-Identifier: Apache-2.0
# A thread that no signal and no debugger can interrupt, beside some that sleep; run by test_robust.py.
# arguments: anonymous    it has told the kernel not where its descriptor is, as a C library may not
import ctypes
import os
import sys
import time

import hang

library = hang.library()


def stuck():
    if sys.argv[1:] == ['anonymous']:
        number = {'x86_64': 273, 'aarch64': 99}[os.uname()[4]]  # set_robust_list(2)
        assert ctypes.CDLL(None).syscall(number, None, ctypes.c_size_t(24)) == 0
    library.hang_vfork()
    with open('released', 'w'):
        pass
    time.sleep(3600)


hang.start(stuck, 'stuck')
hang.start(time.sleep, 'sleeps', 3600)
hang.hang()
