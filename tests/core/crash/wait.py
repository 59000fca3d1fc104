# SPDX-License-Identifier: Apache-2.0
"""Wait to be killed: wait.py LIBRARY HOW."""
import ctypes
import os
import signal
import sys
import threading
import time

library = ctypes.PyDLL(sys.argv[1])
how = sys.argv[2]


def ready():
    sys.stdout.write('ready\n')
    sys.stdout.flush()


def kill():
    """From a thread that goes on at once, and leaves the signal to whom the kernel picks."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGQUIT]) if hasattr(signal, 'pthread_sigmask') else None
    os.kill(os.getpid(), signal.SIGQUIT)
    while True:
        pass


if how == 'faulthandler':
    import faulthandler
    faulthandler.enable(file=open(os.devnull, 'w'))
elif how == 'raise':
    library.exv_handle(b'raise')
elif how == 'fault_at_the_same_place':
    library.exv_wait_after_fault()
elif how == 'mended':
    library.exv_mended_fault()
    library.exv_handle(b'raise')
elif how == 'self':
    thread = threading.Thread(target=kill)
    thread.daemon = True
    thread.start()
ready()
time.sleep(60)
