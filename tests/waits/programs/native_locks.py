# SPDX-License-Identifier: Apache-2.0
# What threads wait for in the C library: locks that processes share, read-write locks, barriers, the end of a thread.
# The main thread has the GIL and wants to read what a thread that wants the GIL writes.
import ctypes
import os
import sys
import time

import hang

MAP_SHARED, MAP_ANONYMOUS, PROCESS_SHARED = 1, 0x20, 1
c = ctypes.CDLL(None)
c.mmap.restype = ctypes.c_void_p
c.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_size_t]


def pointer(address):
    return ctypes.c_void_p(address)


def shared_mutex(address):
    attributes = ctypes.create_string_buffer(64)
    c.pthread_mutexattr_init(attributes)
    c.pthread_mutexattr_setpshared(attributes, PROCESS_SHARED)
    c.pthread_mutex_init(pointer(address), attributes)
    return address


memory = c.mmap(None, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
private = ctypes.create_string_buffer(4096)
start = ctypes.addressof(private) + -ctypes.addressof(private) % 64
shared, own = shared_mutex(memory), shared_mutex(memory + 512)
ready, go = os.pipe()

child = os.fork()
if child == 0:
    c.alarm(600)
    c.pthread_mutex_lock(pointer(shared))
    os.write(go, b'x')
    time.sleep(3600)
os.read(ready, 1)

written, read, full, wanted = [start + 64 * number for number in range(4)]
c.pthread_barrier_init(pointer(full), None, 3)


def holds(function, address, point):
    function(pointer(address))
    hang.passed(point)
    time.sleep(3600)


def waits(function, address, point=None):
    hang.after(*point or ())
    function(pointer(address))


hang.start(holds, 'writes', c.pthread_rwlock_wrlock, written, 'written')
hang.start(holds, 'reads', c.pthread_rwlock_rdlock, read, 'read')
hang.start(holds, 'has a shared one', c.pthread_mutex_lock, own, 'own')
hang.start(waits, 'wants to read', c.pthread_rwlock_rdlock, written, ['written'])
hang.start(waits, 'wants to write', c.pthread_rwlock_wrlock, written, ['written'])
hang.start(waits, 'wants to write what is read', c.pthread_rwlock_wrlock, read, ['read'])
hang.start(waits, 'came first', c.pthread_barrier_wait, full)
hang.start(waits, 'came second', c.pthread_barrier_wait, full)
hang.start(waits, 'wants a mutex of another process', c.pthread_mutex_lock, shared)
hang.start(waits, 'wants a shared mutex of this process', c.pthread_mutex_lock, own, ['own'])
hang.after('own', 'written', 'read')
hang.waits('wants to read', 'read-write-lock', address=written, owner='writes', says=['held for writing by "writes"'])
hang.waits('wants to write', 'read-write-lock', address=written, owner='writes')
hang.waits('wants to write what is read', 'read-write-lock', address=read, says=['held for reading'])
for name in ('came first', 'came second'):
    hang.waits(name, 'barrier', address=full, says=['(2 of 3 threads have come)'])
hang.waits('wants a mutex of another process', 'mutex', address=shared, holder=child,
           says=['held by process %d (' % child])
hang.waits('wants a shared mutex of this process', 'mutex', address=own, owner='has a shared one')

library = hang.library()
library.hang_start_thread.restype = ctypes.c_ulong
native = library.hang_start_thread(c.pthread_create)
hang.start(waits, 'joins', lambda thread: c.pthread_join(ctypes.c_ulong(native), None), None)
hang.waits('joins', 'join', holder=library.hang_tid(3))
if sys.argv[1] == 'without the GIL':
    hang.waits('MainThread', 'system-call', calls=['select', 'pselect6', 'clock_nanosleep'])
    hang.hang()


def logs():
    c.pthread_rwlock_wrlock(pointer(wanted))
    hang.passed('wanted')
    library.hang_wait_flag()


hang.start(logs, 'logs')
hang.after('wanted')
hang.waits('logs', 'gil', owner='MainThread')
hang.waits('MainThread', 'read-write-lock', address=wanted, owner='logs')
hang.deadlock('MainThread', 'logs')
hang.hang(hang.library(ctypes.PyDLL).hang_raise_and_call, (c.pthread_rwlock_rdlock, pointer(wanted)))
