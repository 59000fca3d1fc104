# SPDX-License-Identifier: Apache-2.0
# A parent and a child that wait for each other, and some that only look like it: which of them is the argument.
import ctypes
import mmap
import os
import signal
import sys
import time

how = sys.argv[1]
there, back, ready = os.pipe(), os.pipe(), os.pipe()
signal.alarm(600)
c = ctypes.CDLL(None)
memory = mmap.mmap(-1, 4096)
mutex = ctypes.byref(ctypes.c_char.from_buffer(memory))
attributes = ctypes.create_string_buffer(64)
c.pthread_mutexattr_init(attributes)
c.pthread_mutexattr_setpshared(attributes, 1)
c.pthread_mutex_init(mutex, attributes)
if how == 'has a handler':
    signal.signal(signal.SIGTERM, lambda *_: None)


def child():
    signal.alarm(600)
    c.pthread_mutex_lock(mutex)
    os.write(ready[1], b'x')
    if how in ('pipes', 'child reads, parent waits', 'somebody else has the pipe', 'parent sleeps', 'has a handler',
               'waits for a shared mutex'):
        os.read(there[0], 1)
    if how == 'child writes, parent waits':
        while True:
            os.write(back[1], b'x' * 4096)
    time.sleep(3600)


pid = os.fork()
if pid == 0:
    child()
if how == 'somebody else has the pipe':
    import subprocess
    subprocess.Popen(['sleep', '3600'], pass_fds=[there[1]])
os.read(ready[0], 1)
print(pid)
sys.stdout.flush()
if how == 'pipes':
    os.read(back[0], 1)
elif how == 'waits for a shared mutex':
    c.pthread_mutex_lock(mutex)
elif how == 'reads its own':
    own = os.pipe()
    os.read(own[0], 1)
elif how == 'parent sleeps':
    time.sleep(3600)
else:
    os.waitpid(pid, 0)
