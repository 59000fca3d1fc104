# SPDX-License-Identifier: Apache-2.0
# Locks that are taken inside of context managers: by generators that are suspended in a `with`, by ExitStacks. And those
# that look so, and do not have their locks any more.
import contextlib
import threading
import time

import hang


@contextlib.contextmanager
def guarded(lock):
    with lock:
        yield


@contextlib.contextmanager
def twice(lock):
    with guarded(lock):
        yield


@contextlib.contextmanager
def by_acquire(lock):
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def over(lock):
    with lock:
        pass
    yield


@contextlib.contextmanager
def let_go(lock):
    with lock:
        lock.release()
        yield
        lock.acquire()


def in_block(manager, name):
    with manager:
        hang.passed('in ' + name)
        time.sleep(3600)


def in_stack(manager, name):
    with contextlib.ExitStack() as stack:
        stack.enter_context(open('/dev/null'))
        stack.enter_context(manager)
        stack.callback(time.sleep, 0)
        hang.passed('in ' + name)
        time.sleep(3600)


def ended(lock, name):
    manager = guarded(lock)
    with manager:
        for _ in manager.gen:
            pass
        hang.passed('in ' + name)
        time.sleep(3600)


def emptied(lock, name):
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock)
        stack.close()
        hang.passed('in ' + name)
        time.sleep(3600)


def take(lock, name):
    """Nothing in its frame tells that it has the lock."""
    hang.after('in ' + name)
    lock.acquire()
    hang.passed('taken ' + name)
    time.sleep(3600)


def wait(lock, name):
    hang.after('taken ' + name)
    hang.passed('waits for ' + name)
    with lock:
        pass


def taken(holder, name, lock, manager):
    hang.start(holder, name, manager, name)
    hang.after('in ' + name)
    hang.passed('taken ' + name)
    hang.start(wait, 'waits for ' + name, lock, name)
    hang.after('waits for ' + name)
    hang.waits('waits for ' + name, 'lock', lock, taken=name)


def not_taken(holder, name, lock, manager):
    hang.start(holder, name, manager, name)
    hang.start(take, 'has ' + name, lock, name)
    hang.start(wait, 'waits for ' + name, lock, name)
    hang.after('waits for ' + name)
    hang.waits('waits for ' + name, 'lock', lock)


for function in (guarded, twice, by_acquire):
    lock = threading.Lock()
    taken(in_block, function.__name__, lock, function(lock))
for function in (over, let_go):
    lock = threading.Lock()
    not_taken(in_block, function.__name__, lock, function(lock))
lock = threading.Lock()
not_taken(ended, 'ended', lock, lock)

stacks = hasattr(contextlib, 'ExitStack')
if stacks:
    for function in (lambda lock: lock, threading.Condition, guarded, twice, by_acquire):
        lock = threading.Lock()
        taken(in_stack, 'stack of ' + function.__name__, lock, function(lock))
    for function in (over, let_go):
        lock = threading.Lock()
        not_taken(in_stack, 'stack of ' + function.__name__, lock, function(lock))
    lock = threading.Lock()
    not_taken(emptied, 'emptied', lock, lock)

left, right = threading.Lock(), threading.Lock()


def left_then_right():
    with guarded(left):
        hang.passed('left')
        hang.after('right')
        with right:
            pass


def right_then_left():
    with contextlib.ExitStack() if stacks else guarded(right) as stack:
        if stacks:
            stack.enter_context(right)
        hang.passed('right')
        hang.after('left')
        with left:
            pass


hang.start(left_then_right, 'left then right')
hang.start(right_then_left, 'right then left')
hang.waits('left then right', 'lock', right, taken='right then left')
hang.waits('right then left', 'lock', left, taken='left then right')
hang.deadlock('left then right', 'right then left', certain=False)
hang.after('left', 'right')
time.sleep(0.2)

hang.waits('MainThread', 'system-call', calls=['nanosleep', 'clock_nanosleep', 'select', 'pselect6'])
hang.hang()
