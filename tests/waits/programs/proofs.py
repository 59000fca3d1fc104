# SPDX-License-Identifier: Apache-2.0
# Waits that look like deadlocks and are none, or not for ever; and deadlocks by way of a result that never comes.
import sys
import threading
import time

import hang


def forever():
    time.sleep(3600)


# Two locks in opposite order, but one of the threads will give up.
first, second = threading.Lock(), threading.Lock()


def gives_up():
    with first:
        hang.passed('first')
        hang.after('second')
        second.acquire(True, 3600)


def waits_for_ever():
    with second:
        hang.passed('second')
        hang.after('first')
        with first:
            forever()


if sys.version_info >= (3,):
    hang.start(gives_up, 'gives up')
    hang.start(waits_for_ever, 'waits for ever')
    hang.waits('gives up', 'lock', second, taken='waits for ever')
    hang.waits('waits for ever', 'lock', first, taken='gives up')
    hang.deadlock('gives up', 'waits for ever', timed=True, certain=False)

# A `with` whose lock was released inside, and another thread has taken it.
lent, borrowed = threading.Lock(), threading.Lock()


def lend():
    with lent:
        lent.release()
        hang.passed('lent')
        hang.after('taken')
        lent.acquire()


def take():
    hang.after('lent')
    lent.acquire()
    hang.passed('taken')
    forever()


def give_back(lock):
    lock.release()
    hang.passed('given back')
    hang.after('taken from another')
    forever()


def lend_elsewhere():
    with borrowed:
        give_back(borrowed)


def take_from_another():
    hang.after('given back')
    borrowed.acquire()
    hang.passed('taken from another')
    forever()


def use(lock):
    with lock:
        forever()


for function in (lend, take, lend_elsewhere, take_from_another):
    hang.start(function, function.__name__)
hang.after('taken', 'taken from another')
hang.waits('lend', 'lock', lent)
hang.start(use, 'wants what was lent', borrowed)
hang.waits('wants what was lent', 'lock', borrowed)

# The same in code of no file, as that of `python -c` is.
unseen = threading.Lock()
exec(compile('''
def lend_unseen():
    with unseen:
        unseen.release()
        hang.passed('lent unseen')
        hang.after('taken unseen')
        forever()
''', '<string>', 'exec'))


def take_unseen():
    hang.after('lent unseen')
    unseen.acquire()
    hang.passed('taken unseen')
    forever()


hang.start(lend_unseen, 'lends unseen')
hang.start(take_unseen, 'takes unseen')
hang.after('taken unseen')
hang.start(use, 'wants what is unseen', unseen)
hang.waits('wants what is unseen', 'lock', unseen)

# The thread that computes a result waits for a lock, which the one that waits for the result has.
if sys.version_info >= (3,):
    from concurrent import futures

    gate, executor = threading.Lock(), futures.ThreadPoolExecutor(1)

    def compute():
        hang.adopt('computes')
        with gate:
            return 1

    def wait_for(box):
        with gate:
            hang.passed('has the gate')
            hang.after('submitted')
            box[0].result()

    box = []
    hang.start(wait_for, 'wants the result', box)
    hang.after('has the gate')
    box.append(executor.submit(compute))
    pending = executor.submit(forever)
    hang.passed('submitted')
    hang.waits('wants the result', 'future', box[0], 'computes')
    hang.waits('computes', 'lock', gate, taken='wants the result')
    hang.deadlock('wants the result', 'computes', certain=False)
    hang.start(pending.result, 'result of nobody')
    hang.waits('result of nobody', 'future', pending)
    hang.start(futures.wait, 'one of two results', [box[0], pending])
    hang.waits('one of two results', 'future')

hang.waits('MainThread', 'system-call', calls=['select', 'pselect6', 'clock_nanosleep'])
hang.hang()
