# SPDX-License-Identifier: Apache-2.0
"""A gevent server under load, whose clients are greenlets of its own: always at work, and always switching.

Each function is called by the one before it in CALLS of test_gevent.py, directly or through C, and by no other.
"""

import hashlib
import itertools
import socket
import sys
import time

import gevent
from gevent.event import Event
from gevent.queue import Queue
from gevent.server import StreamServer

CLIENTS = 8
numbers = itertools.count()
jobs, done = Queue(), Event()


class Key(object):
    """Compared by Python code that C code calls."""

    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return compare(self.value, other.value)


def compare(a, b):
    if a % 7 == 0:
        gevent.sleep(0)  # another greenlet runs in the middle of a sort
    return digest(a) < digest(b)


def digest(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def deep(n):
    """Waits at a depth of the stack that differs from call to call."""
    if n:
        return max([n], key=lambda m: deep(m - 1))
    return pause()


def pause():
    done.wait(0.001)
    return digest(0)


def handle(connection, address):
    while True:
        line = connection.recv(64)
        if not line:
            return
        answer(connection, line)


def answer(connection, line):
    number = len(line) + next(numbers)
    sorted(map(Key, [(number * k) % 31 for k in range(8)]))
    deep(number % 9)
    jobs.put(number)
    connection.sendall(line)


def client(address):
    while True:
        ask(address)


def ask(address):
    connection = socket.create_connection(address)
    for n in range(5):
        connection.sendall(b"x" * (1 + n))
        connection.recv(64)
    connection.close()


def worker():
    while True:
        work(jobs.get())


def work(number):
    spawned = gevent.spawn(short, number)
    if number % 2:
        spawned.join()


def short(number):
    return digest(number)


def main():
    server = StreamServer(("127.0.0.1", 0), handle)
    server.start()
    for _ in range(CLIENTS):
        gevent.spawn(client, server.address)
    gevent.spawn(worker)
    gevent.spawn_later(0.3, ready)
    server.serve_forever()


def ready():
    open("ready", "w").close()


if __name__ == "__main__":
    from gevent import monkey
    monkey.patch_socket()
    main()
