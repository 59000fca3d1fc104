# SPDX-License-Identifier: Apache-2.0
# Streams of the module io have a lock inside, and record who has it: a thread that reads or writes without end has each
# of them, and another one waits.
from __future__ import print_function

import gc
import io
import sys
import threading
import time

import hang


class Raw(io.RawIOBase):
    """What it is asked for never ends."""

    def __init__(self, name, action=lambda: time.sleep(3600)):
        self.called, self.action = name, action

    def readable(self):
        return True

    def writable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        return 0

    def tell(self):
        return 0

    def write(self, data):
        hang.passed(self.called)
        self.action()

    def readinto(self, data):
        hang.passed(self.called)
        self.action()


class Mine(io.BufferedWriter):
    pass


def flush(stream, data):
    stream.write(data)
    stream.flush()


def read(stream, data):
    stream.read(len(data))


def lines(stream, data):
    for _ in stream:
        pass


def say(stream, data):
    print(data)


def through_method(stream, data):
    write = stream.write
    write(data)


def late(use, stream, data):
    hang.passed(threading.current_thread().name)
    use(stream, data)


def begin(name, use, stream, data=b'x', target=flush):
    """One thread in the stream, and another one that waits for it."""
    hang.start(target, 'in ' + name, stream, data)
    hang.after(name)
    hang.start(late, 'waits for ' + name, use, stream, data)
    hang.after('waits for ' + name)


def both(name, use, stream, lock, target=flush, data=b'x', **more):
    begin(name, use, stream, data, target)
    hang.waits('waits for ' + name, 'lock', lock, owner='in ' + name, says=['Waiting for the lock of io.Buffered'], **more)


writer = io.BufferedWriter(Raw('writer'))
both('writer', flush, writer, writer)
method = io.BufferedWriter(Raw('method'))
both('method', through_method, method, method)
reader = io.BufferedReader(Raw('reader'))
both('reader', lines, reader, reader, target=read)
random = io.BufferedRandom(Raw('random'))
both('random', read, random, random)
mine = Mine(Raw('mine'))
both('mine', flush, mine, mine, types=['BufferedWriter'])
pair_raw = Raw('pair')
pair = io.BufferedRWPair(Raw('pair'), pair_raw)
both('pair', flush, pair, [one for one in gc.get_objects() if isinstance(one, io.BufferedWriter) and one.raw is pair_raw][0])
below = io.BufferedWriter(Raw('text'))
text = io.TextIOWrapper(below, 'ascii')
both('text', flush, text, below, data=u'x')
printed = io.BufferedWriter(Raw('print'))
output = io.TextIOWrapper(printed, 'ascii', line_buffering=True)
sys.stdout = output
both('print', say, output, printed, data=u'x')

# One thread has the stream and waits for the lock, another one the other way round.
lock = threading.RLock() if sys.version_info >= (3,) else threading.Lock()


def with_lock():
    hang.after('locked')
    with lock:
        pass


def lock_first(stream):
    with lock:
        hang.passed('locked')
        hang.after('log')
        hang.passed('both')
        stream.write(b'x')


log = io.BufferedWriter(Raw('log', with_lock))
hang.start(lock_first, 'lock, then log', log)
hang.start(flush, 'log, then lock', log, b'x')
hang.waits('lock, then log', 'lock', log, owner='log, then lock')
if sys.version_info >= (3,):
    hang.waits('log, then lock', 'rlock', lock, owner='lock, then log')
    hang.deadlock('lock, then log', 'log, then lock')
else:
    hang.waits('log, then lock', 'lock', lock, taken='lock, then log')
    hang.deadlock('lock, then log', 'log, then lock', certain=False)
hang.after('both')
time.sleep(0.3)

hang.waits('MainThread', 'system-call', calls=['nanosleep', 'clock_nanosleep', 'select', 'pselect6'])
hang.hang()
