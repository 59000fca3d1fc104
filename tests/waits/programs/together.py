# SPDX-License-Identifier: Apache-2.0
# Threads that hang for every common reason, each on its own: most of the scenarios in one process.
import ctypes
import os
import select
import socket
import subprocess
import sys
import threading
import time

import hang

try:
    import queue
except ImportError:
    import Queue as queue


def forever():
    time.sleep(3600)


# Two locks in opposite order.
first, second = threading.Lock(), threading.Lock()


def opposite(mine, other, name, partner):
    with mine:
        hang.passed(name)
        hang.after(partner)
        with other:
            forever()


hang.start(opposite, 'first then second', first, second, 'has first', 'has second')
hang.start(opposite, 'second then first', second, first, 'has second', 'has first')
# Functions were called inside of the blocks, and have returned: who knows what they released.
hang.waits('first then second', 'lock', second, taken='second then first')
hang.waits('second then first', 'lock', first, taken='first then second')
hang.deadlock('first then second', 'second then first', certain=False)

# A ring of three RLocks; one is taken without `with`: an RLock knows its owner.
ring = [threading.RLock() for _ in range(3)]


def in_ring(number):
    if number == 1:
        ring[1].acquire()
        take_next(number)
    with ring[number]:
        with ring[number]:
            take_next(number)


def take_next(number):
    hang.passed(('ring', number))
    hang.after(*[('ring', other) for other in range(3)])
    with ring[(number + 1) % 3]:
        forever()


for number in range(3):
    hang.start(in_ring, 'ring %d' % number, number)
for number in range(3):
    hang.waits('ring %d' % number, 'rlock', ring[(number + 1) % 3], 'ring %d' % ((number + 1) % 3))
hang.deadlock('ring 0', 'ring 1', 'ring 2')

# One Lock twice in one thread.
twice = threading.Lock()


def lock_twice():
    with twice:
        lock_again()


def lock_again():
    with twice:
        forever()


hang.start(lock_twice, 'twice')
hang.waits('twice', 'lock', twice, taken='twice')
hang.deadlock('twice', certain=False)

# Locks that nobody releases.
lost, kept, unproven, kept_rlock = threading.Lock(), threading.Lock(), threading.Lock(), threading.RLock()


def take_and_end():
    lost.acquire()
    hang.passed('lost')


def keep():
    with kept:
        kept_rlock.acquire()
        hang.passed('kept')
        forever()


def keep_unproven():
    unproven.acquire()
    hang.passed('unproven')
    forever()


def use(lock):
    with lock:
        forever()


def acquire(lock):
    lock.acquire()
    forever()


def acquire_for_an_hour(lock):
    lock.acquire(True, 3600)
    forever()


hang.start(take_and_end, 'takes and ends').join()
keeper = hang.start(keep, 'keeps')
hang.start(keep_unproven, 'keeps, who knows')
hang.after('lost', 'kept', 'unproven')
for name, function, lock, owner in (
    ('lost lock', acquire, lost, None), ('unproven lock', use, unproven, None), ('kept lock', use, kept, 'keeps'),
    ('kept lock, acquire', acquire, kept, 'keeps'), ('kept RLock', acquire, kept_rlock, 'keeps'),
):
    hang.start(function, name, lock)
    if lock is kept_rlock:
        hang.waits(name, 'rlock', lock, owner)
    else:
        hang.waits(name, 'lock', lock, taken=owner)
if sys.version_info >= (3,):
    hang.start(acquire_for_an_hour, 'lost lock, timeout', lost)
    hang.waits('lost lock, timeout', 'lock', lost)
hang.waits('keeps', 'system-call', calls=['select', 'pselect6', 'clock_nanosleep'])
hang.waits('keeps, who knows', 'system-call', calls=['select', 'pselect6', 'clock_nanosleep'])

# What the threading module is made of.
condition, event, semaphore = threading.Condition(), threading.Event(), threading.Semaphore(0)
bounded, guarded = threading.BoundedSemaphore(1), threading.Condition()
bounded.acquire()


def wait_condition():
    with condition:
        condition.wait()


def wait_condition_nested():
    with condition:
        with condition:
            condition.wait_for(lambda: False)


def guard():
    with guarded:
        hang.passed('guarded')
        forever()


def enter_guarded():
    with guarded:
        forever()


hang.start(wait_condition, 'condition')
hang.waits('condition', 'condition', condition)
hang.start(lambda: event.wait(), 'event')
hang.waits('event', 'event', event)
hang.start(lambda: semaphore.acquire(), 'semaphore')
hang.waits('semaphore', 'semaphore', semaphore)
hang.start(use, 'bounded semaphore', bounded)
hang.waits('bounded semaphore', 'semaphore', bounded)
hang.start(guard, 'guards')
hang.after('guarded')
hang.start(enter_guarded, 'enters a condition')
hang.waits('enters a condition', 'rlock', getattr(guarded, '_lock', None) or guarded._Condition__lock, 'guards',
           also=[id(guarded)], types=['Condition', '_Condition'], kinds=['condition'])
if hasattr(threading, 'Barrier'):
    barrier = threading.Barrier(2)
    hang.start(lambda: barrier.wait(), 'barrier')
    hang.waits('barrier', 'barrier', barrier)
    hang.start(wait_condition_nested, 'condition, nested')
    hang.waits('condition, nested', 'condition', condition)

# Queues.
items, full, unfinished = queue.Queue(), queue.Queue(1), queue.Queue()
full.put(1)
unfinished.put(1)
hang.start(lambda: items.get(), 'queue get')
hang.waits('queue get', 'queue', items)
hang.start(lambda: full.put(2), 'queue put')
hang.waits('queue put', 'queue', full)
hang.start(lambda: unfinished.join(), 'queue join')
hang.waits('queue join', 'queue', unfinished)
if hasattr(queue, 'SimpleQueue'):
    simple = queue.SimpleQueue()
    hang.start(lambda: simple.get(), 'simple queue')
    hang.waits('simple queue', 'queue', simple)

# Threads and processes that do not end.
hang.start(lambda: keeper.join(), 'joins')
hang.waits('joins', 'join', keeper, 'keeps')
if sys.version_info >= (3,):
    hang.start(lambda: keeper.join(3600), 'joins for an hour')
    hang.waits('joins for an hour', 'join', keeper, 'keeps')
reader, writer = os.pipe()
# A chroot has no programs but Python.
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], close_fds=True)
hang.start(lambda: child.wait(), 'child')
hang.waits('child', 'child', child=child.pid)
hang.start(lambda: os.waitpid(-1, 0), 'any child')
hang.waits('any child', 'child')

# Files and sockets.


def end(address):
    return {'address': address[0], 'port': address[1]}


def inode(fd):
    return os.fstat(fd).st_ino


server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen(1)
client = socket.create_connection(server.getsockname())
accepted, _ = server.accept()
hang.start(lambda: client.recv(1), 'socket')
hang.waits('socket', 'system-call', calls=['recvfrom', 'recv', 'read'], fd=client.fileno(),
           file=['%s:%d' % client.getsockname(), '%s:%d' % client.getpeername()],
           descriptor={'kind': 'tcp', 'inode': inode(client.fileno()), 'state': 'established',
                       'local': end(client.getsockname()), 'remote': end(client.getpeername())})
hang.start(lambda: server.accept(), 'accept')
hang.waits('accept', 'system-call', calls=['accept', 'accept4'], fd=server.fileno(),
           file=['%s:%d' % server.getsockname()],
           descriptor={'kind': 'tcp', 'state': 'listen', 'local': end(server.getsockname()), 'remote': None})
here, there = socket.socketpair()
hang.start(lambda: here.recv(1), 'unix socket')
hang.waits('unix socket', 'system-call', calls=['recvfrom'], fd=here.fileno(), file=['socket'],
           descriptor={'kind': 'unix', 'inode': inode(here.fileno()), 'state': 'established'})
hang.start(lambda: os.read(reader, 1), 'pipe')
hang.waits('pipe', 'system-call', calls=['read'], fd=reader, file=['pipe'],
           descriptor={'kind': 'pipe', 'inode': inode(reader)})
hang.start(lambda: select.select([reader], [], []), 'select')
hang.waits('select', 'system-call', calls=['select', 'pselect6'])
poll = select.poll()
poll.register(reader)
hang.start(lambda: poll.poll(), 'poll')
hang.waits('poll', 'system-call', calls=['poll', 'ppoll'])
epoll = select.epoll()
epoll.register(reader)
hang.start(lambda: epoll.poll(), 'epoll')
hang.waits('epoll', 'system-call', calls=['epoll_wait', 'epoll_pwait'], fd=epoll.fileno(), file=['epoll'],
           descriptor={'kind': 'epoll', 'watched': [reader], 'watched_count': 1})

# An event loop whose task calls what blocks, and one that has nothing to do.
if sys.version_info >= (3,):
    import blocked_loop
    blocked_loop.start(kept)

# Threads that no Python knows.
native = hang.library()
native.hang_mutex.restype = native.hang_condition.restype = ctypes.c_void_p
native.hang_start_threads(ctypes.cast(ctypes.CDLL(None).pthread_create, ctypes.c_void_p))
while not (native.hang_held(0) and native.hang_held(1) and native.hang_tid(2)):
    time.sleep(0.001)
left, right, on_condition = [native.hang_tid(number) for number in range(3)]
hang.waits(left, 'mutex', address=native.hang_mutex(1), holder=right)
hang.waits(right, 'mutex', address=native.hang_mutex(0), holder=left)
hang.waits(on_condition, 'condition-variable', address=native.hang_condition(), by_stack=True)
hang.deadlock(left, right)

hang.waits('MainThread', 'lock', lost)
hang.hang(lost.acquire, ())
