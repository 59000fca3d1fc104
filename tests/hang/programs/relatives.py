# SPDX-License-Identifier: Apache-2.0
# A parent and a child that wait for each other, and some that only look like it: which of them is the argument.
import ctypes
import mmap
import multiprocessing
import os
import select
import signal
import socket
import struct
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
ends = socket.socketpair()
locks = multiprocessing.Lock(), multiprocessing.Lock()
if how == 'has a handler':
    signal.signal(signal.SIGTERM, lambda *_: None)


def read(fd):
    return lambda: os.read(fd, 1)


def read_own():
    new = os.pipe()
    os.read(new[0], 1)


def write_much(fd):
    def write():
        while True:
            os.write(fd, b'x' * 4096)
    return write


def poll(*fds):
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    return poller.poll


def read_with_limit():
    ends[1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 3600, 0))
    ends[1].recv(1)


def lock_mutex():
    c.pthread_mutex_lock(mutex)


def lock_mutex_with_limit():
    c.pthread_mutex_timedlock(mutex, struct.pack('ll', int(time.time()) + 3600, 0))


def acquire(number):
    return lambda: locks[number].acquire()


def acquire_for_a_while():
    locks[1].acquire(True, 3600)


def sleep():
    time.sleep(3600)


def wait_for_child():
    os.waitpid(pid, 0)


def fork_a_stranger():
    """It has everything that the others have, and is no descendant."""
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            sleep()
        os._exit(0)
    os.waitpid(child, 0)


own = os.pipe()
first, second = ends[0].fileno(), ends[1].fileno()
does = {  # the parent, the child
    'pipes': (read(back[0]), read(there[0])),
    'child reads, parent waits': (wait_for_child, read(there[0])),
    'child writes, parent waits': (wait_for_child, write_much(back[1])),
    'waits for a shared mutex': (lock_mutex, read(there[0])),
    'waits for a shared mutex for a while': (lock_mutex_with_limit, read(there[0])),
    'reads its own': (read_own, sleep),
    'somebody else has the pipe': (wait_for_child, read(there[0])),
    'has a handler': (wait_for_child, read(there[0])),
    'parent sleeps': (sleep, read(there[0])),
    'child sleeps': (wait_for_child, sleep),
    'polls pipes': (poll(back[0], own[0]), read(there[0])),
    'sockets': (lambda: ends[0].recv(1), read(second)),
    'polls a socket': (lambda: ends[0].recv(1), poll(second)),
    'sockets that are full': (write_much(first), write_much(second)),
    'a socket with a time limit': (lambda: ends[0].recv(1), read_with_limit),
    'a socket and a sleeper': (lambda: ends[0].recv(1), sleep),
    'somebody else has the sockets': (lambda: ends[0].recv(1), read(second)),
    'semaphores': (acquire(1), acquire(0)),
    'a semaphore for a while': (acquire_for_a_while, acquire(0)),
    'a semaphore, and the child sleeps': (acquire(1), sleep),
    'somebody else has the semaphores': (acquire(1), acquire(0)),
}


def child():
    signal.alarm(600)
    lock_mutex()
    locks[1].acquire()
    os.write(ready[1], b'x')
    does[how][1]()


locks[0].acquire()
pid = os.fork()
if pid == 0:
    child()
if how.startswith('somebody else has'):
    fork_a_stranger()
os.read(ready[0], 1)
print(pid)
sys.stdout.flush()
does[how][0]()
