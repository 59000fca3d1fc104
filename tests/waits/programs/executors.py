# SPDX-License-Identifier: Apache-2.0
# Pools of threads all of whose threads wait for work that only they could do, and some that only look like that.
import threading
import time
from concurrent import futures

import hang


def forever():
    time.sleep(3600)


def leaf():
    pass


def adopt(name, barrier):
    """All workers are there before one of them goes on."""
    hang.adopt(name)
    barrier.wait()


def queued(name, future, pool, **more):
    hang.waits(name, 'future', future, says=['which has not been started: it is in the queue of ' + pool], **more)


def executor(name, threads):
    return futures.ThreadPoolExecutor(threads, thread_name_prefix=name), threading.Barrier(threads)


inner = {}


# Both threads wait for Futures of their own executor.
def node(pool, name, barrier, timeout=None):
    adopt(name, barrier)
    inner[name] = pool.submit(leaf)
    inner[name].result(timeout)


nested, barrier = executor('nested', 2)
outer = [nested.submit(node, nested, 'nested %d' % number, barrier) for number in range(2)]
hang.start(outer[0].result, 'wants the outer')
single, barrier = executor('single', 1)
single.submit(node, single, 'single', barrier)
timed, barrier = executor('timed', 1)
timed.submit(node, timed, 'timed', barrier, 3600)

# One thread has what the other waits for.
rlock, has = threading.RLock(), threading.Event()


def take_and_wait(pool, barrier):
    with rlock:
        has.set()
        node(pool, 'chained 0', barrier)


def wait_for_taker(pool, barrier):
    adopt('chained 1', barrier)
    has.wait()
    with rlock:
        forever()


chained, barrier = executor('chained', 2)
chained.submit(take_and_wait, chained, barrier)
chained.submit(wait_for_taker, chained, barrier)

# One of the threads will do it.
busy, barrier = executor('busy', 2)
busy.submit(node, busy, 'waits for the other', barrier)
busy.submit(lambda: (adopt('is the other', barrier), forever()))

# They wait for work of another executor, whose thread is busy.
other, barrier = executor('other', 1)
other.submit(lambda: (adopt('busy elsewhere', barrier), forever()))
client, barrier = executor('client', 1)
client.submit(node, other, 'client', barrier)

for name in ('nested 0', 'nested 1', 'single', 'timed', 'chained 0', 'waits for the other', 'client'):
    while name not in inner:
        time.sleep(0.001)
for number in range(2):
    queued('nested %d' % number, inner['nested %d' % number], 'ThreadPoolExecutor "nested"')
hang.waits('wants the outer', 'future', outer[0], 'nested 0')
queued('single', inner['single'], 'ThreadPoolExecutor "single"')
queued('timed', inner['timed'], 'ThreadPoolExecutor "timed"')
queued('chained 0', inner['chained 0'], 'ThreadPoolExecutor "chained"')
hang.waits('chained 1', 'rlock', rlock, 'chained 0')
queued('waits for the other', inner['waits for the other'], 'ThreadPoolExecutor "busy"')
queued('client', inner['client'], 'ThreadPoolExecutor "other"')
only = ' for Futures that only it could run.'
hang.deadlock('nested 0', 'nested 1', says='Deadlock: both threads of ThreadPoolExecutor "nested" wait' + only)
hang.deadlock('single', says='Deadlock: the only thread of ThreadPoolExecutor "single" waits' + only)
hang.deadlock('timed', timed=True, says='Deadlock until a time limit passes: the only thread of '
              'ThreadPoolExecutor "timed" waits' + only)
hang.deadlock('chained 0', 'chained 1', says='Deadlock: both threads of ThreadPoolExecutor "chained" wait for '
              'Futures that only it could run, or for threads that do.')
hang.waits('MainThread', 'system-call', calls=['select', 'pselect6', 'clock_nanosleep'])
hang.hang()
