# SPDX-License-Identifier: Apache-2.0
# Threads that wait for what processes share: everything of multiprocessing, files, pipes and children.
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import hang
import record

try:
    context = multiprocessing.get_context('fork')
except AttributeError:
    context = multiprocessing


def forever():
    time.sleep(3600)


def keep(*locks):
    for lock in locks:
        lock.acquire()
    taken.release()
    forever()


def slow(number):
    forever()


# Processes first: a fork of many threads is another story.
try:
    lock, rlock, taken = context.Lock(), context.RLock(), context.Semaphore(0)
except OSError as error:
    record.not_applicable('no shared semaphores here, there may be no /dev/shm: %s' % error)
holder = context.Process(target=keep, args=(lock, rlock), name='holder')
holder.daemon = True
holder.start()
# A reader that was killed leaves the lock of the readers taken.
deserted = context.Queue()
reader = context.Process(target=deserted.get)
reader.start()
while deserted._rlock.acquire(False):
    deserted._rlock.release()
    time.sleep(0.001)
os.kill(reader.pid, signal.SIGKILL)
reader.join()
# 2.7's asks again and again whether its processes live, and so does everything with a time limit: it never rests.
pool = context.Pool(1) if sys.version_info >= (3, 8) else None
taken.acquire()


def acquire(thing, *arguments):
    thing.acquire(*arguments)


def enter(thing):
    with thing:
        forever()


def wait(name, kind, thing, function, *arguments, **more):
    """A thread that calls the function, whose truth is the rest."""
    hang.start(function, name, *arguments)
    hang.waits(name, kind, thing, **more)


wait('acquire Lock', 'lock', lock, acquire, lock)
wait('acquire Lock, timeout', 'lock', lock, acquire, lock, True, 3600)
wait('with Lock', 'lock', lock, enter, lock)
wait('bound Lock', 'lock', lock._semlock, lock.acquire, types=['Lock'], says=['multiprocessing.Lock', 'owner unknown'])
wait('RLock of another process', 'rlock', rlock, enter, rlock, says=['held by no thread of this process'])
shared, semaphore, bounded = context.RLock(), context.Semaphore(0), context.BoundedSemaphore(1)
bounded.acquire()


def keep_shared():
    with shared:
        hang.passed('shared')
        forever()


hang.start(keep_shared, 'keeps shared')
hang.after('shared')
wait('RLock of this process', 'rlock', shared, enter, shared, taken='keeps shared', kept='keeps shared')
wait('Semaphore', 'semaphore', semaphore, acquire, semaphore)
wait('BoundedSemaphore', 'semaphore', bounded, enter, bounded)
condition, event = context.Condition(), context.Event()


def wait_condition():
    with condition:
        condition.wait()


wait('Condition', 'condition', condition, wait_condition)
wait('Event', 'event', event, event.wait)
wait('Event, timeout', 'event', event, event.wait, 3600)
if hasattr(context, 'Barrier'):
    barrier = context.Barrier(2)
    wait('Barrier', 'barrier', barrier, barrier.wait)

# Queues: one thread has the lock of the readers and waits for the pipe, the other waits for the lock.
items, limited, full, unfinished = context.Queue(), context.Queue(), context.Queue(1), context.JoinableQueue()
# As `put` does, but without the thread that it starts.
full._sem.acquire()
unfinished._unfinished_tasks.release()
wait('Queue.get', 'queue', items, items.get, calls=['read'], fd=items._reader.fileno(), file=['pipe'], says=['read'])
while items._rlock.acquire(False):
    items._rlock.release()
    time.sleep(0.001)
wait('Queue.get, second', 'queue', items, items.get, says=['another reader'])
wait('Queue.get, reader killed', 'queue', deserted, deserted.get,
     says=['another reader has its lock, or ended with it'])
wait('Queue.get, timeout', 'queue', limited, limited.get, True, 3600, calls=['poll', 'ppoll', 'select'],
     fd=limited._reader.fileno())
wait('Queue.put', 'queue', full, full.put, 2, says=['it is full'])
wait('JoinableQueue.join', 'queue', unfinished, unfinished.join, says=['task_done'])
# Its `put` takes that lock of it when it has found room.
roomy = context.JoinableQueue()


def keep_condition():
    with roomy._cond:
        hang.passed('condition of the queue')
        forever()


hang.start(keep_condition, 'keeps the condition')
hang.after('condition of the queue')
lock = roomy._cond._lock
wait('JoinableQueue.put', 'rlock', lock if sys.version_info >= (3,) else lock._semlock, roomy.put, 1, types=['RLock'],
     taken='keeps the condition', kept='keeps the condition')
if hasattr(context, 'SimpleQueue'):
    simple = context.SimpleQueue()
    wait('SimpleQueue.get', 'queue', simple, simple.get, calls=['read'], fd=simple._reader.fileno())

# Results and ends of processes.
wait('Process.join', 'child', None, holder.join, child=holder.pid, says=['"holder"'])
if pool:
    wait('Process.join, timeout', 'child', None, holder.join, 3600, child=holder.pid, says=['"holder"'])
    result = pool.apply_async(slow, (1,))
    wait('AsyncResult.get', 'future', result, result.get)
    # The threads of the pool.
    for thread in threading.enumerate():
        record._tids.setdefault(thread.ident, thread.native_id)
    # That one's result is a local variable of the pool.
    hang.start(pool.map, 'Pool.map', slow, [1])
    hang.waits('Pool.map', 'future', says=['multiprocessing.MapResult'])

# Children, by hand. A chroot has no programs but Python.
TAKER = '''
import fcntl, os, sys, time
given = open("given")
fcntl.flock(given, fcntl.LOCK_EX)
if os.fork() == 0:
    time.sleep(600)
given.close()
whole, part = open("whole"), open("part", "r+")
fcntl.flock(whole, fcntl.LOCK_EX)
fcntl.lockf(part, fcntl.LOCK_EX)
fifo = open("fifo", "w")
open("opened", "w").close()
time.sleep(600)
'''
os.mkfifo('fifo')
os.mkfifo('lonely')
for name in ('whole', 'part', 'own', 'given'):
    open(name, 'w').close()
taker = subprocess.Popen([sys.executable, '-c', TAKER], close_fds=True)
if sys.version_info >= (3, 15):
    # Before, it asks again and again, and never rests.
    wait('Popen.wait, timeout', 'child', None, taker.wait, 3600, child=taker.pid, says=[str(taker.pid)])
fifo = os.open('fifo', os.O_RDONLY)  # returns when the taker opens it, after its locks, and before it has a descriptor
while not os.path.exists('opened'):
    time.sleep(0.005)
wait('reads a FIFO', 'system-call', None, os.read, fifo, 1, calls=['read'], fd=fifo,
     file=['FIFO', 'other end: pid %d' % taker.pid],
     descriptor={'kind': 'fifo'})
wait('opens a FIFO', 'system-call', None, os.open, 'lonely', os.O_RDONLY, calls=['open', 'openat'], says=['lonely'])
whole, part, own, again = open('whole'), open('part', 'r+'), open('own'), open('own')
given = open('given')
fcntl.flock(own, fcntl.LOCK_EX)
wait('flock', 'system-call', None, fcntl.flock, whole, fcntl.LOCK_EX, calls=['flock'], fd=whole.fileno(),
     says=['held by process %d' % taker.pid])
# That one let its child have it.
wait('flock that was passed on', 'system-call', None, fcntl.flock, given, fcntl.LOCK_EX, calls=['flock'], fd=given.fileno(),
     says=['taken by process %d; another one may have its descriptor now' % taker.pid])
wait('lockf', 'system-call', None, fcntl.lockf, part, fcntl.LOCK_EX, calls=['fcntl'], fd=part.fileno(),
     says=['held by process %d' % taker.pid])
wait('flock of its own', 'system-call', None, fcntl.flock, again, fcntl.LOCK_EX, calls=['flock'], fd=again.fileno(),
     says=['held by this process itself'])
hang.waits('MainThread', 'system-call', calls=['select', 'pselect6', 'clock_nanosleep'])
hang.hang()
