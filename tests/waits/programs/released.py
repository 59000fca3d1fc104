# SPDX-License-Identifier: Apache-2.0
# Plain locks that were released inside of their `with` block, by code that has returned since or by another thread, and
# taken by another thread: each looks like a deadlock of "slow" and "writer", and none is one. When somebody opens
# ./go for writing, all threads end, and the program prints so. Besides: two threads that came to a real deadlock in a
# straight line, which ends when it is broken from outside, as any thread can.
import os
import sys
import threading
import time

import hang

go = threading.Event()
threads = []


class Unlocked:
    def __init__(self, lock):
        self.lock = lock

    def __enter__(self):
        self.lock.release()

    def __exit__(self, *exc):
        self.lock.acquire()


def by_helper(lock, journal, name):
    with lock:
        with Unlocked(lock):
            hang.passed(name)
            hang.after('taken ' + name)
            with journal:
                pass


def by_exit(lock, journal, name):
    with lock:
        lock.__exit__(None, None, None)
        hang.passed(name)
        hang.after('taken ' + name)
        with journal:
            pass
        lock.acquire()


def by_getattr(lock, journal, name):
    with lock:
        getattr(lock, 'rel' + 'ease')()
        hang.passed(name)
        hang.after('taken ' + name)
        with journal:
            pass
        lock.acquire()


def let_go(lock):
    lock.release()


def by_function(lock, journal, name):
    with lock:
        let_go(lock)
        hang.passed(name)
        hang.after('taken ' + name)
        with journal:
            pass
        lock.acquire()


def by_another_thread(lock, journal, name):
    hang.passed(name)
    with lock:
        with journal:
            pass
        # `busy` has given the lock back, which it took from under this `with`.
        lock.acquire()


def stolen(lock, name):
    """From the thread that has it, as soon as it sleeps."""
    while not lock.locked():
        time.sleep(0.001)
    time.sleep(0.3)
    lock.release()


def busy_in_finally(lock, name):
    hang.after(name)
    if name.startswith('by_another_thread'):
        stolen(lock, name)
    lock.acquire()
    try:
        hang.passed('taken ' + name)
        go.wait()
    finally:
        lock.release()


def busy_in_with(lock, name):
    hang.after(name)
    if name.startswith('by_another_thread'):
        stolen(lock, name)
    with lock:
        hang.passed('taken ' + name)
        go.wait()


def busy(lock, name):
    """Nothing in its frame tells that it has the lock."""
    hang.after(name)
    if name.startswith('by_another_thread'):
        stolen(lock, name)
    lock.acquire()
    hang.passed('taken ' + name)
    go.wait()
    lock.release()


def writer(lock, journal, name):
    with journal:
        hang.passed('journal ' + name)
        hang.after('taken ' + name)
        with lock:
            pass


for function in (by_helper, by_exit, by_getattr, by_function, by_another_thread):
    for holder in (busy_in_finally, busy_in_with, busy):
        lock, journal = threading.Lock(), threading.Lock()
        name = function.__name__ + ', ' + holder.__name__
        threads.append(hang.start(writer, 'writer ' + name, lock, journal, name))
        hang.after('journal ' + name)
        threads.append(hang.start(function, 'slow ' + name, lock, journal, name))
        threads.append(hang.start(holder, 'busy ' + name, lock, name))
        hang.after('taken ' + name)
        slow, straight = 'slow ' + name, function is by_another_thread
        seen = ['slow ' + name] + (['busy ' + name] if holder is not busy else [])
        hang.waits(slow, 'lock', journal, taken='writer ' + name)
        hang.waits('writer ' + name, 'lock', lock, taken=seen, kept=[slow] if straight else [])
        if holder is busy:
            # True as it is said: it is none if a lock was released since.
            hang.deadlock('writer ' + name, slow, certain=False)

# Each takes its second lock right after its first, until both have one.
left, right, counts = threading.Lock(), threading.Lock(), [0, 0]


def go_round(first, second, number):
    while not go.is_set():
        with first:
            with second:
                counts[number] += 1


if hasattr(sys, 'setswitchinterval'):
    sys.setswitchinterval(1e-6)
else:
    sys.setcheckinterval(1)
threads.append(hang.start(go_round, 'left then right', left, right, 0))
threads.append(hang.start(go_round, 'right then left', right, left, 1))
before = None
while before != counts:
    before = list(counts)
    time.sleep(0.2)
hang.waits('left then right', 'lock', right, taken='right then left', kept='right then left')
hang.waits('right then left', 'lock', left, taken='left then right', kept='left then right')
hang.deadlock('left then right', 'right then left', certain=False)

hang.waits('MainThread', 'system-call', calls=['open', 'openat'])
os.mkfifo('go')
hang.hang(os.open, ('go', os.O_RDONLY))
go.set()
left.release()
for thread in threads:
    thread.join()
sys.stdout.write('no deadlock: all threads have ended\n')
sys.stdout.flush()
