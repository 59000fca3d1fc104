# SPDX-License-Identifier: Apache-2.0
# Threads that compute, sleep, end and appear while they are watched, for test_watch.py; files say when.
import os
import signal
import sys
import threading
import time

signal.alarm(600)


def await_file(name):
    while not os.path.exists(name):
        time.sleep(0.005)


def busy():
    number = 0
    while True:
        number = (number + 1) % 20000
        # Once in milliseconds the others get the GIL without a fight.
        if number == 1:
            time.sleep(0.0001)


def sleeps():
    time.sleep(3600)


def ends():
    await_file('end')


def start(function):
    thread = threading.Thread(target=function, name=function.__name__)
    thread.daemon = True
    thread.start()
    return thread


def appears():
    time.sleep(3600)


def main():
    for function in (busy, sleeps):
        start(function)
    ending = start(ends)
    open('ready', 'w').close()
    ending.join()
    start(appears)
    await_file('go')
    if sys.argv[1] == 'exec':
        os.execv(sys.argv[2], [sys.argv[2], sys.argv[0], 'other'])
    os._exit(7)


def other():
    """What it becomes."""
    open('other', 'w').close()
    time.sleep(3600)


other() if sys.argv[1] == 'other' else main()
