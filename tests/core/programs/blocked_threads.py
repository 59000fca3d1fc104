# SPDX-License-Identifier: Apache-2.0
# Threads blocked in every common way, while the main thread dies.
import os
import socket
import threading
import time

import record

try:
    import queue
except ImportError:
    import Queue as queue

lock = threading.Lock()
rlock = threading.RLock()
lock.acquire()
rlock.acquire()
condition = threading.Condition()
event = threading.Event()
semaphore = threading.Semaphore(0)
items = queue.Queue()
pipe = os.pipe()
pair = socket.socketpair()


def on_lock():
    lock.acquire()


def on_with():
    with lock:
        pass


def on_rlock():
    with rlock:
        pass


def on_condition():
    with condition:
        condition.wait()


def on_event():
    event.wait()


def on_semaphore():
    semaphore.acquire()


def on_queue():
    items.get()


def on_sleep():
    time.sleep(
        1000)


def on_join(other):
    other.join()


def on_pipe():
    os.read(pipe[0], 1)


def on_socket():
    pair[0].recv(10)


class Subclass(threading.Thread):
    def run(self):
        record._tids[record.get_ident()] = record.native_id()
        self.block()

    def block(self):
        (lambda: time.sleep(1000))()


for function in (on_lock, on_with, on_rlock, on_condition, on_event, on_semaphore, on_queue, on_pipe, on_socket):
    record.start(function, 'blocked ' + function.__name__)
sleeper = record.start(on_sleep)
record.start(on_join, 'joins', (sleeper,))
subclass = Subclass(name='subclass')
subclass.daemon = True
subclass.start()
renamed = record.start(on_sleep, 'old name')
renamed.name = 'new name'
record.die()
