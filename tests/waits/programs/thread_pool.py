# SPDX-License-Identifier: Apache-2.0
# A pool of multiprocessing whose workers are threads, all of which wait for results of the same pool; and one that has a
# thread left. Keepers look after the threads of pools every 0.1 seconds: nothing is written down of their frames.
import json
import multiprocessing.pool
import os
import threading
import time

import hang
import record

inner = {}


def leaf():
    pass


def apply(name, pool, barrier):
    hang.adopt(name)
    barrier.wait()
    inner[name] = pool.apply_async(leaf)
    inner[name].get()


def keep_busy(barrier):
    hang.adopt('is the other')
    barrier.wait()
    time.sleep(3600)


try:
    pool, barrier = multiprocessing.pool.ThreadPool(2), threading.Barrier(2)
except (ImportError, OSError) as reason:
    record.not_applicable('ThreadPool: %s' % reason)
other, other_barrier = multiprocessing.pool.ThreadPool(2), threading.Barrier(2)
mapped, mapped_barrier = multiprocessing.pool.ThreadPool(2), threading.Barrier(3)


def run_part(number):
    hang.adopt('runs part %d' % number)
    mapped_barrier.wait()
    time.sleep(3600)


parts = mapped.map_async(run_part, range(4), 1)
hang.start(parts.get, 'wants all parts')
mapped_barrier.wait()
items = mapped.imap(run_part, range(4, 6))
hang.start(items.next, 'wants the next')
for name in ('applies 0', 'applies 1'):
    pool.apply_async(apply, (name, pool, barrier))
other.apply_async(apply, ('waits for the other', other, other_barrier))
other.apply_async(keep_busy, (other_barrier,))
for name in ('applies 0', 'applies 1', 'waits for the other'):
    while name not in inner:
        time.sleep(0.001)
    hang.waits(name, 'future', inner[name], types=['ApplyResult'],
               says=['which has not been started: it is in the queue of ThreadPool 0x'])
hang.waits('wants all parts', 'future', parts, types=['MapResult'],
           says=['part of which has not been started: it is in the queue of ThreadPool 0x'])
hang.waits('wants the next', 'future', items, types=['IMapIterator'],
           says=['for the next item of multiprocessing.IMapIterator 0x'])
for part in range(2):
    hang.waits('runs part %d' % part, 'system-call', calls=['select', 'pselect6', 'clock_nanosleep'])
hang.waits('is the other', 'system-call', calls=['select', 'pselect6', 'clock_nanosleep'])
hang.deadlock('applies 0', 'applies 1', says='Deadlock: both threads of ThreadPool 0x')
hang.waits('MainThread', 'system-call', calls=['select', 'pselect6', 'clock_nanosleep'])
hang.write()
with open('truth.json', 'w') as out:
    json.dump({'pid': os.getpid()}, out)
time.sleep(3600)
